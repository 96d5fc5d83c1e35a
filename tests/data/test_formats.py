"""Letters from tables, to PNG files and back; what is wrong with them is named or counted."""

import io
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from alutils.base.errors import BadInput
from alutils.base.files import repository_root
from alutils.base.manifest import read_json
from alutils.data import csv_letters
from alutils.data.csv_letters import COLUMNS, csv_chunks, read_csv
from alutils.data.dataset import LETTERS, Dataset
from alutils.data.folders import read_folder, read_pictures
from alutils.data.npz import read_npz, write_npz
from alutils.data.png import NOTE, csv_to_png
from alutils.data.skips import Skips
from benchmarks import made_up_csv

ROOT = repository_root()
SAMPLE = ROOT.parent / "shared" / "data" / "az_sample.npz"


def table(n: int = 60, seed: int = 0) -> np.ndarray:
    """(n, 785) uint8: every class in turn, then random pixels."""
    rows = np.random.default_rng(seed).integers(0, 256, (n, COLUMNS), dtype=np.uint8)
    rows[:, 0] = np.arange(n) % 26
    return rows


def text(rows: np.ndarray) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones included, with their bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# --- tables ---------------------------------------------------------------------------------------

PANDAS_HEADER = ",".join(["0", *(f"0.{i}" for i in range(1, 649)), *map(str, range(1, 137))])


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",".join(map(str, range(COLUMNS))),
        PANDAS_HEADER,
        "label," + ",".join(f"pixel{i}" for i in range(784)),
    ],
    ids=["none", "numbers", "pandas", "names"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_with_or_without_a_header(tmp_path, header, end):
    rows = table()
    content = (header + "\n" if header else "") + text(rows)
    letters = read_csv(write(tmp_path / "t.csv", content.replace("\n", end)))
    assert np.array_equal(letters.images.reshape(60, -1), rows[:, 1:])
    assert np.array_equal(letters.labels, rows[:, 0])
    assert (letters.classes, letters.provenance, letters.name) == (LETTERS, "local", "t")


def test_what_pandas_reads_and_saves_again_lacks_the_first_letter_only(tmp_path):
    rows = table()
    path = write(tmp_path / "kaggle.csv", text(rows))
    pd.read_csv(path).to_csv(tmp_path / "again.csv", index=False)
    again = read_csv(tmp_path / "again.csv")
    assert np.array_equal(again.images.reshape(59, -1), rows[1:, 1:])


def test_the_file_with_kaggles_name_is_taken_for_kaggles(tmp_path):
    assert read_csv(write(tmp_path / csv_letters.KAGGLE_NAME, text(table()))).provenance == "kaggle"


def test_unusual_but_sound_numbers_are_read(tmp_path):
    rows = table(4)
    lines = text(rows).splitlines()
    lines[1] = lines[1].replace(",", ".0,") + ".0"
    lines[2] = lines[2].replace(",", ", ")
    lines[3] = '"' + lines[3].replace(",", '","') + '"'
    content = "\ufeff" + "\n".join(lines)  # Excel's mark, and no end of the last line
    letters = read_csv(write(tmp_path / "t.csv", content))
    assert np.array_equal(letters.images.reshape(4, -1), rows[:, 1:])


@pytest.mark.parametrize("block", [4_000, 10_007, 2**22])
def test_chunks_are_the_same_rows_wherever_the_blocks_end(tmp_path, monkeypatch, block):
    rows = table(200)
    path = write(tmp_path / "t.csv", text(rows))
    monkeypatch.setattr(csv_letters, "_BLOCK", block)
    chunks = list(csv_chunks(path))
    assert (len(chunks) > 1) == (block < 2**22)
    assert np.array_equal(np.concatenate([c.rows for c in chunks]), np.arange(200))
    assert np.array_equal(np.concatenate([c.labels for c in chunks]), rows[:, 0])
    images = np.concatenate([c.images for c in chunks])
    assert np.array_equal(images.reshape(200, -1), rows[:, 1:])


def with_line(number: int, change) -> str:
    """60 sound rows, of which one (from 1) was changed."""
    lines = text(table()).splitlines()
    lines[number - 1] = change(lines[number - 1])
    return "\n".join(lines) + "\n"


def cell(column: int, value: str):
    def change(line: str) -> str:
        cells = line.split(",")
        cells[column] = value
        return ",".join(cells)

    return change


BAD_ROWS = {  # the table, the reason, what the message says
    "short": (with_line(7, lambda row: row[: row.rindex(",")]), "short row", "line 7: 784 values"),
    "long": (with_line(7, lambda row: row + ",0"), "long row", "line 7: 786 values, expected 785"),
    "word": (with_line(9, cell(5, "ink")), "not a number", "line 9: pixel in column 6 is 'ink'"),
    "nothing": (with_line(9, cell(5, "")), "not a number", "line 9: pixel in column 6 is ''"),
    "nan": (with_line(9, cell(784, "nan")), "not a number", "pixel in column 785 is 'nan'"),
    "hexadecimal": (with_line(9, cell(5, "0x1f")), "not a number", "'0x1f'"),
    "fraction": (with_line(9, cell(5, "0.5")), "not a whole number", "'0.5', expected a whole"),
    "256": (with_line(11, cell(1, "256")), "pixel out of range", "line 11: pixel in column 2 is"),
    "huge": (with_line(11, cell(1, "9" * 30)), "pixel out of range", "'" + "9" * 30 + "'"),
    "below 0": (with_line(11, cell(1, "-3")), "pixel out of range", "'-3', expected .* 0 to 255"),
    "label 26": (with_line(13, cell(0, "26")), "label 26", "line 13: label is '26'"),
    "label -1": (with_line(13, cell(0, "-1")), "label out of range", "'-1', expected .* 25 .Z."),
    "label Q": (with_line(13, cell(0, "Q")), "not a number", "line 13: label is 'Q'"),
    "empty": (with_line(15, lambda row: ""), "empty row", "line 15: is empty"),
    "blank": (with_line(15, lambda row: "  \t"), "empty row", "line 15: is empty"),
    "semicolons": (with_line(15, lambda row: row.replace(",", ";")), "short row", "no comma in"),
    "binary": (with_line(15, lambda row: "\0\x01\x02"), "short row", "line 15: 1 values"),
    "first row": (with_line(1, cell(5, "ink")), "not a number", "line 1: pixel in column 6"),
    "index column": (with_line(1, lambda row: "0," + row), "long row", "an index"),
    "cut": (text(table())[:-900], "cut row", "line 60: the file ends within this row"),
    "cut at a comma": (text(table()).rstrip("\n0123456789"), "cut row", "after 784 of 785"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, case):
    content, _, message = BAD_ROWS[case]
    path = write(tmp_path / "t.csv", content)
    for read in (read_csv, lambda path: csv_to_png(path, tmp_path / "png", progress=False)):
        with pytest.raises(BadInput, match=message) as caught:
            read(path)
        assert "on_bad='skip'" in str(caught.value) and str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_skipped_counted_and_reported(tmp_path, case, caplog):
    content, reason, _ = BAD_ROWS[case]
    path = write(tmp_path / "t.csv", content)
    report = Skips()
    letters = read_csv(path, "skip", report=report)
    bad = next(i for i in range(60) if content.split("\n")[i] != text(table()).split("\n")[i])
    good = np.delete(table(), bad, axis=0)
    assert np.array_equal(letters.images.reshape(59, -1), good[:, 1:])
    assert np.array_equal(letters.labels, good[:, 0])
    assert (report.seen, report.reasons) == (60, {reason: 1})
    assert f"1 of 60 rows skipped, the first of each: 1 {reason}" in caplog.text
    csv_to_png(path, tmp_path / "png", "skip", progress=False)
    numbers = sorted(int(file.stem) for file in (tmp_path / "png").rglob("*.png"))
    assert numbers == [i for i in range(60) if i != bad]  # the others keep their numbers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows; expected 785 numbers a row"),
        (PANDAS_HEADER, "holds no rows"),
        (b"\x1f\x8b" + b"0" * 100, "compressed by gzip; unpack"),
        (b"PK\x03\x04" + b"0" * 100, "a zip archive or an Excel workbook; unpack"),
        (text(table(3)).encode("utf-16"), "text in UTF-16; save it as UTF-8"),
        (
            text(table(3)).replace(",", ";"),
            "its values are separated by semicolons",
        ),
        (b"0," * 2**22, "no line ends within"),
    ],
)
def test_a_file_that_is_no_such_table_is_an_error_even_when_skipping(tmp_path, content, message):
    path = write(tmp_path / "t.csv", content)
    for read in (read_csv, lambda *given: csv_to_png(path, tmp_path / "png", "skip", False)):
        with pytest.raises(BadInput, match=message):
            read(path, "skip")
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_choice_is_named(tmp_path):
    path = write(tmp_path / "t.csv", text(table()))
    with pytest.raises(BadInput, match="on_bad='ignore': expected one of 'error', 'skip'"):
        read_csv(path, "ignore")


