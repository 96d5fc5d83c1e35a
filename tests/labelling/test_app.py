"""What the labelling tool answers to good requests, to bad ones and to strangers.

Bad requests are a table: each must get its status and a text that says why, and must leave files
and database as they were.
"""

import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urljoin

import numpy as np
import pytest
from flask.testing import FlaskClient
from label_helpers import (
    BAD,
    DECODERS,
    TinyFeatures,
    encoded,
    fill,
    heavy,
    letter,
    open_plan,
    png,
    scores,
    state,
    until,
)

from alutils.base.errors import ParameterError
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web import pages, security, serve, watch
from alutils.labelling.web.app import create_app
from alutils.labelling.web.decoders import Decoders, Limits
from alutils.labelling.web.security import access, project_secret
from alutils.labelling.web.watch import Watcher

CLASSES = ("A", "B", "C")


@dataclass
class Browser:
    """A client that has a name and sends the token of its page."""

    client: FlaskClient
    token: str = ""

    def sign_in(self, name: str = "Ada") -> "Browser":
        form = {"name": name, "csrf_token": self.csrf("/who"), "next": "/"}
        assert self.client.post("/who", data=form).status_code == 302
        self.token = self.csrf("/who")
        return self

    def csrf(self, path: str) -> str:
        page = self.client.get(path).text
        return re.search(r'name="csrf-token" content="([^"]+)"', page)[1]

    def ask(self, action: str, /, **request):
        return self.send(f"/api/{action}", json=request)

    def send(self, path: str, headers: dict | None = None, **parts):
        headers = {"X-CSRFToken": self.token} | (headers or {})
        return self.client.post(path, headers=headers, **parts)

    def upload(self, *files: tuple[bytes, str], path: str = "/api/pictures", field: str = "files"):
        parts = [(field, (io.BytesIO(data), name)) for data, name in files]
        return self.send(path, data={name: [p for n, p in parts if n == name] for name, _ in parts})


@dataclass
class Project:
    store: Store
    browser: Browser
    other: Browser
    items: list[int]

    def state(self):
        return state(self.store.folder)


def make(folder, *, loop=None, who=None, **options) -> tuple[Store, Browser]:
    store = Store.open(folder, CLASSES, seed=0)
    secret = project_secret(store.folder / "labelling")
    options = {"decoders": DECODERS, **options}
    app = create_app(store, loop, access=who or access("127.0.0.1", secret), **options)
    app.testing = False
    return store, Browser(app.test_client())


@pytest.fixture
def project(tmp_path):
    """Return a project of four pictures, see `begin`."""
    yield from begin(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """Return one project for all requests that must change nothing."""
    yield from begin(tmp_path_factory.mktemp("untouched"))


def begin(folder):
    """Make four pictures: two without a label, the third labelled C, the fourth held by Bob."""
    store, browser = make(folder / "p")
    items = fill(store, 4)
    other = Browser(browser.client.application.test_client()).sign_in("Bob")
    browser.sign_in()
    assert browser.ask("label", item=items[2], label="C", key="first").status_code == 200
    store.queue.claim("Bob", items[3])
    yield Project(store, browser, other, items)
    store.close()


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BAD)
def test_a_bad_picture_is_refused_and_leaves_nothing(untouched, case):
    data, reason = BAD[case]
    before = untouched.state()
    answer = untouched.browser.upload((data(), "bad.png"))
    assert answer.status_code == 200
    (told,) = answer.json["pictures"]
    assert told["error"].startswith("bad.png ") and reason in told["error"]
    assert untouched.state() == before


@pytest.mark.parametrize("case", ["html", "png cut in its pixels", "png bomb by text"])
def test_a_bad_single_picture_is_refused_on_its_page(untouched, case):
    data, reason = BAD[case]
    before = untouched.state()
    answer = untouched.browser.upload((data(), "bad.png"), path="/one", field="file")
    assert answer.status_code == 422 and reason.replace("'", "&#39;") in answer.text
    assert 'role="alert"' in answer.text
    assert untouched.state() == before


def ask(action, **request):
    return lambda p: p.browser.ask(action, **request)


def ask_about(number, action, **request):
    """Ask about the picture of this number in the project's list."""
    return lambda p: p.browser.ask(action, item=p.items[number], **request)


def raw(body, kind="application/json"):
    return lambda p: p.browser.send("/api/next", data=body, content_type=kind)


def get(path, **headers):
    return lambda p: p.browser.client.get(path, headers=headers)


def form(path, **fields):
    return lambda p: p.browser.send(path, data=fields)


def label(item, key="k"):
    return ask("label", item=item, label="A", key=key)


