"""Runs: a folder, a table and a manifest, whatever happens to the process."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jupyter_client.connect import LocalPortCache
from tiny_notebook import project_in

from alutils.__main__ import main
from alutils.base import files, manifest, surfaces
from alutils.base.errors import ParameterError
from alutils.experiments.base import Finding
from alutils.runs.notebook import folders, headless, reproduce, runs, shown
from alutils.runs.notebook.parameters import read_parameters
from alutils.stats import tables

NOTEBOOK = runs.NOTEBOOKS["mnist"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Make a repository with nothing but the tiny notebook."""
    return project_in(tmp_path_factory.mktemp("project {with braces}"))


@pytest.fixture(autouse=True)
def _environment(project, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(project))
    monkeypatch.setenv("WITNESS", str(project / "witness"))
    monkeypatch.delenv("ALUTILS_RUN_DIR", raising=False)


@pytest.fixture(scope="module")
def finished(project):
    """Run the notebook undisturbed, by the command line; its folder and its standard output."""
    environment = os.environ | {"ALUTILS_ROOT": str(project), "WITNESS": str(project / "witness")}
    command = ["run", "mnist", "--profile", "full", "-p", "flag", "false"]
    done = alutils(command, project, environment)
    assert done.returncode == 0, done.stderr
    return project / done.stdout.splitlines()[-1], done.stdout