def test_a_made_up_table_is_uneven_as_the_real_one_and_the_same_each_time(tmp_path):
    path = made_up_csv.write(tmp_path / "a.csv", 2_000, seed=3, header=PANDAS_HEADER, stock=2)
    again = made_up_csv.write(tmp_path / "b.csv", 2_000, seed=3, header=PANDAS_HEADER, stock=2)
    assert path.read_bytes() == again.read_bytes()
    counts = read_csv(path).class_counts()
    assert sum(counts.values()) == 2_000
    assert counts["O"] > 10 * counts["I"] > 0


# --- to PNG files ---------------------------------------------------------------------------------


def test_png_files_hold_the_tables_letters_under_their_numbers(tmp_path):
    rows = table()
    counts = csv_to_png(write(tmp_path / "t.csv", text(rows)), tmp_path / "png", progress=False)
    assert counts == {c: 3 if c < "I" else 2 for c in LETTERS}
    for number in (0, 1, 59):
        file = tmp_path / "png" / LETTERS[number % 26] / f"{number:06d}.png"
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image.ravel(), rows[number, 1:])
    letters = read_folder(tmp_path / "png")
    order = np.argsort(rows[:, 0], kind="stable")
    assert np.array_equal(letters.images.reshape(60, -1), rows[order, 1:])
    assert np.array_equal(letters.labels, rows[order, 0])
    assert (letters.classes, letters.provenance) == (LETTERS, "local")


