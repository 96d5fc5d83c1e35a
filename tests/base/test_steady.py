"""The clock that nobody sets."""

import time

from alutils.base.steady import Steady


def test_it_gives_the_time_and_goes_on(monkeypatch):
    steady = Steady()
    assert abs(steady() - time.time()) < 60
    first = steady()
    time.sleep(0.01)
    assert steady() > first


def test_it_stays_when_the_system_clock_is_set(monkeypatch):
    steady, now = Steady(), time.time
    for hours in (-30, 7, 24 * 365):
        before = steady()
        monkeypatch.setattr(time, "time", lambda shift=hours: now() + 3600 * shift)
        assert 0 <= steady() - before < 60
