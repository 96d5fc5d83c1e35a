"""Class folders: true names read back; what is there twice, black or closed is said."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from alutils.__main__ import main
from alutils.base.errors import BadInput
from alutils.base.names import folder_name
from alutils.data import load
from alutils.data.class_names import NAMES, read_names, write_names
from alutils.data.folders import read_folder


def fill(folder, n: int = 2, seed: int = 0, light: int = 256):
    """Put pictures into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, sum(os.fsencode(folder.name))])
    for k in range(n):
        Image.fromarray(rng.integers(0, light, (6, 6), np.uint8)).save(folder / f"{k}.png")
    return folder


def class_folders(top, names):
    folders = {}
    for name in names:
        folders[folder_name(name, folders)] = name
    for folder in folders:
        fill(top / folder)
    return folders


NAMES_OF_CLASSES = [
    ["A", "a", "/", ".", ".5"],
    ["con", "CON", "a:b", "a?b", "é", "e\u0301x"],
    ["x", "y"],
]


@pytest.mark.parametrize("names", NAMES_OF_CLASSES)
def test_true_names_are_read_back(tmp_path, names):
    top = tmp_path / "classes"
    folders = class_folders(top, names)
    write_names(top, folders)
    data = load(top)
    assert data.classes == tuple(sorted(names)) and set(data.labels) == set(range(len(names)))
    for folder, name in folders.items():
        expected = np.asarray(Image.open(top / folder / "0.png"))
        found = data.images[data.labels == data.classes.index(name)]
        assert any(np.array_equal(expected, image) for image in found)
    assert read_folder(top, classes=names[::-1]).classes == tuple(names[::-1])
    assert (top / NAMES).exists() == (names != ["x", "y"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5, unique=True)
)
def test_any_names_survive(tmp_path_factory, names):
    top = tmp_path_factory.mktemp("names")
    folders = {}
    for name in names:
        folders[folder_name(name, folders)] = name
    write_names(top, folders)
    assert {folder: read_names(top).get(folder, folder) for folder in folders} == folders


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("[1]", "expected names of classes by"),
        ('{"a": 3}', "expected names of classes by"),
        ('{"a": ""}', "expected names of classes by"),
        ('{"a": "x", "b": "x"}', "gives several folders the name 'x'"),
        ('{"a": "b"}', "are both the class 'b'"),
        (b"\xff", "cannot be read"),
    ],
)
def test_names_that_cannot_be_are_one_clear_line(tmp_path, content, says):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    (tmp_path / NAMES).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput, match=says) as caught:
        load(tmp_path)
    assert NAMES in str(caught.value)


