"""The report's model on disk, and letters that wait for a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from alutils.base import artefacts
from alutils.experiments.base import Finding
from alutils.experiments.report.study import First, Study
from alutils.models import saved

N_SAMPLE = 200


def save_model(study: Study, first: First, folder: Path) -> Path:
    """Save the report's first model as the report does, whole, with a card; return the folder."""
    return saved.save_model(
        folder, first.head, artefacts.vgg16_convolutions(), classes=study.letters.classes,
        preprocessing=study.letters.plan.preprocessing,
    )  # fmt: skip


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