def test_a_folder_knows_where_its_letters_came_from(tmp_path):
    path = write(tmp_path / csv_letters.KAGGLE_NAME, text(table()))
    csv_to_png(path, tmp_path / "png", progress=False)
    csv_to_png(path, tmp_path / "made_up", progress=False, provenance="rendered")
    assert read_folder(tmp_path / "png").provenance == "kaggle"
    assert read_folder(tmp_path / "made_up").provenance == "rendered"


def test_a_complete_conversion_is_left_alone_and_a_changed_one_refused(tmp_path):
    path, png = write(tmp_path / "t.csv", text(table())), tmp_path / "png"
    counts = csv_to_png(path, png, progress=False)
    before = {file: file.stat().st_mtime_ns for file in png.rglob("*")}
    assert csv_to_png(path, png, progress=False) == counts
    assert {file: file.stat().st_mtime_ns for file in png.rglob("*")} == before
    next(png.rglob("*.png")).unlink()
    with pytest.raises(BadInput, match=r"holds 59 PNG .* expected 60; delete"):
        csv_to_png(path, png, progress=False)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ("png", "is not a conversion of a table"),
        ("png/notes.txt", "is not a conversion of a table"),
        ("png.partial/notes.txt", "not from an earlier attempt"),
    ],
)
def test_files_of_the_user_are_not_touched(tmp_path, there, message):
    path = write(tmp_path / "t.csv", text(table()))
    (tmp_path / there).parent.mkdir(exist_ok=True)
    write(tmp_path / there, "mine")
    before = tree(tmp_path)
    with pytest.raises(BadInput, match=message):
        csv_to_png(path, tmp_path / "png", progress=False)
    assert tree(tmp_path) == before