def alutils(arguments, folder, environment):
    command = [sys.executable, "-m", "alutils", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def status(folder):
    return json.loads((folder / "manifest.json").read_text())["status"]


# What an undisturbed run leaves


def test_the_last_line_is_the_folder_relative_to_here(finished, project):
    folder, output = finished
    last = output.splitlines()[-1]
    assert re.fullmatch(r"results/runs/mnist-full-[0-9a-f]{10}", last)
    there = {"executed.ipynb", "manifest.json", "metrics.csv", "parts", ".lock"}
    assert {path.name for path in folder.iterdir()} == there


def test_false_and_1e_3_reach_the_notebook_as_values(finished):
    assert f"Run({finished[0].name}) False 0.001" in finished[1]


def test_the_manifest_says_what_ran_on_what(finished):
    about = json.loads((finished[0] / "manifest.json").read_text())
    assert about["status"] == "complete"
    assert about["parameters"] == {
        "seed": 0, "n_train": 4000, "budget": 400, "batch": 10, "rate": 0.001, "flag": False,
        "data": "letters.npz", "figure": False, "end": "well",
    }  # fmt: skip
    assert about["profile"] == "full"
    assert about["seeds"] == [0, 1, 2, 3]
    assert about["inputs"] == {"digits": {"sha256": "ab" * 32, "provenance": "mnist"}}
    assert about["git"] == {"commit": None, "dirty": None}  # the tiny project is no clone
    assert about["packages"]["numpy"] == np.__version__
    assert about["machine"]["cores"] >= 1
    assert about["machine"]["memory_gib"] > 0.1
    assert about["peak_memory_mib"] > 30  # numpy and pandas alone take more
    assert about["wall_s"] > 0
    assert about["timings_s"]["part"] > 0


def test_no_path_of_the_machine_is_left_in_a_run(finished, project):
    for name in ("manifest.json", "metrics.csv", "executed.ipynb"):
        text = (finished[0] / name).read_text()
        for place in (project, project.parent, Path.home(), sys.prefix, manifest.__file__):
            assert str(place) not in text, name
    metadata = nbformat.read(finished[0] / "executed.ipynb", 4).metadata.papermill
    assert metadata.input_path == f"notebooks/{runs.NOTEBOOKS['mnist']}"
    assert metadata.output_path == "executed.ipynb"


def test_the_table_is_sorted_and_gives_every_digit(finished):
    table = tables.read(finished[0] / "metrics.csv")
    assert len(table) == 21
    drawn = np.concatenate([np.random.default_rng([0, i]).normal(size=5) * 1e-3 for i in range(4)])
    assert (table["value"][table["protocol"] == "noise"].to_numpy() == drawn).all()
    text = (finished[0] / "metrics.csv").read_text()
    assert tables.as_csv(table.sample(frac=1, random_state=0)) == text


# Killed, failed, interrupted


@pytest.mark.slow
def test_a_killed_run_ends_with_the_undisturbed_table(finished, tmp_path):
    other = project_in(tmp_path / "other")
    environment = os.environ | {"ALUTILS_ROOT": str(other), "WITNESS": str(other / "witness")}
    command = ["run", "mnist", "--profile", "full", "-p", "flag", "false"]
    process = subprocess.Popen(
        [sys.executable, "-m", "alutils", *command],
        cwd=other, env=environment | {"HOLD": "2"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: len(computed(other)) == 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = next((other / "results" / "runs").iterdir())
    assert not (folder / "manifest.json").exists()

    again = alutils(command, other, environment)
    assert again.returncode == 0, again.stderr
    assert other / again.stdout.splitlines()[-1] == folder
    assert (folder / "metrics.csv").read_bytes() == (finished[0] / "metrics.csv").read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    # The part under way when the run was killed is done twice, all others once. (Not so where a
    # module of the package was edited between the two: its parts are then rightly done again.)
    assert computed(other) == [0, 1, 2, 2, 3]
    assert json.loads((folder / "manifest.json").read_text())["parts_reused"] == 2


def computed(project):
    file = project / "witness"
    return list(map(int, file.read_text().split())) if file.exists() else []


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended by itself"
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_failing_cell_is_told_and_kept_and_the_run_can_be_repeated(
    project, tmp_path, monkeypatch
):
    monkeypatch.chdir(project)
    with pytest.raises(runs.RunError, match=r"KeyError: .* \(code cell 6 of .*executed.ipynb\)"):
        headless.execute("mnist", overrides={"end": "error"}, output_root=tmp_path)
    (folder,) = tmp_path.iterdir()
    about = json.loads((folder / "manifest.json").read_text())
    assert about["status"] == "failed"
    assert (about["error"]["name"], about["error"]["cell"]) == ("KeyError", 6)
    executed = (folder / "executed.ipynb").read_text()
    assert "no such thing in ." in executed
    assert "no such thing in ." in about["error"]["message"]
    assert str(project) not in executed
    assert not (folder / "metrics.csv").exists()
    assert folders.claim(tmp_path, folder.name)[0] == folder  # the next one goes on here


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kernels are spoken to through the network there")
def test_notebooks_side_by_side_never_take_one_anothers_port(project, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(LocalPortCache, "find_available_port", lambda *_: port)
        folder = headless.execute("mnist", output_root=tmp_path)
    assert manifest.read_json(folder / "manifest.json")["status"] == "complete"


@pytest.mark.slow
def test_a_kernel_that_dies_is_a_failed_run(project, tmp_path):
    with pytest.raises(runs.RunError, match="code cell 6"):
        headless.execute("mnist", overrides={"end": "kill"}, output_root=tmp_path)
    (folder,) = tmp_path.iterdir()
    about = json.loads((folder / "manifest.json").read_text())
    assert (about["status"], about["error"]["name"]) == ("failed", "DeadKernelError")


@pytest.mark.slow
def test_ctrl_c_ends_in_one_line_and_an_interrupted_run(project, tmp_path):
    other = project_in(tmp_path / "other")
    code = (  # a shell that starts the tests in the background has SIGINT ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from alutils.__main__ import main; sys.exit(main(['run', 'mnist']))"
    )
    (project / "witness").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=other, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL,
        env=os.environ | {"ALUTILS_ROOT": str(other), "HOLD": "0"},
    )  # fmt: skip
    wait_for(lambda: computed(project), process)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=180)[1]
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; the same command goes on where this one ended"]
    assert status(next((other / "results" / "runs").iterdir())) == "interrupted"


# Parameters, from the command line and from papermill


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mnst"], "mnst: no such experiment; did you mean mnist?"),
        (["az"], "there is no notebooks/03_az_vgg16_active_learning.ipynb"),
        (["mnist", "--profile", "ful"], "ful: no such profile; did you mean full?"),
        (["mnist", "--profile", "wrong"], "wrong.yaml: mnist: ratte=1: there is no such parameter"),
        (["mnist", "-p", "seeed", "3"], "seeed=3: there is no such parameter; did you mean seed?"),
        (["mnist", "-p", "seed", "abc"], "seed=abc: expected int [0..], got the text 'abc'."),
        (["mnist", "-p", "seed", "-1"], "seed=-1: expected int [0..]; ask for at least 0."),
        (["mnist", "-p", "batch", "0"], "batch=0: expected int [1..]; ask for at least 1."),
        (["mnist", "-p", "budget", "5000"], "where n_train is 4000; ask for at most 4000."),
        (["mnist", "-f", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_run_is_said_in_one_line_and_leaves_no_folder(
    project, arguments, complaint, capsys
):
    before = sorted((project / "results").rglob("*"))
    assert main(["run", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    assert complaint in captured.err
    assert captured.out == ""
    assert sorted((project / "results").rglob("*")) == before


def test_a_file_of_parameters_goes_before_the_profile_and_p_before_the_file(project, tmp_path):
    (tmp_path / "p.yaml").write_text("rate: 1e-2\nseed: 5\nflag: false\n")
    told = {}

    def execute(name, profile, overrides):
        told.update(overrides)
        return tmp_path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headless, "execute", execute)
        assert main(["run", "mnist", "-f", str(tmp_path / "p.yaml"), "-p", "seed", "7"]) == 0
    assert told == {"rate": "1e-2", "seed": "7", "flag": False}


@pytest.mark.slow
def test_papermill_alone_converts_and_makes_a_whole_run(finished, project, tmp_path):
    out = tmp_path / "out.ipynb"
    papermill(project, out, {"flag": "false", "rate": "1e-3", "figure": "true"})
    name = re.search(r"Run\((mnist-interactive-\w+)\) False 0.001", out.read_text())[1]
    folder = project / "results" / "runs" / name
    assert status(folder) == "complete"
    table, reference = (tables.read(f / "metrics.csv") for f in (folder, finished[0]))
    pd.testing.assert_frame_equal(table.drop(columns="run_id"), reference.drop(columns="run_id"))
    texts = json.loads((folder / "findings.json").read_text())
    assert texts["line"]["alt"] == "A line that rises."
    outputs = [o for c in nbformat.read(out, 4).cells for o in c.get("outputs", []) if "data" in o]
    image, finding = outputs
    assert 'alt="A line that rises."' in image.data["text/html"]
    png = (folder / "figures" / "line.png").read_bytes()
    assert base64.b64encode(png).decode() in image.data["text/html"]
    assert finding.data["text/markdown"] == f"*{texts['line']['finding']}*"


@pytest.mark.slow
def test_papermill_alone_cannot_pass_an_unknown_name(project, tmp_path):
    out = tmp_path / "out.ipynb"
    before = set((project / "results").rglob("*"))
    with pytest.raises(Exception, match="seeed=3: there is no such parameter; did you mean seed"):
        papermill(project, out, {"seeed": 3})
    assert set((project / "results").rglob("*")) == before


def papermill(project, out, parameters):
    from papermill import execute_notebook

    notebook = str(project / "notebooks" / runs.NOTEBOOKS["mnist"])
    source = notebook.replace("{", "{{").replace("}", "}}")
    execute_notebook(
        source, str(out), parameters, kernel_name="python3", language="python", progress_bar=False
    )


# Inside a session: no kernel needed


def test_a_folder_of_ones_own_is_not_cleared_and_mixes_no_parts(session):
    kept = session.folder / "figures" / "kept.png"
    kept.parent.mkdir()
    kept.write_bytes(b"mine")
    other = runs.start("mnist", session.parameters | {"seed": 1})
    assert kept.read_bytes() == b"mine"
    assert other.folder == session.folder
    assert other.parts != session.parts


def test_an_earlier_runs_manifest_does_not_speak_for_a_new_one(session):
    from alutils.stats import compare

    session.record([row()])
    session.finish()
    assert compare.load([session.folder])[0].parameters == session.parameters
    other = runs.start("mnist", session.parameters | {"seed": 5})
    assert not (other.folder / "manifest.json").exists()
    with pytest.raises(tables.TableError, match=r"metrics\.csv"):
        compare.load([other.folder])
    other.record([row(value=0.5)])
    other.finish()
    assert compare.load([other.folder])[0].parameters["seed"] == 5


@pytest.fixture
def session(monkeypatch, tmp_path):
    monkeypatch.setenv("ALUTILS_RUN_DIR", str(tmp_path / "mine"))
    return runs.start("mnist")


def row(**changes):
    return {
        "protocol": "sound", "arm": "active", "n_human": 400, "split": "test",
        "metric": "accuracy", "value": 0.9, "n_eval": 10000, **changes,
    }  # fmt: skip


def test_starting_converts_the_notebooks_own_names_in_place(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_RUN_DIR", str(tmp_path))
    namespace = runs.start("mnist").parameters | {"flag": "false", "n_train": "500"}
    run = runs.start("mnist", namespace)
    assert (namespace["flag"], namespace["n_train"]) == (False, 500)
    assert run.parameters == namespace
    with pytest.raises(ParameterError, match="batch=0"):
        runs.start("mnist", namespace | {"batch": 0})


def test_a_notebook_and_a_run_advise_their_own_parameters(project, tmp_path, monkeypatch):
    seed = surfaces.Remedy("draw others", "seed", 3)
    skip = surfaces.Remedy("leave them out", "on_bad", "skip")
    monkeypatch.setenv("ALUTILS_RUN_DIR", str(tmp_path))
    runs.start("mnist")
    assert surfaces.write(seed) == "draw others with seed = 3 in the parameters cell"
    assert "data folder IN OUT.npz --on-bad skip" in surfaces.write(skip)  # it has no such line
    values = headless.parameters_of("mnist")
    state = runs.describe("mnist", "quick", values, project / "notebooks" / NOTEBOOK, project)
    manifest.write_json(tmp_path / folders.ORDER, state)
    runs.start("mnist")
    assert surfaces.write(seed) == "draw others with -p seed=3"


def test_equal_parameters_make_equal_ids_and_other_ones_others(project):
    notebook = runs.notebook_path("mnist", project)
    values = runs.start("mnist").parameters
    ids = [
        runs.describe("mnist", "quick", values | changed, notebook, project)["run_id"]
        for changed in ({}, dict(reversed(values.items())), {"seed": 1})
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"metric": "acuracy"}, "metric=acuracy: no such metric; did you mean accuracy"),
        ({"protocol": "publishd"}, "protocol=publishd: no such protocol; did you mean published"),
        ({"split": "dev"}, "split=dev: no such split"),
        ({"n_human": 3.5}, "n_human: expected whole numbers"),
        ({"n_human": -1}, "n_human=-1: expected 0 or more"),
        ({"value": float("inf")}, "expected a finite number"),
        ({"value": "high"}, "value: expected a number in every row"),
        ({"metric": "wall_s"}, "run.keep notes them"),
        ({"n_humans": 3}, "n_humans: no such column; did you mean n_human"),
    ],
)
def test_a_row_that_is_not_in_the_format_is_refused(session, changes, complaint):
    with pytest.raises(tables.TableError) as error:
        session.record([row(**changes)])
    assert complaint in str(error.value)
    with pytest.raises(runs.RunError, match="nothing was recorded"):
        session.finish()


def test_a_missing_column_and_a_row_twice_are_refused(session):
    with pytest.raises(tables.TableError, match="n_eval: column missing"):
        session.record([{k: v for k, v in row().items() if k != "n_eval"}])
    with pytest.raises(tables.TableError, match="twice in the same rows"):
        session.record([row(), row(value=0.8)])


def test_a_cell_run_again_replaces_its_rows(session):
    session.record([row(), row(arm="random", value=0.7)])
    session.record([row(value=0.95)])
    session.finish()
    table = tables.read(session.folder / "metrics.csv")
    assert dict(zip(table["arm"], table["value"], strict=True)) == {"active": 0.95, "random": 0.7}


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied", "header gone"])
def test_a_damaged_part_is_computed_again(session, damage, tmp_path, monkeypatch):
    monkeypatch.setenv("WITNESS", str(tmp_path / "witness"))
    values = np.linspace(0, 1, 50)

    def calls():
        return (tmp_path / "witness").read_text().count("computed")

    first = session.keep(squares, values)
    assert session.keep(squares, values).equals(first)
    assert calls() == 1
    (part,) = session.parts.iterdir()
    whole = part.read_bytes()
    cut = {
        "cut": whole[:-200],
        "changed": whole[:-2] + b"7\n",
        "emptied": b"",
        "header gone": whole.partition(b"\n")[2],
    }
    assert cut[damage] != whole
    part.write_bytes(cut[damage])
    assert session.keep(squares, values).equals(first)
    assert calls() == 2
    assert part.read_bytes() == whole


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]))


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 20).flatmap(
        lambda n: st.tuples(
            arrays.arrays("float64", n, elements=st.floats(allow_nan=True)),
            arrays.arrays("int64", n),
            arrays.arrays("float32", n, elements=st.floats(width=32)),
            st.lists(TEXTS, min_size=n, max_size=n),
        )
    )
)  # fmt: skip
def test_a_part_comes_back_bit_for_bit(tmp_path_factory, columns):
    frame = pd.DataFrame(dict(zip("abcd", columns, strict=True))).astype({"d": "str"})
    path = tmp_path_factory.getbasetemp() / "part.csv"
    tables.write_part(path, [1, "x"], frame)
    back = tables.read_part(path, [1, "x"])
    assert list(back.dtypes) == list(frame.dtypes)
    for name in "abc":
        missing = np.isnan(frame[name]) if name != "b" else np.zeros(len(frame), bool)
        assert (np.isnan(back[name]) == missing).all() if name != "b" else True
        assert (
            back[name][~missing].to_numpy().tobytes() == frame[name][~missing].to_numpy().tobytes()
        )
    assert list(back["d"]) == list(frame["d"])


