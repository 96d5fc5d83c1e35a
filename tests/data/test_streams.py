"""Pictures one after another: in order, from any place on, what cannot be read in its place."""

import os
import threading

import numpy as np
import pytest
from label_helpers import BAD, colour, encoded, letter, png
from PIL import Image

from alutils.base.errors import BadInput
from alutils.data.streams import files, open_stream


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path):
    """Pictures of several kinds and sizes in nested folders, and what is no picture."""
    top = tmp_path / "pictures"
    for name, content in {
        "b/2.png": png(2), "b/10.png": png(10), "a/deep/er/x.JPG": encoded(colour(3), "JPEG"),
        "z.webp": encoded(colour(4), "WEBP"), "notes.txt": b"hello", "cut.png": png(5)[:200],
        "no suffix": encoded(letter(6), "TIFF"), ".hidden.png": png(7), ".git/x.png": png(8),
        "empty.png": b"",
    }.items():  # fmt: skip
        write(top / name, content)
    return top


def test_a_folder_gives_every_file_in_the_order_of_names(folder):
    entries = list(open_stream(folder).read())
    assert [e.name for e in entries] == [
        "cut.png", "empty.png", "no suffix", "notes.txt", "z.webp", "a/deep/er/x.JPG", "b/10.png",
        "b/2.png",
    ]  # fmt: skip
    by_name = {e.name: e for e in entries}
    assert np.array_equal(by_name["b/2.png"].pixels, np.asarray(letter(2)))
    assert by_name["a/deep/er/x.JPG"].pixels.shape == (30, 40, 3)
    assert "is cut or damaged" in by_name["cut.png"].problem
    assert "is an empty file" in by_name["empty.png"].problem
    assert "is not a picture" in by_name["notes.txt"].problem
    assert all((e.pixels is None) == bool(e.problem) for e in entries)


@pytest.mark.parametrize("start", [0, 1, 5, 8])
def test_a_stream_goes_on_from_any_place(folder, start):
    stream = open_stream(folder)
    names = [e.name for e in stream.read()]
    assert [e.name for e in stream.read(start)] == names[start:]
    assert len(stream) == len(names)


def test_pictures_are_known_again_and_others_are_told_apart(folder):
    before = open_stream(folder).identity
    assert open_stream(folder).identity == before
    write(folder / "b/11.png", png(11))
    added = open_stream(folder).identity
    (folder / "b/11.png").rename(folder / "b/12.png")
    renamed = open_stream(folder).identity
    os.utime(folder / "b/12.png", (1, 1))
    touched = open_stream(folder).identity
    assert len({before, added, renamed, touched}) == 4


@pytest.mark.parametrize("name", BAD)
def test_no_bad_file_keeps_the_others_away(tmp_path, name):
    make, _ = BAD[name]
    data = make()
    if len(data) > 2**24:
        pytest.skip("a matter of size: see the limit of read_bytes")
    write(tmp_path / "a.png", data)
    write(tmp_path / "b.png", png())
    bad, good = open_stream(tmp_path).read()
    assert bad.problem and bad.pixels is None and good.problem == ""


def test_links_to_nowhere_pipes_and_locked_files_are_entries_with_a_reason(tmp_path):
    write(tmp_path / "good.png", png())
    (tmp_path / "gone.png").symlink_to(tmp_path / "not there.png")
    (tmp_path / "itself.png").symlink_to("itself.png")
    os.mkfifo(tmp_path / "pipe.png")
    write(tmp_path / "locked.png", png(1))
    (tmp_path / "locked.png").chmod(0)
    entries = {}
    done = threading.Thread(
        target=lambda: entries.update((e.name, e) for e in open_stream(tmp_path).read()),
        daemon=True,
    )
    done.start()
    done.join(60)
    assert not done.is_alive(), "it waits for the pipe"
    assert entries["good.png"].problem == ""
    assert "a link to a file that is not there" in entries["gone.png"].problem
    assert "cannot be read (" in entries["itself.png"].problem
    assert "is not a file" in entries["pipe.png"].problem
    if os.geteuid() != 0:
        assert "cannot be read (Permission denied)" in entries["locked.png"].problem


def test_a_folder_that_cannot_be_opened_is_an_entry(tmp_path, monkeypatch):
    write(tmp_path / "a/x.png", png())
    write(tmp_path / "b/y.png", png())
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(files.os, "scandir", refuse)
    shut, good = open_stream(tmp_path).read()
    assert shut.name == "a/" and "cannot be opened (Permission denied)" in shut.problem
    assert good.name == "b/y.png" and good.problem == ""


def test_a_file_that_goes_away_meanwhile_is_an_entry_with_a_reason(tmp_path):
    write(tmp_path / "a.png", png())
    write(tmp_path / "b.png", png(1))
    stream = open_stream(tmp_path)
    (tmp_path / "b.png").unlink()
    good, gone = stream.read()
    assert good.problem == "" and "is not there any more" in gone.problem