def test_another_tables_folder_is_refused(tmp_path):
    csv_to_png(write(tmp_path / "a.csv", text(table())), tmp_path / "png", progress=False)
    before = tree(tmp_path / "png")
    with pytest.raises(BadInput, match="holds the letters of another table"):
        csv_to_png(write(tmp_path / "b.csv", text(table(seed=1))), tmp_path / "png", progress=False)
    assert tree(tmp_path / "png") == before


def fail_after(monkeypatch, n: int) -> None:
    """Let the disk be full after n images."""
    encode, left = cv2.imencode, iter(range(n))

    def encode_some(*given):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        return encode(*given)

    monkeypatch.setattr(cv2, "imencode", encode_some)


@pytest.mark.parametrize("damage", ["none", "half a note", "another table"])
def test_a_full_disk_leaves_what_can_be_gone_on_with(tmp_path, monkeypatch, damage):
    path, other = write(tmp_path / "t.csv", text(table(200))), tmp_path / "other.csv"
    csv_to_png(path, tmp_path / "whole", progress=False)
    monkeypatch.setattr(csv_letters, "_BLOCK", 40_000)
    with monkeypatch.context() as patch:
        fail_after(patch, 120)
        with pytest.raises(OSError, match="No space left"):
            csv_to_png(path, tmp_path / "png", progress=False)
    assert not (tmp_path / "png").exists()
    note = tmp_path / "png.partial" / NOTE
    assert 0 < read_json(note)["rows_done"] < 200
    if damage == "half a note":
        write(note, note.read_bytes()[:20])
    if damage == "another table":  # begun in the same place, not ended: nothing of it may stay
        path = write(other, text(table(150, seed=5)))
        csv_to_png(path, tmp_path / "whole_other", progress=False)
    csv_to_png(path, tmp_path / "png", progress=False)
    whole = tmp_path / ("whole_other" if damage == "another table" else "whole")
    assert tree(tmp_path / "png") == tree(whole)
    assert not (tmp_path / "png.partial").exists()


def test_two_processes_do_not_write_the_same_folder(tmp_path):
    path = write(tmp_path / "t.csv", text(table()))
    holder = (
        "import sys, time\nfrom pathlib import Path\nfrom alutils.data.png import _locked\n"
        f"with _locked(Path({str(tmp_path / 'png.partial')!r})):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BadInput, match="another process is writing it"):
            csv_to_png(path, tmp_path / "png", progress=False)
    finally:
        other.kill()
        other.communicate()
    assert sum(csv_to_png(path, tmp_path / "png", progress=False).values()) == 60


CONVERSION = """
import os, signal, sys, threading
from alutils.data import csv_letters, png
csv_letters._BLOCK = 2**18  # short chunks: a kill falls into one, not beside it
write_note, notes = png.write_json, []

def write_note_and_die_soon(*parts):
    write_note(*parts)
    notes.append(parts)
    if len(notes) == 2 and len(sys.argv) > 3:  # of the first chunk: the one before says whose it is
        death = threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL))
        death.daemon = True
        death.start()

png.write_json = write_note_and_die_soon
png.csv_to_png(sys.argv[1], sys.argv[2], progress=False)
"""


@pytest.mark.slow
def test_a_conversion_killed_several_times_ends_with_the_undisturbed_files(tmp_path):
    n = 6_000
    path = made_up_csv.write(tmp_path / "t.csv", n, stock=4)
    csv_to_png(path, tmp_path / "undisturbed", progress=False)
    png, note = tmp_path / "png", tmp_path / "png.partial" / NOTE
    command = [sys.executable, "-c", CONVERSION, str(path), str(png)]
    moment = random.Random(0)
    progress = []
    for _ in range(5):
        ended = subprocess.run([*command, str(moment.uniform(0, 0.06))], cwd=ROOT)
        if png.exists():
            break
        assert ended.returncode == -signal.SIGKILL
        progress.append(read_json(note).get("rows_done", 0))
        # what a kill in the middle of a file leaves
        files = png.parent.glob("png.partial/*/*.png")
        for file in sorted(file for file in files if int(file.stem) >= progress[-1])[-3:]:
            write(file, file.read_bytes()[:50])
    assert len(progress) >= 2 and progress == sorted(progress) and 0 < progress[0] < n
    subprocess.run(command, cwd=ROOT, check=True)
    assert tree(png) == tree(tmp_path / "undisturbed")
    assert not note.parent.exists()


# --- class folders --------------------------------------------------------------------------------


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def pillow(mode: str, colour: object, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (8, 6), colour).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path) -> Path:
    """Ten images of 6×8 of each of three classes."""
    for i, name in enumerate(("cat", "dog", "eel")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for k in range(10):
            image = np.full((6, 8), 20 * i + k, np.uint8)
            write(tmp_path / "pets" / name / f"{k}.png", encoded(image))
    return tmp_path / "pets"


NOISE = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
LARGE = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)

