"""The clock is set by hours while people label: nothing is lost, and nobody has to wait."""

import time

import pytest
from label_helpers import DECODERS, fill

from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access

LEASE_S = 600
SHIFTS = [-5 * 3600, 5 * 3600, -40 * 86_400, 40 * 86_400]


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", ["A", "B"], seed=0, twice=0, lease_s=LEASE_S) as opened:
        fill(opened, 6)
        yield opened


def set_clock(store, shift: float) -> None:
    store.database.clock = lambda: time.time() + shift


def pass_time(store, seconds: float) -> None:
    before = store.database.steady
    store.database.steady = lambda: before() + seconds


def ids(items) -> set[int]:
    return {item.id for item in items}


@pytest.mark.parametrize("shift", SHIFTS)
def test_who_holds_pictures_keeps_them_as_long_as_before(store, shift):
    ann = ids(store.queue.hand_out("ann", 3))
    set_clock(store, shift)
    assert not ann & ids(store.queue.hand_out("bob", 6))
    assert store.reader.held() == store.reader.progress().held == 6
    assert store.queue.label("ann", min(ann), "A").label == "A"
    store.queue.release("bob")
    pass_time(store, LEASE_S + 1)
    assert store.reader.held() == 0
    assert ids(store.queue.hand_out("bob", 6)) >= ann - {min(ann)}  # they have come free


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_is_written_down_has_the_time_of_the_clock(store, shift):
    (item,) = store.queue.hand_out("ann", 1)
    set_clock(store, shift)
    event = store.queue.label("ann", item.id, "A")
    year, now = event.when[:10], time.gmtime(time.time() + shift)
    assert year in (time.strftime("%Y-%m-%d", now), event.when[:10][:8] + f"{now.tm_mday:02}")


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_pace_is_no_fantasy(store, shift):
    for item in store.queue.hand_out("ann", 5):
        store.queue.label("ann", item.id, "A")
    assert 0 < store.reader.progress().per_minute <= 5
    set_clock(store, shift)
    assert store.reader.progress().per_minute <= 5


def test_pictures_are_not_held_for_hours_where_the_clock_was_set_back_before_the_start(tmp_path):
    with Store.open(tmp_path / "p", ["A"], seed=0, twice=0, clock=lambda: 10_000.0) as store:
        fill(store, 3)
        assert len(store.queue.hand_out("ann", 3)) == 3
    now = [5_000.0]
    with Store.open(tmp_path / "p", seed=0, twice=0, clock=lambda: now[0]) as store:
        assert store.reader.held() == 3  # hers still, for as long as anybody's
        now[0] += LEASE_S + 1
        assert len(store.queue.hand_out("bob", 3)) == 3


@pytest.mark.parametrize("shift", SHIFTS)
def test_nobody_is_signed_out(store, shift, monkeypatch):
    app = create_app(store, access=access("127.0.0.1", bytes(32)), decoders=DECODERS)
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    assert client.post("/who", data={"name": "ann", "next": "/"}).status_code == 302
    (cookie,) = client._cookies.values()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    answer = client.post(
        "/api/next", json={"n": 2}, headers={"Cookie": f"{cookie.key}={cookie.value}"}
    )
    assert answer.status_code == 200 and len(answer.json["items"]) == 2


def test_a_cookie_that_was_changed_is_still_refused(store):
    app = create_app(store, access=access("127.0.0.1", bytes(32)), decoders=DECODERS)
    client = app.test_client()
    client.get("/who")
    (cookie,) = client._cookies.values()
    head, _, rest = cookie.value.partition(".")
    for value in (f"{head}x.{rest}", cookie.value[:-1], "x", ""):
        other = app.test_client()
        answer = other.get("/", headers={"Cookie": f"{cookie.key}={value}"})
        assert answer.status_code == 302