def test_names_of_folders_that_are_gone_do_no_harm(tmp_path):
    fill(tmp_path / "a")
    (tmp_path / NAMES).write_text(json.dumps({"gone": "x", "a": "α"}))
    assert load(tmp_path).classes == ("α",)


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX only")
def test_a_folder_whose_name_is_no_utf8_is_a_class_that_can_be_printed(tmp_path):
    fill(tmp_path / "a")
    try:
        fill(tmp_path / os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    classes = load(tmp_path).classes
    assert classes == ("a", r"caf\xe9") and "".join(classes).encode()


def test_a_folder_that_cannot_be_opened_is_named_or_skipped(tmp_path, monkeypatch, caplog):
    for name in "abc":
        fill(tmp_path / name)
    scandir = os.scandir

    def closed(path):
        if os.fspath(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(BadInput, match=r"b is a folder that cannot be opened .*on_bad='skip'"):
        load(tmp_path)
    assert load(tmp_path, on_bad="skip").classes == ("a", "c")
    assert "1 cannot be opened" in caplog.text


def test_the_same_picture_in_two_classes_is_counted_and_named_by_content(tmp_path, caplog):
    for name in ("cat", "dog"):
        fill(tmp_path / name, 3)
    image = Image.open(tmp_path / "cat" / "0.png")
    image.save(tmp_path / "dog" / "copy.bmp")  # other bytes, the same picture
    Image.open(tmp_path / "dog" / "1.png").save(tmp_path / "dog" / "again.png")
    load(tmp_path)
    assert "1 picture has more than one label (cat/0.png, dog/copy.bmp)" in caplog.text
    assert "2 pictures are there more than once (cat/0.png, dog/copy.bmp; " in caplog.text
    caplog.clear()
    (tmp_path / "dog" / "copy.bmp").unlink()
    (tmp_path / "dog" / "again.png").unlink()
    load(tmp_path)
    assert caplog.text == ""


@pytest.mark.parametrize("light", [2, 16])
def test_pictures_that_are_all_but_black_are_said(tmp_path, light, caplog):
    fill(tmp_path / "a", light=light)
    fill(tmp_path / "b", light=light)
    if light == 2:
        with pytest.raises(BadInput, match="brightest pixel of all is 1"):
            load(tmp_path)
    else:
        load(tmp_path)
        assert "the brightest pixel of all is 15, where 255 is white" in caplog.text


@pytest.mark.parametrize("names", [("é", "e\u0301"), ("cat", "cat\u200b"), ("a b", "a  b")])
def test_classes_that_look_the_same_are_refused(tmp_path, names):
    for name in (*names, "z"):
        fill(tmp_path / name)
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system takes the names for one")
    with pytest.raises(BadInput, match="look the same, expected one; rename"):
        load(tmp_path)


def spoil_note(top, how):
    note = top / ".conversion.json"
    if how == "pipe":
        os.mkfifo(note)
    elif how == "folder":
        note.mkdir()
    else:
        note.write_text(how)


@pytest.mark.parametrize("how", ["pipe", "folder", '{"provenance": 3}', '{"provenance": ""}', "["])
def test_what_is_only_called_like_a_note_says_nothing(tmp_path, how):
    fill(tmp_path / "a")
    try:
        spoil_note(tmp_path, how)
    except (OSError, AttributeError):
        pytest.skip("this system has no pipes")
    assert load(tmp_path).provenance == "local"


@pytest.mark.skipif(os.name != "posix", reason="file names have no new lines elsewhere")
@pytest.mark.parametrize("name", ["a\nb.png", "\x1b[31mred.png", "\u202egnp.a"])
def test_an_error_is_one_line_whatever_a_file_is_called(tmp_path, name, caplog):
    (fill(tmp_path / "a") / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match=r"is a pointer of Git LFS.* git lfs pull") as caught:
        load(tmp_path)
    assert str(caught.value).isprintable()
    load(tmp_path, on_bad="skip")
    assert caplog.messages[0].isprintable()


@pytest.mark.parametrize("name", ["half \ud800", "\udfff", "\udc80 of a byte"])
def test_names_that_no_file_can_hold_are_refused(tmp_path, name):
    fill(tmp_path / "a"), fill(tmp_path / "b")
    (tmp_path / NAMES).write_text(json.dumps({"a": name}))
    with pytest.raises(BadInput, match="expected whole characters; delete it"):
        load(tmp_path)
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3, 3), np.uint8), labels=[0, 1],
             classes=np.array([name, "b"]))  # fmt: skip
    with pytest.raises(BadInput, match=r"x.npz: x: the class .* half of a character"):
        load(tmp_path / "x.npz")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31mred", "\u202eturned"])
def test_names_that_steer_a_screen_are_shown_in_one_line(tmp_path, capsys, name):
    fill(tmp_path / "in" / name), fill(tmp_path / "in" / "z")
    assert name in load(tmp_path / "in").classes
    assert name not in repr(load(tmp_path / "in"))
    assert main(["data", "folder", str(tmp_path / "in"), str(tmp_path / "out.npz")]) == 0
    shown = capsys.readouterr().out
    assert name not in shown and len(shown.splitlines()) == 4
    assert name in load(tmp_path / "out.npz").classes


@pytest.mark.parametrize("n", [0, 1])
def test_the_remedy_for_a_small_class_names_who_takes_it(tmp_path, n):
    fill(tmp_path / "a"), fill(tmp_path / "b", n)
    words = rf"class 'b' has .*by alutils.data.folders.read_folder with at_least={n}"
    with pytest.raises(BadInput, match=words):
        load(tmp_path)
    assert len(read_folder(tmp_path, at_least=n)) == 2 + n