LONG = "x" * 301
# what is asked -> (the request, the status, what the answer says)
REFUSED = {
    # uploads
    "no field": (form("/api/pictures"), 400, "no file was chosen"),
    "text for a file": (form("/api/pictures", files="hello"), 400, "no file was chosen"),
    "another field": (
        lambda p: p.browser.upload((png(), "a.png"), field="file"), 400, "no file was chosen",
    ),
    "file without a name": (lambda p: p.browser.upload((png(), "")), 400, "no file was chosen"),
    "no file on the page": (form("/one"), 400, "no file was chosen"),
    "no multipart": (
        lambda p: p.browser.send("/api/pictures", data=png(), content_type="image/png"),
        400, "no file was chosen",
    ),
    "multipart without boundary": (
        lambda p: p.browser.send("/api/pictures", data=png(), content_type="multipart/form-data"),
        400, "no file was chosen",
    ),
    "body too large": (
        lambda p: p.browser.upload((bytes(3_000_000), "a.png")), 413, "in one go",
    ),
    "too many files": (
        lambda p: p.browser.upload(*[(b"x", f"{i}.png") for i in range(200)]), 413, "in one go",
    ),
    "form field too large": (form("/api/pictures", files="x" * 600_000), 413, "in one go"),
    # what is no request
    "no json": (raw(b"item=1", "text/plain"), 415, "application/json"),
    "broken json": (raw(b'{"n": '), 400, ""),
    "json list": (raw(b"[1]"), 400, "expected an object"),
    "json null": (raw(b"null"), 400, "expected an object"),
    "json text": (raw(b'"n"'), 400, "expected an object"),
    "json too large": (raw(b'{"n": "' + b"x" * 300_000 + b'"}'), 413, "in one go"),
    "not utf-8": (raw(b'{"n": "\xff"}'), 400, ""),
    "action that does not exist": (ask("drop_table"), 404, "no such page"),
    "argument that does not exist": (ask("next", n=1, m=2), 400, "unknown argument 'm'"),
    "person in the request": (ask("next", person="Bob"), 400, "unknown argument 'person'"),
    "argument missing": (ask("label", item=1), 400, "'label' is missing"),
    "GET for an action": (get("/api/label"), 405, ""),
    # labels that are not classes
    "label that is no class": (ask_about(0, "label", label="D", key="k"), 400, "no such class"),
    "label in small letters": (ask_about(0, "label", label="a", key="k"), 400, "no such class"),
    "empty label": (ask_about(0, "label", label="", key="k"), 400, "expected a name"),
    "label of spaces": (ask_about(0, "label", label="  ", key="k"), 400, "expected a name"),
    "number for a label": (ask_about(0, "label", label=1, key="k"), 400, "expected a name"),
    "null for a label": (ask_about(0, "label", label=None, key="k"), 400, "expected a name"),
    "list for a label": (ask_about(0, "label", label=["A"], key="k"), 400, "expected a name"),
    "label too long": (ask_about(0, "label", label=LONG, key="k"), 400, "at most 300"),
    "label with NUL": (ask_about(0, "label", label="A\0", key="k"), 400, "zero byte"),
    "label with a path": (ask_about(0, "label", label="../A", key="k"), 400, "no such class"),
    "label with SQL": (
        ask_about(0, "label", label="A'; DROP TABLE items; --", key="k"), 400, "no such class",
    ),
    "label of half a character": (
        lambda p: p.browser.send(
            "/api/label", data=json.dumps({"item": p.items[0], "label": "\udc00", "key": "k"}),
            content_type="application/json",
        ), 400, "UTF-8",
    ),
    # pictures that are not there, or another's
    "unknown picture": (label(999), 404, "none with this number"),
    "picture 0": (label(0), 404, "expected"),
    "picture -1": (label(-1), 404, "expected"),
    "picture 1.5": (label(1.5), 404, "whole number"),
    "picture as text": (label("1"), 404, "whole number"),
    "picture true": (label(True), 404, "whole number"),
    "picture null": (label(None), 404, "whole number"),
    "picture list": (label([1]), 404, "whole number"),
    "picture 2 to the 70": (label(2**70), 404, "expected"),
    "another's picture": (ask_about(3, "label", label="A", key="k"), 409, "'Bob' has it"),
    "another's picture skipped": (ask_about(3, "skip", key="k"), 409, "'Bob' has it"),
    "labelled already": (ask_about(2, "label", label="A", key="k"), 409, "has label 'C' already"),
    "labelled already, skipped": (ask_about(2, "skip", key="k"), 409, "has label 'C' already"),
    # keys of requests
    "no key": (ask_about(0, "label", label="A"), 400, "'key' is missing"),
    "number for a key": (ask_about(0, "label", label="A", key=1), 400, "made up for this request"),
    "empty key": (ask_about(0, "label", label="A", key=""), 400, "made up for this request"),
    "key too long": (ask_about(0, "label", label="A", key="k" * 201), 400, "at most 200"),
    "key of another request": (ask_about(0, "label", label="A", key="first"), 409, "for something"),
    # the queue
    "no pictures": (ask("next", n=0), 400, "from 1 to 200"),
    "less than none": (ask("next", n=-1), 400, "from 1 to 200"),
    "too many pictures": (ask("next", n=1_000_000), 400, "from 1 to 200"),
    "text for how many": (ask("next", n="3"), 400, "from 1 to 200"),
    "filter that is a list": (ask("next", where=[1]), 400, "expected an object"),
    "filter unknown": (ask("next", where={"colour": "red"}), 400, "unknown 'colour'"),
    "filter for no class": (ask("next", where={"predicted": "D"}), 400, "no such class"),
    "filter for no source": (ask("page", where={"source": "cat"}), 400, "expected one of human"),
    "filter by text": (ask("page", where={"low": "0.5"}), 400, "confidence from 0 to 1"),
    # the grid
    "no such order": (ask("page", order="name; --"), 400, "expected one of confidence"),
    "page too long": (ask("page", limit=201), 400, "from 1 to 200"),
    "no page before": (ask("page", after="x"), 400, "start from the first page"),
    "a huge page before": (ask("page", after="0.5," + "9" * 30), 400, "start from the first page"),
    "history of nothing": (ask("history", item=99), 404, "none with this number"),
    "nothing to relabel": (ask("relabel", items=[], label="A", key="k"), 400, "1 to 200"),
    "text to relabel": (ask("relabel", items="12", label="A", key="k"), 400, "1 to 200"),
    "too many to relabel": (
        ask("relabel", items=list(range(1, 202)), label="A", key="k"), 400, "1 to 200",
    ),
    "relabel one twice": (ask("relabel", items=[1, 1], label="A", key="k"), 400, "named twice"),
    "relabel one that is not there": (
        ask("relabel", items=[1, 999], label="A", key="k"), 404, "none with this number",
    ),
    "relabel to no class": (ask("relabel", items=[1], label="D", key="k"), 400, "no such class"),
    "relabel another's": (
        lambda p: p.browser.ask("relabel", items=p.items, label="A", key="k"), 409, "'Bob' has it",
    ),
    "revoke what is not there": (ask("revoke", items=[999]), 404, "none with this number"),
    # classes and the model
    "class without a name": (ask("add_class", name=" "), 400, "expected a name"),
    "class that is a number": (ask("add_class", name=7), 400, "expected a name"),
    "class that is a list": (ask("add_class", name=[]), 400, "expected a name"),
    "class that is an object": (ask("add_class", name={"a": 1}), 400, "expected a name"),
    "class too long": (ask("add_class", name=LONG), 400, "at most 300"),
    # pages
    "single picture, no class": (
        lambda p: p.browser.send(f"/one/{p.items[0]}", data={"label": "<b>"}), 400, "&lt;b&gt;",
    ),
    "single picture, empty class": (
        lambda p: p.browser.send(f"/one/{p.items[0]}", data={"label": ""}), 400, "expected a name",
    ),
    "single picture, another's": (
        lambda p: p.browser.send(f"/one/{p.items[3]}", data={"label": "A"}), 400, "has it",
    ),
    "single picture, unknown": (get("/one/999"), 404, "none with this number"),
    "nobody": (form("/who", name=" "), 400, "expected a name"),
    "a name too long": (form("/who", name="x" * 101), 400, "at most 100"),
    "export of another kind": (get("/export/exe"), 404, "no such page"),
    "export in no size": (get("/export/npz?size=0x0"), 400, "height x width"),
    "export in a huge size": (get("/export/npz?size=99999x9"), 400, "height x width"),
    "a page that does not exist": (get("/admin"), 404, "no such page"),
    # pictures by number only
    "picture unknown": (get("/pictures/999"), 404, "none with this number"),
    "picture by path": (get("/pictures/../labels.sqlite"), 404, "no such page"),
    "picture by hidden path": (get("/pictures/..%2f..%2flabels.sqlite"), 404, "no such page"),
    "picture by huge number": (get(f"/pictures/{2**80}"), 404, "expected"),
    "the database": (get("/labelling/labels.sqlite"), 404, "no such page"),
    "the secret": (get("/static/../../labelling/secret"), 404, "no such page"),
    "the program": (get("/static/..%2fapp.py"), 404, "no such page"),
    "another project's label": (
        lambda p: p.browser.send(
            "/api/label", {security.PROJECT_HEADER: "0" * 32},
            json={"item": p.items[0], "label": "A", "key": "k"},
        ), 409, "belongs to another project",
    ),
    "another project's upload": (
        lambda p: p.browser.send(
            "/api/pictures", {security.PROJECT_HEADER: "0" * 32},
            data={"files": (io.BytesIO(png(5)), "a.png")},
        ), 409, "belongs to another project",
    ),
    "another project's page": (
        lambda p: p.browser.client.post(
            "/api/label", headers={security.PROJECT_HEADER: "0" * 32}, json={"item": 1},
        ), 409, "belongs to another project",
    ),
    # strangers
    "another host": (get("/", Host="evil.example"), 421, "expected one of localhost"),
    "another host with our address in front": (
        get("/", Host="127.0.0.1.evil.example"), 421, "expected one of localhost",
    ),
    "another host with a port": (get("/", Host="evil.example:8000"), 421, "expected one of"),
    "another address": (get("/", Host="192.168.1.5"), 421, "expected one of localhost"),
    "another host, for a picture": (get("/pictures/1", Host="evil.example"), 421, "expected one"),
    "no token": (
        lambda p: p.browser.client.post("/api/label", json={"item": 1, "label": "A", "key": "k"}),
        400, "CSRF",
    ),
    "a wrong token": (
        lambda p: p.browser.send("/api/undo", {"X-CSRFToken": "x"}, json={"key": "k"}), 400, "CSRF",
    ),
    "another's token": (
        lambda p: p.browser.send("/api/undo", {"X-CSRFToken": p.other.token}, json={"key": "k"}),
        400, "CSRF",
    ),
    "no token in a form": (
        lambda p: p.browser.client.post("/one/1", data={"label": "A"}), 400, "CSRF",
    ),
    "no token with an upload": (
        lambda p: p.browser.client.post("/api/pictures", data={"files": (io.BytesIO(png()), "a")}),
        400, "CSRF",
    ),
    "no name": (
        lambda p: Browser(p.browser.client.application.test_client()).client.get("/one/1"), 302, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_request_is_told_why_and_changes_nothing(untouched, case):
    request, status, text = REFUSED[case]
    untouched.browser.client.application.config["MAX_CONTENT_LENGTH"] = 2_000_000
    before = untouched.state()
    answer = request(untouched)
    assert answer.status_code == status
    assert text in (answer.json["error"] if answer.is_json else answer.text)
    assert untouched.state() == before
    assert "Traceback" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_there_are_more_than_enough_bad_cases():
    assert len(BAD) + len(REFUSED) > 60


def test_a_request_without_a_name_is_told_so(project):
    nobody = Browser(project.browser.client.application.test_client())
    nobody.token = nobody.csrf("/who")
    answer = nobody.ask("next")
    assert answer.status_code == 401 and "/who" in answer.json["error"]


def test_one_bad_file_does_not_keep_the_others_away(project):
    files = [(png(1), "1.png"), (b"%PDF", "2.png"), (png(3), "3.png"), (png(1), "again.png")]
    first, bad, third, again = project.browser.upload(*files).json["pictures"]
    assert first["id"] == again["id"] != third["id"] and again["known"] and not first["known"]
    assert "PDF" in bad["error"]
    assert project.store.reader.progress().total == 6


def test_a_fault_in_the_tool_tells_no_more_than_that(project, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("a secret")

    monkeypatch.setattr(project.store.queue, "undo", fail)
    answer = project.browser.ask("undo", key="k")
    assert answer.status_code == 500 and "secret" not in answer.text and answer.json["error"]
    assert "a secret" in caplog.text


def test_a_full_disk_is_no_fault_of_the_request(project):
    """What may work later has a status that the pages keep and send again at."""
    connection, before = project.store.database.connection, project.store.reader.progress()
    (pages_now,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages_now}")
    answers = [project.browser.ask("add_class", name=f"{k}-{'x' * 290}") for k in range(100)]
    assert answers[-1].status_code == 503 and "disk is full" in answers[-1].json["error"]
    assert {a.status_code for a in answers} <= {200, 503}
    connection.execute("PRAGMA max_page_count = 1000000")
    assert project.store.reader.progress().human == before.human
    assert project.browser.ask("add_class", name="again").status_code == 200


# --- good requests --------------------------------------------------------------------------------


def test_a_request_sent_twice_is_done_once(project):
    request = {"item": project.items[0], "label": "B", "key": "k1"}
    first = project.browser.ask("label", **request)
    after = project.state()
    assert project.browser.ask("label", **request).json == first.json
    assert project.state() == after
    undone = project.browser.ask("undo", key="k2")
    assert project.browser.ask("undo", key="k2").json == undone.json
    assert project.store.reader.item(project.items[0]).label is None
    assert project.store.reader.item(project.items[2]).label == "C"


def test_a_label_puts_the_picture_into_its_class_folder_and_undo_takes_it_out(project):
    folder = project.store.files.classes / "B"
    project.browser.ask("label", item=project.items[1], label="B", key="k")
    (file,) = folder.iterdir()
    assert file.read_bytes() == project.store.pictures.path(project.items[1]).read_bytes()
    project.browser.ask("undo", key="u")
    assert list(folder.glob("*")) == []


def test_two_people_never_get_the_same_picture(tmp_path):
    store, ada = make(tmp_path / "p")
    with store:
        items = fill(store, 30)
        bob = Browser(ada.client.application.test_client()).sign_in("Bob")
        ada.sign_in("Ada")
        mine = {i["id"] for i in ada.ask("next", n=10).json["items"]}
        his = {i["id"] for i in bob.ask("next", n=10).json["items"]}
        assert len(mine) == len(his) == 10 and not mine & his and mine | his < set(items)


def test_a_filter_can_be_by_any_number(project):
    scores(project.store, 0.5)
    n = [
        len(project.browser.ask("page", where=where).json["items"])
        for where in ({"low": 10**400}, {"high": 10**400}, {"low": -(10**400)}, {"low": 0.5})
    ]
    assert n == [0, 4, 4, 4]


def test_a_picture_is_sent_as_one_and_kept_by_the_browser(project):
    item = project.browser.ask("next").json["items"][0]
    answer = project.browser.client.get(f"/pictures/{item['id']}?v={item['version']}")
    assert answer.data == project.store.pictures.path(item["id"]).read_bytes()
    assert answer.content_type == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in answer.headers["Cache-Control"]
    again = {"If-None-Match": answer.headers["ETag"]}
    path = f"/pictures/{item['id']}"
    assert project.browser.client.get(path, headers=again).status_code == 304
    assert "immutable" not in project.browser.client.get(path).headers["Cache-Control"]


def test_a_large_picture_is_small_in_the_grid(project):
    big = encoded(letter(9, (900, 300)))
    (taken,) = project.browser.upload((big, "big.png")).json["pictures"]
    small = project.browser.client.get(f"/pictures/{taken['id']}?small=1")
    assert small.data[:8] == b"\x89PNG\r\n\x1a\n" and len(small.data) < len(big) / 4


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<img src=x onerror=alert(1)>.png", "&lt;img src=x onerror=alert(1)&gt;.png"),
        ("'><script>alert(1)</script>.png", "script&gt;.png"),
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("nul\0byte.png", "nul\ufffdbyte.png"),
        ("abc\u202egnp.exe", "abc\ufffdgnp.exe"),
        ("x" * 300 + ".png", "x" * 30),
        ("{{ 7 * 7 }}.png", "{{ 7 * 7 }}.png"),
        ("=cmd|'calc'!A0.png", "=cmd|"),
    ],
)
def test_a_name_is_text_and_never_a_path_or_a_page(project, name, shown):
    outside = set(project.store.folder.parent.rglob("*"))
    (taken,) = project.browser.upload((png(50), name)).json["pictures"]
    page = project.browser.client.get(f"/one/{taken['id']}").text
    assert shown in page and "<script>alert" not in page and "<img src=x" not in page
    project.browser.ask("label", item=taken["id"], label="A", key="k")
    (file,) = (project.store.files.classes / "A").iterdir()
    assert file.parent.parent == project.store.files.classes and len(file.name) < 256
    new = {p for p in project.store.folder.parent.rglob("*")} - outside
    assert all(project.store.folder / "labelling" in p.parents for p in new)


def test_nothing_gives_away_the_prediction_of_a_picture_in_an_attempt_to_finish(tmp_path):
    store, browser = make(tmp_path / "p")
    with store:
        (item, *others) = fill(store, 3)
        scores(store, 0.875)
        open_plan(store, [item, *others])
        browser.sign_in()
        answers = [
            browser.ask("next", n=3).text,
            browser.ask("page").text,
            browser.ask("history", item=item).text,
            browser.client.get(f"/one/{item}").text,
        ]
        assert not any("0.875" in a or "87.5" in a for a in answers)
        assert "stays hidden" in answers[-1]
        browser.ask("label", item=item, label="C", key="k")
        assert browser.ask("history", item=item).json["item"]["confidence"] == 0.875
        assert "87.50%" in browser.client.get(f"/one/{item}").text


# --- the report's flow ----------------------------------------------------------------------------


def choose(browser: Browser, data: bytes, name: str = "mine.png") -> str:
    """Choose a file as on the report's page; return the page that follows."""
    answer = browser.upload((data, name), path="/one", field="file")
    assert answer.status_code == 302
    return browser.client.get(urljoin("/one", answer.location)).text


@pytest.fixture
def sure(tmp_path, request):
    """Return a project whose model is as sure as the test's parameter says."""
    store, browser = make(tmp_path / "p")
    with store:
        fill(store, 3)
        data = store.pictures.path(store.reader.page().items[0].id).read_bytes()
        scores(store, request.param)
        yield store, browser.sign_in(), data


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("sure", [0.9998], indirect=True)
def test_where_the_model_is_sure_the_file_goes_to_its_folder(sure):
    store, browser, data = sure
    page = choose(browser, data)
    assert "Prediction is: C with confidence: 99.98%" in text(page)
    assert "is in the folder C" in text(page) and "Label More" in page
    (file,) = (store.files.classes / "C").iterdir()
    assert file.read_bytes() == data
    choose(browser, data)  # once more is no second label
    assert store.reader.progress().auto == 1 and store.reader.progress().human == 0


@pytest.mark.parametrize("sure", [0.9998], indirect=True)
def test_what_the_model_files_is_no_persons_label(sure):
    store, browser, _ = sure
    (model, data) = store.models.present(), png(31)
    (taken,) = browser.upload((data, "new.png"), path="/one", field="file").location.split("/")[-1:]
    item = int(taken)
    store.models.set_scores(model, np.array([item]), np.array([2]), np.array([0.75]))
    browser.send(f"/one/{item}")  # the model is asked again, and sure enough
    page = text(browser.client.get(f"/one/{item}").text)
    assert "is in the folder C" in page and "The model put it there, as it is at least 60%" in page
    assert (store.reader.item(item).source, store.reader.item(item).label_source) == (
        "single",
        "auto",
    )
    (event,) = [e for e in store.reader.events(item) if e.kind == "auto"]
    assert (event.model, event.threshold, event.confidence) == (model.sha256, 0.6, 0.75)
    assert event.person is None and not event.hidden
    progress, snapshot = store.reader.progress(), store.reader.snapshot()
    assert (progress.human, progress.auto, progress.judged) == (0, 1, 0)
    assert set(snapshot["label"]) == {-1}, "nothing to train on"

    browser.send(f"/one/{item}", data={"revoke": "1"})
    page = text(browser.client.get(f"/one/{item}").text)
    assert "It is in no folder; say what it is" in page
    assert list((store.files.classes / "C").glob("*")) == []
    choose(browser, data, "new.png")
    assert store.reader.item(item).label is None, "this model's label was taken back"
    browser.send(f"/one/{item}", data={"label": "B"})
    assert (store.reader.item(item).label, store.reader.item(item).label_source) == ("B", "human")


@pytest.mark.parametrize("sure", [0.9998], indirect=True)
def test_a_person_confirms_what_the_model_filed(sure):
    store, browser, data = sure
    assert "Yes, it is C" in choose(browser, data)
    item = store.reader.page().items[0].id
    browser.send(f"/one/{item}", data={"label": "C"})
    page = browser.client.get(f"/one/{item}").text
    assert store.reader.item(item).label_source == "human" and "The model put it there" not in page


@pytest.mark.parametrize("sure", [0.9998], indirect=True)
def test_every_automatic_label_can_be_taken_back_at_once(sure):
    store, browser, data = sure
    choose(browser, data)
    assert browser.ask("revoke").json == {"revoked": 1}
    assert store.reader.progress().auto == 0


@pytest.mark.parametrize("sure", [0.9998], indirect=True)
def test_the_model_files_no_picture_that_is_not_this_persons_to_label(sure):
    store, browser, data = sure
    held = next(
        i.id for i in store.reader.page().items if store.pictures.path(i.id).read_bytes() == data
    )
    store.queue.claim("Bob", held)
    assert not store.models.auto_label_single("Ada", held, 0.6)
    assert browser.upload((data, "a.png"), path="/one", field="file").status_code == 409
    assert store.reader.item(held).label is None
    store.queue.release("Bob")
    open_plan(store, [held])
    choose(browser, data)
    assert (
        not store.models.auto_label_single("Ada", held, 0.6) and store.reader.progress().auto == 0
    )
    with pytest.raises(LabellingError, match="none with this number"):
        store.models.auto_label_single("Ada", 99, 0.6)


@pytest.mark.parametrize("sure", [0.41], indirect=True)
def test_where_the_model_is_unsure_a_person_types_the_label(sure):
    store, browser, data = sure
    page = choose(browser, data)
    assert "Prediction is: C with confidence: 41.00%" in text(page)
    assert 'id="label"' in page and store.reader.progress().human == 0
    item = store.pictures.known(store.reader.page().items[0].sha256)
    answer = browser.send(f"/one/{item}", data={"label": "B"})
    page = browser.client.get(urljoin(f"/one/{item}", answer.location)).text
    assert "is in the folder B" in text(page)
    assert len(list((store.files.classes / "B").iterdir())) == 1


@pytest.mark.parametrize("sure", [0.41], indirect=True)
def test_a_class_can_be_added_on_the_way(sure):
    store, browser, data = sure
    choose(browser, data)
    item = store.reader.page().items[0].id
    page = browser.send(f"/one/{item}", data={"label": "Ä/Ö"})
    assert page.status_code == 400 and "Add the class “Ä/Ö”" in page.text
    browser.send(f"/one/{item}", data={"label": "Ä/Ö", "add": "1"})
    assert store.reader.item(item).label == "Ä/Ö"
    assert len(list(store.files.classes.glob("Ä_Ö*/*.png"))) == 1


def test_without_a_model_the_box_is_there_at_once(project):
    page = choose(project.browser, png(77))
    assert "No model has said" in page and 'id="label"' in page


def test_a_model_that_does_not_answer_is_waited_for_only_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "WAIT_S", 0.0)
    with Store.open(tmp_path / "p", CLASSES, seed=0) as store:
        fill(store, 3)
        scores(store, 0.9)
        loop = LabellingLoop(store, Learning(TinyFeatures(), beside=False))  # not started
        browser = Browser(
            create_app(store, loop, access=access("127.0.0.1", bytes(32))).test_client()
        )
        page = choose(browser.sign_in(), png(8))
        assert "is reading the picture" in page
        path = f"/one/{max(store.reader.snapshot()['id'])}"
        for _ in range(pages.MOST_TRIES):
            assert 'id="again"' in browser.client.get(path).text
            path = urljoin(path, browser.send(path).location)
        page = browser.client.get(path).text
        assert 'id="again"' not in page and 'id="label"' in page


