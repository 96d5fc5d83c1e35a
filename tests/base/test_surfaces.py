"""Remedies: an error advises what exists where it is read."""

import pickle

import pytest

from alutils.base import surfaces
from alutils.base.errors import BadInput
from alutils.base.surfaces import FLAGS, Remedy

SKIP = Remedy("leave such files out", "on_bad", "skip")
SIZE = Remedy("resize all", "size", (28, 30))
LEAST = Remedy("take smaller classes, too,", "at_least", 1)
BEFOREHAND = "by `python -m alutils data folder IN OUT.npz"


@pytest.mark.parametrize(
    ("surface", "remedy", "text"),
    [
        (surfaces.python, SKIP, "leave such files out with on_bad='skip'"),
        (surfaces.python, SIZE, "resize all with size=(28, 30)"),
        (surfaces.python, LEAST, "take smaller classes, too, with at_least=1"),
        (surfaces.command(FLAGS), SKIP, "leave such files out with --on-bad skip"),
        (surfaces.command(FLAGS), SIZE, "resize all with --size 28x30"),
        (surfaces.command(FLAGS), LEAST, ""),
        (surfaces.command(), SIZE, f"resize all beforehand {BEFOREHAND} --size 28x30`"),
        (surfaces.run(["on_bad", "seed"]), SKIP, "leave such files out with -p on_bad=skip"),
        (surfaces.run(["seed"]), SKIP, f"leave such files out beforehand {BEFOREHAND} "
         "--on-bad skip`"),
        (surfaces.run(["seed"]), LEAST, ""),
        (surfaces.notebook(["on_bad"]), SKIP,
         "leave such files out with on_bad = 'skip' in the parameters cell"),
        (surfaces.notebook([]), SIZE, f"resize all beforehand {BEFOREHAND} --size 28x30`"),
    ],
)  # fmt: skip
def test_a_remedy_is_written_as_it_can_be_had(surface, remedy, text):
    assert surface(remedy) == text


def test_an_error_is_written_for_where_it_is_read():
    error = BadInput("a.png is empty", "get it again", LEAST, SKIP)
    assert str(error) == (
        "a.png is empty; get it again, or take smaller classes, too, with at_least=1, or leave "
        "such files out with on_bad='skip'"
    )
    with surfaces.speaking(surfaces.command(FLAGS)):
        expected = "a.png is empty; get it again, or leave such files out with --on-bad skip"
        assert str(error) == expected
        assert str(pickle.loads(pickle.dumps(error))) == expected
    assert "on_bad='skip'" in str(error)
    assert str(BadInput("as it is")) == "as it is"


def test_a_command_that_fails_leaves_the_surface_as_it_was():
    with pytest.raises(KeyError), surfaces.speaking(surfaces.command()):
        raise KeyError
    assert surfaces.write(SKIP) == surfaces.python(SKIP)


@pytest.mark.parametrize(
    ("size", "in_a_notebook", "by_run"),
    [
        ((40, 40), "size = 40 in the parameters cell", "-p size=40"),
        ((40, 30), "data folder IN OUT.npz --size 40x30", "data folder IN OUT.npz --size 40x30"),
    ],
)
def test_a_size_is_advised_as_the_place_takes_it(size, in_a_notebook, by_run):
    remedy = surfaces.Remedy("resize all", "size", size)
    assert in_a_notebook in surfaces.notebook(["size"])(remedy)
    assert by_run in surfaces.run(["size"])(remedy)
