"""What the rooms `active` and `plots` offer by name is there, and costs only who asks for it."""

import subprocess
import sys

import pytest

from alutils import active, plots


@pytest.mark.parametrize("room", [active, plots], ids=lambda room: room.__name__)
def test_every_public_name_is_there_and_only_these(room):
    assert len(room.__all__) == len(set(room.__all__)) > 10
    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        room.no_such_name  # noqa: B018


def test_active_itself_imports_nothing_heavy():
    code = "import alutils.active, sys; print({'numba', 'sklearn', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
