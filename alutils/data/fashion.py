"""Fashion-MNIST: clothes in the form of MNIST, and much harder."""

import numpy as np

from alutils.base import artefacts
from alutils.data.dataset import Dataset

CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


def fashion() -> tuple[Dataset, Dataset]:
    """All of Fashion-MNIST: 60,000 training and 10,000 test pictures (Xiao, Rasul, Vollgraf, 2017).

    Errors as `artefacts.fashion`.
    """
    arrays = artefacts.fashion()

    def part(of: str) -> Dataset:
        labels = arrays[f"y_{of}"].astype(np.int64)
        return Dataset(arrays[f"x_{of}"], labels, CLOTHES, "fashion", f"fashion_{of}")

    return part("train"), part("test")