def test_the_loop_answers_for_a_picture_that_has_just_come(tmp_path):
    store = Store.open(tmp_path / "p", CLASSES, seed=0)
    with store:
        loop = LabellingLoop(
            store, Learning(TinyFeatures(), retrain_after=1, pause_s=0, beside=False)
        )
        app = create_app(store, loop, access=access("127.0.0.1", bytes(32)))
        browser = Browser(app.test_client()).sign_in()
        for i in fill(store, 12):
            label = store.reader.item(i).name[0]
            browser.ask("label", item=i, label=label, key=f"k{i}")
        loop.work()
        assert store.models.present() is not None
        loop.start()
        try:
            picture = encoded(letter(5, (24, 24)))
            page = choose(browser, picture)
        finally:
            loop.stop()
        assert "Prediction is:" in page or "is reading the picture" in page
        status = browser.client.get("/api/status").json
        assert status["model"]["n_trained"] == 12
        assert any(", from 12 labels" in line["text"] for line in status["model_text"])


def no_numbers(shown):
    return np.full((len(shown), 4), np.nan, np.float32)


@pytest.mark.parametrize("fault", ["model missing", "model damaged", "features that are NaN"])
def test_people_label_on_where_the_model_has_a_fault_and_are_told(tmp_path, fault):
    extractor, model = TinyFeatures(), tmp_path / "model"
    if fault == "model damaged":
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "model_card.json").write_text('{"format": 1}')
    if fault == "features that are NaN":
        model = None
        extractor = type("NoNumbers", (TinyFeatures,), {"__call__": lambda _, p: no_numbers(p)})()
    with Store.open(tmp_path / "p", CLASSES, seed=0) as store:
        items = fill(store, 4)
        loop = LabellingLoop(store, Learning(extractor, beside=False), model)
        app = create_app(store, loop, access=access("127.0.0.1", bytes(32)))
        browser = Browser(app.test_client()).sign_in()
        loop.start()
        try:

            def is_told():
                first = browser.client.get("/api/status").json["model_text"][0]
                return first["kind"] == "bad" and first["text"]

            until(is_told)
            answer = browser.ask("label", item=items[0], label="A", key="k")
            assert answer.status_code == 200 and len(browser.ask("next", n=3).json["items"]) == 3
        finally:
            loop.stop()