BAD_FILES = {  # content of dog/4.png, the reason, what the message says
    "text": (b"hello", "not a picture", "4.png is not a picture: expected a PNG"),
    "empty": (b"", "empty file", "4.png is an empty file"),
    "signature only": (encoded(NOISE)[:8], "damaged", "its end is missing"),
    "document": (b"%PDF-1.4", "not a picture", "4.png is a PDF document"),
    "half a PNG": (encoded(LARGE)[:4000], "damaged", "4.png is cut or damaged"),
    "PNG without its end": (encoded(NOISE)[:-12], "damaged", "its end is missing"),
    "half a JPEG": (encoded(LARGE, ".jpg")[:3000], "damaged", "4.png is cut or damaged"),
    "a byte changed": (
        encoded(LARGE)[:2000] + b"\0\xff\0" + encoded(LARGE)[2003:],
        "damaged",
        "4.png is cut or damaged",
    ),
    "other size": (
        encoded(NOISE[:5]),
        "other size",
        r"4.png is 5×8 pixels .* 29 others are 6×8; resize all with size=\(6, 8\)",
    ),
    "animation": (
        pillow("L", 3, "GIF", save_all=True, append_images=[Image.new("L", (8, 6), 9)]),
        "several frames",
        "has several frames: expected one picture",
    ),
    "nothing to be seen": (
        pillow("P", 0, transparency=0),
        "wholly transparent",
        "expected something to be seen",
    ),
    "bomb": (pillow("L", 0), "too large", "expected at most 40 in all"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_or_skipped_and_counted(folder, case, monkeypatch, caplog):
    content, reason, message = BAD_FILES[case]
    if case == "bomb":
        monkeypatch.setattr("alutils.data.decoding.MOST_PIXELS", 40)
        for file in folder.rglob("*.png"):
            write(file, encoded(np.full((5, 8), int(file.stem), np.uint8)))
    write(folder / "dog" / "4.png", content)
    with pytest.raises(BadInput, match=message) as caught:
        read_folder(folder)
    assert "on_bad='skip'" in str(caught.value)
    report = Skips()
    pets = read_folder(folder, "skip", report=report)
    assert pets.class_counts() == {"cat": 10, "dog": 9, "eel": 10}
    assert (report.seen, report.reasons) == (30, {reason: 1})
    assert f"1 of 30 files skipped, the first of each: 1 {reason}" in caplog.text


def outside(folder: Path) -> None:
    write(folder / "notes.txt", "mine")


def nested(folder: Path) -> None:
    (folder / "dog" / "old").mkdir()


def empty_class(folder: Path) -> None:
    (folder / "fox").mkdir()


def one_image(folder: Path) -> None:
    (folder / "fox").mkdir()
    write(folder / "fox" / "0.png", encoded(NOISE))


BAD_FOLDERS = {
    outside: ("outside class folders", "notes.txt lies outside the class folders", 31),
    nested: ("nested folder", "old is a folder inside a class folder", 31),
    empty_class: ("empty class", "class 'fox' has no image, expected 2 or more", 30),
    one_image: ("class of one image", "class 'fox' has one image, expected 2", 31),
}


@pytest.mark.parametrize("spoil", BAD_FOLDERS)
def test_a_bad_folder_is_named_or_skipped_and_counted(folder, spoil, caplog):
    reason, message, seen = BAD_FOLDERS[spoil]
    spoil(folder)
    with pytest.raises(BadInput, match=message):
        read_folder(folder)
    report = Skips()
    pets = read_folder(folder, "skip", report=report)
    assert pets.class_counts() == {"cat": 10, "dog": 10, "eel": 10}
    assert (report.seen, report.reasons) == (seen, {reason: 1})
    assert reason in caplog.text


def test_one_image_is_enough_where_the_user_says_so(folder):
    one_image(folder)
    assert read_folder(folder, at_least=1).class_counts()["fox"] == 1


def test_a_class_left_with_one_good_image_is_bad_too(folder):
    one_image(folder)
    write(folder / "fox" / "1.png", b"hello")
    report = Skips()
    assert read_folder(folder, "skip", report=report).classes == ("cat", "dog", "eel")
    assert report.reasons == {"not a picture": 1, "class of one image": 1}


def test_expected_classes_give_the_labels_and_a_missing_one_is_bad(folder):
    pets = read_folder(folder, classes=["eel", "dog", "cat"])
    assert pets.classes == ("eel", "dog", "cat")
    assert pets.images[pets.labels == 0].min() == 40
    with pytest.raises(BadInput, match="class 'fox' has no image"):
        read_folder(folder, classes=["cat", "dog", "eel", "fox"])
    with pytest.raises(BadInput, match="eel: no such class is expected, only cat, dog"):
        read_folder(folder, classes=["cat", "dog"])
    report = Skips()
    pets = read_folder(folder, "skip", classes=["cat", "dog", "fox"], report=report)
    assert pets.class_counts() == {"cat": 10, "dog": 10, "fox": 0}
    assert report.reasons == {"unexpected class": 10, "empty class": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "blue"}, "colour='blue': expected one of 'auto', 'grey', 'rgb'"),
        ({"size": 28}, "size=28: expected a height and a width"),
        ({"size": (28, 0)}, r"size=\(28, 0\)"),
        ({"on_bad": "ignore"}, "on_bad='ignore'"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(folder, options, message):
    with pytest.raises(BadInput, match=message):
        read_folder(folder, **options)


@pytest.mark.parametrize("there", ["nothing", "a file", "an empty folder"])
def test_a_place_without_images_is_an_error(tmp_path, there):
    place = tmp_path / "place"
    if there == "a file":
        write(place, "text")
    if there == "an empty folder":
        place.mkdir()
    expected = "no image can be used" if place.is_dir() else "expected a folder that holds"
    with pytest.raises(BadInput, match=expected):
        read_folder(place, "skip")


def test_grey_and_colour_are_mixed_only_as_the_user_chooses(folder):
    write(folder / "dog" / "4.png", pillow("RGB", (200, 100, 50)))
    for on_bad in ("error", "skip"):
        with pytest.raises(BadInput, match=r"29 images are grey .*1 are in colour \(.*4.png\)"):
            read_folder(folder, on_bad)
    assert read_folder(folder, colour="rgb").images[14, 0, 0].tolist() == [200, 100, 50]
    grey = read_folder(folder, colour="grey").images
    assert grey.shape == (30, 6, 8)
    assert grey[14, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (pillow("L", 7), 7),
        (pillow("1", 1), 255),
        (pillow("LA", (7, 255)), 7),
        (Image.new("L", (8, 6), 7).convert("P"), 7),
        (pillow("L", 7, "JPEG"), 7),
    ],
    ids=["grey", "black and white", "opaque", "grey palette", "jpeg"],
)
def test_whatever_is_grey_is_read_as_grey(folder, content, value):
    if isinstance(content, Image.Image):
        file = io.BytesIO()
        content.save(file, "PNG")
        content = file.getvalue()
    write(folder / "dog" / "4.png", content)  # in spite of its suffix, perhaps
    assert (read_folder(folder).images[14] == value).all()


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_16_bits_are_scaled_to_8_and_it_is_said(tmp_path, shape, caplog):
    deep = np.random.default_rng(0).integers(0, 65536, (2, *shape), dtype=np.uint16)
    deep[0].flat[:2] = 0, 65535
    (tmp_path / "x").mkdir()
    for i, image in enumerate(deep):
        write(tmp_path / "x" / f"{i}.png", encoded(image if image.ndim == 2 else image[..., ::-1]))
    images = read_folder(tmp_path).images
    assert np.array_equal(images, np.round(deep / 257).astype(np.uint8))
    assert "16 bit scaled to 8 in 2 of 2 files" in caplog.text


def test_what_is_drawn_on_nothing_gets_a_ground_and_it_is_said(folder, caplog):
    values = np.zeros((6, 8, 2), np.uint8)
    values[2:4, 2:4] = 200, 255  # light strokes
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    write(folder / "dog" / "4.png", file.getvalue())
    assert np.array_equal(read_folder(folder).images[14], values[..., 0])
    assert "transparent parts made black in 1 of 30 files" in caplog.text


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_all_kinds_that_the_labelling_tool_reads_are_read(folder, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    write(folder / "dog" / "4.png", pillow("L", 7, kind, **options))
    assert (read_folder(folder, colour="grey").images[14] == 7).all()


def test_sizes_are_made_alike_where_the_user_says_so(folder):
    write(folder / "dog" / "4.png", encoded(np.full((30, 40), 99, np.uint8)))
    images = read_folder(folder, size=(12, 16)).images
    assert images.shape == (30, 12, 16)
    assert (images[14] == 99).all()


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path):
    (tmp_path / "x").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    for kind in ("JPEG", "PNG"):
        write(tmp_path / "x" / f"{kind}.jpg", pillow("RGB", (9, 9, 9), kind, exif=exif))
    assert read_folder(tmp_path).images.shape == (2, 8, 6, 3)


def test_hidden_files_are_ignored(folder):
    write(folder / ".DS_Store", "x")
    write(folder / "dog" / ".thumbs", "x")
    assert len(read_folder(folder)) == 30


# --- npz ------------------------------------------------------------------------------------------


def test_a_data_set_survives_an_npz_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), dtype=np.uint8)
    dataset = Dataset(images, np.array([0, 1, 1, 0, 1]), ("a", "b", "c"), "rendered", "few")
    again = read_npz(write_npz(dataset, tmp_path / "few.npz"))
    assert again.content_hash() == dataset.content_hash()
    assert (again.classes, again.provenance, again.name) == (("a", "b", "c"), "rendered", "few")


