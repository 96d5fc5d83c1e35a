"""Models on disk, the report's and the best one, and letters that wait for a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from alutils.base import artefacts
from alutils.experiments.base import Finding
from alutils.experiments.report.study import First, Study
from alutils.models import candidates, report_model, saved
from alutils.models.backbones import first_choice
from alutils.models.seen import Seen

N_SAMPLE = 200
LEAST_STEPS = 1000
"""Of the training of a network that people will use."""


def save_model(study: Study, first: First, folder: Path) -> Path:
    """Save the report's first model as the report does, whole, with a card; return the folder."""
    return report_model.save_model(
        folder, first.head, artefacts.vgg16_convolutions(), classes=study.letters.classes,
        preprocessing=study.letters.plan.preprocessing, n_trained=len(first.parts.start),
        seen=Seen.of(study.letters.images[first.parts.start]),
    )  # fmt: skip


def save_best(study: Study, first: First, folder: Path, steps: int) -> Path:
    """Save what reads letters best: the small network, trained on all but the test letters.

    Pictures that are too large for it get softmax regression on features instead. ``steps`` are
    those of the networks that the notebook compares: this one takes twice as many, and at least
    `LEAST_STEPS`. Returns the folder.
    """
    steps = max(LEAST_STEPS, 2 * steps)
    # The logged setting may take test letters into the start and the pool.
    items = np.setdiff1d([*first.parts.start, *first.parts.pool], first.parts.test)
    known = study.letters.data.take(items)
    material = candidates.Material(
        known.images, known.labels, known.classes, Seen.of(known.images), seed=study.seed
    )
    if material.size is None:
        backbone, _ = first_choice([known.images.shape[1:3]], material.colour)
        best = candidates.on_features(material, backbone)
    else:
        best = candidates.network(material, candidates.distortions(material)[0], steps=steps)
    return best.finish().save(folder)


def saved_best(study: Study, first: First, folder: Path) -> Finding:
    """Load the best model and say how it reads test letters, beside the report's.

    Only those that neither has learned from.
    """
    model, letters = saved.load_model(folder), study.letters
    test = np.setdiff1d(first.parts.test, first.parts.start)
    ours, reports = (
        (p.argmax(axis=1) == letters.labels[test]).mean()
        for p in (
            model.predict_proba(letters.images[test]),
            first.head.predict_proba(letters.features[test]),
        )
    )
    return Finding(
        f"Saved, too: a model that learned from {model.n_trained:,} letters. Loaded again, it "
        f"reads {ours:.1%} of {len(test):,} test letters; the report's, which learned from "
        f"{len(first.parts.start):,}, reads {reports:.1%}.",
        name="saved_best",
    )


def saved_model(study: Study, first: First, folder: Path) -> Finding:
    """Load a saved model and say whether it reads letters as the head on features does."""
    model = saved.load_model(folder)
    sample = first.parts.test[:N_SAMPLE]
    from_images = model.predict_proba(study.letters.images[sample])
    from_features = first.head.predict_proba(study.letters.features[sample])
    apart = np.abs(from_images - from_features).max()
    same = (from_images.argmax(1) == from_features.argmax(1)).mean()
    names = ", ".join(
        sorted(f"{path.name} ({path.stat().st_size / 2**20:.1f} MiB)" for path in folder.iterdir())
    )
    return Finding(
        f"Saved: {names}. Loaded again, the whole network reads {same:.1%} of {len(sample)} "
        f"letters as the head on features does; no probability differs by more than {apart:.1g}.",
        name="saved_model",
    )


def letters_to_label(study: Study, first: First, folder: Path) -> Path:
    """Write some letters of the pool as pictures into a folder, for a person to label."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in first.parts.pool[:N_SAMPLE]:
        Image.fromarray(study.letters.images[item]).save(folder / f"letter-{item}.png")
    return folder