def test_a_frame_that_csv_cannot_hold_is_refused_at_once(session):
    with pytest.raises(tables.TableError, match="does not survive as CSV"):
        session.keep(mixed)
    assert list(session.parts.iterdir()) == []


def test_two_runs_at_once_do_not_share_a_folder(tmp_path):
    first, lock = folders.claim(tmp_path, "mnist-quick-0")
    second, other = folders.claim(tmp_path, "mnist-quick-0")
    assert (first.name, second.name) == ("mnist-quick-0", "mnist-quick-0-2")
    assert folders.claim(tmp_path, "mnist-quick-0", own=True) == (first, lock)  # a cell run again
    lock.release()
    again, lock = folders.claim(tmp_path, "mnist-quick-0")  # unfinished and free: gone on with
    assert again == first
    manifest.write_json(first / "manifest.json", {"status": "complete"})
    lock.release()
    other.release()
    assert folders.claim(tmp_path, "mnist-quick-0")[0] == second


def test_another_process_does_not_get_a_held_folder(tmp_path):
    code = (
        "import sys; from pathlib import Path; from alutils.runs.notebook import folders;"
        "folder, _ = folders.claim(Path(sys.argv[1]), 'r', own=True);"
        "print(folder.name, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "r\n"
    folder, lock = folders.claim(tmp_path, "r", own=True)
    lock.release()
    assert folder.name == "r-2"
    holder.kill()
    holder.communicate()
    assert folders.claim(tmp_path, "r")[0].name == "r"  # the lock died with its process


def test_a_figure_needs_its_texts(session):
    from matplotlib.figure import Figure

    for name, alt, finding in (
        ("a b", "x", "y"),
        ("a", " ", "y"),
        ("a", "x", ""),
        ("a", "x", "y\nz"),
    ):
        with pytest.raises(ValueError, match=name):
            session.show(Finding(finding, figure=Figure(), name=name, alt=alt))
    assert not (session.folder / "figures").exists()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    files.write_atomically(tmp_path / "a.json", "old")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(tmp_path / "a.json", "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/clone", "."),
        ("/clone/notebooks/a.ipynb", "notebooks/a.ipynb"),
        (
            "File \x1b[32m/clone/alutils/runs/notebook/runs.py:3\x1b[39m",
            "File \x1b[32malutils/runs/notebook/runs.py:3\x1b[39m",
        ),
        ("/clone2/a, /other/clone/a", "/clone2/a, /other/clone/a"),
        (f"{sys.prefix}/lib/x.py", "<python>/lib/x.py"),
        (f"see {Path.home()}/x", "see ~/x"),
        ("read /data/mine/letters.npz", "read letters.npz"),
        ({"image/png": "ab+/clone/"}, {"image/png": "ab+/clone/"}),
    ],
)
def test_paths_of_the_machine_are_taken_out(text, cleaned):
    given_values = ["/data/mine/letters.npz", 3]
    assert manifest.without_paths([text], Path("/clone"), given_values) == [cleaned]


