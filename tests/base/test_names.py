"""Names of classes and pictures as folders and files of any system."""

import pytest

from alutils.base import names


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("A", "A"),
        ("a/b", "a_b"),
        ("..", "class"),
        (".hidden", "hidden"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("x\0y", "x_y"),
        ("\u202eabc", "_abc"),
        ("end. ", "end"),
        ("C:\\x", "C__x"),
        ("é" * 150, "é" * 100),
        ("  spaced  ", "spaced"),
        ("日本", "日本"),
        ("\u200b", "_"),
    ],
)
def test_a_class_gets_a_folder_name_that_is_one_everywhere(name, folder):
    assert names.folder_name(name, []) == folder


@pytest.mark.parametrize("other", ["a", "A", "ａ".upper(), "class", "é", "e\u0301", "STRASSE"])
def test_folders_of_two_classes_differ_where_capitals_and_accents_do_not_count(other):
    taken = ["a", "CLASS", "É", "straße", "Ａ"]
    made = names.folder_name(other, taken)
    assert names._folded(made) not in {names._folded(name) for name in taken}
    assert names._folded(made).startswith(names._folded(other))


@pytest.mark.parametrize(
    ("text", "is_one"), [("é 漢\n", True), ("\ud800", False), ("a\udc80", False)]
)
def test_halves_of_characters_cannot_be_written(text, is_one):
    assert names.is_writable(text) == is_one
    if is_one:
        assert text.encode().decode() == text
    else:
        with pytest.raises(UnicodeEncodeError):
            text.encode()
