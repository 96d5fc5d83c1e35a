"""An experiment of some milliseconds, for the tests of sweeps.

WITNESS names a file that gets a line ``pid seed shape`` for every cell that begins; HOLD names one
with a number: while it is there, the cells that begin after so many others wait, so that there is
time to kill them; TOY_FAILS=1 makes some cells fail.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.base.errors import ParameterError
from alutils.experiments.base import Experiment


@dataclass(frozen=True)
class Settings:
    shape: str = "round"
    size: int = 8
    rate: float = 0.5
    data: str = "toy"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shape not in ("round", "square", "deadly", "leaving"):
            raise ParameterError("shape", self.shape, "expected round or square")


def prepare(data: str) -> dict[str, str]:
    _note("PREPARED", f"{os.getpid()} {data}")
    return {"images": f"made up: {data}"}


def run(settings: Settings) -> list[dict]:
    seed, shape = settings.seed, settings.shape
    number = _note("WITNESS", f"{os.getpid()} {seed} {shape}")
    while number > _let_through():
        time.sleep(0.01)
    if os.environ.get("TOY_FAILS") == "1" and shape == "square" and seed == 1:
        raise KeyError(f"no corner in {__file__}")
    if shape == "deadly":
        os.kill(os.getpid(), 9)
    if shape == "leaving":
        raise SystemExit("leaves")
    rng = np.random.default_rng([seed, settings.size])
    a = rng.standard_normal((200, 200))
    values = (a @ a).sum(axis=0)[
        : settings.size
    ] * settings.rate  # depends on the order of summation
    return [
        dict(protocol="better", arm=f"{shape} {settings.data}", round=i, n_human=10 * i,
             split="test", metric="accuracy", value=value if i else np.nan, n_eval=100)
        for i, value in enumerate(values)
    ]  # fmt: skip


def _note(variable: str, line: str) -> int:
    """Add a line to the file; return which one it has become."""
    if variable not in os.environ:
        return 0
    with Path(os.environ[variable]).open("a+b", buffering=0) as file:
        file.write(f"{line}\n".encode())
        end = file.tell()  # others may have added theirs behind it
        file.seek(0)
        return file.read(end).count(b"\n")


def _let_through() -> float:
    try:
        return int(Path(os.environ["HOLD"]).read_text())
    except (KeyError, FileNotFoundError):
        return np.inf


EXPERIMENT = Experiment("toy", Settings, run, prepare=prepare)
