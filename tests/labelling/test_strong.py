"""The strong learners: the process beside the queue, what it finds, and how it is taken in."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from label_helpers import until
from PIL import Image

from alutils.base import lifeline
from alutils.base.files import write_atomically
from alutils.data.mnist import mnist_article
from alutils.labelling.model import beside, beside_work, contest, strong
from alutils.labelling.model.at_work import AtWork
from alutils.labelling.model.beside import Beside
from alutils.labelling.model.contest import BROUGHT, NETWORK, SPREAD
from alutils.labelling.model.learner import fold_of, says
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.model.strong import Job, Settings, StrongError
from alutils.labelling.store.store import Store
from alutils.models import backbones, saved
from alutils.models.convnet import ConvNet
from alutils.models.heads import Head
from alutils.models.picture_models import AverageModel, NetworkModel
from alutils.models.seen import Seen

N = 240


def learning(**options):
    """Return how to learn, without pauses and with a few steps."""
    usual = {"features": "pixels", "retrain_after": 10, "pause_s": 0, "steps": 150, "polite": False}
    return Learning(**usual | options)


@pytest.fixture(scope="module")
def digits():
    """Return images, labels and PNG files of some digits."""
    train, _ = mnist_article()
    images, labels = train.images[:N], train.labels[:N]
    files = []
    for image in images:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        files.append(out.getvalue())
    return images, labels, files


@pytest.fixture
def project(tmp_path, digits):
    """Make a project of digits; it has ``truth`` by the picture's number."""
    _, labels, files = digits
    with Store.open(tmp_path / "p", [str(i) for i in range(10)], seed=0) as store:
        store.truth = {}
        for png, label in zip(files, labels, strict=True):
            sha256 = hashlib.sha256(png).hexdigest()
            store.truth[store.pictures.add(png, sha256, "digit.png", 28, 28)] = str(label)
        yield store


def label(store, n):
    for item in store.queue.hand_out("ann", n):
        store.queue.label("ann", item.id, store.truth[item.id])


def job_of(folder, digits, n_labelled=60, **settings):
    images, labels, files = digits
    paths = []
    for i, png in enumerate(files):
        paths.append(folder / f"{i}.png")
        paths[-1].write_bytes(png)
    sha256 = [hashlib.sha256(png).hexdigest() for png in files]
    features = images.reshape(len(images), -1).astype(np.float32) / 255
    chosen = np.arange(n_labelled)
    return Job(
        Settings(**{"steps": 150, "size": (28, 28), "colour": False} | settings),
        list(map(str, paths)), sha256, features, chosen, labels[:n_labelled],
        fold_of(sha256[:n_labelled]), [str(i) for i in range(10)],
    )  # fmt: skip


# --- when -----------------------------------------------------------------------------------------


def test_they_are_due_at_first_and_then_whenever_labels_have_grown_by_half():
    due_at, before = [], 0
    for n in range(1000):
        if strong.due(n, before):
            due_at.append(n)
            before = n
    assert due_at == [50, 75, 113, 170, 255, 383, 575, 863]


def test_the_network_trains_the_longer_the_more_labels_there_are():
    learning = Learning(steps=100)
    steps = [learning.steps_for(n) for n in (2, 50, 75, 150, 299, 300, 90_000)]
    assert steps == [100, 100, 100, 200, 399, 400, 400]


# --- what they find -------------------------------------------------------------------------------


def test_label_spreading_is_taught_to_a_classifier_that_says_the_same(digits):
    images, labels, _ = digits
    x = images.reshape(N, -1).astype(np.float32) / 255
    fold = np.arange(60) % 3
    lines, some = beside_work.graph(x), labels[:60].astype(int)
    held_out, head = beside_work.spread_labels(x, lines, np.arange(60), some, fold)
    direct = beside_work.spread(lines, np.arange(60), labels[:60].astype(int), 10)
    taught = head.predict_proba(x)
    assert np.mean(direct.argmax(axis=1) == taught.argmax(axis=1)) > 0.9
    # Out of fold nothing is learned by heart: shuffled labels are not found again.
    shuffled = np.random.default_rng(0).permutation(labels[:60].astype(int))
    by_chance, _ = beside_work.spread_labels(x, lines, np.arange(60), shuffled, fold)
    assert np.mean(says(by_chance) == shuffled) < 0.4 < np.mean(says(held_out) == labels[:60])


