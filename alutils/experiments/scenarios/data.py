"""What scenarios run on: digits, and pools that are drawn from them."""

from alutils.data import loading
from alutils.data.dataset import Dataset
from alutils.experiments.strategies.draws import Pools

__all__ = ["Pools", "digits"]


def digits(data: str) -> Dataset:
    """Return the article's 4,400 digits (``mnist_article``), or all of MNIST (``mnist``)."""
    return loading.load(data)