# --- who may come in ------------------------------------------------------------------------------


def test_every_answer_carries_the_security_headers(project):
    for path in ("/", "/review", "/one", "/add", "/export", "/who", "/static/queue.js", "/health",
                 "/api/status", "/nowhere", f"/pictures/{project.items[0]}"):  # fmt: skip
        headers = project.browser.client.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"


def test_pages_hold_no_script_and_no_address_of_elsewhere(project):
    for path in ("/", "/review", "/one", f"/one/{project.items[2]}", "/add", "/export", "/who"):
        page = project.browser.client.get(path).text
        assert not re.search(r"<script(?![^>]* src=\"\.{1,2}/static/)", page)
        assert not re.search(r"\son\w+=|style=|javascript:", page)
        assert not re.search(r"(?:src|href|action)=\"(?:\w+:|/)", page)


def test_the_cookie_is_for_this_tool_alone(project):
    fresh = project.browser.client.application.test_client()
    cookie = fresh.get("/who").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie


def test_projects_at_one_address_sign_nobody_out_of_each_other(tmp_path):
    """A browser sends the cookies of all ports of a machine."""
    (one, ada), (two, other) = make(tmp_path / "one"), make(tmp_path / "two")
    with one, two:
        first, second = fill(one, 1) + fill(two, 1)
        ada.sign_in()
        mine = {c.key: c.value for c in ada.client._cookies.values()}
        assert len(mine) == 1 and next(iter(mine)).startswith(security.COOKIE)
        for name, value in mine.items():
            other.client.set_cookie(name, value)
        other.sign_in("Bob")
        for cookie in other.client._cookies.values():
            ada.client.set_cookie(cookie.key, cookie.value)
        assert ada.ask("label", item=first, label="A", key="k").status_code == 200
        assert other.ask("label", item=second, label="A", key="k").status_code == 200
        assert (one.reader.progress().per_person, two.reader.progress().per_person) == (
            {"Ada": 1},
            {"Bob": 1},
        )