def test_further_arrays_go_into_an_npz_file_unless_they_had_to_be_pickled(tmp_path):
    data = Dataset(np.zeros((2, 3, 3), np.uint8), np.array([0, 1]), ("a", "b"), "local", "two")
    path = write_npz(data, tmp_path / "two.npz", paths=np.array(["x.png", "y.png"]))
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["paths"].tolist() == ["x.png", "y.png"]
    assert read_npz(path).classes == ("a", "b")
    for wrong in ({"paths": np.array(["x", None], object)}, {"labels": np.zeros(2)}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            write_npz(data, tmp_path / "wrong.npz", **wrong)
    assert not (tmp_path / "wrong.npz").exists()


def test_an_npz_file_without_names_gets_letters_or_numbers(tmp_path):
    images = np.zeros((2, 4, 4), np.uint8)
    for most, classes in ((25, LETTERS), (2, ("0", "1", "2"))):
        np.savez(tmp_path / "x.npz", images=images, labels=np.array([0, most], np.uint8))
        dataset = read_npz(tmp_path / "x.npz")
        assert (dataset.classes, dataset.provenance) == (classes, "local")


IMAGES, LABELS = np.zeros((3, 4, 4), np.uint8), np.array([0, 1, 0])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES, "labels": LABELS}, "holds no array 'images', only 'x', 'labels'"),
        ({"images": IMAGES}, "holds no array 'labels', only 'images'"),
        ({"images": IMAGES + 0.5, "labels": LABELS}, "float64 from 0.5 to 0.5, with fractions"),
        ({"images": IMAGES.reshape(3, 16), "labels": LABELS}, r"shape \(3, 16\)"),
        ({"images": IMAGES, "labels": LABELS[:2]}, r"labels have shape \(2,\), expected \(3,\)"),
        ({"images": IMAGES, "labels": LABELS * 0.5}, "label is 0.5 at position 1, expected whole"),
        ({"images": IMAGES, "labels": np.array(["a", "b", "c"])}, "expected whole numbers"),
        ({"images": IMAGES, "labels": LABELS - 1}, "label is -1 at position 0"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "holds no image"),
        ({"images": IMAGES, "labels": LABELS, "classes": np.array(["a"])}, "first is 1 at"),
        ({"images": IMAGES, "labels": LABELS, "classes": np.arange(2)}, "classes are int64"),
        ({"images": IMAGES, "labels": LABELS, "provenance": np.arange(2)}, "provenance is int64"),
        (
            {"images": IMAGES, "labels": np.array([0, 1, None])},
            "labels: is an array of Python objects",
        ),
    ],
)
def test_a_wrong_npz_file_says_what_is_wrong(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(BadInput, match=message) as caught:
        read_npz(tmp_path / "x.npz")
    assert str(tmp_path / "x.npz") in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "changed", "text"])