def test_the_graph_of_the_same_pictures_is_made_once(tmp_path, monkeypatch):
    x, path, made = np.random.default_rng(0).random((40, 5), np.float32), tmp_path / "graph.npz", []
    graph = beside_work.graph
    monkeypatch.setattr(beside_work, "graph", lambda x: made.append(len(x)) or graph(x))
    first = beside_work.kept_graph(x, path)
    again = beside_work.kept_graph(x.copy(), path)
    assert made == [40]
    assert (first != again).nnz == 0
    more = np.concatenate([x, x[:1] + 1])
    assert beside_work.kept_graph(more, path).shape == (41, 41)  # a picture came
    assert made == [40, 41]
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole.replace(b"indptr", b"indptX")):
        path.write_bytes(damaged)
        assert (beside_work.kept_graph(more, path) != graph(more)).nnz == 0
    assert made == [40, 41, 41, 41, 41]
    assert beside_work.kept_graph(more, path).nnz and made[5:] == []


def test_a_class_that_only_one_fold_has_keeps_its_column():
    rng = np.random.default_rng(0)
    x = rng.random((40, 5), np.float32)
    y = np.array([0, 1, 2, 0, 1, 0, 1, 0, 1])
    fold = np.array([0, 0, 0, 1, 1, 2, 2, 2, 1])
    held_out, head = beside_work.spread_labels(x, beside_work.graph(x), np.arange(9), y, fold)
    assert held_out.shape == (9, 3)
    assert head.n_classes == 3
    assert says(held_out)[2] != 2


@pytest.fixture(scope="module")
def done(tmp_path_factory, digits):
    """Do a job in a process of its own; return its folder."""
    root = tmp_path_factory.mktemp("project")
    one = Beside(root)
    one.start(job_of(root, digits))
    until(lambda: one.has_ended, 600)
    assert one.poll() is not None
    return one.keep()


def test_answers_are_those_of_the_saved_network_and_out_of_fold(done, digits):
    images, labels, _ = digits
    found = strong.read(done, "pixels")
    assert set(found.held_out) == {SPREAD, NETWORK}
    assert found.n_trained == 60
    shas = list(found.row)
    assert np.allclose(
        found.network.predict_proba(images), found.pool(NETWORK, shas, images), atol=1e-5
    )
    assert found.network.classes == found.classes
    x = images.reshape(N, -1).astype(np.float32) / 255
    said = found.unseen(shas, x)
    for name, p in said.items():
        assert p.shape == (N, 10)
        assert np.allclose(p.sum(axis=1), 1, atol=1e-3)
        # What it was trained on is answered out of fold, the rest by the whole model.
        old = [found.labelled[each] for each in shas[:60]]
        assert (p[:60][:, found.columns] == found.held_out[name][old]).all()
    assert np.mean(said[NETWORK][60:].argmax(axis=1) == labels[60:]) > 0.4


def test_new_pictures_are_read_by_the_network_that_is_there(done, digits, tmp_path):
    images, _, _ = digits
    one = Beside(done.parents[1])
    job = job_of(tmp_path, digits, score_only=True)
    one.start(job)
    until(lambda: one.has_ended, 600)
    sha256, p = strong.read_scores(one.poll())
    found = strong.read(done, "pixels")
    assert sha256 == job.sha256
    assert np.allclose(p, found.network.predict_proba(images), atol=1e-5)
    more = found.with_more(["f" * 64], p[:1])
    assert more.knows(["f" * 64, sha256[0], "0" * 64]).tolist() == [True, True, False]


@pytest.mark.parametrize("name", ["answers.npz", "job.json", "job.npz"])
@pytest.mark.parametrize("how", ["missing", "cut"])
def test_what_is_not_whole_is_an_error_and_not_used(done, tmp_path, name, how):
    folder = tmp_path / "found"
    subprocess.run(["cp", "-r", str(done), str(folder)], check=True)
    path = folder / name
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StrongError, match="cannot be read"):
        strong.read(folder, "pixels")


# --- the process ----------------------------------------------------------------------------------


def python(text):
    return [sys.executable, "-c", text]


WAITS = "import os, sys; sys.stdin.buffer.read(); os._exit(3)"


def small_job():
    none = np.empty(0, np.int64)
    return Job(Settings(1, None, False), [], [], np.empty((0, 0)), none, none, none, [])


def test_a_process_that_crashes_is_told_once_with_what_it_said_last(tmp_path):
    one = Beside(tmp_path, python("import sys; sys.exit('out of luck')"))
    one.start(small_job())
    until(lambda: one.has_ended)
    with pytest.raises(StrongError, match="ended with status 1: out of luck"):
        one.poll()
    assert one.poll() is None
    assert not one.is_running


