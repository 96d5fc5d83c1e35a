"""Variables of the environment for a while."""

import os

import pytest

from alutils.base.environment import variables


def test_variables_hold_for_a_while_and_come_back_as_they_were(monkeypatch):
    monkeypatch.setenv("WAS_THERE", "before")
    monkeypatch.delenv("WAS_NOT", raising=False)
    with (
        pytest.raises(ValueError, match="anything"),
        variables({"WAS_THERE": "", "WAS_NOT": "x"}),
    ):
        assert (os.environ["WAS_THERE"], os.environ["WAS_NOT"]) == ("", "x")
        raise ValueError("anything")
    assert os.environ["WAS_THERE"] == "before" and "WAS_NOT" not in os.environ
