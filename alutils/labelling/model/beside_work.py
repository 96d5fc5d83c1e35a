"""The process beside the labelling tool: trains the strong learners of one job, and ends.

Run by `alutils.labelling.model.beside` as ``python -m``, with the job's folder; it ends by itself
when the labelling tool is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from alutils.base import lifeline
from alutils.base.content import content_digest
from alutils.base.files import atomic_file
from alutils.base.npz import read_arrays
from alutils.data.one_size import to_one_size
from alutils.labelling.model.contest import NETWORK, SPREAD
from alutils.labelling.model.features import read_picture
from alutils.labelling.model.strong import Job, check_there, write_answers, write_scores
from alutils.models.convnet import ConvNet
from alutils.models.heads import Head
from alutils.models.label_spreading import graph, spread
from alutils.models.picture_models import NetworkModel
from alutils.models.saved import load_model
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

TAUGHT = 3000
"""Pictures whose spread labels a classifier is trained on, at most."""
UNLABELLED = 20_000
"""Pictures that the network learns from without labels, at most."""
_GRAPH = "graph.npz"
"""Beside the jobs: the pictures' nearest neighbours."""
_NICE = 19
_AUTOGROUP = Path("/proc/self/autogroup")
_log = logging.getLogger(__name__)


def main() -> None:
    """Do the job in the folder that is given."""
    lifeline.watch(at_once=True)
    folder = Path(sys.argv[1])
    job = Job.read(folder)
    if job.settings.polite:
        lower_priority()
    if job.settings.score_only:
        model = load_model(folder / "network")
        write_scores(folder, model.predict_proba(_pictures(job)))
        return
    columns, y = np.unique(job.labels, return_inverse=True)
    held_out = {}
    lines = kept_graph(job.features, folder.parent / _GRAPH)
    held_out[SPREAD], head = spread_labels(job.features, lines, job.labelled, y, job.fold)
    network, p = None, np.empty((0, len(columns)), np.float32)
    if job.settings.size is not None:
        pictures = _pictures(job)
        images = to_one_size(pictures, job.settings.size, job.settings.colour)
        trained, p, held_out[NETWORK] = train_network(images, job, y)
        seen = Seen.of([pictures[i] for i in job.labelled])
        names = [job.classes[i] for i in columns]
        network = NetworkModel(trained, job.settings.size, job.settings.colour, names, len(y), seen)
    write_answers(folder, job, columns, held_out, head, p, network)


def _pictures(job: Job) -> list[np.ndarray]:
    """Read the pictures of a job, converted as all models see them."""
    return [job.settings.conversion(read_picture(Path(path))) for path in job.pictures]


def lower_priority() -> None:
    """Let everything else on the machine go first."""
    if os.name == "nt":
        import psutil

        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    else:
        os.nice(_NICE)
        # This process has a session of its own, and Linux may share the processors among sessions
        # first: then `nice` alone counts for nothing beside the tool. In another's session it would
        # slow down all others there.
        if _AUTOGROUP.exists() and os.getsid(0) == os.getpid():
            with contextlib.suppress(OSError):  # a system that does not let us; nothing is lost
                _AUTOGROUP.write_text(str(_NICE))


def kept_graph(features: np.ndarray, path: Path) -> Any:
    """Return the `graph` of pictures, made once and kept in a file for as long as they are these.

    Of many thousand pictures it takes longer than all the rest of a training: every picture is
    compared with every other.
    """
    digest = content_digest(features)
    if path.is_file():
        try:
            kept = read_arrays(path)
            if str(kept["of"]) == digest:
                parts = kept["data"], kept["indices"], kept["indptr"]
                return csr_matrix(parts, (len(features), len(features)))
        except (OSError, ValueError, KeyError) as error:
            _log.warning("%s: %s; it is made again", path, error)
    lines = graph(features)
    check_there(path.parent)
    with atomic_file(path) as file:
        np.savez(file, of=digest, data=lines.data, indices=lines.indices, indptr=lines.indptr)
    return lines


