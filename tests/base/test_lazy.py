"""Rooms give their public names without importing what is heavy beforehand."""

import importlib
import subprocess
import sys

import pytest

ROOMS = ("alutils.base", "alutils.data", "alutils.models")


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there(room):
    module = importlib.import_module(room)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match=f"'{room}' has no attribute 'no_such_name'"):
        _ = module.no_such_name


def test_rooms_and_what_is_used_most_import_nothing_heavy():
    code = f"""import sys, {", ".join(ROOMS)}
heavy = {{"tensorflow", "keras", "openvino", "sklearn", "numba", "cv2"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from alutils.data import Dataset, load
from alutils.models import DenseHead, Estimator, features
print(sorted({{"tensorflow", "keras", "openvino"}} & set(sys.modules)))"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
