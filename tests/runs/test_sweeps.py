"""Sweeps: the same table whoever computes it, and whatever is killed on the way."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import toy_sweep
import yaml
from tiny_notebook import project_in

from alutils.base import files as paths
from alutils.base import manifest
from alutils.experiments.registry import EXPERIMENTS
from alutils.runs.notebook import runs
from alutils.runs.sweeps import grids, one_cell, sweep, workers
from alutils.stats import tables

GRID = {
    "name": "toys",
    "experiment": "toy",
    "fixed": {"rate": "1e-1"},
    "grid": {"shape": ["round", "square"], "data": ["a", "b"]},
    "seeds": 10,
}
TESTS = Path(__file__).parents[1]
COMMAND = """if __name__ == "__main__":
    import sys
    import toy_sweep
    from alutils.__main__ import main
    from alutils.experiments.registry import EXPERIMENTS
    EXPERIMENTS["toy"] = toy_sweep.EXPERIMENT
    sys.exit(main(["sweep", *sys.argv[1:]]))
"""


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "toy", toy_sweep.EXPERIMENT)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the table of all 40 cells, computed one after the other in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXPERIMENTS, "toy", toy_sweep.EXPERIMENT)
        folder = tmp_path_factory.mktemp("serial")
        done = sweep.run(grids.parse(GRID), jobs=1, folder=folder)
    assert (done.n_cells, done.n_run, done.failures) == (40, 40, ())
    return (folder / "table.csv").read_bytes()


class Place:
    """A folder with a grid file, in which the sweep command is given."""

    def __init__(self, folder, grid=GRID):
        self.folder, self.out = folder, folder / "out"
        self.witness, self.held = folder / "witness", folder / "held"
        (folder / "command.py").write_text(COMMAND)
        (folder / "grid.yaml").write_text(yaml.safe_dump(grid))

    def environment(self, **more):
        files = {"WITNESS": str(self.witness), "HOLD": str(self.held)}
        return os.environ | {"PYTHONPATH": str(TESTS)} | files | more

    def hold(self, after):
        """Let so many cells pass; those that begin later wait for `release`, or to be killed."""
        self.held.write_text(str(after))

    def release(self):
        self.held.unlink()

    def start(self, *options, **environment):
        return subprocess.Popen(
            [sys.executable, "command.py", "grid.yaml", "--out", "out", *options],
            cwd=self.folder, env=self.environment(**environment), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *options, **environment):
        process = self.start(*options, **environment)
        try:
            output, errors = process.communicate(timeout=180)
        finally:
            process.kill()
        return process.returncode, output, errors

    def finished(self):
        return {path.parent.name for path in self.out.glob("cells/*/manifest.json")}

    def begun(self):
        lines = self.witness.read_text().splitlines() if self.witness.exists() else []
        return [(int(line.split()[0]), line.split(" ", 1)[1]) for line in lines]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def wait_for(condition, process, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


@contextlib.contextmanager
def dask_cluster(place, name, **environment):
    """Start a scheduler and two workers; yield it and its address when all of them are there."""
    from distributed import Client

    file = place.folder / f"{name}.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    listen = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "scheduler", *listen, "--scheduler-file", file], **quiet)
    try:
        wait_for(lambda: file.exists() and file.read_text().strip().endswith("}"), scheduler)
        address = json.loads(file.read_text())["address"]
        options = ["--nthreads", "1", "--nworkers", "2", "--no-dashboard", "--death-timeout", "120"]
        worker = subprocess.Popen(
            [*dask, "worker", address, *options],
            env=place.environment(**environment), cwd=place.folder, **quiet,
        )  # fmt: skip
        try:
            with Client(address, timeout=120, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=120)
            yield scheduler, address
        finally:
            worker.terminate()
            worker.wait(120)
    finally:
        scheduler.kill()
        scheduler.wait(120)


# One table, whoever computes it


def test_the_table_holds_every_cell_sorted_with_the_grids_parameters(undisturbed, tmp_path):
    (tmp_path / "t.csv").write_bytes(undisturbed)
    table = pd.read_csv(tmp_path / "t.csv")
    assert list(table.columns) == [*tables.COLUMNS, "data", "shape"]
    assert len(table) == 40 * 8
    assert not table.duplicated(list(tables.KEY)).any()
    assert (table["arm"] == table["shape"] + " " + table["data"]).all()
    assert table["value"].isna().sum() == 40  # an undefined value stays one
    ordered = table.sort_values([*tables.KEY, "run_id"], kind="stable")
    assert ordered.index.is_monotonic_increasing
    assert len(tables.read(tmp_path / "t.csv")) == len(table)


@pytest.mark.slow
def test_processes_of_this_machine_give_the_serial_table(undisturbed, place):
    place.hold(after=0)
    process = place.start("--jobs", "2")
    wait_for(lambda: len({pid for pid, _ in place.begun()}) == 2, process)
    place.release()
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert output.splitlines() == ["40 cells, 40 of them run now", "out"]
    assert (place.out / "table.csv").read_bytes() == undisturbed
    assert len({pid for pid, _ in place.begun()}) == 2
    assert "40/40" in errors  # the progress bar


def test_a_finished_sweep_computes_nothing_again(undisturbed, place):
    grid = grids.parse(GRID)
    sweep.run(grid, jobs=1, folder=place.out)
    before = {path: path.stat().st_mtime_ns for path in place.out.glob("cells/*/*")}
    again = sweep.run(grid, jobs=1, folder=place.out)
    assert (again.n_run, again.failures) == (0, ())
    assert {path: path.stat().st_mtime_ns for path in place.out.glob("cells/*/*")} == before
    assert (place.out / "table.csv").read_bytes() == undisturbed


def test_other_code_and_damaged_cells_are_computed_again(place, monkeypatch):
    grid = grids.parse(GRID | {"seeds": [3]})
    sweep.run(grid, jobs=1, folder=place.out)
    damaged = place.out / "cells" / grid.cells[0].id / "metrics.csv"
    damaged.write_text(damaged.read_text()[:-9])
    (place.out / "cells" / grid.cells[1].id / "metrics.csv").unlink()
    (place.out / "cells" / grid.cells[2].id / "manifest.json").write_text('{"status": "compl')
    table = (place.out / "table.csv").read_bytes()
    assert sweep.run(grid, jobs=1, folder=place.out).n_run == 3
    assert (place.out / "table.csv").read_bytes() == table
    monkeypatch.setattr(grids, "code", lambda module: "other")
    assert sweep.run(grids.parse(GRID | {"seeds": [3]}), jobs=1, folder=place.out).n_run == 4


def test_a_grid_may_grow_in_one_folder(place, undisturbed):
    few = GRID | {"seeds": [0, 4]}
    assert sweep.run(grids.parse(few), jobs=1, folder=place.out).n_run == 8
    assert sweep.run(grids.parse(GRID), jobs=1, folder=place.out).n_run == 32
    assert (place.out / "table.csv").read_bytes() == undisturbed


@pytest.mark.slow
def test_a_value_of_the_command_goes_before_the_files(tmp_path):
    place = Place(tmp_path, GRID | {"seeds": 1})
    status, _, errors = place.run("--jobs", "1", "-p", "rate", "2", "-p", "size", "3")
    assert status == 0, errors
    (parameters,) = {
        (about["parameters"]["rate"], about["parameters"]["size"])
        for about in map(manifest.read_json, place.out.glob("cells/*/manifest.json"))
    }
    assert parameters == (2.0, 3)
    status, _, errors = place.run("--jobs", "1", "-p", "shape", "round")
    assert status == 2
    assert "shape=round: in both 'fixed' and 'grid'" in errors


def test_the_folder_is_named_after_the_cells_whatever_their_order(monkeypatch, tmp_path):
    turned = GRID | {
        "grid": {"data": ["b", "a"], "shape": ["square", "round"]},
        "seeds": list(range(9, -1, -1)),
    }
    first, second = grids.parse(GRID), grids.parse(turned)
    assert first.id == second.id
    assert first.id.startswith("toys-")
    assert grids.parse(GRID | {"seeds": 9}).id != first.id
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    done = sweep.run(grids.parse(GRID | {"seeds": 1}), jobs=1)
    assert done.folder.parent == tmp_path / "results" / "sweeps"


def test_a_cells_manifest_says_what_ran(place):
    sweep.run(grids.parse(GRID | {"seeds": [7]}), jobs=1, folder=place.out)
    for path in place.out.glob("cells/*/manifest.json"):
        about = json.loads(path.read_text())
        assert about["status"] == "complete"
        assert about["run_id"] == f"toy-{path.parent.name}"
        shape, data = about["parameters"]["shape"], about["parameters"]["data"]
        expected = {"shape": shape, "size": 8, "rate": 0.1, "data": data, "seed": 7}
        assert about["parameters"] == expected
        assert about["seeds"] == [7]
        assert about["wall_s"] > 0
        assert about["peak_memory_mib"] > 10
        assert about["packages"]["python"]
        assert about["code"] == grids.code("toy_sweep")
        for text in (str(place.folder), str(Path.home()), sys.prefix):
            assert text not in path.read_text()
    timings = pd.read_csv(place.out / "timings.csv")
    assert list(timings.columns) == ["cell", "shape", "data", "seed", "wall_s", "peak_memory_mib"]
    assert len(timings) == 4
    about = json.loads((place.out / "manifest.json").read_text())
    assert about["status"] == "complete"
    assert about["table_sha256"] == manifest.digest((place.out / "table.csv").read_bytes())


def test_the_code_hash_covers_what_is_imported_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    texts = ["def run(): pass", "from alutils.runs.notebook import folders\ndef run(): pass"]
    texts += ["def run():\n    from alutils.runs.notebook.folders import claim", texts[1] + "\n"]
    for i, text in enumerate(texts):
        (tmp_path / f"hashed_{i}.py").write_text(text)
    hashes = [grids.code(f"hashed_{i}") for i in range(4)]
    assert len(set(hashes)) == 4
    for i in (1, 2):
        covered = read_by(monkeypatch, f"hashed_{i}")
        assert "alutils.runs.notebook.folders" in covered
        assert "alutils.base.manifest" in covered  # which folders imports
        assert "alutils.stats.tables" in covered  # which writes every cell
        assert "alutils.models.embeddings" not in covered
        assert not any(name == "alutils.runs" for name in covered)  # its names stand for all of it


def read_by(monkeypatch, module):
    """Return the names of the modules that the code hash of a module covers."""
    read = []
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "digest", lambda *parts: read.extend(parts[::2]) or "")
        grids.code.__wrapped__(module)
    return set(read)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_cells_are_due_again_by_what_results_depend_on_and_not_by_what_draws_them(
    name, monkeypatch
):
    experiment = EXPERIMENTS[name]
    covered = read_by(monkeypatch, experiment.run.__module__)
    assert {experiment.settings.__module__, "alutils.stats.tables"} <= covered
    assert any(module.startswith("alutils.models.") for module in covered)
    assert not any(module.startswith(("alutils.plots", "alutils.runs")) for module in covered)
    for says in (experiment.summarise, experiment.figures):
        assert says is None or says.__module__ not in covered
    network = "alutils.models.convnet"
    assert (network in covered) == (name in ("fewest_labels", "noisy_humans"))


def test_data_are_prepared_once_each_before_the_cells(place, monkeypatch, tmp_path):
    monkeypatch.setenv("PREPARED", str(tmp_path / "prepared"))
    sweep.run(grids.parse(GRID | {"seeds": 2}), jobs=1, folder=place.out)
    sweep.run(grids.parse(GRID | {"seeds": 2}), jobs=1, folder=place.out)
    lines = (tmp_path / "prepared").read_text().splitlines()
    assert lines == [f"{os.getpid()} a", f"{os.getpid()} b"]
    about = json.loads((place.out / "manifest.json").read_text())
    assert about["inputs"] == [{"images": "made up: a"}, {"images": "made up: b"}]


def test_cells_run_on_one_thread_and_leave_the_environment(monkeypatch):
    from threadpoolctl import threadpool_info

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    threads = [pool["num_threads"] for pool in threadpool_info()]
    with one_cell.one_thread():
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert os.environ["OMP_NUM_THREADS"] == os.environ["TF_NUM_INTRAOP_THREADS"] == "1"
    assert dict(os.environ) == before
    assert [pool["num_threads"] for pool in threadpool_info()] == threads


# Killed


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--jobs", "1"], ["--jobs", "2"], ["--workers", "2"]])
def test_a_killed_command_given_again_ends_with_the_undisturbed_table(undisturbed, place, options):
    place.hold(after=8)
    process = place.start(*options)
    wait_for(lambda: len(place.finished()) == 8, process)
    process.kill()
    place.release()
    process.communicate()
    kept = place.finished()
    assert len(kept) < 40
    assert not (place.out / "table.csv").exists()

    n_before = len(place.begun())
    status, output, errors = place.run(*options)
    assert status == 0, errors
    assert (place.out / "table.csv").read_bytes() == undisturbed
    assert output.startswith(f"40 cells, {40 - len(kept)} of them run now")
    # Nothing that outlived the killed command has begun a cell of its own meanwhile, save the one
    # that each worker was handed already.
    assert len(place.begun()) - n_before <= 40 - len(kept) + 2


@pytest.mark.slow
def test_a_dask_worker_killed_half_way_changes_nothing(undisturbed, place):
    place.hold(after=10)
    process = place.start("--workers", "2")
    wait_for(lambda: len(place.begun()) > 10 == len(place.finished()), process)
    victim, _ = place.begun()[-1]
    os.kill(victim, signal.SIGKILL)
    place.release()
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert output.startswith("40 cells, 40 of them run now")
    assert (place.out / "table.csv").read_bytes() == undisturbed
    pids = [pid for pid, _ in place.begun()]
    assert victim in pids
    assert victim not in pids[-5:]
    assert len(set(pids)) >= 2  # and one that took the victim's place, if it came in time


@pytest.mark.slow
def test_a_killed_dask_scheduler_ends_the_command_and_another_goes_on(undisturbed, place):
    place.hold(after=10)
    with dask_cluster(place, "first") as (scheduler, address):
        process = place.start("--scheduler", address)
        wait_for(lambda: len(place.finished()) == 10, process)
        scheduler.kill()
        killed = time.monotonic()
        place.release()
        _, errors = process.communicate(timeout=180)
        assert time.monotonic() - killed < 60
    assert process.returncode == 2
    assert "error: the Dask scheduler is gone" in errors.splitlines()[-1]
    assert "give the same command again" in errors
    assert "Traceback" not in errors
    kept = place.finished()
    assert 10 <= len(kept) < 40
    assert not (place.out / "table.csv").exists()

    with dask_cluster(place, "second") as (_, address):
        status, output, errors = place.run("--scheduler", address)
    assert status == 0, errors
    assert output.startswith(f"40 cells, {40 - len(kept)} of them run now")
    assert (place.out / "table.csv").read_bytes() == undisturbed


LOST = """
import sys, time
from distributed.comm.core import CommClosedError
from distributed.comm.tcp import TCP
from alutils.runs.sweeps import workers

