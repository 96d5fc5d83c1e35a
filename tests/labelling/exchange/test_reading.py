"""What files of labels say, whole and damaged."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_helpers import is_name

from alutils.base.csv_cells import as_written, harmless
from alutils.labelling.exchange.reading import BAD_LINE, read
from alutils.labelling.store.records import LabellingError

HASH = "ab" * 32
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
NAME = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=20
).filter(is_name)


def said(text, name="labels.csv"):
    """Return (line, name, label) of each line."""
    data = text if isinstance(text, bytes) else text.encode()
    return [(s.line, s.name, s.label) for s in read(data, name).said]


def task(choice="cat", image="/data/upload/3/0a1b2c3d-a%20b.png", **more):
    result = [{"type": "choices", "from_name": "c", "value": {"choices": [choice]}}]
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": result, **more}]}


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("coded", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_whatever_program_wrote_it(mark, end, coded):
    rows = ["Path", "Label"], ["a/ä.png", "größer"], ["", ""], ["b.png", '"x"']
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=mark, lineterminator=end).writerows(rows)
    assert said(text.getvalue().encode(coded)) == [(2, "a/ä.png", "größer"), (4, "b.png", '"x"')]


def test_columns_are_found_by_their_names_and_others_do_not_matter():
    text = f"id,SHA256,class,annotator,label_source\n1,{HASH.upper()}, cat ,Ada,auto\n2,{HASH},,,\n"
    contents = read(text.encode(), "x.csv")
    (one,) = contents.said
    assert (one.hashes, one.label, one.person, one.automatic) == ((HASH,), "cat", "Ada", True)
    assert contents.unlabelled == 1


def test_a_table_of_predictions_is_a_models(tmp_path):
    text = b"path,class,confidence,model,problem\na.png,cat,0.9,f00,\nb.png,,0.1,f00,\n"
    contents = read(text, "x.csv")
    assert [(s.label, s.automatic) for s in contents.said] == [("cat", True)]
    assert contents.unlabelled == 1
    by_people = read(b"name,label,confidence,person\na.png,cat,0.9,ann\n", "x.csv")
    assert not by_people.said[0].automatic


def test_a_rejected_picture_has_its_reason_and_no_label():
    (one,) = read(b"name,label,rejected\na.png,,bad picture\n", "x.csv").said
    assert (one.label, one.why) == (None, "bad picture")


def test_a_cell_may_go_over_several_lines_and_the_next_line_keeps_its_number():
    text = 'name,label\n"two\nlines.png",cat\nb.png,dog\n'
    assert said(text) == [(2, "two\nlines.png", "cat"), (4, "b.png", "dog")]


@given(st.lists(st.tuples(TEXT, NAME).filter(lambda pair: pair[0].strip()), min_size=1))
def test_whatever_a_name_or_class_is_a_table_gives_it_back(pairs):
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["name", "label"])
    writer.writerows([harmless(cell) for cell in pair] for pair in pairs)
    found = read(text.getvalue().encode(), "x.csv")
    assert not found.problems
    # Who knows the project's names tells whether an apostrophe is one of ours.
    assert [as_written(s.name) for s in found.said] == [name for name, _ in pairs]
    assert all(s.may_be_marked for s in found.said)


def test_a_hundred_thousand_lines_are_read_one_by_one():
    lines = "\n".join(f"{i}.png,c{i % 7}" for i in range(100_000))
    found = said("file,label\n" + lines)
    assert len(found) == 100_000
    assert found[-1] == (100_001, "99999.png", f"c{99_999 % 7}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"name,label\na.png,caf\xe9\n", "line 2 is not UTF-8"),
        (b"name,label\n\xff\xfe\x00.png,x", "line 2 is not UTF-8"),
        (b"\xff\xfea", "is not UTF-8"),
        ("name,label\na.png,cat\n".encode("utf-16-le"), "the first line holds a zero byte"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not UTF-8"),
        (b'name,label\na.png,"cat\nb.png,dog\n', "quotation mark"),
        (b'name,label\n"a"b.png,cat\n', "quotation mark"),
        (b"a.png,cat\nb.png,dog\n", "no column tells a picture"),
        (b"name,species\na.png,cat\n", "no column tells a class"),
        (b"name,label\na.png," + b"x" * 200_000, "field larger"),
        (b"[", "no whole JSON"),
        (b"[" * 100_000, "no whole JSON"),
        (b"{}{", "expected JSON lines"),
        (b'["a", 1]', "no task is one that can be taken"),
        (b'[{"data": {"text": "hello"}, "annotations": []}]', "no task is one"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_name_and_what_to_do(data, message):
    with pytest.raises(LabellingError, match=message) as error:
        read(data, "odd.csv")
    assert str(error.value).startswith("odd.csv: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a.png", "1 cells, expected 3"),
        (b"a.png,,cat,dog", "4 cells, expected 3"),
        (b"a.png,abc,cat", "64 hexadecimal"),
        (b",../../" + b"a" * 58 + b",cat", "64 hexadecimal"),
        (b" ,,cat", "names no picture"),
        (b"a.png,," + b"x" * 301, "at most 300"),
    ],
)
def test_a_damaged_line_is_told_and_the_others_are_read(line, message):
    contents = read(b"name,sha256,label\n" + line + b"\nb.png,,dog\n", "x.csv")
    (problem,) = contents.problems
    assert (problem.kind, problem.line) == (BAD_LINE, 2)
    assert message in problem.text
    assert [s.label for s in contents.said] == ["dog"]


@pytest.mark.parametrize("head", ["sha256,label,label", "name,Label, LABEL", "name,name,label"])
def test_two_columns_of_one_name_are_refused(head):
    with pytest.raises(LabellingError, match="names two columns"):
        read(f"{head}\na,b,c\n".encode(), "x.csv")


def test_json_lines_tell_damaged_lines_and_read_the_others():
    lines = [
        '{"name": "a.png", "label": "A"}', "{", "[]", '{"name": "b.png", "label": ["A"]}', "",
        '{"name": "c.png", "label": null}', '{"NAME": "d.png", "Label": 7}',
        '{"name": "e.png", "label": "\\ud800"}',
    ]  # fmt: skip
    contents = read("\n".join(lines).encode(), "x.jsonl")
    assert [(s.line, s.name, s.label) for s in contents.said] == [
        (1, "a.png", "A"),
        (7, "d.png", "7"),
    ]
    assert [p.line for p in contents.problems] == [2, 3, 4, 8]
    assert contents.unlabelled == 1


@given(st.binary(max_size=200))
def test_no_file_at_all_does_more_than_be_refused(data):
    try:
        read(data, "x")
    except LabellingError as error:
        assert str(error).startswith("x: ")


# --- Label Studio ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("/data/upload/3/0a1b2c3d-a%20b.png", "/data/upload/3/0a1b2c3d-a b.png"),
        ("/data/local-files/?d=pets/a%20b.png", "pets/a b.png"),
        ("https://host/x/a.png?sig=1#2", "/x/a.png"),
        ("s3://bucket/x/a.png", "/x/a.png"),
        ("http://[/a.png", "http://[/a.png"),
        ("/data/pets/a%20b.png", "/data/pets/a%20b.png"),
        ("a b.png", "a b.png"),
    ],
)
def test_label_studio_names_its_pictures_by_links(image, name):
    contents = read(json.dumps([task(image=image)]).encode(), "x.json")
    assert [(s.name, s.label) for s in contents.said] == [(name, "cat")]
    table = read(f"image,choice,annotator\n{image},cat,3\n".encode(), "x.csv")
    assert [(s.name, s.label, s.person) for s in table.said] == [(name, "cat", "3")]


def test_a_task_may_have_several_answers_none_and_cancelled_ones():
    answers = [task("cat", completed_by=3), task("dog", was_cancelled=True), task("dog")]
    several = answers[0] | {"annotations": [a["annotations"][0] for a in answers]}
    tasks = [several, task() | {"annotations": []}]
    contents = read(json.dumps(tasks).encode(), "x.json")
    assert [(s.label, s.person) for s in contents.said] == [("cat", "Label Studio 3"), ("dog", "")]
    assert contents.unlabelled == 1


def test_the_short_form_of_label_studio_is_read():
    tasks = [
        {"id": 1, "image": "/data/upload/1/a.png", "choice": "cat", "annotator": "ada@x.org"},
        {"id": 2, "photo": "b.JPG", "note": "x", "choice": {"choices": ["dog"]}},
        {"id": 3, "image": "c.png"},
    ]
    contents = read(json.dumps(tasks).encode(), "x.json")
    assert [(s.label, s.person) for s in contents.said] == [("cat", "ada@x.org"), ("dog", "")]
    assert contents.unlabelled == 1


def test_tasks_that_are_no_single_choice_of_one_picture_are_told():
    boxes = task() | {"annotations": [{"result": [{"type": "rectanglelabels", "value": {}}]}]}
    two = task() | {
        "annotations": [{"result": [{"type": "choices", "value": {"choices": ["a", "b"]}}]}]
    }
    pair = task() | {"data": {"left": "a.png", "right": "b.png"}}
    odd = task() | {"annotations": 3}
    contents = read(json.dumps([task(), boxes, two, pair, odd, 7]).encode(), "x.json")
    assert len(contents.said) == 1
    assert [p.line for p in contents.problems] == [2, 3, 4, 5, 6]
    texts = " ".join(p.text for p in contents.problems)
    for part in ("rectanglelabels", "2 choices", "2 of its values are pictures", "expected a list"):
        assert part in texts
