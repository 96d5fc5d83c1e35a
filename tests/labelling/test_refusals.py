"""What the disk does to a request has its own status and sentence each; none is a fault."""

import errno
import io
import os
import sqlite3

import pytest
from label_helpers import DECODERS, fill, png

from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access

FAULT = b"the tool has a fault"


@pytest.fixture
def site(tmp_path):
    """Return a project of three pictures, the first labelled A, and a client that has a name."""
    with Store.open(tmp_path / "p", ["A", "B"], seed=0) as store:
        items = fill(store, 3)
        app = create_app(store, access=access("127.0.0.1", b"x" * 32), decoders=DECODERS)
        app.config["WTF_CSRF_ENABLED"] = False
        client = app.test_client()
        with client.session_transaction() as session:
            session["person"] = "ann"
        sent = {"item": items[0], "label": "A", "key": "1"}
        assert client.post("/api/label", json=sent).status_code == 200
        yield store, client, items


def bring(client, path="/api/pictures", field="files", seed=900):
    return client.post(path, data={field: (io.BytesIO(png(seed)), "new.png")})


def broken(code: int):
    def fail(name: str) -> None:
        if name == "picture opened":
            raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize(("path", "field"), [("/api/pictures", "files"), ("/one", "file")])
def test_a_full_disk_is_said_and_nothing_is_written(site, code, path, field):
    store, client, _ = site
    store.files.step = broken(code)
    answer = bring(client, path, field)
    assert answer.status_code == 507
    assert "the disk is full; nothing was written" in answer.text and FAULT not in answer.data
    assert store.reader.progress().total == 3 and not list(store.files.partials())
    store.files.step = lambda name: None
    assert bring(client, path, field).status_code in (200, 302)  # once there is room again


@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_said(site, code):
    store, client, _ = site
    store.files.step = broken(code)
    answer = bring(client)
    assert answer.status_code == 503 and "cannot be used now" in answer.json["error"]
    assert os.strerror(code) in answer.json["error"]


def test_a_disk_that_is_full_while_an_export_is_made_is_said(site, monkeypatch):
    _, client, _ = site

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    for kind in ("csv", "npz", "folders", "backup"):
        assert client.get(f"/export/{kind}").status_code == 507


def test_a_folder_that_was_renamed_away_is_said_on_every_route(site):
    store, client, items = site
    elsewhere = store.folder.with_name("elsewhere")
    store.folder.rename(elsewhere)
    try:
        answers = [
            bring(client), bring(client, "/one", "file"), client.get(f"/pictures/{items[0]}"),
            client.get(f"/pictures/{items[0]}?small=1"), client.get("/export/npz"),
            client.get("/export/folders"), client.get("/export/backup"), client.get("/progress"),
            client.get("/review"), client.get("/api/status"), client.get("/"),
            client.post("/api/next", json={}),
            client.post("/api/label", json={"item": items[1], "label": "A", "key": "2"}),
        ]  # fmt: skip
    finally:
        assert not store.folder.exists()  # nothing was begun where it was
        elsewhere.rename(store.folder)
    for answer in answers:
        assert answer.status_code < 500 or answer.status_code == 503
        assert FAULT not in answer.data
    for write in (answers[0], answers[1], answers[-2], answers[-1]):
        assert write.status_code == 503  # never taken into a file that nobody can find


def test_a_database_that_fails_is_said_and_programs_hear_it_in_json(site, monkeypatch):
    store, client, _ = site

    def fail(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store.reader, "count", fail)
    answer = client.post("/api/page", json={})
    assert answer.status_code == 503 and "disk I/O error" in answer.json["error"]
    assert client.get("/review").status_code == 503


@pytest.mark.parametrize("content", [None, b"", b"no picture", png(1, (400, 400))[:2000]])
def test_a_picture_whose_file_is_lost_or_broken_is_said(site, content):
    store, client, items = site
    for item in items:
        path = store.files.picture(store.reader.item(item).sha256)
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    item = store.pictures.add(png(2, (400, 400)), "a" * 64, "large.png", 400, 400)
    path = store.files.picture("a" * 64)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    answer = client.get(f"/pictures/{item}?small=1")
    assert answer.status_code == 404 and "bring the picture again" in answer.text
    for kind in ("npz", "folders", "coco", "hf", "csv", "backup"):
        answer = client.get(f"/export/{kind}")
        assert answer.status_code in (200, 400) and FAULT not in answer.data
        if kind == "npz":
            assert answer.status_code == 400 and "bring" in answer.text


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("page", {"where": {"source": ["human"]}}), ("next", {"where": {"source": {}}}),
        ("page", {"where": {"label": ["A"]}}), ("page", {"where": {"name": 7}}),
        ("release", {"items": [[1]]}), ("release", {"items": [{"a": 1}]}),
        ("revoke", {"items": [[1]]}), ("relabel", {"items": [[1]], "label": "A", "key": "2"}),
        ("label", {"item": [1], "label": "A", "key": "2"}), ("history", {"item": {}}),
    ],
)  # fmt: skip
def test_values_of_a_wrong_kind_are_named(site, action, asked):
    answer = site[1].post(f"/api/{action}", json=asked)
    assert answer.status_code in (400, 404) and "expected" in answer.json["error"]
