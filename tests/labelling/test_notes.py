"""Notes on pictures, and guidelines beside them: kept, shown as text, and nothing in them runs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_helpers import bare_pictures

from alutils.labelling.model.desk import Desk
from alutils.labelling.store.guidelines import MOST_BYTES, Guidelines
from alutils.labelling.store.records import LabellingError, UnknownError
from alutils.labelling.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", ["A", "B"], twice=1, random_rate=0, seed=0) as opened:
        bare_pictures(opened, 3)
        yield opened


def test_a_note_is_kept_once_and_comes_with_the_picture(store):
    desk = Desk(store)
    (item,) = desk.answer("next", "ann", {})["items"]
    assert item["notes"] == []
    for _ in range(2):  # its answer was lost: it is sent again
        told = desk.answer("note", "ann", {"item": item["id"], "text": " cut off "})
    assert [(n["person"], n["text"]) for n in told["notes"]] == [("ann", "cut off")]
    (again,) = desk.answer("next", "ann", {})["items"]
    assert again["notes"] == told["notes"]
    with Store.open(store.folder, alone=False) as other:
        assert [n.text for n in other.notes.of()[item["id"]]] == ["cut off"]


def test_a_note_does_not_tell_the_second_person_what_the_first_saw(store):
    desk = Desk(store)
    for _ in range(3):
        (item,) = desk.answer("next", "ann", {})["items"]
        desk.answer("note", "ann", {"item": item["id"], "text": "it is an A"})
        desk.answer("label", "ann", {"item": item["id"], "label": "A", "key": str(item["id"])})
    shown = desk.answer("next", "bob", {"n": 3})["items"]
    assert len(shown) == 3 and all(item["notes"] == [] for item in shown)


@pytest.mark.parametrize(
    ("item", "text", "error"),
    [(1, "", LabellingError), (1, "x" * 1001, LabellingError), (1, 7, LabellingError),
     (1, "\ud800", LabellingError), (99, "x", UnknownError), ("1", "x", UnknownError)],
)  # fmt: skip
def test_a_bad_note_is_refused(store, item, text, error):
    with pytest.raises(error):
        Desk(store).answer("note", "ann", {"item": item, "text": text})
    assert store.notes.of() == {}


# --- guidelines -----------------------------------------------------------------------------------


def test_guidelines_are_found_in_the_project_or_where_one_says(tmp_path):
    with Store.open(tmp_path / "p", ["A"]) as store:
        desk = Desk(store)
        assert desk.answer("guidelines", "ann", {}) == {"html": "", "version": ""}
        assert desk.status()["guidelines"] == ""
        (store.files.root / "guidelines.md").write_text(
            "# What is an A\n\n| a | b |\n|-|-|\n| 1 | 2 |\n"
        )
        told = desk.answer("guidelines", "ann", {})
        assert "<h1>What is an A</h1>" in told["html"] and "<table>" in told["html"]
        assert told["version"] == desk.status()["guidelines"] != ""
        (store.files.root / "guidelines.md").write_text("other\n")
        assert desk.status()["guidelines"] != told["version"]
    path = tmp_path / "elsewhere.md"
    path.write_bytes("\ufeffÄpfel\n".encode())
    with Store.open(tmp_path / "p", guidelines=path) as store:
        assert Desk(store).answer("guidelines", "ann", {})["html"] == "<p>Äpfel</p>\n"


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("a <img src=x onerror=alert(1)>", "<img"),
        ("[x](javascript:alert(1))", "href=\"javascript"),
        ("[x](JaVaScRiPt:alert(1))", "href=\"JaVa"),
        ("[x](data:text/html,<b>)", "href=\"data"),
        ("[x](vbscript:x)", "href=\"vbscript"),
        ("![x](http://elsewhere.example/a.png)", "<img"),
        ("<http://a.example/\" onclick=\"alert(1)>", "onclick=\"alert"),
        ("<iframe src=\"https://a.example\">", "<iframe"),
    ],
)  # fmt: skip
def test_nothing_in_guidelines_can_run_or_fetch(tmp_path, text, bad):
    path = tmp_path / "g.md"
    path.write_text(text)
    assert bad not in Guidelines(path).html()


@given(st.text(max_size=200))
def test_whatever_is_written_no_tag_but_markdowns_comes_out(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("g") / "g.md"
    path.write_text(text, "utf-8", errors="replace")
    tags = "p ul ol li em strong code pre blockquote a hr br table th td"
    known = set(tags.split())
    known |= {f"h{level}" for level in range(1, 7)}
    found = set(re.findall(r"<\s*/?\s*([A-Za-z0-9]+)", Guidelines(path).html()))
    assert found <= known


def test_links_open_beside_the_queue(tmp_path):
    path = tmp_path / "g.md"
    path.write_text("[more](https://a.example/x)")
    html = Guidelines(path).html()
    assert 'target="_blank"' in html and "noopener" in html


def test_guidelines_that_are_too_long_or_a_folder_are_said(tmp_path):
    path = tmp_path / "g.md"
    path.write_text("x" * (MOST_BYTES + 1))
    with pytest.raises(LabellingError, match="expected at most"):
        Guidelines(path).html()
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(LabellingError, match="cannot be read"):
        Guidelines(tmp_path / "folder.md").html()


def test_the_grid_shows_notes_but_those_of_pictures_that_are_hidden(store):
    desk = Desk(store)
    items = [item["id"] for item in desk.answer("page", "ann", {})["items"]]
    store.notes.add("ann", items[0], "a blot")
    store.notes.add("bob", items[0], "no blot")
    found = {each["id"]: each for each in desk.answer("page", "bob", {})["items"]}
    told = [(n["person"], n["text"]) for n in found[items[0]]["notes"]]
    shown = not found[items[0]]["hidden"]
    assert told == ([("ann", "a blot"), ("bob", "no blot")] if shown else [])
    assert all(found[item]["notes"] == [] for item in items[1:])
