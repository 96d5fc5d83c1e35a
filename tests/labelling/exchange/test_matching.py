"""Which pictures a file of labels means, and what it would change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.labelling.exchange import matching
from alutils.labelling.exchange.matching import Present, below, match
from alutils.labelling.exchange.reading import Contents, Said
from alutils.labelling.store.records import LabellingError


def digest(i):
    return f"{i:064x}"


def pictures(*labels, **more):
    """Picture i + 1 is called i.png and has this label."""
    return [
        Present(i + 1, digest(i), f"{i}.png", label, (f"d/{i}.png",), **more)
        for i, label in enumerate(labels)
    ]


def names(*pairs, **more):
    return Contents(
        [Said(i, name, label=label, **more) for i, (name, label) in enumerate(pairs, 2)]
    )


def kinds(outcome):
    return [problem.kind for problem in outcome.problems]


@pytest.mark.parametrize(
    "name",
    ["1.png", "d/1.png", "./d//1.png", "d\\1.png", "/home/me/pets/d/1.png", "elsewhere/1.png",
     "/data/upload/7/0a1b2c3d-1.png", "../../etc/1.png"],
)  # fmt: skip
def test_a_picture_is_found_by_its_name_or_path(name):
    outcome = match(names((name, "A")), pictures(None, None), ["A"], folder="/home/me/pets")
    assert [c.present.item for c in outcome.changes] == [2]


def test_a_path_settles_what_a_name_leaves_open():
    two = [Present(1, digest(1), "1.png", None, ("a/1.png",)),
           Present(2, digest(2), "1.png", None, ("b/1.png",))]  # fmt: skip
    outcome = match(names(("b/1.png", "A"), ("1.png", "A"), ("c/1.png", "A")), two, ["A"])
    assert [c.present.item for c in outcome.changes] == [2]
    assert kinds(outcome) == [matching.AMBIGUOUS] * 2
    assert "2 pictures" in outcome.problems[0].text


def test_a_path_at_which_another_file_lies_means_no_picture_of_that_name():
    there = [Present(1, digest(1), "1.png", None, ("sub/1.png",))]
    contents = names(("1.png", "A"), ("/home/me/1.png", "A"), ("sub/1.png", "A"))
    outcome = match(contents, there, ["A"], folder="/home/me", refused={"1.png": "damaged"})
    assert [(p.kind, p.line) for p in outcome.problems] == [
        (matching.OTHER_FILE, 2), (matching.OTHER_FILE, 3),
    ]  # fmt: skip
    assert "damaged" in outcome.problems[0].text
    assert [c.said.line for c in outcome.changes] == [4]


def test_who_tells_a_hash_does_not_mean_another_picture_of_that_name():
    contents = Contents([Said(2, "0.png", (digest(1),), "A"), Said(3, "0.png", (digest(9),), "A")])
    outcome = match(contents, pictures(None, None), ["A"])
    assert [c.present.item for c in outcome.changes] == [2]
    assert kinds(outcome) == [matching.UNKNOWN_PICTURE]


def test_the_hash_of_the_persons_own_file_will_do():
    contents = Contents([Said(2, "", (digest(77),), "A"), Said(3, "", (digest(0),), "B")])
    outcome = match(contents, pictures(None, None), "AB", originals={digest(77): 2, digest(0): 2})
    assert [(c.present.item, c.said.label) for c in outcome.changes] == [(1, "B"), (2, "A")]


def test_unknown_classes_are_told_or_added_but_only_those_that_are_used():
    contents = names(("0.png", "new"), ("1.png", "A"), ("9.png", "lost"))
    told = match(contents, pictures(None, None), ["A"])
    assert sorted(kinds(told)) == [matching.UNKNOWN_CLASS, matching.UNKNOWN_PICTURE]
    added = match(contents, pictures(None, None), ["A"], add_classes=True)
    assert added.new_classes == ["new"]
    assert len(added.changes) == 2


@pytest.mark.parametrize(
    ("on_conflict", "written", "kept"), [("stop", [], 0), ("keep", [], 1), ("replace", ["B"], 0)]
)
def test_another_answer_in_the_project(on_conflict, written, kept):
    outcome = match(names(("0.png", "B")), pictures("A"), "AB", on_conflict=on_conflict)
    assert [c.said.label for c in outcome.changes] == written
    assert outcome.kept == kept
    assert kinds(outcome) == [matching.CONFLICT] * (on_conflict == "stop")


@pytest.mark.parametrize(("on_conflict", "label"), [("stop", "A"), ("keep", "A"), ("replace", "B")])
def test_two_answers_in_the_file(on_conflict, label):
    contents = names(("0.png", "A"), ("d/0.png", "A"), ("0.png", "B"))
    outcome = match(contents, pictures(None), "AB", on_conflict=on_conflict)
    assert [c.said.label for c in outcome.changes] == [label]
    assert kinds(outcome) == [matching.CONTRADICTION] * (on_conflict == "stop")


def test_a_rejected_picture_is_another_answer_than_a_class():
    there = [pictures("A")[0], pictures(None, None, rejected=True)[1]]
    outcome = match(names(("0.png", None), ("1.png", "A")), there, "A")
    assert kinds(outcome) == [matching.CONFLICT] * 2
    same = match(names(("0.png", None)), pictures(None, rejected=True), "A")
    assert (same.same, same.changes) == (1, [])


def test_a_person_confirms_a_models_label_and_a_model_unsays_no_persons():
    by_model = pictures("A", automatic=True)
    assert len(match(names(("0.png", "A")), by_model, "A").changes) == 1
    again = match(names(("0.png", "A"), automatic=True), by_model, "A")
    assert (again.same, again.changes) == (1, [])
    assert match(names(("0.png", "A"), automatic=True), pictures("A"), "A").same == 1


def test_what_may_be_a_copy_confirms_nothing_and_is_counted():
    copy = names(("0.png", "A"), ("1.png", "B"), may_be_copy=True)
    outcome = match(copy, pictures("A", None, automatic=True), "AB")
    assert (outcome.same, outcome.automatic) == (1, 1)
    assert [c.present.item for c in outcome.changes] == [2]
    assert "1 left automatic" in outcome.lines()[1]
    person = match(copy, pictures("A", "B"), "AB")
    assert (person.same, person.automatic) == (2, 0)


def test_an_unknown_way_with_conflicts_is_refused():
    with pytest.raises(LabellingError, match="expected one of stop, keep, replace"):
        match(Contents(), [], [], on_conflict="merge")


def test_what_is_found_is_said_in_words_with_the_first_of_each_kind():
    contents = names(*[(f"{i}.png", "A") for i in range(20)])
    lines = match(contents, pictures(*[None] * 3), "A").lines()
    assert lines[0] == "3 labels to write."
    assert "By class: A 3." in lines
    assert "Pictures that the project does not have (17 lines):" in lines
    assert lines[-2:] == ["  line 9: '7.png'", "  ..."]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["A", "B", "C", None])), max_size=12),
       st.lists(st.sampled_from(["A", "B", None]), min_size=4, max_size=4),
       st.sampled_from(matching.ON_CONFLICT))  # fmt: skip
def test_every_line_is_accounted_for_and_no_picture_changes_twice(lines, present, on_conflict):
    contents = names(*[(f"{i}.png", label) for i, label in lines])
    outcome = match(contents, pictures(*present), "AB", on_conflict=on_conflict)
    items = [c.present.item for c in outcome.changes]
    assert items == sorted(set(items))
    usable = {i for i, label in lines if i < 4 and label != "C"}
    settled = len(outcome.changes) + outcome.same + outcome.kept
    assert settled + kinds(outcome).count(matching.CONFLICT) >= len(usable)
    for change in outcome.changes:
        assert change.present.label != change.said.label or change.said.label is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/b.png", "a/b.png"), ("/f/a.png", "a.png"), ("/g/a.png", ""), ("../a.png", ""),
     ("a/../b.png", ""), (".//a.png", "a.png"), ("/f/../x", "")],
)  # fmt: skip
def test_a_path_below_a_folder_never_leaves_it(path, expected):
    assert below(path, "/f") == expected


def test_classes_that_are_missing_are_named_once_and_numbers_are_sorted_by_value():
    contents = names(("0.png", "item 10"), ("1.png", "item 9"), ("2.png", "item 10"))
    lines = match(contents, pictures(*[None] * 3), "A").lines()
    assert "Classes that the project does not have: item 9, item 10 (3 lines):" in lines
    added = match(contents, pictures(*[None] * 3), "A", add_classes=True)
    assert added.new_classes == ["item 9", "item 10"]