def test_it_ends_when_it_is_stopped_and_leaves_nothing(tmp_path):
    one = Beside(tmp_path, python(WAITS))
    one.start(small_job())
    assert one.is_running and one.poll() is None
    one.stop()
    assert not one.is_running
    assert not (tmp_path / "beside" / "job").exists()


def test_what_a_killed_tool_left_half_done_is_thrown_away_at_the_next_start(tmp_path):
    (tmp_path / "beside" / "job").mkdir(parents=True)
    Beside(tmp_path)
    assert not (tmp_path / "beside" / "job").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_dies_with_the_tool_however_that_ends(tmp_path, digits, how):
    job_of(tmp_path, digits, steps=10**6).write(tmp_path / "given")
    parent = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from alutils.labelling.model.beside import Beside\n"
        "from alutils.labelling.model.strong import Job\n"
        f"one = Beside(Path({str(tmp_path)!r}))\n"
        f"one.start(Job.read(Path({str(tmp_path / 'given')!r})))\n"
        "print(one._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    tool = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(tool.stdout.readline()))
    time.sleep(5)  # it is importing, or training
    assert child.is_running()
    tool.send_signal(how)
    tool.wait()
    child.wait(60)
    assert not child.is_running()


def test_it_has_the_lowest_priority():
    text = (
        "from alutils.labelling.model.beside_work import lower_priority\n"
        "import psutil\nlower_priority()\nprint(int(psutil.Process().nice()))"
    )
    said = subprocess.run(python(text), capture_output=True, text=True, check=True).stdout
    lowest = psutil.IDLE_PRIORITY_CLASS if os.name == "nt" else 19
    assert int(said) == lowest


def autogroup() -> list[str]:
    """Return what Linux says of this process' session; nothing where it shares out otherwise."""
    path = Path("/proc/self/autogroup")
    return path.read_text().split() if path.exists() else []


@pytest.mark.skipif(not autogroup(), reason="processors are not shared out by session here")
def test_its_session_has_the_lowest_priority_too():
    text = (
        "from alutils.labelling.model.beside_work import lower_priority\nlower_priority()\n"
        "print(open('/proc/self/autogroup').read())"
    )
    for own in (True, False):
        made = subprocess.run(
            python(text), capture_output=True, text=True, check=True, start_new_session=own
        )
        assert made.stdout.split()[-2:] == ["nice", "19" if own else autogroup()[-1]]


@pytest.mark.skipif(os.name == "nt", reason="Windows has classes of priority instead")
def test_where_processors_are_not_shared_out_by_session_only_nice_counts(monkeypatch, tmp_path):
    # The file is there, but the kernel refuses what is written to it: as in some containers.
    refusing = tmp_path / "a folder takes no text"
    refusing.mkdir()
    called = []
    monkeypatch.setattr(beside_work, "_AUTOGROUP", refusing)
    monkeypatch.setattr(beside_work.os, "getsid", lambda _: os.getpid())
    monkeypatch.setattr(beside_work.os, "nice", called.append)
    beside_work.lower_priority()
    assert called == [19]


@pytest.mark.parametrize("name", [each for each in contest.known() if BROUGHT not in each])
def test_whoever_was_at_work_is_the_same_after_a_restart(name, digits, tmp_path):
    images, labels, _ = digits
    size, classes, columns = (28, 28), [str(i) for i in range(10)], np.arange(10)
    seen = Seen.of(list(images[:60]))
    net = ConvNet(10, steps=1, width=2).fit(images[:60], labels[:60].astype(int))
    rng = np.random.default_rng(0)
    heads = [Head((rng.normal(size=(784, 10)).astype(np.float32), np.zeros(10, np.float32)))
             for _ in range(2)]  # fmt: skip
    extractor = backbones.extractor("pixels@28")
    found = strong.Strong(
        classes, 50, {}, NetworkModel(net, size, False, classes, 50, seen), np.empty((0, 10)),
        heads[1], columns, {}, {}, extractor.identity,
    )  # fmt: skip
    before = AtWork(name, heads[0], columns, classes, seen, 60, found)
    before.model(extractor).save(tmp_path)
    after = AtWork(strong=found)
    assert after.restore(name, saved.load_model(tmp_path), classes)
    assert after.model(extractor).sha256 == before.model(extractor).sha256