def test_the_right_project_is_named_by_its_pages(project):
    page = project.browser.client.get("/").text
    name = re.search(r'<meta name="project" content="([0-9a-f]{32})">', page)[1]
    assert f'data-project="{name}"' in page
    headers = {security.PROJECT_HEADER: name}
    request = {"item": project.items[0], "label": "A", "key": "k"}
    assert project.browser.send("/api/label", headers, json=request).status_code == 200


def test_the_export_page_promises_only_what_holds(project):
    """Class folders hold links: an edit in place would change the project's only copy."""
    page = text(project.browser.client.get("/export").text)
    (file,) = (project.store.files.classes / "C").iterdir()
    assert file.samefile(project.store.pictures.path(project.items[2]))
    assert "Copy a picture before you edit it" in page and "all pictures have one size" in page


def test_a_link_after_the_name_leads_nowhere_else(project):
    for target in (
        "//evil.example", "https://evil.example", "/\\evil.example", "evil.example", "",
        "/\t/evil.example", "/\n", "/\r/evil.example", "/one\\..\\\\evil.example", "/\0",
    ):  # fmt: skip
        fresh = Browser(project.browser.client.application.test_client())
        fields = {"name": "Eve", "next": target, "csrf_token": fresh.csrf("/who")}
        assert fresh.client.post("/who", data=fields).location == "./"
    fields |= {"next": "/one/1?tries=2", "csrf_token": fresh.csrf("/who")}
    assert fresh.client.post("/who", data=fields).location == "./one/1?tries=2"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("127.0.0.1:1", 200), ("[::1]:8000", 200),
        ("localhost.", 200), ("proxy.example", 200), ("evil.example", 421), ("", 421),
        ("localhost@evil.example", 421), ("127.1", 421), ("[::1", 421), ("0.0.0.0", 421),
    ],
)  # fmt: skip
def test_only_our_own_names_are_answered_to(tmp_path, host, status):
    who = access("127.0.0.1", bytes(32), ("Proxy.example",))
    store, browser = make(tmp_path / "p", who=who)
    with store:
        answer = browser.client.get("/health", headers={"Host": host})
        assert answer.status_code in ((status,) if status == 200 else (400, 421))


