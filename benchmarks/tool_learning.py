"""How well the labelling tool learns: a scripted person with the true labels, and the real queue.

``python -m benchmarks tool_learning`` takes a project of the labelling tool with all pictures of a
set, lets a scripted person label what the queue hands out, and asks how many of all pictures the
model at work has right after 50, 100, 200 and 400 labels. The person goes on only when what is due
has been trained, so the numbers do not depend on the speed of the machine. The arms are the tool as
it is, and single learners: softmax regression on pixels and on VGG16's block3 in the same queue,
and the small network alone, which has no features to find typical pictures by: it begins with
random ones.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.data import mnist
from alutils.data.dataset import Dataset
from alutils.data.loading import load
from alutils.data.rendering import rendered_dataset
from alutils.labelling.model import beside_work, strong
from alutils.labelling.model.learner import fold_of
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import STEPS, Learning
from alutils.labelling.store.records import Model
from alutils.labelling.store.store import Store
from alutils.labelling.web.pictures import decode
from benchmarks.timing import Began

AT = (50, 100, 200, 400)
"""Labels after which the model at work is tried on all pictures."""
SEEDS, AT_ONCE = 5, 5
"""Repetitions; pictures that the scripted person takes from the queue at a time."""
TOOL, NETWORK = "tool", "network"
ARMS: dict[str, dict[str, Any]] = {
    TOOL: {},
    "pixels": {"features": "pixels", "beside": False},
    "block3": {"features": "vgg16-block3", "beside": False},
    NETWORK: {"features": "pixels", "beside": False},
}
SETS = ("mnist", "letters")
LETTERS = Path("../shared/data/az_sample.npz")
"""Real letters, where they are; else letters are rendered."""


@dataclass(frozen=True)
class Sizes:
    """How much is done; `TINY` is a smoke run."""

    at: tuple[int, ...] = AT
    steps: int = STEPS
    n_pictures: int | None = None


TINY = Sizes((20, 60), 2, 120)


def pictures(name: str, sizes: Sizes) -> Dataset:
    """Return the set of this name: the article's 4,000 digits, letters, or what `load` takes."""
    if name == "mnist":
        found = mnist.mnist_article()[0]
    elif name == "letters":
        path = files.repository_root() / LETTERS
        found = load(path) if path.is_file() else rendered_dataset(5284, 0)
    else:
        found = load(name)
    n = sizes.n_pictures
    return found if n is None else found.take(np.random.default_rng(0).permutation(len(found))[:n])


def short_name(name: str) -> str:
    """Return what the table calls a set; letters that are rendered are never called real."""
    if name == "letters" and not (files.repository_root() / LETTERS).is_file():
        return "rendered"
    return Path(name).stem


def begin(folder: Path, data: Dataset) -> dict[str, str]:
    """Make a project with all pictures; return the true class of each by the picture's hash."""
    folder.mkdir()
    truth = {}
    with Store.open(folder, data.classes, seed=0) as store:
        for i in tqdm(range(len(data)), "pictures", leave=False):
            path = folder.parent / "one.png"
            Image.fromarray(data.images[i]).save(path)
            picture = decode(path.read_bytes(), f"{i}.png")
            store.pictures.add(*picture.to_keep())
            truth[picture.sha256] = data.classes[data.labels[i]]
    return truth


def open_copy(base: Path, folder: Path, seed: int) -> Store:
    """Copy a project without labels, and draw its random order anew."""
    shutil.copytree(base, folder)
    store = Store.open(folder, seed=seed)
    order = np.random.default_rng(seed)
    with store.database.transaction() as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY id")]
        drawn = order.random(len(ids)).tolist()
        connection.executemany(
            "UPDATE items SET shuffle = ?1, rank = 2 + ?1 WHERE id = ?2",
            zip(drawn, ids, strict=True),
        )
    return store


