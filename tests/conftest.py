"""What several test files need: real digits, found where they are."""

import signal
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from alutils.base import surfaces
from alutils.data import dataset, mnist

# A first call may compile, and the machine may be busy: no test is about how long an example takes,
# or the making of one.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# Programs that are started ignore Ctrl-C where this one does, as behind a shell's "&": those under
# test are to end by it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared" / "data"


LONGEST_FIRST = (
    "test_notebooks.py", "test_browser.py", "test_benchmarks.py", "test_sweeps.py",
    "test_crash.py", "test_procedure.py", "test_fewest_labels.py", "test_embeddings.py",
    "test_store.py", "test_app.py", "test_runs.py", "test_loop.py",
)  # fmt: skip
"""A worker takes a file as a whole: a long one begun at the end would run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, in the order of `LONGEST_FIRST`."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(autouse=True)
def _talks_python():
    """Let errors advise Python's keywords again, after a test that started a run in here."""
    yield
    surfaces.speak(surfaces.python)


@pytest.fixture(scope="session")
def digits():
    """Return the article's digits as (x, y, x_test, y_test)."""
    train, test = mnist.mnist_article()
    as_float = dataset.as_float
    return as_float(train.images), train.labels, as_float(test.images), test.labels


@pytest.fixture(scope="session")
def all_digits():
    """Return all of MNIST as (x, y, x_test, y_test), or a skip that says why."""
    path = SHARED / "mnist.npz"
    if not path.is_file():
        pytest.skip("all of MNIST is not beside the repository (../shared/data/mnist.npz)")
    with np.load(path) as arrays:
        return (
            dataset.as_float(arrays["x_train"]),
            arrays["y_train"].astype(np.int64),
            dataset.as_float(arrays["x_test"]),
            arrays["y_test"].astype(np.int64),
        )