def spread_labels(
    features: np.ndarray, lines: Any, labelled: np.ndarray, y: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, Head]:
    """Let labels flow along nearest neighbours, and teach a classifier what they say.

    The classifier says of any picture what label spreading says of the pool; so it is saved and
    applied as every other.

    Parameters
    ----------
    features : (n, n_features) float32 of all pictures
    lines : (n, n), their `graph`
    labelled : (m,) int, positions of the labelled ones
    y, fold : (m,) int

    Returns
    -------
    held_out : (m, n_classes) float32, out of fold
    head : trained on all labels
    """
    n_classes = int(y.max()) + 1
    held_out = np.zeros((len(y), n_classes), np.float32)
    for number in np.unique(fold):
        out = fold == number
        if out.all():
            continue
        head = _taught(features, lines, labelled[~out], y[~out], n_classes)
        held_out[out] = head.predict_proba(features[labelled[out]])
    return held_out, _taught(features, lines, labelled, y, n_classes)


def _taught(
    features: np.ndarray, lines: Any, labelled: np.ndarray, y: np.ndarray, n_classes: int
) -> Head:
    p = spread(lines, labelled, y, n_classes)
    others = np.setdiff1d(np.arange(len(features)), labelled)
    if len(others) > TAUGHT:
        others = np.sort(np.random.default_rng(0).choice(others, TAUGHT, replace=False))
    # All the others together count as much as twice the labelled; each by how sure it is.
    share = 2 * len(y) / max(len(others), 1)
    weight = np.concatenate([np.ones(len(y)), np.minimum(1, share) * p[others].max(axis=1)])
    model = PenalisedSoftmax()
    model.fit(
        np.concatenate([features[labelled], features[others]]),
        np.concatenate([y, p[others].argmax(axis=1)]),
        weight,
    )
    w, b = model.head.weights
    if len(model.classes_) == n_classes:
        return model.head
    # A class without a picture keeps its column, with no chance.
    whole = np.zeros((len(w), n_classes), np.float32), np.full(n_classes, -1e3, np.float32)
    whole[0][:, model.classes_], whole[1][model.classes_] = w, b
    return Head(whole)


def train_network(
    images: np.ndarray, job: Job, y: np.ndarray
) -> tuple[ConvNet, np.ndarray, np.ndarray]:
    """Train a network without each fold; together they are the one that is used.

    Parameters
    ----------
    images : (n, height, width[, 3]) uint8, all pictures of the job
    job : the labelled ones, and how to train
    y : (m,) int, columns of the classes

    Returns
    -------
    network : its members are those of the folds
    p : (n, n_classes) float32, what it says of all pictures
    held_out : (m, n_classes) float32, out of fold
    """
    n_classes, folds = int(y.max()) + 1, np.unique(job.fold)
    rng = np.random.default_rng(job.settings.seed)
    unlabelled = images
    if len(images) > UNLABELLED:
        unlabelled = images[np.sort(rng.choice(len(images), UNLABELLED, replace=False))]
    x = images[job.labelled]
    p = np.zeros((len(images), n_classes), np.float32)
    held_out = np.zeros((len(y), n_classes), np.float32)
    weights = []
    for number in folds:
        out = job.fold == number
        if out.all():
            out = ~out
        one = ConvNet(
            n_classes, unlabelled, seed=job.settings.seed + int(number), steps=job.settings.steps
        ).fit(x[~out], y[~out])
        says = one.predict_proba(images)
        held_out[out] = says[job.labelled[out]]
        p += says / len(folds)
        weights += one.weights
    network = ConvNet(
        n_classes, seed=job.settings.seed, members=len(weights), steps=job.settings.steps
    )
    network.weights = weights
    return network, p, held_out


if __name__ == "__main__":
    main()
