"""A repository with nothing but a tiny notebook, for the tests of runs and sweeps."""

import nbformat

from alutils.runs.notebook import runs

PARAMETERS = """seed: int = 0  # of all randomness [0..]
n_train: int = 4000  # images [1..]
budget: int = 400  # labels [1..n_train]
batch: int = 10  # labels a round [1..]
rate: float = 0.1  # step [> 0, <= 1]
flag: bool = True
data: str = "letters.npz"  # a file
figure: bool = False
end: str = "well" # what happens [one of: well, error, kill, unfinished]"""

# Each part appends a line to WITNESS when it is computed; part HOLD lasts until it is killed.
CELLS = [
    "import os, time\nimport numpy as np\nimport pandas as pd\nfrom alutils import runs\n"
    "from alutils.stats.tables import Vocabulary",
    """run = runs.start("mnist", globals(), Vocabulary(protocols=("noise",)))
print(run, flag, rate)""",
    """def part(i):
    with open(os.environ["WITNESS"], "a") as file:
        print(i, file=file)
    if os.environ.get("HOLD") == str(i):
        time.sleep(600)
    values = np.random.default_rng([seed, i]).normal(size=5) * rate
    return pd.DataFrame({"seed": i, "round": range(5), "value": values})

frames = [run.keep(part, i) for i in range(4)]""",
    """if end == "error":
    raise KeyError(f"no such thing in {os.getcwd()}")
if end == "kill":
    os.kill(os.getpid(), 9)""",
    """for frame in frames:
    run.record(frame.assign(protocol="noise", arm="all", n_human=10, split="test",
                            metric="accuracy", n_eval=400))
run.record([dict(protocol="published", arm="all", n_human=4000, split="test",
                 metric="n_right", value=369, n_eval=400)])
class Digits:
    provenance = "mnist"
    def content_hash(self):
        return "ab" * 32
run.uses(digits=Digits())""",
    """if figure:
    from matplotlib import pyplot as plt
    picture, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1])
    from alutils.experiments.base import Finding
    ends = f"It ends at {axes.get_ylim()}."
    shown = run.show(Finding(ends, figure=picture, name="line", alt="A line that rises."))
    shown._ipython_display_()""",
    'if end != "unfinished":\n    run.finish()',
]


def project_in(folder):
    (folder / "notebooks" / "profiles").mkdir(parents=True)
    (folder / "results").mkdir()
    tagged = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    first, *rest = map(nbformat.v4.new_code_cell, CELLS)
    book = nbformat.v4.new_notebook(cells=[first, tagged, *rest])
    nbformat.write(book, folder / "notebooks" / runs.NOTEBOOKS["mnist"])
    (folder / "notebooks" / "profiles" / "quick.yaml").write_text("mnist: {}\naz: {seed: 3}\n")
    (folder / "notebooks" / "profiles" / "full.yaml").write_text("mnist: {rate: 1e-3}\n")
    (folder / "notebooks" / "profiles" / "wrong.yaml").write_text("mnist: {ratte: 1}\n")
    return folder
