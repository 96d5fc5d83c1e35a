"""The notebooks: which experiment's file is which, and how a person may name one."""

import difflib
from pathlib import Path

from alutils.base import files
from alutils.base.errors import nearest

NOTEBOOKS = {
    "start": "00_start_here.ipynb",
    "mnist": "01_mnist_random_active_autolabel.ipynb",
    "az_explore": "02_az_explore.ipynb",
    "az": "03_az_vgg16_active_learning.ipynb",
    "strategies": "04_query_strategies.ipynb",
    "autolabel": "05_trustworthy_autolabelling.ipynb",
    "scenarios": "06_scenarios.ipynb",
}


class RunError(RuntimeError):
    """A run that cannot start, or that did not end well."""


def experiment_of(text: str) -> str:
    """Return the experiment that is meant by its name, or its notebook's number or path.

    RunError, with the nearest name, for anything else.
    """
    root = files.repository_root()
    for name, file in NOTEBOOKS.items():
        number = file.partition("_")[0]
        is_number = text.isdecimal() and int(text) == int(number)
        path = root / "notebooks" / file
        if text == name or is_number or Path(text).resolve() == path.resolve():
            return name
    numbers = [f"{file.partition('_')[0]} {name}" for name, file in NOTEBOOKS.items()]
    close = difflib.get_close_matches(text, NOTEBOOKS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise RunError(
        f"{text}: no such experiment; {hint}known, by name or number: {', '.join(numbers)}"
    )


def notebook_path(experiment: str, root: Path) -> Path:
    """Return the notebook of an experiment, or raise RunError with the nearest name."""
    if experiment not in NOTEBOOKS:
        raise RunError(f"{experiment}: no such experiment; {nearest(experiment, NOTEBOOKS)}")
    path = root / "notebooks" / NOTEBOOKS[experiment]
    if not path.is_file():
        raise RunError(
            f"{experiment}: there is no notebooks/{path.name}; work in a clone of the repository, "
            "or set ALUTILS_ROOT to one"
        )
    return path
