"""What the strong learners found: answers for every picture, kept on disk beside the labels.

The strong learners are trained in a process of their own (`alutils.labelling.model.beside`). They
are the small network, for pictures up to 64 pixels a side, and label spreading on the features.
Each is trained once without each fold of the labels, so that it can be compared with the quick
learner on the same pictures; the network that is used is the mean of those of the folds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.files import atomic_file
from alutils.base.manifest import write_json
from alutils.base.npz import read_arrays
from alutils.labelling.model.contest import NETWORK, SPREAD
from alutils.models.conversion import UNCHANGED, Conversion
from alutils.models.heads import Head
from alutils.models.model_files import SavedModelError
from alutils.models.picture_models import NetworkModel
from alutils.models.saved import load_model

FIRST, GROWTH = 50, 1.5
"""Labels from which the strong learners are trained, and how far labels grow until they are again.
"""
_SETTINGS, _ARRAYS, _DONE, _NETWORK = "job.json", "job.npz", "done.json", "network"
_ANSWERS = "answers.npz"


class StrongError(RuntimeError):
    """What the strong learners wrote is not there, not whole or of something else."""


def due(n_labels: int, n_before: int) -> bool:
    """Tell whether the strong learners are due; ``n_before`` labels were their last, 0 for none."""
    return n_labels >= (GROWTH * n_before if n_before else FIRST)


@dataclass(frozen=True)
class Settings:
    """How the strong learners are trained.

    Attributes
    ----------
    steps : of each network's training
    size : (height, width) that pictures are brought to for the network; None: no network
    colour : whether the pictures are in colour
    seed : of the network
    polite : whether everything else on the machine goes first
    score_only : give answers for all pictures by the network that is there; train nothing
    conversion : of each picture before it is read
    """

    steps: int
    size: tuple[int, int] | None
    colour: bool
    seed: int = 0
    polite: bool = True
    score_only: bool = False
    conversion: Conversion = UNCHANGED


@dataclass(frozen=True)
class Job:
    """What the process beside gets.

    Attributes
    ----------
    settings : how to train
    pictures : paths of all pictures' files
    sha256 : (n,) their hashes
    features : (n, n_features) float32; empty where they are not needed
    labelled : (m,) int, positions of the labelled pictures
    labels : (m,) int, class numbers
    fold : (m,) int
    classes : names, by class number
    """

    settings: Settings
    pictures: list[str]
    sha256: list[str]
    features: np.ndarray
    labelled: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    classes: list[str]

    def write(self, folder: Path) -> None:
        """Write it into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        names = ("features", "labelled", "labels", "fold")
        with atomic_file(folder / _ARRAYS) as file:
            np.savez(file, **{name: getattr(self, name) for name in names})
        told = {name: getattr(self, name) for name in ("pictures", "sha256", "classes")}
        settings = asdict(self.settings) | {"conversion": self.settings.conversion.to_json()}
        write_json(folder / _SETTINGS, told | {"settings": settings})

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read what `write` wrote."""
        told = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        told_of = told.pop("settings")
        size = told_of["size"]
        kept = told_of.get("conversion")  # jobs of older versions have none
        conversion = UNCHANGED if kept is None else Conversion.from_json(kept)
        parts = {"size": tuple(size) if size else None, "conversion": conversion}
        settings = Settings(**told_of | parts)
        arrays: dict[str, Any] = read_arrays(folder / _ARRAYS)
        return cls(settings=settings, **told, **arrays)


@dataclass(frozen=True)
class Strong:
    """What the strong learners found.

    Attributes
    ----------
    names : the project's classes, by class number, when they were trained
    n_trained : labels that they were trained on
    row : position of each picture by its hash
    network : the trained network; None where there is none
    network_p : (n, n_columns) float32, its answers for all pictures, in its classes' columns
    head : label spreading as a classifier on features
    columns : (n_seen,) int, class numbers of the columns of all answers
    held_out : name of the learner -> (m, n_columns) float32, out of fold
    labelled : position in ``held_out`` by the picture's hash
    identity : of the features that ``head`` takes
    conversion : of pictures before they were read
    """

    names: list[str]
    n_trained: int
    row: dict[str, int]
    network: NetworkModel | None
    network_p: np.ndarray
    head: Head
    columns: np.ndarray
    held_out: dict[str, np.ndarray]
    labelled: dict[str, int]
    identity: str
    conversion: Conversion = UNCHANGED

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.names[i] for i in self.columns)

    def knows(self, sha256: Sequence[str]) -> np.ndarray:
        """(n,) bool, which pictures the network has answers for; all where there is no network."""
        return np.array([self.network is None or each in self.row for each in sha256], bool)

    def with_more(self, sha256: Sequence[str], network_p: np.ndarray) -> Strong:
        """Add what the network says of further pictures, (n, n_columns) float32."""
        row = self.row | {each: len(self.network_p) + i for i, each in enumerate(sha256)}
        return replace(self, row=row, network_p=np.concatenate([self.network_p, network_p]))

    def pool(self, learner: str, sha256: Sequence[str], features: np.ndarray) -> np.ndarray:
        """(n, n_columns) float32: what a learner says of pictures; KeyError for an unknown one."""
        if learner == SPREAD:
            return self.head.predict_proba(features)
        return self.network_p[[self.row[each] for each in sha256]]

    def unseen(self, sha256: Sequence[str], features: np.ndarray) -> dict[str, np.ndarray]:
        """Say what each learner says of labelled pictures that it has not seen.

        Of those that it was trained on, out of fold; of those that were labelled since, what it
        says of them.

        Returns
        -------
        name -> (n, n_names) float32, in the columns of all classes
        """
        old = np.array([each in self.labelled for each in sha256], bool)
        rows = [self.labelled[each] for each in sha256 if each in self.labelled]
        new = [each for each in sha256 if each not in self.labelled]
        found = {}
        for learner, held_out in self.held_out.items():
            p = np.zeros((len(old), len(self.names)), np.float32)
            p[np.ix_(old, self.columns)] = held_out[rows]
            if new and (learner == SPREAD or self.knows(new).all()):
                p[np.ix_(~old, self.columns)] = self.pool(learner, new, features[~old])
            found[learner] = p
        return found


def write_answers(
    folder: Path,
    job: Job,
    columns: np.ndarray,
    held_out: dict[str, np.ndarray],
    head: Head,
    network_p: np.ndarray,
    network: NetworkModel | None,
) -> None:
    """Write what was found into the job's folder; whole once `is_done`."""
    check_there(folder)
    with atomic_file(folder / _ANSWERS) as file:
        np.savez(
            file, columns=columns, w=head.weights[0], b=head.weights[1], network_p=network_p,
            **{f"held_out_{name}": p for name, p in held_out.items()},  # type: ignore[arg-type]
        )  # fmt: skip
    if network is not None:
        network.save(folder / _NETWORK)
    write_json(folder / _DONE, {"n_trained": len(job.labels)})