# --- in the loop ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_trained_beside_takes_the_place_when_it_is_better_and_comes_back_after_a_restart(
    project,
):
    loop = LabellingLoop(project, learning(steps=400))
    try:
        for _ in range(6):
            label(project, 10)
            loop.work()
        assert loop.training.stronger.beside.is_running
        assert "stronger learners train on" in loop.status().beside
        until(lambda: loop.training.stronger.beside.has_ended, 600)
        loop.work()
        assert loop.status().problem == ""
        found = loop.training.at_work
        assert set(found.accuracy) >= {"quick", "spread", "network"}
        assert found.accuracy[found.name] >= found.accuracy["quick"]
        sha256 = project.models.present().sha256
        model = saved.load_model(project.folder)
        assert model.sha256 == sha256
        pictures = project.reader.page(limit=50).items
        images = [np.asarray(Image.open(project.files.picture(item.sha256))) for item in pictures]
        said = model.predict_proba(images)
        assert [model.classes[i] for i in said.argmax(axis=1)] == [i.predicted for i in pictures]
    finally:
        loop.stop()
    again = LabellingLoop(project, learning(steps=400, beside=False))
    again.work()
    assert again.status().problem == ""
    assert project.models.present().sha256 == sha256
    assert again.training.at_work.name == found.name
    assert again.status().pool == loop.status().pool


def test_a_crash_beside_is_said_and_labelling_goes_on(project):
    loop = LabellingLoop(project, learning())
    loop.training.stronger.beside._command = python("raise SystemExit('no memory left')")
    try:
        label(project, 60)
        loop.work()
        until(lambda: loop.training.stronger.beside.has_ended)
        loop.work()
        assert "no memory left" in loop.status().problem
        assert loop.status().model
        label(project, 20)
        assert loop.work()
        assert not loop.training.stronger.beside.is_running  # not before labels have grown
        label(project, 12)
        loop.work()
        assert loop.training.stronger.beside.is_running
    finally:
        loop.stop()


def test_a_network_at_work_is_not_asked_about_what_it_has_not_read(project, digits, done):
    """New pictures have no score until the network has read them; nothing mixes two models."""
    loop = LabellingLoop(project, learning())
    loop.training.stronger.beside._command = python(WAITS)
    try:
        label(project, 60)
        loop.work()
        at_work = loop.training.at_work
        at_work.strong = strong.read(done, "pixels")
        loop.training.stronger.found = at_work.strong
        at_work.name = NETWORK
        out = io.BytesIO()
        Image.fromarray(digits[0][0] // 2 * 2).save(out, "PNG")
        sha256 = hashlib.sha256(out.getvalue()).hexdigest()
        new = project.pictures.add(out.getvalue(), sha256, "new.png", 28, 28)
        loop.work()
        assert project.reader.item(new).predicted is None
        others = project.reader.page(limit=N).items
        assert sum(item.predicted is not None for item in others) == N
        at_work.strong = loop.training.stronger.found = at_work.strong.with_more(
            [sha256], at_work.strong.network_p[:1]
        )
        loop.work()
        assert project.reader.item(new).predicted is not None
    finally:
        loop.stop()


def test_an_average_is_saved_and_says_what_the_queue_says(project, digits, done):
    loop = LabellingLoop(project, learning(beside=False))
    label(project, 60)
    loop.work()
    at_work = loop.training.at_work
    at_work.strong = strong.read(done, "pixels")
    at_work.head = at_work.strong.head  # of the same classes
    at_work.columns = at_work.strong.columns
    at_work.name = "quick + network"
    model = at_work.model(loop.training._extractor)
    assert isinstance(model, AverageModel)
    images = digits[0]
    shas = list(at_work.strong.row)
    p, classes = at_work.probabilities(shas, images.reshape(N, -1).astype(np.float32) / 255)
    assert classes == model.classes
    assert np.allclose(p, model.predict_proba(images), atol=1e-5)


def test_the_folder_of_what_was_found_when_damaged_is_said_and_trained_again(project, done):
    folder = project.files.root / "beside" / "found"
    folder.parent.mkdir()
    subprocess.run(["cp", "-r", str(done), str(folder)], check=True)
    write_atomically(folder / "job.json", json.dumps({}))
    loop = LabellingLoop(project, learning(beside=False))
    loop.work()
    assert "it is trained again" in loop.status().problem
    assert not folder.exists()


def test_the_command_is_this_package_wherever_it_is(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*beside._command(), str(tmp_path)], env=lifeline.environment(), cwd=tmp_path,
            stdin=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        process.wait(600)
    process.stdin.close()
    assert "job.json" in (tmp_path / "log").read_text().splitlines()[-1]