async def write(self, *arguments, **options):
    raise CommClosedError()

with workers.connect(sys.argv[1], None) as client:
    messages = client.scheduler_comm
    TCP.write = write  # the connection breaks in the middle of a message
    client.submit(abs, -1)
    while not messages.stopped.is_set():
        time.sleep(0.01)
"""


@pytest.mark.slow
def test_dask_does_not_print_the_traceback_of_a_connection_that_breaks(place):
    with dask_cluster(place, "broken") as (_, address):
        command = [sys.executable, "-c", LOST, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(undisturbed, place):
    place.hold(after=4)
    process = place.start("--jobs", "2")
    wait_for(lambda: len(place.finished()) == 4, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == (
        "interrupted; finished cells are kept, the same command goes on where this one ended"
    )
    assert "Traceback" not in errors
    kept = len(place.finished())
    assert 4 <= kept < 40
    done = sweep.run(grids.parse(GRID), jobs=1, folder=place.out)
    assert done.n_run == 40 - kept
    assert (place.out / "table.csv").read_bytes() == undisturbed


LEAKED = """
from joblib.externals.loky.backend import resource_tracker
from alutils.runs.sweeps import workers
{begin}
resource_tracker.register("/nowhere/at/all", "folder")
"""


@pytest.mark.slow
def test_what_killed_workers_left_behind_is_cleared_without_a_word():
    def told(begin):
        command = [sys.executable, "-c", LEAKED.format(begin=begin)]
        return subprocess.run(command, capture_output=True, text=True, timeout=180)

    assert "/nowhere/at/all" in told("resource_tracker.ensure_running()").stderr
    done = told("workers._begin_clearing()")
    assert (done.returncode, done.stderr) == (0, "")


# Failed


@pytest.mark.slow
def test_failed_cells_are_listed_left_and_run_again_when_asked(undisturbed, place):
    status, output, errors = place.run("--jobs", "2", TOY_FAILS="1")
    assert status == 1
    assert output.splitlines()[-1] == "out"
    listed = [line for line in errors.splitlines() if line.startswith("failed: ")]
    assert len(listed) == 2
    assert listed[0].endswith("(data=a shape=square seed=1): KeyError: 'no corner in "
                              f"{shown_toy()}'")  # fmt: skip
    assert "2 of 40 cells failed" in errors
    about = json.loads((place.out / "manifest.json").read_text())
    assert about["status"] == "incomplete"
    assert len(about["failed"]) == 2
    for cell in about["failed"]:
        folder = place.out / "cells" / cell
        error = json.loads((folder / "manifest.json").read_text())["error"]
        assert error["name"] == "KeyError"
        assert "raise KeyError" in error["traceback"]
        assert str(paths.repository_root()) not in json.dumps(error)
        assert not (folder / "metrics.csv").exists()
    assert (place.out / "table.csv").read_text().count("\n") == 1 + 38 * 8

    status, output, errors = place.run("--jobs", "1")
    assert (status, output.splitlines()[0]) == (1, "40 cells, 0 of them run now")
    assert len([line for line in errors.splitlines() if line.startswith("failed: ")]) == 2

    status, output, errors = place.run("--jobs", "1", "--retry-failed")
    assert (status, output.splitlines()[0]) == (0, "40 cells, 2 of them run now"), errors
    assert (place.out / "table.csv").read_bytes() == undisturbed


def shown_toy():
    return f"{TESTS.name}/{Path(toy_sweep.__file__).name}"


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--jobs", "--workers"])
def test_a_cell_that_kills_its_worker_fails_alone(tmp_path, option):
    shapes = {"shape": ["round", "deadly", "leaving"]}
    place = Place(tmp_path, GRID | {"grid": shapes, "seeds": 1})
    status, _, errors = place.run(option, "2")
    assert status == 1
    listed = [line for line in errors.splitlines() if line.startswith("failed: ")]
    assert len(listed) == 2
    assert "shape=deadly" in listed[0]
    assert "Lost: " in listed[0]
    assert "died" in listed[0]
    assert listed[1].endswith("SystemExit: leaves")
    assert (place.out / "table.csv").read_text().count("\n") == 1 + 8


def test_rows_that_are_no_table_fail_their_cell(place, monkeypatch):
    rows_of_a_toy = toy_sweep.run(toy_sweep.Settings())
    for rows, message in (
        ([], "missing from the rows"),
        ([{"metric": "speed"}], "column missing"),
        (rows_of_a_toy * 2, "twice"),
        ([rows_of_a_toy[1] | {"metric": "wall_s"}], "times differ"),
    ):
        gives = dataclasses.replace(toy_sweep.EXPERIMENT, run=_gives(rows))
        monkeypatch.setitem(EXPERIMENTS, "toy", gives)
        done = sweep.run(
            grids.parse(GRID | {"seeds": 1}), jobs=1, folder=place.out, retry_failed=True
        )
        assert len(done.failures) == 4
        assert message in done.failures[0].reason
    assert not (place.out / "table.csv").exists()


def _gives(rows):
    def run(settings):
        return rows

    run.__module__ = toy_sweep.__name__
    return run


# Notebooks


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--jobs", "2"], ["--workers", "2"]])
def test_a_notebook_is_swept_with_its_files(tmp_path, options):
    root = project_in(tmp_path / "project")
    grid = {"name": "books", "experiment": "mnist", "fixed": {"batch": 20, "figure": True}}
    grid |= {"grid": {"end": ["well", "error"]}, "seeds": [5]}
    place = Place(tmp_path, grid)
    status, _, errors = place.run(*options, ALUTILS_ROOT=str(root))
    assert status == 1
    (listed,) = [line for line in errors.splitlines() if line.startswith("failed: ")]
    assert "(end=error seed=5): RunError: KeyError: 'no such thing in" in listed
    good, bad = sorted(
        map(manifest.read_json, place.out.glob("cells/*/manifest.json")),
        key=lambda about: about["status"],
    )
    assert good["parameters"]["batch"] == 20
    for about, there in ((good, {"metrics.csv", "figures"}), (bad, set())):
        folder = place.out / "cells" / about["run_id"].removeprefix("mnist-")
        (run,) = (folder / "run").iterdir()
        names = {path.name for path in run.iterdir()}
        assert {"executed.ipynb", "manifest.json"} | there <= names
        assert (folder / "metrics.csv").exists() == bool(there)
    table = tables.read(place.out / "table.csv")
    assert table["value"][table["protocol"] == "published"].tolist() == [369]
    assert len(set(table["run_id"])) == 1


# Refused, before any work


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grids": {}}, r"^grids=\{\}: a grid file has no such key; did you mean grid\?"),
        ({"name": None}, "name=None: expected letters"),
        ({"name": "../up"}, r"name=../up: expected letters"),
        ({"name": 3}, "name=3: expected letters"),
        ({"experiment": "tpy"}, "experiment=tpy: no such experiment; did you mean toy"),
        ({"experiment": 4}, "experiment=4: expected a name"),
        ({"grid": {}}, "grid: it is empty"),
        ({"grid": None}, "grid: it is empty"),
        ({"grid": ["round"]}, "grid=.*: expected names and values"),
        ({"grid": {"shape": []}}, "shape: its list in 'grid' is empty"),
        ({"grid": {"shape": "round"}}, "shape=round: expected a list"),
        ({"grid": {"shpae": ["round"]}}, "shpae=.*: toy has no such parameter; did you mean shape"),
        ({"grid": {"shape": ["round", "round"]}}, "shape=round: the value is twice"),
        ({"grid": {"size": [8, "8"]}}, "size=8: the value is twice"),
        ({"grid": {"size": [8, 8.5]}}, "size=8.5: expected int"),
        ({"grid": {"shape": [True]}}, "shape=True: expected str"),
        ({"grid": {"shape": ["round", "oval"]}}, "shape=oval: expected round or square"),
        ({"fixed": {"rate": "quick"}}, "rate=quick: expected float"),
        ({"fixed": {"rate": [1]}}, "rate=.*: expected float"),
        ({"fixed": {"speed": 1}}, "speed=1: toy has no such parameter; did you mean seed"),
        ({"fixed": [1]}, "fixed=.*: expected names and values"),
        ({"fixed": {"data": "c"}}, "data=.*: in both 'fixed' and 'grid'"),
        ({"fixed": {"seed": 1}}, "seed=1: seeds are given by"),
        ({"grid": {"seed": [1]}}, "seed=.*: seeds are given by"),
        ({"profile": "full"}, "profile=full: only notebooks have profiles"),
        (
            {"experiment": "az", "fixed": {}, "grid": {"rounds": [1]}, "profile": "fulll"},
            "fulll: no such profile; did you mean full",
        ),
        ({"experiment": "az", "fixed": {"batsh": 1}}, "batsh=1: az has no such parameter"),
        ({"seeds": 0}, "seeds=0: expected how many"),
        ({"seeds": -1}, "seeds=-1: expected how many"),
        ({"seeds": []}, r"seeds=\[\]: expected how many"),
        ({"seeds": [1, 1]}, "seeds=.*: a seed is given twice"),
        ({"seeds": [1, -1]}, "seeds=.*: expected how many"),
        ({"seeds": "many"}, "seeds=many: expected how many"),
        ({"seeds": True}, "seeds=True: expected how many"),
        ({"seeds": 1.5}, "seeds=1.5: expected how many"),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_refused(change, message):
    with pytest.raises((grids.GridError, grids.ParameterError, runs.RunError), match=message):
        grids.parse(GRID | change)


@pytest.mark.parametrize("key", grids.REQUIRED)
def test_a_missing_key_is_named(key):
    with pytest.raises(grids.GridError, match=f"{key}: missing from the grid file"):
        grids.parse({name: value for name, value in GRID.items() if name != key})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected lines"),
        ("- a\n- b", "expected lines"),
        ("name: [", "cannot be read as YAML"),
        ("name: \x00", "cannot be read as YAML"),
        ("name: a\nname: b", "line 2: name is written twice"),
        ("grid: {shape: [a], shape: [b]}", "line 1: shape is written twice"),
        (b"\xff\xfe\xff", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_grid_is_refused(tmp_path, text, message):
    path = tmp_path / "g.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(grids.GridError, match=message):
        grids.read(path)
    with pytest.raises(grids.GridError, match="no such file"):
        grids.read(tmp_path / "none.yaml")


@pytest.mark.slow
def test_the_command_refuses_in_one_line_and_makes_no_folder(tmp_path):
    for grid, options, message in (
        (GRID | {"seeds": 0}, [], "error: seeds=0"),
        (GRID, ["--jobs", "0"], "error: jobs=0"),
        (GRID, ["--scheduler", "here"], "error: --scheduler=here: expected an address"),
    ):
        place = Place(tmp_path, grid)
        status, output, errors = place.run(*options)
        assert (status, output) == (2, "")
        assert errors.startswith(message)
        assert errors.count("\n") == 1
        assert not place.out.exists()


def test_an_unreachable_scheduler_is_told_within_seconds(tmp_path, monkeypatch):
    import distributed  # noqa: F401 - takes seconds itself on a busy machine

    monkeypatch.setattr(workers, "CONNECT_S", 2)
    began = time.monotonic()
    with pytest.raises(workers.WorkerError, match="no Dask scheduler answers there within 2 s"):
        sweep.run(grids.parse(GRID), scheduler="tcp://127.0.0.1:9", folder=tmp_path / "out")
    assert time.monotonic() - began < 20  # Dask's own patience is 30
    assert not (tmp_path / "out").exists()


def test_a_scheduler_without_workers_is_told(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(workers, "FIRST_WORKER_S", 0.5)
    nothing = {"n_workers": 0, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(**nothing) as cluster,
        pytest.raises(workers.WorkerError, match="the scheduler has no workers"),
    ):
        sweep.run(grids.parse(GRID), scheduler=cluster.scheduler_address, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_workers_with_several_threads_are_refused(tmp_path):
    from distributed import LocalCluster

    two = {"n_workers": 1, "threads_per_worker": 2}
    with (
        LocalCluster(**two, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        pytest.raises(workers.WorkerError, match="has 2 threads: cells need a process each"),
    ):
        sweep.run(grids.parse(GRID), scheduler=cluster.scheduler_address, folder=tmp_path / "out")


def test_only_one_way_to_compute(tmp_path):
    with pytest.raises(sweep.SweepError, match="jobs and workers: give one of the three"):
        sweep.run(grids.parse(GRID), jobs=1, n_workers=1, folder=tmp_path / "out")


@pytest.mark.slow
def test_a_second_sweep_of_the_same_grid_is_refused(place):
    place.hold(after=1)
    process = place.start("--jobs", "1")
    wait_for(lambda: place.finished(), process)
    status, _, errors = place.run("--jobs", "1")
    assert status == 2
    assert f"process {process.pid} runs a sweep in this folder already" in errors
    assert process.poll() is None
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_workers_with_other_code_are_refused(place, monkeypatch):
    with dask_cluster(place, "other") as (_, address):
        monkeypatch.setattr(grids, "code", lambda module: "ab" * 32)
        with pytest.raises(workers.WorkerError, match="has not the code of this process"):
            sweep.run(grids.parse(GRID), scheduler=address, folder=place.out)
    assert not place.out.exists()


def test_code_that_changes_while_a_sweep_runs_stops_it(place, monkeypatch):
    grid = grids.parse(GRID)
    monkeypatch.setattr(grids, "code", lambda module: "ab" * 32)
    with pytest.raises(one_cell.CodeDiffers, match="edited meanwhile"):
        sweep.run(grid, jobs=1, folder=place.out)
    assert not list(place.out.glob("cells/*"))
