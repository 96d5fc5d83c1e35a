"""All notebooks side by side: what is done is kept, what fails is told, nothing is left running."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from alutils.base import locks, manifest
from alutils.runs.notebook import reproduce, runs

CELL = """import os, time
from pathlib import Path
from alutils import runs
run = runs.start("{name}", globals())
Path(os.environ["WITNESS"], "{name}").write_text(str(os.getpid()))
waits = Path(os.environ["WITNESS"], "hold-{name}")
while waits.exists():
    time.sleep(0.05)
if Path(os.environ["WITNESS"], "fail-{name}").exists():
    raise ValueError("no such letters")
if Path(os.environ["WITNESS"], "noise-{name}").exists():
    import sys
    print("seen on stderr", file=sys.stderr)
run.record([dict(protocol="published", arm="all", n_human=1, split="test", metric="n_right",
                 value=float(os.environ.get("OMP_NUM_THREADS") or 0), n_eval=400)])
run.finish()"""
NAMES = ("mnist", "az_explore", "az")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a repository of three tiny notebooks."""
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "profiles" / "quick.yaml").write_text("{}\n")
    for name in NAMES:
        tagged = nbformat.v4.new_code_cell(
            "seed: int = 0  # of all chance", metadata={"tags": ["parameters"]}
        )
        book = nbformat.v4.new_notebook(
            cells=[tagged, nbformat.v4.new_code_cell(CELL.format(name=name))]
        )
        nbformat.write(book, tmp_path / "notebooks" / runs.NOTEBOOKS[name])
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    monkeypatch.setenv("WITNESS", str(tmp_path))
    monkeypatch.delenv("ALUTILS_RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_complete(folder):
    return manifest.read_json(folder / "manifest.json").get("status") == "complete"


@pytest.mark.slow
def test_all_notebooks_run_side_by_side_with_their_share_of_the_cores(project):
    folders = reproduce.run(jobs=3)
    assert list(folders) == list(NAMES)
    assert all(map(is_complete, folders.values()))
    threads = max(1, manifest.cores() // 3)
    for folder in folders.values():
        assert f",{float(threads)},400" in (folder / "metrics.csv").read_text()
    there = {path.name for path in (project / "results" / "runs").iterdir()}
    assert there == {folder.name for folder in folders.values()} | {"reproduce.lock"}


@pytest.mark.slow
def test_a_failed_notebook_is_told_and_what_was_done_is_not_run_again(project):
    (project / "fail-az").touch()
    (project / "fail-az_explore").touch()
    with pytest.raises(runs.RunError, match=r"az: ended with status 2.*no such letters"):
        reproduce.run(jobs=2)  # az and mnist begin, and mnist may end
    done = json.loads((project / "results" / "runs" / reproduce.NOTE).read_text())["done"]
    assert sorted(done) == ["mnist"]
    (project / "fail-az").unlink()
    with pytest.raises(runs.RunError, match=r"az_explore: ended with status 2.*no such letters"):
        reproduce.run(jobs=1)
    done = json.loads((project / "results" / "runs" / reproduce.NOTE).read_text())["done"]
    assert sorted(done) == ["az", "mnist"]
    (project / "fail-az_explore").unlink()
    for name in NAMES:
        (project / name).unlink()
    folders = reproduce.run(jobs=1)
    assert list(folders) == list(NAMES) and all(map(is_complete, folders.values()))
    assert [name for name in NAMES if (project / name).exists()] == ["az_explore"]
    assert not (project / "results" / "runs" / reproduce.NOTE).exists()
    left = (project / "results" / "runs").glob("reproduce*")
    assert [path.name for path in left] == ["reproduce.lock"]


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_no_notebook_runs_on_and_the_same_command_goes_on(project, by):
    (project / "hold-az_explore").touch()
    code = "from alutils.runs.notebook import reproduce; print(reproduce.run(jobs=3))"
    # A background shell ignores Ctrl-C's signal, and what it starts does, too.
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import signal; signal.signal(2, signal.default_int_handler); {code}",
        ],
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 120
    note = project / "results" / "runs" / reproduce.NOTE
    begun = project / "az_explore"  # its kernel's number; it may start after the others have ended
    while time.monotonic() < until:
        if len(manifest.read_json(note).get("done", ())) >= 2 and begun.exists():
            break
        time.sleep(0.1)
    kernel = int(begun.read_text())
    process.send_signal(by)
    process.wait(60)
    assert process.returncode != 0
    until = time.monotonic() + 30
    while is_running(kernel) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(kernel)
    held = [path for path in note.parent.iterdir() if path.name.startswith("az_explore")]
    assert len(held) == 1
    (project / "hold-az_explore").unlink()
    (project / "az").unlink()
    folders = reproduce.run(jobs=3)
    assert list(folders) == list(NAMES)
    assert folders["az_explore"] == held[0]  # gone on with, in the folder that it had
    assert not (project / "az").exists()


@pytest.mark.slow
def test_what_is_said_on_stderr_is_not_taken_for_the_folder(project):
    (project / "noise-mnist").touch()
    assert all(map(is_complete, reproduce.run(jobs=3).values()))


def test_two_at_once_do_not_run_the_same_notebooks(project):
    folder = project / "results" / "runs"
    folder.mkdir(parents=True)
    lock = locks.hold((folder / reproduce.NOTE).with_suffix(".lock"))
    try:
        with pytest.raises(runs.RunError, match="are being run already"):
            reproduce.run(jobs=1)
    finally:
        lock.release()


def is_running(pid):
    if not Path("/proc").is_dir():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_results_of_other_code_are_not_taken_for_these(project):
    (project / "fail-az_explore").touch()
    with pytest.raises(runs.RunError):
        reproduce.run(jobs=1)
    (project / "fail-az_explore").unlink()
    path = project / "notebooks" / runs.NOTEBOOKS["az"]
    path.write_text(path.read_text().replace("waits =", "waits=  "))
    for name in NAMES:
        (project / name).unlink()
    reproduce.run(jobs=1)
    assert [name for name in NAMES if (project / name).exists()] == list(NAMES)


def test_without_notebooks_the_error_says_where_to_work(tmp_path):
    with pytest.raises(runs.RunError, match="work in a clone of the repository"):
        reproduce.there(tmp_path)
