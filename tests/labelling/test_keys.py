"""Keys and names of classes: each key one class, each name what it looks like."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.labelling.model.desk import Desk
from alutils.labelling.store.keys import EVERYWHERE, also, choose_keys, is_key
from alutils.labelling.store.names import checked_name, checked_person, display_name
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

CAPITALS = [chr(c) for c in range(65, 91)]
SMALL = [c.lower() for c in CAPITALS]
INVISIBLE = {
    "zero width space": "\u200b",
    "right-to-left override": "\u202e",
    "left-to-right isolate": "\u2066",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "bell": "\x07",
    "new line": "\n",
    "delete": "\x7f",
    "line separator": "\u2028",
    "Hangul filler": "\u3164",
    "empty Braille cell": "\u2800",
    "combining grapheme joiner": "\u034f",
    "variation selector": "\ufe0f",
    "a tag": "\U000e0041",
}


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", seed=0) as store:
        yield store


def keys(store):
    return {c.name: c.key for c in store.classes.all()}


def test_capitals_alone_are_typed_without_shift_and_both_cases_with_it():
    assert choose_keys(CAPITALS, {}) == dict(zip(CAPITALS, SMALL, strict=True))
    both = choose_keys(CAPITALS + SMALL, {})
    assert all(both[name] == name for name in CAPITALS + SMALL)


def test_a_small_letter_that_comes_later_gets_its_key_from_the_capital(store):
    store.classes.add(["A", "B", "b"])
    assert keys(store) == {"A": "a", "B": "B", "b": "b"}
    store.classes.add(["a", "é"])
    store.classes.add(["É"])
    assert keys(store) == {"A": "A", "B": "B", "b": "b", "a": "a", "é": "é", "É": "É"}
    assert store.class_changes.undo("Ada") == ""  # adding is not taken back, nor what it brought


def test_letters_of_other_scripts_are_keys_with_a_second_one_for_every_keyboard(store):
    store.classes.add(["Б", "ш", "cat", "ש"])
    found = {c.name: (c.key, c.also) for c in store.classes.all()}
    assert found["cat"] == ("c", None)
    assert [found[name][0] for name in "Бшש"] == ["б", "ш", "ש"]
    second = [found[name][1] for name in "Бшש"]
    assert len({*second, "c"}) == 4 and set(second) <= set(EVERYWHERE)
    status = Desk(store).status()
    assert {c["name"]: c["also"] for c in status["classes"]}["cat"] is None


@pytest.mark.parametrize("name", ["猫", "한", "あ", "ｶ", "⿰", "cat", "", "👍", "\u0301", "½"])
def test_what_no_single_key_types_is_no_key(name):
    assert not is_key(name)
    assert choose_keys([name], {})[name] in EVERYWHERE


NAMES = st.lists(st.text("aAbBcéÉßıİбБшШש猫1٣ ", min_size=1, max_size=3), unique=True, max_size=45)


@given(NAMES, NAMES)
def test_no_two_classes_ever_share_a_key(first, later):
    there = choose_keys(first, {})
    later = [name for name in later if name not in there]
    now = there | choose_keys(later, there)
    given = [key for key in now.values() if key]
    assert len(set(given)) == len(given) and all(map(is_key, given))
    second = also(now.items())
    assert not {key for key in second.values() if key} & {key.lower() for key in given}
    assert all(now[name] for name in first) or len(first) > len(EVERYWHERE) - 10


def test_a_key_can_be_any_letter_and_a_capital_stands_for_its_small_letter(store):
    store.classes.add(["A", "cat", "dog"])
    for key, expected in (("X", "x"), ("ш", "ш"), ("Ш", "ш"), ("7", "7"), (None, None)):
        store.class_changes.key("Ada", "cat", key)
        assert keys(store)["cat"] == expected
    store.class_changes.key("Ada", "A", "A")
    assert keys(store)["A"] == "A"
    for key in ("-", "/", " ", "ab", "", "猫", "\u0301", 7, "\u200b"):
        with pytest.raises(LabellingError, match="one letter or digit"):
            store.class_changes.key("Ada", "cat", key)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INVISIBLE)
@pytest.mark.parametrize("where", ["a{}b", "ab{}", "{}"])
def test_names_with_what_cannot_be_seen_are_refused_wherever_they_come_in(store, name, where):
    text = where.format(INVISIBLE[name])
    store.classes.add(["cat"])
    if not text.strip() or text.strip() == "ab":
        assert name in ("new line", "line separator")  # space around a name, which is left out
        return
    desk = Desk(store)
    for act in (
        lambda: checked_name(text),
        lambda: checked_person(text),
        lambda: store.classes.add(["dog", text]),
        lambda: store.class_changes.rename("Ada", "cat", text),
        lambda: desk.answer("add_class", "Ada", {"name": text}),
        lambda: store.queue.hand_out(text, 1),
    ):
        with pytest.raises(LabellingError, match=r"cannot be seen|shows nothing") as caught:
            act()
        if "cannot be seen" in str(caught.value):
            assert f"U+{ord(INVISIBLE[name]):04X}" in str(caught.value)
            assert INVISIBLE[name] not in str(caught.value)  # an error that turns no terminal
    assert list(keys(store)) == ["cat"]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("e\u0301te\u0301", "été"),
        ("A\u030a", "Å"),
        ("\u212b", "Å"),  # the sign of the unit
        ("New\u00a0York", "New York"),
        ("\u3000一\u2003二 ", "一 二"),
        ("\u1112\u1161\u11ab", "한"),
        ("नमस्ते", "नमस्ते"),  # marks that are seen stay
        ("👍🏽", "👍🏽"),
    ],
)
def test_names_are_kept_composed_and_with_plain_spaces(store, typed, kept):
    assert checked_name(typed) == kept == unicodedata.normalize("NFC", kept)
    store.classes.add([typed])
    store.classes.add([kept])
    assert list(keys(store)) == [kept]
    assert store.classes.number(typed) == 0
    assert store.class_changes.rename("Ada", typed, "x") is None
    assert display_name(f"{typed}.png").endswith(".png")


def test_a_class_of_an_older_version_can_still_be_given_and_renamed(store):
    store.classes.add(["cat"])
    with store.database.transaction() as connection:
        connection.execute("UPDATE classes SET name = 'c\u200bat'")
    assert store.classes.number("c\u200bat") == 0
    store.classes.add(["c\u200bat", "dog"])  # as the options of the command may name it
    store.class_changes.rename("Ada", "c\u200bat", "cat")
    assert list(keys(store)) == ["cat", "dog"]


def test_notes_and_reasons_may_hold_what_names_may_not(store):
    from label_helpers import fill

    store.classes.add(["A"])
    (item,) = fill(store, 1)
    store.notes.add("Ada", item, "a line\nand a family: \U0001f468\u200d\U0001f469")
    assert "\n" in store.notes.of([item])[item][0].text
