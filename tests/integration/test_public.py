"""What `alutils` itself offers: README's loop runs as it stands, and nothing is imported early."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import alutils

ROOT = Path(__file__).parents[2]
HEAVY = "print([n for n in ('tensorflow', 'keras', 'numpy') if n in __import__('sys').modules])"


def python(code: str, *arguments: str) -> list[str]:
    """Run code in a fresh process at the repository's root; the lines that it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_loop_in_readme_runs_as_it_stands_and_without_tensorflow():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "from alutils import Estimator" in block]
    *rounds, imported = python(block + HEAVY)
    assert imported == "['numpy']"
    assert [line.split()[0] for line in rounds] == [str(n) for n in range(25, 301, 25)]
    shares = [float(re.search(r"([\d.]+)% of", line)[1]) for line in rounds]
    assert shares[-1] > 85 and shares[-1] > shares[0] + 10


def test_importing_the_package_imports_nothing_else():
    assert python(f"import alutils\n{HEAVY}") == ["[]"]
    assert python(f"from alutils.__main__ import main\n{HEAVY}") == ["[]"]


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "results/mnist.csv"]])
def test_the_command_line_answers_without_tensorflow(arguments):
    code = "import sys\nfrom alutils.__main__ import main\n" + (
        f"try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n{HEAVY}"
    )
    assert "tensorflow" not in python(code, *arguments)[-1]


def test_every_public_name_is_there_and_others_are_not():
    for name in alutils.__all__:
        assert getattr(alutils, name).__name__ == name
    assert set(alutils.__all__) <= set(dir(alutils))
    with pytest.raises(AttributeError, match="no attribute 'pool_bassed'"):
        alutils.pool_bassed  # noqa: B018