def write_scores(folder: Path, network_p: np.ndarray) -> None:
    """Write the network's answers for all pictures of the job; whole once `is_done`."""
    check_there(folder)
    with atomic_file(folder / _ANSWERS) as file:
        np.savez(file, network_p=network_p)
    write_json(folder / _DONE, {})


def check_there(folder: Path) -> None:
    """Raise StrongError where the project was moved meanwhile: it must not be made anew there."""
    if not folder.is_dir():
        raise StrongError(f"{folder}: is not there any more")


def is_done(folder: Path) -> bool:
    """Whether the process has written all that it found."""
    return (folder / _DONE).is_file()


def read_scores(folder: Path) -> tuple[list[str], np.ndarray]:
    """Return the hashes of pictures and (n, n_columns) what the network says; StrongError."""
    try:
        return Job.read(folder).sha256, read_arrays(folder / _ANSWERS)["network_p"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StrongError(f"what the strong learner wrote cannot be read ({error})") from error


def read(folder: Path, identity: str) -> Strong:
    """Read what was found.

    Parameters
    ----------
    folder : of the job
    identity : of the features that the job had

    Raises
    ------
    StrongError
        If a file is missing, damaged, or does not fit.
    """
    try:
        job = Job.read(folder)
        kept = read_arrays(folder / _ANSWERS)
        head = Head((kept["w"], kept["b"]))
        columns, network_p = kept["columns"], kept["network_p"]
        held_out = {
            name.removeprefix("held_out_"): p
            for name, p in kept.items()
            if name.startswith("held_out_")
        }
        network = load_model(folder / _NETWORK) if NETWORK in held_out else None
        if network is not None and not isinstance(network, NetworkModel):
            raise StrongError(f"{folder / _NETWORK} holds another model than the network")
        shas = [job.sha256[i] for i in job.labelled]
        return Strong(
            names=job.classes,
            n_trained=len(job.labels),
            row={each: i for i, each in enumerate(job.sha256)},
            network=network,
            network_p=network_p,
            head=head,
            columns=columns,
            held_out=held_out,
            labelled={each: i for i, each in enumerate(shas)},
            identity=identity,
            conversion=job.settings.conversion,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StrongError(f"what the strong learner wrote cannot be read ({error})") from error
    except SavedModelError as error:
        raise StrongError(str(error)) from error


def clear(folder: Path) -> None:
    """Remove what was found."""
    shutil.rmtree(folder, ignore_errors=True)
