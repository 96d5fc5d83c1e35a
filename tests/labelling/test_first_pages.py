"""The pages of the first steps, Finish and Progress, without a browser."""

import re
from urllib.parse import urljoin

import pytest
from label_helpers import fill

from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access


class Visitor:
    """Somebody with a name, and the token of a page."""

    def __init__(self, store, **options):
        app = create_app(store, access=access("127.0.0.1", bytes(32)), **options)
        self.client = app.test_client()

    def token(self, path="/who"):
        return re.search(r'name="csrf-token" content="([^"]+)"', self.client.get(path).text)[1]

    def post(self, path, **form):
        return self.client.post(path, data=form | {"csrf_token": self.token()})

    def named(self, following="/"):
        answer = self.post("/who", name="Ada", next=following)
        return urljoin("/who", answer.headers["Location"])


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", seed=0, twice=0) as opened:
        fill(opened, 6)
        yield opened


def test_who_comes_to_a_new_project_is_shown_the_first_steps_and_nobody_else(store):
    assert Visitor(store, first_steps=True).named() == "/begin"
    assert Visitor(store, first_steps=True).named("/review") == "/review"
    assert Visitor(store).named() == "/"
    store.classes.add(["A"])
    assert Visitor(store, first_steps=True).named() == "/begin", "there is no label yet"
    store.queue.relabel("Ada", [1], "A")
    assert Visitor(store, first_steps=True).named() == "/"


def test_classes_are_added_by_lines_and_commas_all_or_none(store):
    visitor = Visitor(store)
    visitor.named()
    assert visitor.post("/begin", classes="cat, dog\r\n\r\nowl").status_code == 302
    assert [c.name for c in store.classes.all()] == ["cat", "dog", "owl"]
    page = visitor.client.get("/begin").text
    assert "one of <strong>3</strong> classes" in page and "<kbd>o</kbd> owl" in page
    for typed in (" , \n", "fox," + "x" * 400):
        answer = visitor.post("/begin", classes=typed)
        assert answer.status_code == 400 and 'role="alert"' in answer.text
    assert len(store.classes.all()) == 3
    answer = visitor.post("/begin", classes="<script>alert(1)</script>")
    assert answer.status_code == 302 and "<script>alert" not in visitor.client.get("/begin").text


@pytest.mark.parametrize("path", ["/begin", "/finish", "/progress", "/finish/certificate.json"])
def test_the_pages_ask_for_a_name_first(store, path):
    answer = Visitor(store).client.get(path)
    assert answer.status_code == 302 and urljoin(path, answer.location).startswith("/who?")


@pytest.mark.parametrize("kind", ["html", "json", "exe"])
def test_without_a_certificate_there_is_no_file(store, kind):
    visitor = Visitor(store)
    visitor.named()
    assert visitor.client.get(f"/finish/certificate.{kind}").status_code == 404


def test_progress_of_a_project_without_a_model_is_shown(store):
    store.classes.add(["A", "B"])
    visitor = Visitor(store)
    visitor.named()
    assert "Nobody has answered anything yet." in visitor.client.get("/progress").text
    store.queue.relabel("<b>Bob", [1, 2], "B")
    page = visitor.client.get("/progress").text
    assert "&lt;b&gt;Bob" in page and "<b>Bob" not in page
    assert "4 pictures wait for a label." in page
