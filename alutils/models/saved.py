"""Models on disk: found, checked, and loaded, whatever kind they are.

`load_model` takes what people have at hand: a model's folder, the folder of a run, a labelling
project. No file of a model is ever run: cards are JSON, weights are arrays without pickles.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alutils.base.project_folder import NAME, is_project
from alutils.models import model_files, picture_models, report_model
from alutils.models.model_files import CARD, SavedModelError
from alutils.models.picture_models import PictureModel

__all__ = ["SavedModelError", "classes_of", "find_model", "load_model"]
_PLACES = (".", "model", f"{NAME}/model")


def load_model(path: Path | str, *, own: Callable[[Any], Any] | None = None) -> PictureModel:
    """Load a saved model, ready to read pictures.

    Parameters
    ----------
    path : folder of a model or its card; a run's folder; a labelling project's folder
    own : the function that gave the features, for a model that was trained on a function of the
        user's: it cannot be saved

    Raises
    ------
    SavedModelError
        If there is no model, a file is missing, cut or changed, or it is none of ours.
    """
    folder = find_model(path)
    card = model_files.read_card(folder / CARD)
    if card.get("format") == report_model.FORMAT:
        return report_model.read(folder, card)
    try:
        content = model_files.read(folder, card)
    except SavedModelError:
        # Another process may have replaced the model between the card and the weights.
        again = model_files.read_card(folder / CARD)
        if again == card:
            raise
        content = model_files.read(folder, again)
    return picture_models.from_content(content, folder, own)


def find_model(path: Path | str) -> Path:
    """Return the folder that holds the model's card; SavedModelError if there is none."""
    if not isinstance(path, str | Path) or not str(path).strip():
        raise SavedModelError(f"model={path!r}: expected the folder that a model was saved in")
    path = Path(path)
    if path.is_file():
        path = path.parent
    for place in _PLACES:
        if (path / place / CARD).is_file():
            return path / place
    for project in sorted(path.glob(f"{NAME}-*")):  # where a person's own folder has that name
        if is_project(project) and (project / "model" / CARD).is_file():
            return project / "model"
    inside = sorted(card.parent for card in path.glob(f"*/{CARD}"))
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(each.name for each in inside)
        raise SavedModelError(f"{path}: holds several models, {names}; give the folder of one")
    raise SavedModelError(
        f"{path}: holds no saved model ({CARD} is missing); give the folder that one was saved in, "
        "a run's folder or a labelling project's"
    )


def classes_of(path: Path | str) -> tuple[str, ...]:
    """Read the names of a saved model's classes from its card; SavedModelError as `load_model`."""
    folder = find_model(path)
    classes = model_files.read_card(folder / CARD).get("classes")
    if not model_files.are_names(classes):
        raise SavedModelError(f"{folder / CARD}: classes={classes!r:.200} cannot be: save it again")
    return tuple(classes)  # type: ignore[arg-type]