def test_bound_wider_a_browser_must_show_the_token_once(tmp_path):
    who = access("0.0.0.0", bytes(32))
    assert who.token is not None and len(who.token) >= 40
    store, browser = make(tmp_path / "p", who=who)
    with store:
        at = {"headers": {"Host": "192.168.1.5:8000"}}
        for path in ("/", "/who", "/api/status", "/?token=", "/?token=wrong", "/?token=é"):
            assert browser.client.get(path, **at).status_code == 401
        assert browser.client.get("/health", **at).status_code == 200
        evil = {"headers": {"Host": "evil.example"}}
        assert browser.client.get(f"/?token={who.token}", **evil).status_code == 421
        welcome = browser.client.get(f"/one?a=1&token={who.token}", **at)
        assert welcome.status_code == 302 and welcome.location == "./one?a=1"
        assert browser.client.get("/who", **at).status_code == 200
        assert access("0.0.0.0", bytes(32)).token != who.token


def test_an_older_token_lets_nobody_in(tmp_path):
    first, second = access("0.0.0.0", bytes(32)), access("0.0.0.0", bytes(32))
    store, browser = make(tmp_path / "p", who=first)
    with store:
        browser.client.get(f"/?token={first.token}")
        cookie = browser.client.get_cookie(f"{security.COOKIE}_{store.project_id[:12]}")
        again = create_app(store, access=second).test_client()
        again.set_cookie(cookie.key, cookie.value)
        assert again.get("/who").status_code == 401