def test_nothing_here_imports_tensorflow():
    rooms = {"runs.notebook": ["parameters", "runs", "folders", "headless"]}
    rooms |= {"stats": ["tables", "compare"], "base": ["manifest"]}
    modules = ["__main__", "runs", *(f"{room}.{m}" for room, all_ in rooms.items() for m in all_)]
    heavy = ["tensorflow", "keras", "papermill", "scipy", "nbformat"]
    code = (
        "import importlib, sys\n"
        f"for name in {modules}: importlib.import_module('alutils.' + name)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_reproduce_ends_with_compares_tables_and_status(project, finished, capsys):
    published = Path(__file__).resolve().parents[2] / "results" / "published.csv"
    (project / "results" / "published.csv").write_text(published.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduce, "run", lambda profile, jobs: {"mnist": finished[0]})
        assert main(["reproduce"]) == 0  # the tiny notebook's parameters are not the article's
    out = capsys.readouterr().out
    assert re.search(r"^all +4000 +369 of 400 +369 of 400 +not comparable$", out, re.MULTILINE)


def test_data_calls_the_function_of_the_name(monkeypatch, capsys, tmp_path):
    from alutils.data import mnist

    written = []
    monkeypatch.setattr(mnist, "make_mnist_article", lambda out: written.append(out) or out)
    assert main(["data", "mnist_article", str(tmp_path / "a.npz")]) == 0
    assert written == [tmp_path / "a.npz"]
    assert main(["data", "mnist", "file.npz"]) == 2
    assert "takes no file" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(finished):
    published = Path(__file__).resolve().parents[2] / "results" / "published.csv"
    compare = f"{sys.executable} -m alutils compare --published '{published}'"
    command = f"{compare} '{finished[0]}' | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_a_keras_of_another_backend_is_said_at_the_start(monkeypatch):
    class Torch:
        class config:
            backend = staticmethod(lambda: "torch")

    monkeypatch.setitem(sys.modules, "keras", Torch)
    with pytest.raises(ParameterError, match=r"KERAS_BACKEND=torch: .* expected tensorflow"):
        runs.start("az")


def squares(values, times=1):
    with Path(os.environ["WITNESS"]).open("a") as file:
        print("computed", file=file)
    return pd.DataFrame({"square": times * np.square(values)})


def mixed():
    return pd.DataFrame({"a": [1, "1"]})


def two_frames(n):
    return pd.DataFrame({"a": np.arange(n)}), pd.DataFrame({"b": ["x"] * n})


def test_what_is_kept_is_computed_once_for_the_same_arguments(session, tmp_path, monkeypatch):
    monkeypatch.setenv("WITNESS", str(tmp_path / "witness"))
    values = np.linspace(0, 1, 7)
    first = session.keep(squares, values, times=2)
    assert session.keep(squares, values.copy(), times=2).equals(first)
    assert (tmp_path / "witness").read_text() == "computed\n"
    # Another value of anything that it depends on is another part.
    assert not session.keep(squares, values, times=3).equals(first)
    assert not session.keep(squares, values + 1e-9, times=2).equals(first)
    assert (tmp_path / "witness").read_text().count("computed") == 3
    assert session._notes["timings_s"]["squares"] > 0


def test_several_frames_of_one_computation_are_kept(session):
    a, b = session.keep(two_frames, 3, frames=2)
    again = session.keep(two_frames, 3, frames=2)
    assert again[0].equals(a) and again[1].equals(b) and list(b["b"]) == ["x"] * 3
    with pytest.raises(ValueError, match="zip"):
        session.keep(two_frames, 4, frames=3)


def parameters_in(**changes):
    """Return what a notebook's globals() hold after its parameters cell."""
    values = read_parameters(files.repository_root() / "notebooks" / runs.NOTEBOOKS["mnist"])
    return {parameter.name: parameter.default for parameter in values} | changes


def test_a_parameter_changed_after_the_start_stops_the_run_before_it_writes(project, monkeypatch):
    namespace = parameters_in(seed=3, budget=40)
    run = runs.start("mnist", namespace)
    run.record([row()])
    namespace["seed"] = 99
    told = "seed changed from 3 to 99 after this run began.*from its first cell"
    for call in (
        lambda: run.record([row()]),
        lambda: run.keep(two_frames, 3, frames=2),
        lambda: run.show(Finding("It is so.")),
        lambda: run.finish(),
    ):
        with pytest.raises(runs.RunError, match=told):
            call()
    assert not (run.folder / "metrics.csv").exists()
    assert not (run.folder / "manifest.json").exists()
    namespace["seed"] = 3
    assert run.finish() == run.folder
    again = parameters_in(seed=99, budget=40)
    assert runs.start("mnist", again).id != run.id


def test_a_list_changed_in_place_is_noticed(session):
    session.parameters["levels"] = [0.6, 0.9]
    session._namespace = {"levels": [0.6]}
    with pytest.raises(runs.RunError, match=r"levels changed from \[0.6, 0.9\] to \[0.6\]"):
        session.record([row()])


def test_a_finding_stands_beside_the_reference_runs(session, project):
    results = project / "results"
    (results / "findings.json").write_text(
        json.dumps({"mnist_gain": {"finding": "It gains 3.", "of": "mnist"}})
    )
    about = {"parameters": {**session.parameters, "n_train": 60000}}
    (results / "mnist.manifest.json").write_text(json.dumps(about))
    shown = session.show(Finding("It gains 2.", name="gain", rows=[row()]))
    assert shown.reference == "**Reference run** (n_train=60000; also below): It gains 3."
    assert session.show(Finding("Nothing.", name="other")).reference is None
    assert json.loads((session.folder / "findings.json").read_text())["gain"] == {
        "finding": "It gains 2."
    }
    assert len(session.table) == 1
    session.profile = "full"
    assert session.show(Finding("It gains 2.", name="gain")).reference is None


def test_the_reference_runs_settings_are_named_once_on_a_page(session, project):
    results = project / "results"
    texts = {f"mnist_{name}": {"finding": f"{name}!", "of": "mnist"} for name in ("one", "two")}
    (results / "findings.json").write_text(json.dumps(texts))
    inputs = {"letters": {"provenance": "rendered"}}
    about = {"parameters": {**session.parameters, "n_train": 9}, "inputs": inputs}
    (results / "mnist.manifest.json").write_text(json.dumps(about))
    first = "**Reference run** (n_train=9, letters rendered from fonts; also below): one!"
    for name, said in (("one", first), ("two", "**Reference run**: two!"), ("one", first)):
        assert session.show(Finding("Ours.", name=name)).reference == said


def test_a_notebook_published_under_another_name_finds_its_own_reference(session, project):
    results, settings = project / "results", {**session.parameters, "n_train": 9}
    texts = {
        "strategies_gains": {"finding": "The sweep's.", "of": "strategies"},
        "strategies_notebook_gains": {"finding": "The notebook's.", "of": "strategies_notebook"},
    }
    (results / "findings.json").write_text(json.dumps(texts))
    about = {"parameters": settings}
    (results / "strategies_notebook.manifest.json").write_text(json.dumps(about))
    found = shown.reference("strategies", Finding("Ours.", name="gains"), session.parameters)
    assert found == "**Reference run** (n_train=9): The notebook's."
    sweeps = Finding("Ours.", name="gains", reference="strategies_gains")
    assert shown.reference("strategies", sweeps, {}) == "**Reference run**: The sweep's."


def test_what_the_reference_says_word_for_word_is_not_said_twice(session, project):
    texts = {"mnist_gain": {"finding": "It gains 3.", "of": "mnist"}}
    (project / "results" / "findings.json").write_text(json.dumps(texts))
    assert shown.reference("mnist", Finding("It gains 3.", name="gain"), {}) is None
    assert shown.reference("mnist", Finding("It gains 2.", name="gain"), {})