class Person:
    """Labels what the queue hands out, always rightly."""

    def __init__(self, store: Store, truth: dict[str, str]) -> None:
        self.store, self.truth = store, truth

    def label(self, n: int) -> None:
        """Label so many pictures."""
        for item in self.store.queue.hand_out("person", n):
            self.store.queue.label("person", item.id, self.truth[item.sha256])


def accuracies(store: Store, truth: dict[str, str]) -> dict[str, float]:
    """Return the share that the model at work has right, of all and of those without a label."""
    rows = store.database.connection.execute(
        """SELECT sha256, classes.name, label IS NULL FROM items
        LEFT JOIN classes ON number = predicted"""
    ).fetchall()
    right = np.array([truth[sha] == name for sha, name, _ in rows])
    rest = np.array([bool(free) for _, _, free in rows])
    return {"all": float(right.mean()), "unlabelled": float(right[rest].mean())}


def settle(loop: LabellingLoop, train: bool = False) -> None:
    """Do what is due, and wait until what is trained beside has been taken in."""
    loop.work(train=train)
    while loop.training.stronger.beside.is_running:
        time.sleep(0.2)
        if loop.training.stronger.beside.has_ended:
            loop.work()
            if loop.training.stronger.problem:
                raise RuntimeError(loop.training.stronger.problem)


class Alone:
    """The small network as the only learner, trained as often as the tool trains it."""

    def __init__(self, store: Store, data_size: tuple[int, int], sizes: Sizes, seed: int) -> None:
        self.store, self.steps, self.seed = store, sizes.steps, seed
        self.size, self.n_before = data_size, 0
        self.images: np.ndarray | None = None

    def work(self, *, train: bool = False) -> None:
        """Train where it is due, and put the queue in order."""
        now = self.store.reader.snapshot()
        chosen = np.flatnonzero(now["label"] >= 0)
        if not (strong.due(len(chosen), self.n_before) or (train and not self.n_before)):
            return
        self.n_before = len(chosen)
        sha256 = now["sha256"].tolist()
        if self.images is None:
            read = [beside_work.read_picture(self.store.files.picture(each)) for each in sha256]
            self.images = beside_work.to_one_size(read, self.size, read[0].ndim == 3)
        columns, y = np.unique(now["label"][chosen], return_inverse=True)
        settings = strong.Settings(self.steps, self.size, self.images.ndim == 4, self.seed)
        fold = fold_of([sha256[i] for i in chosen])
        job = strong.Job(settings, [], sha256, np.empty((0, 0)), chosen, y, fold, [])
        p = beside_work.train_network(self.images, job, y)[1]
        classes = [c.name for c in self.store.classes.all()]
        model = Model(f"{self.n_before:064x}", tuple(classes), len(y), "", "")
        confidence = np.minimum(p.max(axis=1).astype(float), 1)
        self.store.models.set_scores(model, now["id"], columns[p.argmax(axis=1)], confidence)


def one_run(
    base: Path, truth: dict[str, str], data: Dataset, arm: str, seed: int, sizes: Sizes
) -> Iterator[dict[str, Any]]:
    """Label with one arm; yields a row for each number of labels and kind of pictures."""
    with tempfile.TemporaryDirectory(dir=base.parent) as temporary:
        store = open_copy(base, Path(temporary) / "project", seed)
        learning = Learning(pause_s=0, steps=sizes.steps, seed=seed, polite=False, **ARMS[arm])
        loop = LabellingLoop(store, learning)
        alone = Alone(store, data.images.shape[1:3], sizes, seed) if arm == NETWORK else None
        person, n, start = Person(store, truth), 0, time.perf_counter()
        try:
            for target in sizes.at:
                while n < target:
                    k = min(AT_ONCE, target - n)
                    person.label(k)
                    n += k
                    if alone is not None:
                        alone.work()
                    else:
                        settle(loop)
                if alone is not None:
                    alone.work(train=True)
                else:
                    settle(loop, train=True)
                name = NETWORK if alone is not None else loop.training.at_work.name
                about = {"learner": arm, "seed": seed, "n_labels": n, "at_work": name}
                about["wall_s"] = round(time.perf_counter() - start, 1)
                for which, value in accuracies(store, truth).items():
                    yield about | {"pictures": which, "accuracy": round(value, 4)}
        finally:
            loop.stop()
            store.close()