def test_loopback_needs_no_token_and_an_unknown_host_is_an_error():
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert access(host, bytes(32)).token is None
    with pytest.raises(ParameterError, match="--host=no such host"):
        access("no such host", bytes(32))


def test_the_secret_is_random_for_each_project_private_and_kept(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, other = project_secret(tmp_path / "a"), project_secret(tmp_path / "b")
    assert len(first) == 32 and first != other
    assert project_secret(tmp_path / "a") == first
    assert stat.S_IMODE((tmp_path / "a" / "secret").stat().st_mode) == 0o600
    (tmp_path / "a" / "secret").write_bytes(b"cut")
    assert len(project_secret(tmp_path / "a")) == 32
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["secret"]


# --- the watched folder ---------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch):
    """Take every file for one that was changed just now, however long ago that was."""
    monkeypatch.setattr(watch, "SETTLED_S", 1e6)


@pytest.mark.usefixtures("fresh")
def test_pictures_in_the_folder_are_taken_in_and_bad_ones_told_once(tmp_path):
    folder = tmp_path / "p"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("1.png", "sub/2.png", ".3.png", ".hidden/4.png"):
        (folder / name).write_bytes(png(ord(name[-5])))
    (folder / "notes.txt").write_text("not a picture")
    (folder / "nowhere.png").symlink_to("nothing")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    store, browser = make(folder)
    with store:
        watcher = Watcher(store, decoders=DECODERS)
        watcher.look()
        assert watcher.status()["to_read"] == 3
        assert watcher.look() == 3  # files must have settled, then each is read once
        assert watcher.status()["to_read"] == 0
        assert watcher.look() == 0
        status = watcher.status()
        assert (status["taken"], status["n_problems"]) == (2, 1)
        assert status["problems"] == [
            "notes.txt is not a picture: expected a PNG, JPEG, WebP, BMP, GIF or TIFF picture; "
            "choose another file."
        ]
        assert store.reader.progress().total == 2
        (folder / "notes.txt").write_bytes(png(99))
        watcher.look()
        watcher.look()
        assert store.reader.progress().total == 3 and watcher.status()["n_problems"] == 0
        assert Watcher(store, decoders=DECODERS).look() == 0  # remembered
        assert all(p.read_bytes() == data for p, data in before.items() if p.suffix != ".txt")
        assert browser.sign_in().client.get("/add").status_code == 200


@pytest.mark.usefixtures("fresh")
def test_a_file_that_is_still_written_is_not_taken(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    data = png(1, (200, 200))
    store, _ = make(folder)
    with store:
        watcher = Watcher(store, decoders=DECODERS)
        for end in (1000, 2000, len(data)):
            (folder / "slow.png").write_bytes(data[:end])
            assert watcher.look() == 0
        assert watcher.look() == 1
        assert watcher.status()["n_problems"] == 0 and store.reader.progress().total == 1


def test_one_strange_file_does_not_end_the_watching(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    for name in "acd":
        (folder / f"{name}.png").write_bytes(png(ord(name)))
    (folder / "b.webp").write_bytes(heavy(7000))
    store, browser = make(folder, decoders=Decoders(1, Limits(cpu_s=0.5)))
    with store:
        watcher = Watcher(
            store, decoders=browser.client.application.extensions["labelling"].decoders
        )
        watcher.look()
        watcher.look()
        status = watcher.status()
        assert (status["taken"], status["problems"]) == (
            3, ["b.webp would take too much time or memory to read; open it and save it again as "
                "PNG."],
        )  # fmt: skip
        taken = (
            browser.sign_in().upload((heavy(7000), "e.webp"), (png(2), "f.png")).json["pictures"]
        )
        assert "too much time" in taken[0]["error"] and taken[1]["id"]


def test_a_fault_while_watching_is_told_and_tried_again(tmp_path, monkeypatch):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    store, browser = make(folder, more={"folder": lambda: watcher.status()})
    with store:
        watcher = Watcher(store, every_s=0.05, decoders=DECODERS)
        faults = iter([ZeroDivisionError("once")])
        look = watcher.look

        def fail():
            for fault in faults:
                raise fault
            return look()

        monkeypatch.setattr(watcher, "look", fail)
        told = []
        wait = watcher._stop.wait
        monkeypatch.setattr(
            watcher._stop, "wait", lambda s: told.append(watcher.status()["error"]) or wait(s)
        )
        watcher.start()
        until(lambda: store.reader.progress().total)
        watcher.stop()
        assert told[0] == "a fault in the tool (ZeroDivisionError: once)"
        assert store.reader.progress().total == 1 and told[-1] == ""
        watcher._error = told[0]
        assert "cannot go on now: a fault in the tool" in browser.sign_in().client.get("/add").text


# --- the command ----------------------------------------------------------------------------------


def command(*arguments: str, **options) -> subprocess.Popen:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-m", "alutils", "label", "--no-model", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_interrupted(tmp_path, number):
    (tmp_path / "1.png").write_bytes(png())
    process = command(str(tmp_path), "--classes", "cat, dog")
    try:
        url = next(m[0] for line in process.stdout if (m := re.search(r"http://\S+", line)))
        assert url.startswith("http://127.0.0.1:") and "token" not in url

        def status():
            with urllib.request.urlopen(f"{url}api/status") as answer:
                return json.load(answer)

        until(lambda: status()["progress"]["total"])
        assert status()["progress"]["total"] == 1
        assert [c["name"] for c in status()["classes"]] == ["cat", "dog"]
    finally:
        process.send_signal(number)
        rest, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "every label is on the disk" in rest
    assert "Traceback" not in errors
    with Store.open(tmp_path) as store:  # it has been given free
        assert store.reader.progress().total == 1


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", [True, False])
def test_the_command_ends_with_what_is_true_of_the_labels(tmp_path, comes_back):
    folder, away = tmp_path / "pictures", tmp_path / "away"
    folder.mkdir()
    (folder / "1.png").write_bytes(png())
    process = command(str(folder), "--classes", "cat, dog")
    try:
        url = next(m[0] for line in process.stdout if (m := re.search(r"http://\S+", line)))
        folder.rename(away)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{url}api/status")
        if comes_back:
            away.rename(folder)
            urllib.request.urlopen(f"{url}api/status").close()
    finally:
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    assert ("every label is on the disk" in rest) == comes_back
    assert process.returncode == (0 if comes_back else 2)
    assert ("not every answer is in its place" in errors) != comes_back
    assert folder.exists() == comes_back


def test_names_of_classes_come_from_the_line_or_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("Ä\n\n b c \n")
    assert serve.read_classes("A, B,,C") == ["A", "B", "C"]
    assert serve.read_classes(str(tmp_path / "names.txt")) == ["Ä", "b c"]
    assert serve.read_classes(None) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"threshold": 60}, "--threshold=60: expected 0 to 1"),
        ({"threshold": float("nan")}, "--threshold=nan: expected 0 to 1"),
        ({"port": 70000}, "--port=70000: expected 0"),
        ({"twice": 5}, "--twice=5: expected a share from 0 to 1"),
        ({"guidelines": "missing.md"}, "--guidelines=.*missing.md: no such file"),
        ({"host": "no such host"}, "--host=no such host: no such address"),
        ({"folder": "missing"}, "FOLDER=.*missing: no such folder"),
        ({"classes": " , "}, "--classes= , : expected names"),
        ({"classes": "missing.txt"}, "--classes=missing.txt: no such file"),
        ({"model": "missing"}, "holds no saved model"),
    ],
)
def test_options_that_cannot_be_are_told_before_anything_is_written(tmp_path, options, error):
    for name in ("folder", "model", "guidelines"):
        if name in options:
            options = options | {name: tmp_path / options[name]}
    folder = tmp_path / "p"
    folder.mkdir()
    with (
        pytest.raises(ValueError, match=error),
        serve.serving(serve.Options(**({"folder": folder, "port": 0, "learn": False} | options))),
    ):
        pytest.fail("it listens")
    assert not list(folder.rglob("*.sqlite"))


def test_a_port_in_use_and_a_project_in_use_are_told(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = serve.Options(folder=tmp_path / "a", port=0, learn=False)
    with serve.serving(first) as (url, _):
        port = int(url.rsplit(":", 1)[1].strip("/"))
        second = serve.Options(folder=tmp_path / "b", port=port, learn=False)
        with pytest.raises(ParameterError, match="cannot be listened on"), serve.serving(second):
            pytest.fail("it listens")
        with pytest.raises(LabellingError, match="another process"), serve.serving(first):
            pytest.fail("it listens")
    with serve.serving(first) as (url, _):  # both are free again
        assert url.startswith("http://127.0.0.1:")


def test_pictures_of_a_project_opened_by_a_relative_folder_are_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open("pictures", CLASSES, seed=0) as store:
        fill(store, 2)
        app = create_app(store, access=access("127.0.0.1", bytes(32)))
        browser = Browser(app.test_client()).sign_in()
        for item in store.reader.page().items:
            answer = browser.client.get(f"/pictures/{item.id}")
            assert answer.status_code == 200
            assert answer.data == store.pictures.path(item.id).read_bytes()
