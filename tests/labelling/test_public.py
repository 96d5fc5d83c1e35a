"""What the room offers to whoever imports it."""

import subprocess
import sys

import pytest

from alutils import labelling

PROGRAM = """
import sys
from alutils.labelling import Store
bad = {"flask", "anywidget", "tensorflow", "waitress"} & set(sys.modules)
sys.exit(f"imported too: {bad}" if bad else 0)
"""


def test_the_store_is_imported_without_what_only_pages_and_notebooks_need():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", labelling.__all__)
def test_every_public_name_is_there(name):
    assert callable(getattr(labelling, name))


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        labelling.nothing  # noqa: B018