def measure(
    name: str, arms: list[str], seeds: list[int], sizes: Sizes, path: Path | None = None
) -> pd.DataFrame:
    """Run arms on a set; rows that the file at ``path`` has already are not made again.

    Parameters
    ----------
    name : of the set
    arms, seeds : which
    sizes : how much
    path : of a CSV file that grows run by run; None keeps nothing

    Returns
    -------
    DataFrame: set, learner, seed, n_labels, at_work, wall_s, pictures, accuracy
    """
    rows = pd.read_csv(path) if path is not None and path.is_file() else pd.DataFrame()
    todo = [(seed, arm) for seed in seeds for arm in arms if not _has(rows, name, arm, seed)]
    if not todo:
        return rows
    data = pictures(name, sizes)
    short = short_name(name)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        base = Path(temporary) / "base"
        truth = begin(base, data)
        for seed, arm in todo:
            made = pd.DataFrame(list(one_run(base, truth, data, arm, seed, sizes)))
            made.insert(0, "set", short)
            rows = pd.concat([rows, made], ignore_index=True)
            if path is not None:
                files.write_atomically(path, rows.to_csv(index=False, lineterminator="\n"))
                shown = made.query("pictures == 'all'")
                values = ", ".join(f"{r.n_labels}: {r.accuracy:.4f}" for r in shown.itertuples())
                print(f"{short} {arm} seed {seed}: {values}", flush=True)
    return rows


def _has(rows: pd.DataFrame, name: str, arm: str, seed: int) -> bool:
    if not len(rows):
        return False
    return bool(
        ((rows.set == short_name(name)) & (rows.learner == arm) & (rows.seed == seed)).any()
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean accuracy on all pictures by set, learner and number of labels, in points."""
    everything = rows[rows.pictures == "all"]
    table = everything.pivot_table(
        index=["set", "learner"], columns="n_labels", values="accuracy", aggfunc="mean"
    )
    return (100 * table).round(1)


def smoke() -> pd.DataFrame:
    """Run every arm once, tiny; its numbers mean nothing."""
    return measure("mnist", list(ARMS), [0], TINY)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, write results/tool_learning.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks tool_learning", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", metavar="NAME",
        help="mnist, letters, or what `load` takes; once for each; mnist and letters if not given",
    )  # fmt: skip
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="all if not given")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--smoke", action="store_true", help="tiny; writes nothing")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: expected 1 or more")
    if options.smoke:
        print(summary(smoke()))
        return
    began, path = Began.now(), files.repository_root() / "results" / "tool_learning.csv"
    sets, arms = options.set or list(SETS), options.arm or list(ARMS)
    for name in sets:
        rows = measure(name, arms, list(range(options.seeds)), Sizes(), path)
    print(summary(rows))
    write_manifest(rows, path, began)


def write_manifest(rows: pd.DataFrame, path: Path, began: Began) -> None:
    """Write what the table holds beside it; its runs may have been made in several goes."""
    runs = rows.groupby(["set", "learner", "seed"])["wall_s"].max()
    seeds = runs.groupby(["set", "learner"]).size()
    about = {
        "status": "complete",
        "command": "python -m benchmarks tool_learning",
        "parameters": {
            "seeds": {f"{name}, {arm}": int(n) for (name, arm), n in seeds.items()},
            "steps": STEPS,
            "at": AT,
        },
        "runs_wall_s": round(float(runs.sum()), 1),
        **began.about(),
    }
    manifest.write_json(path.with_name("tool_learning.manifest.json"), about)


if __name__ == "__main__":
    main()
