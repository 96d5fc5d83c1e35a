"""Projects to finish: pictures, labels, and a model whose errors are known."""

import hashlib
import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from alutils.guarantee.error_chances import Judged
from alutils.labelling.finish.project import Finish
from alutils.labelling.model.facts import Said
from alutils.labelling.model.reading import Reading
from alutils.labelling.store.records import Model
from alutils.labelling.store.store import Store

CLASSES = ("A", "B", "C")


def tiny_png(i: int) -> bytes:
    """Return a valid picture of 4 pixels, another one for each number."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + i.to_bytes(4, "big")))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def add_pictures(store: Store, numbers: range) -> list[int]:
    """Bring pictures; return their numbers in the project."""
    found = []
    for i in numbers:
        data = tiny_png(i)
        sha256 = hashlib.sha256(data).hexdigest()
        found.append(store.pictures.add(data, sha256, f"{i}.png", 4, 1))
    return found


class FrozenLoop:
    """Stands for the models at work: one whose answers are made from the truth.

    Parameters
    ----------
    store : the project
    truth : class number of each picture
    wrong : pictures that the model has wrong
    name : of the model; another one is another model
    surest : pictures of which it is surer than of all others
    """

    def __init__(
        self,
        store: Store,
        truth: dict[int, int],
        wrong: set[int],
        name: str = "m",
        surest: Collection[int] = (),
    ) -> None:
        self.store, self.is_running, self.is_learning = store, False, False
        self.also = lambda: None
        ids = np.array(sorted(truth))
        rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
        said = np.array([truth[i] for i in ids.tolist()])
        bad = np.isin(ids, list(wrong))
        said[bad] = (said[bad] + 1) % 3
        sure = rng.uniform(0.6, 0.99, len(ids))
        sure[np.isin(ids, list(surest))] = 0.995
        p = np.full((len(ids), 3), ((1 - sure) / 2)[:, None])
        p[np.arange(len(ids)), said] = sure
        model = Model(hashlib.sha256(name.encode()).hexdigest(), CLASSES, 20, "", "")
        store.models.set_scores(model, ids, said, sure)
        margin = rng.uniform(0.2, 1, 200)
        judged = Judged(margin, rng.random(200) < 0.02, np.ones(200, bool))
        self.training = SimpleNamespace(
            said=Said(model.sha256, ids, p, CLASSES),
            judged=judged,
            n_new=0,
            right=None,
            points=(),
            reading=Reading(store),
        )

    def poke(self) -> None:
        """Do nothing: there is no thread."""

    def work(self, train: bool = False) -> None:
        """Do nothing: the model is what it is."""


def project(
    folder: Path, n: int = 240, n_before: int = 30, n_wrong: int = 3, seed: int = 0, **options
) -> tuple[Store, FrozenLoop, dict[int, int]]:
    """Make a project with some labels and a model; return both and the truth."""
    options = {"twice": 0, "random_rate": 0} | options
    store = Store.open(folder, CLASSES, seed=seed, **options)
    ids = add_pictures(store, range(n))
    rng = np.random.default_rng(seed)
    truth = dict(zip(ids, rng.integers(0, 3, n).tolist(), strict=True))
    for item in store.queue.hand_out("ann", n_before):
        store.queue.label("ann", item.id, CLASSES[truth[item.id]])
    waiting = [i for i in ids if store.reader.item(i).label is None]
    wrong = set(rng.permutation(waiting)[:n_wrong].tolist())
    return store, FrozenLoop(store, truth, wrong), truth


def answer_all(finish: Finish, truth: dict[int, int], person: str = "ann", n: int = 5) -> int:
    """Answer rightly until the attempt is decided; return how many answers it took."""
    done = 0
    while finish.state().phase == "asking":
        items = finish.next(person, n)
        assert items, "nothing is handed out, and nothing is decided"
        for item in items:
            if finish.state().phase != "asking":
                break
            event = finish.answer(person, item.id, CLASSES[truth[item.id]])
            done += event.kind == "label"  # some are asked once more
    return done