def test_a_damaged_npz_file_is_refused(tmp_path, damage):
    path = tmp_path / "x.npz"
    np.savez(path, images=np.arange(48, dtype=np.uint8).reshape(3, 4, 4), labels=LABELS)
    data = path.read_bytes()
    middle = data.index(bytes(range(10, 20)))
    changed = data[:middle] + b"\xff" + data[middle + 1 :]
    write(path, {"cut": data[: len(data) // 2], "changed": changed, "text": b"hello"}[damage])
    with pytest.raises(BadInput, match="is damaged or no npz file"):
        read_npz(path)


def test_a_file_with_another_suffix_or_an_error_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    dataset = Dataset(IMAGES, LABELS, ("a", "b"), "local", "few")
    with pytest.raises(BadInput, match=r"few.csv: expected a file name that ends in .npz"):
        write_npz(dataset, tmp_path / "few.csv")
    monkeypatch.setattr(np, "savez_compressed", lambda file, **_: file.write(b"x") / 0)
    with pytest.raises(ZeroDivisionError):
        write_npz(dataset, tmp_path / "few.npz")
    assert list(tmp_path.iterdir()) == []


def test_the_real_sample_is_called_real():
    if not SAMPLE.is_file():
        pytest.skip("the real letters are not beside the repository (../shared/data)")
    letters = read_npz(SAMPLE)
    assert (letters.provenance, letters.classes, letters.name) == (
        "real-sample",
        LETTERS,
        "az_sample",
    )
    assert letters.images.shape == (len(letters), 28, 28)
    assert min(letters.class_counts().values()) > 0


def test_real_letters_survive_a_table_and_png_files(tmp_path):
    if not SAMPLE.is_file():
        pytest.skip("the real letters are not beside the repository (../shared/data)")
    letters = read_npz(SAMPLE).take(np.arange(0, 5_000, 5))
    rows = np.column_stack([letters.labels, letters.images.reshape(len(letters), -1)])
    path = write(tmp_path / "t.csv", text(rows))
    assert read_csv(path).content_hash() == letters.content_hash()
    csv_to_png(path, tmp_path / "png", progress=False)
    order = np.argsort(letters.labels, kind="stable")
    assert np.array_equal(
        read_folder(tmp_path / "png", at_least=1, classes=LETTERS).images, letters.images[order]
    )


def test_a_folder_of_pictures_without_classes_says_what_to_do_with_them(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    with pytest.raises(BadInput, match=r"holds no folder for each class.*notebook 00"):
        read_folder(tmp_path)


# --- folders in the wild --------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["link", "pipe", "locked", "link to itself"])
def test_what_is_no_file_is_named_or_skipped_and_never_waited_for(tmp_path, bad):
    for name in ("A/1", "A/2", "B/1", "B/2"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 5), 9, np.uint8)).save(path)
    odd = tmp_path / "B" / "3.png"
    if bad == "pipe":
        os.mkfifo(odd)
    elif bad == "locked":
        odd.write_bytes(b"x")
        odd.chmod(0)
    else:
        odd.symlink_to(odd if bad == "link to itself" else tmp_path / "nowhere.png")
    with pytest.raises(BadInput, match=r"3\.png (cannot be read|is not a)"):
        read_folder(tmp_path)
    report = Skips()
    assert len(read_folder(tmp_path, "skip", report=report)) == 4
    assert report.total == 1
    assert len(read_pictures(tmp_path, "skip")[0]) == 4