def test_folders_that_link_in_a_circle_end_and_each_is_read_once(tmp_path):
    write(tmp_path / "in/a.png", png())
    (tmp_path / "in/up").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "in")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    write(elsewhere / "b.png", png(1))
    (tmp_path / "linked").symlink_to(elsewhere)
    assert [e.name for e in open_stream(tmp_path).read()] == ["in/a.png", "linked/b.png"]


def test_results_and_what_the_labelling_tool_keeps_are_no_pictures(tmp_path):
    for name in ("a.png", "sorted/A/a.png", "labelling/images/ab/x.png", "labelling/labels.sqlite",
                 "cats/labelling/dog.png", "out.csv"):  # fmt: skip
        write(tmp_path / name, png())
    leave_out = [tmp_path / "sorted", tmp_path / "out.csv", tmp_path / "not there"]
    names = [e.name for e in open_stream(tmp_path, leave_out).read()]
    assert names == ["a.png", "cats/labelling/dog.png"]


def test_files_of_one_name_get_names_of_their_own(tmp_path):
    for name in ("a/x.png", "b/x.png", "c/X.PNG", "c/y.png"):
        write(tmp_path / name, png())
    stream = open_stream(tmp_path)
    made = [stream.file_name(k) for k in range(4)]
    assert made[3] == "y.png" and len({name.casefold() for name in made}) == 4
    assert all(name.lower().startswith("x-") and name.lower().endswith(".png") for name in made[:3])
    again = open_stream(tmp_path)
    assert [again.file_name(k) for k in range(4)] == made


def test_many_small_and_some_large_files_keep_their_order(tmp_path):
    for k in range(100):
        write(tmp_path / f"{k:03}.png", png(k, (3, 3)))
    write(tmp_path / "050b.bmp", encoded(colour(1, (900, 900)), "BMP"))
    names = [e.name for e in open_stream(tmp_path).read()]
    assert names == sorted(names) and len(names) == 101


def test_one_picture_is_a_stream_of_one(tmp_path):
    write(tmp_path / "a.png", png(3))
    (entry,) = open_stream(tmp_path / "a.png").read()
    assert entry.name == "a.png" and np.array_equal(entry.pixels, np.asarray(letter(3)))


def test_an_npz_needs_no_labels_and_may_have_one_channel(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 7), np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    np.savez(tmp_path / "b.npz", images=images[..., None], labels=np.arange(5))
    for name in "ab":
        stream = open_stream(tmp_path / f"{name}.npz")
        entries = list(stream.read(2))
        assert [e.name for e in entries] == [f"{name}.npz#{k}" for k in (2, 3, 4)]
        assert np.array_equal([e.pixels for e in entries], images[2:])
        assert stream.file_name(2) == f"{name}-000002.png"
        write(tmp_path / "made.png", stream.content(2, images[2]))
        assert np.array_equal(np.asarray(Image.open(tmp_path / "made.png")), images[2])


def test_rows_of_a_table_keep_their_numbers_and_bad_ones_their_place(tmp_path):
    rows = [",".join(["3", *["7"] * 784]) for _ in range(6)]
    rows[1], rows[4], rows[5] = "what", rows[4] + ",1", rows[5].replace("3", "99", 1)
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    stream = open_stream(tmp_path / "a.csv")
    entries = list(stream.read())
    assert [e.name for e in entries] == [f"a.csv#{k}" for k in range(6)]
    assert [bool(e.problem) for e in entries] == [False, True, False, False, True, True]
    assert entries[1].problem.startswith("line 2: ")
    assert "label is '99'" in entries[5].problem
    assert [e.name for e in stream.read(4)] == ["a.csv#4", "a.csv#5"]


@pytest.mark.parametrize("kind", ["folder", "npz", "csv"])
def test_a_sample_is_random_and_the_same_each_time(tmp_path, kind):
    images = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    (tmp_path / "x.csv").write_text("".join(f"0,{','.join([str(k)] * 784)}\n" for k in range(40)))
    for k, image in enumerate(images):
        write(tmp_path / "x" / f"{k:02}.png", encoded(Image.fromarray(image)))
    path = tmp_path / ("x" if kind == "folder" else f"x.{kind}")
    first, second = ([int(p[0, 0]) for p in open_stream(path).sample()] for _ in range(2))
    assert first == second and sorted(first) == list(range(40)) and first != sorted(first)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("no such", None, "there is no such file or folder"),
        ("empty", "folder", "holds no file; expected pictures"),
        ("a.npz", b"no archive", "is damaged or no npz file"),
        ("a.csv", b"1,2,3\n", "none of its 1 rows can be read"),
    ],
)
def test_what_holds_no_picture_is_one_clear_line(tmp_path, name, content, says):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=says):
        open_stream(path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros(3)}, "no array 'images'"),
        ({"images": np.zeros((2, 8, 8)) + 0.5}, "expected whole numbers"),
        ({"images": np.zeros((2, 64), np.uint8)}, "expected .n, height, width."),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "holds no image"),
    ],
)
def test_an_npz_of_other_arrays_is_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadInput, match=says):
        open_stream(tmp_path / "a.npz")
