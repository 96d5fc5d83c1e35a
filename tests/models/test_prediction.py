"""Pictures labelled by a model: the table, what stops it, what is gone on with, class folders."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_helpers import colour, encoded, png
from PIL import Image

from alutils.__main__ import main
from alutils.base import locks
from alutils.base.errors import BadInput, ParameterError
from alutils.data import load
from alutils.models.prediction import CONVERSIONS, run
from alutils.models.prediction.run import Options, label_pictures
from alutils.models.saved import SavedModelError, load_model
from alutils.models.seen import Seen

QUIET = {"progress": False}


def bar(where: int, level: int = 255, size: int = 12) -> np.ndarray:
    """Return a picture with a bar: ``where`` 0 at its left, 1 at its right."""
    image = np.zeros((size, size), np.uint8)
    image[2:-2, 2:5] = level
    return image if where == 0 else image[:, ::-1].copy()


class Bars:
    """Says where the light is: the share of it left of the middle."""

    classes = ("left", "right")
    sha256 = "5" * 64
    seen = Seen.of([bar(k % 2) for k in range(60)])

    def __init__(self, stop_after: int | None = None, seen: Seen | None = seen) -> None:
        self.calls, self.stop_after, self.seen = [], stop_after, seen

    def read(self, images):
        self.calls.append(len(images))
        if self.stop_after is not None and sum(self.calls) > self.stop_after:
            raise KeyboardInterrupt
        out = np.empty((len(images), 2), np.float32)
        for row, image in zip(out, images, strict=True):
            assert image.dtype == np.uint8
            if image.shape[0] == 1:
                raise ValueError("too flat")
            grey = image if image.ndim == 2 else image.mean(axis=2)
            total = float(grey.sum())
            with np.errstate(invalid="ignore"):
                row[0] = np.float64(grey[:, : grey.shape[1] // 2].sum()) / np.float64(total)
            row[1] = 1 - row[0]
        return out


def fill(folder: Path, n: int = 30) -> Path:
    for k in range(n):
        path = folder / "ab"[k % 2] / f"{k:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(Image.fromarray(bar(k % 2, 255 - k))))
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def label(pictures, out, model=None, **options):
    said = []
    summary = label_pictures(
        pictures, model or Bars(), out, Options(**QUIET | options), say=said.append
    )
    return summary, said


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(run, "BATCH", 7)


def test_every_picture_becomes_a_row_with_class_confidence_and_model(tmp_path):
    pictures = fill(tmp_path / "in")
    (pictures / "a" / "notes.txt").write_text("hello")
    summary, said = label(pictures, tmp_path / "out.csv")
    rows = table(tmp_path / "out.csv")
    assert said == []
    assert [r["path"] for r in rows] == sorted(
        str(p.relative_to(pictures)) for p in pictures.rglob("*.*")
    )
    for row in rows:
        assert row["model"] == Bars.sha256
        if row["path"] == "a/notes.txt":
            assert (row["class"], row["confidence"]) == ("", "")
            assert row["problem"].startswith("is not a picture")
        else:
            assert row["class"] == ("left" if row["path"].startswith("a/") else "right")
            assert (row["confidence"], row["problem"]) == ("1.000000", "")
    assert (summary.n, summary.problems, summary.unsure) == (31, 1, 0)
    assert summary.by_class == {"left": 15, "right": 15}
    assert str(summary).startswith("30 of 31 pictures labelled; 1 cannot be read (a/notes.txt is")


def test_below_the_least_confidence_the_class_stays_empty_and_the_confidence_is_said(tmp_path):
    pictures = fill(tmp_path / "in", 4)
    unsure = bar(0)
    unsure[2:-2, 8:10] = 255
    (pictures / "c.png").write_bytes(encoded(Image.fromarray(unsure)))
    summary, _ = label(pictures, tmp_path / "out.csv", min_confidence=0.7)
    by_path = {r["path"]: r for r in table(tmp_path / "out.csv")}
    assert (by_path["c.png"]["class"], by_path["c.png"]["confidence"]) == ("", "0.600000")
    assert by_path["a/000.png"]["class"] == "left"
    assert summary.unsure == 1 and "1 without a class" in str(summary)
    label(pictures, tmp_path / "again.csv", min_confidence=0.6)
    assert {r["path"]: r["class"] for r in table(tmp_path / "again.csv")}["c.png"] == "left"


@pytest.mark.usefixtures("small_batches")
@settings(max_examples=15)
@given(stops=st.lists(st.integers(0, 30), max_size=3), n=st.integers(1, 30))
def test_however_often_it_is_stopped_the_table_is_that_of_an_undisturbed_run(
    tmp_path_factory, stops, n
):
    folder = tmp_path_factory.mktemp("stops")
    pictures = fill(folder / "in", n)
    (pictures / "broken.png").write_bytes(png()[:99])
    label(pictures, folder / "undisturbed.csv")
    for stop in stops:
        try:
            label(pictures, folder / "out.csv", Bars(stop))
        except KeyboardInterrupt:
            assert not (folder / "out.csv").exists()
    label(pictures, folder / "out.csv")
    assert (folder / "out.csv").read_bytes() == (folder / "undisturbed.csv").read_bytes()
    first, again = (json.loads((folder / f"{name}.csv.json").read_text())
                    for name in ("undisturbed", "out"))  # fmt: skip
    assert first == again
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["in", "out.csv", "out.csv.json", "undisturbed.csv", "undisturbed.csv.json"]
    )


@pytest.mark.usefixtures("small_batches")
def test_what_is_done_is_not_done_again(tmp_path):
    pictures = fill(tmp_path / "in")
    with pytest.raises(KeyboardInterrupt):
        label(pictures, tmp_path / "out.csv", Bars(20))
    model = Bars()
    _, said = label(pictures, tmp_path / "out.csv", model)
    assert said == ["going on after 14 of 30 pictures"] and sum(model.calls) == 16
    model = Bars()
    summary, said = label(pictures, tmp_path / "out.csv", model)
    assert model.calls == [] and "is complete already" in said[0] and summary.n == 30


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("cut", ["rows beyond", "half a row", "renamed late"])
def test_what_a_killed_process_left_half_written_is_mended(tmp_path, cut):
    pictures = fill(tmp_path / "in")
    label(pictures, tmp_path / "good.csv")
    with pytest.raises(KeyboardInterrupt):
        label(pictures, tmp_path / "out.csv", Bars(20))
    rows = tmp_path / "out.csv.unfinished"
    if cut == "renamed late":
        label(pictures, tmp_path / "out.csv")
        (tmp_path / "out.csv").rename(rows)
    else:
        with rows.open("ab") as file:
            file.write(b"a/x.png,left,1.0,5,\n" * 3 if cut == "rows beyond" else b'"a/0')
    label(pictures, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "good.csv").read_bytes()
    assert not rows.exists()


def other_model(model: Bars) -> Bars:
    model.sha256 = "6" * 64
    return model


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("model", r"from another model \(5555.*, now 6666"),
        ("added", "from other pictures"),
        ("removed", "from other pictures"),
        ("changed", "from other pictures"),
        ("min_confidence", r"another least confidence \(0.0, now 0.5\)"),
        ("convert", "another conversion"),
        ("copy_to", "other class folders"),
    ],
)
def test_tables_of_two_models_or_other_pictures_are_never_mixed(tmp_path, change, says, finished):
    pictures = fill(tmp_path / "in")
    out = tmp_path / "out.csv"
    if finished:
        label(pictures, out)
    else:
        with pytest.raises(KeyboardInterrupt):
            label(pictures, out, Bars(20))
    before = {p.name: p.read_bytes() for p in tmp_path.glob("out.csv*")}
    model, options = Bars(), {}
    if change == "model":
        other_model(model)
    elif change == "added":
        shutil.copy(pictures / "a" / "000.png", pictures / "a" / "new.png")
    elif change == "removed":
        (pictures / "b" / "029.png").unlink()
    elif change == "changed":
        (pictures / "b" / "029.png").write_bytes(encoded(Image.fromarray(bar(1, 77))))
    else:
        options = {"min_confidence": 0.5, "convert": ("grey",), "copy_to": tmp_path / "sorted"}
        options = {change: options[change]}
    with pytest.raises(BadInput, match=says) as error:
        label(pictures, out, model, **options)
    assert "begin anew with overwrite=True" in str(error.value)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("out.csv*")} == before
    label(pictures, out, model, overwrite=True, **options)
    label(pictures, tmp_path / "fresh.csv", model, **options | (
        {"copy_to": tmp_path / "other"} if change == "copy_to" else {}
    ))  # fmt: skip
    assert out.read_bytes() == (tmp_path / "fresh.csv").read_bytes()


@pytest.mark.parametrize("name", ["out.csv", "out.csv.unfinished", "out.csv.json"])
def test_a_file_that_is_somebody_elses_is_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(BadInput, match=r"not by this command; .*write to another file"):
        label(fill(tmp_path / "in", 2), tmp_path / "out.csv")
    assert (tmp_path / name).read_text() == "mine"


def test_the_pictures_are_never_the_table(tmp_path):
    letters = tmp_path / "letters.csv"
    letters.write_text(",".join(["0"] * 785) + "\n")
    with pytest.raises(ParameterError, match="these are the pictures; name another file"):
        label(letters, letters, overwrite=True)
    assert letters.read_text().startswith("0,0")


def test_other_class_folders_are_named_even_where_they_lie_among_the_pictures(tmp_path):
    pictures = fill(tmp_path / "in", 4)
    label(pictures, tmp_path / "out.csv", copy_to=pictures / "sorted")
    with pytest.raises(BadInput, match="from other class folders"):
        label(pictures, tmp_path / "out.csv")


def test_two_processes_do_not_write_one_table(tmp_path):
    lock = locks.hold(tmp_path / ".out.csv.lock")
    with pytest.raises(BadInput, match="is writing it"):
        label(fill(tmp_path / "in", 2), tmp_path / "out.csv")
    lock.release()


@pytest.mark.parametrize("out", ["out.txt", "out", "labels.json"])
def test_a_table_has_the_name_of_one(tmp_path, out):
    with pytest.raises(ParameterError, match="ends in"):
        label(fill(tmp_path / "in", 2), tmp_path / out)


@pytest.mark.parametrize("t", [-0.1, 1.5, float("nan"), "0.5", True])
def test_a_least_confidence_is_a_share(t):
    with pytest.raises(ParameterError, match="min_confidence"):
        Options(min_confidence=t)


def test_a_table_in_the_pictures_folder_is_no_picture(tmp_path):
    pictures = fill(tmp_path / "in")
    for _ in range(2):
        summary, _ = label(pictures, pictures / "out.csv", copy_to=pictures / "sorted")
        assert (summary.n, summary.problems) == (30, 0)


# --- what the model has not seen ------------------------------------------------------------------


def inverted(folder: Path, each: int = 1, n: int = 30) -> Path:
    for k, path in enumerate(sorted(fill(folder, n).rglob("*.png"))):
        if k % each == 0:
            image = np.asarray(Image.open(path))
            path.write_bytes(encoded(Image.fromarray(255 - image)))
    return folder


@pytest.mark.parametrize(
    ("make", "says", "ways"),
    [
        (lambda im: 255 - im, "light on dark; these are dark on light", ["invert"]),
        (lambda im: im // 200, "these only have 0 to 1", ["stretch"]),
        (lambda im: np.stack([im, im // 2, im], -1), "grey; these are in colour", ["grey"]),
        (lambda im: im.repeat(3, 0).repeat(3, 1), "these are 36 × 36", []),
    ],
)
def test_what_the_model_has_not_seen_stops_it_before_any_work(tmp_path, make, says, ways):
    (tmp_path / "in").mkdir()
    for k in range(30):
        path = tmp_path / "in" / f"{k}-{k % 2}.png"
        path.write_bytes(encoded(Image.fromarray(make(bar(k % 2)))))
    model = Bars()
    with pytest.raises(BadInput, match=says) as error:
        label(tmp_path / "in", tmp_path / "out.csv", model)
    assert model.calls == [] and sorted(p.name for p in tmp_path.iterdir()) == ["in"]
    advised = re.findall(r"convert='([a-z-]+)'", str(error.value))
    assert advised == [*ways, "as-they-are"]
    for way in ways:
        _, said = label(tmp_path / "in", tmp_path / f"{way}.csv", convert=(way,))
        assert said == []
        for row in table(tmp_path / f"{way}.csv"):
            assert row["class"] == ("left", "right")[int(row["path"][-5])]
    _, said = label(tmp_path / "in", tmp_path / "as.csv", convert=("as-they-are",))
    assert len(said) == 1 and says in said[0]


def test_where_some_are_inverted_only_these_are_turned(tmp_path):
    pictures = inverted(tmp_path / "in", each=3)
    with pytest.raises(BadInput, match=r"33% of these are dark on light.*invert-where-needed"):
        label(pictures, tmp_path / "out.csv")
    with pytest.raises(BadInput, match=r"after invert: .* 67% of these are dark on light"):
        label(pictures, tmp_path / "out.csv", convert=("invert",))
    label(pictures, tmp_path / "out.csv", convert=("invert-where-needed",))
    for row in table(tmp_path / "out.csv"):
        assert row["class"] == ("left" if row["path"].startswith("a/") else "right")


def test_several_conversions_go_together(tmp_path):
    (tmp_path / "in").mkdir()
    for k in range(20):
        image = np.stack([(255 - bar(k % 2)) // 100] * 3, -1)
        image[..., 0] //= 2
        (tmp_path / "in" / f"{k}-{k % 2}.png").write_bytes(encoded(Image.fromarray(image)))
    label(tmp_path / "in", tmp_path / "out.csv", convert=("invert", "stretch", "grey"))
    for row in table(tmp_path / "out.csv"):
        assert row["class"] == ("left", "right")[int(row["path"][-5])]


@pytest.mark.parametrize(
    ("convert", "says"),
    [
        (("upside-down",), "convert=upside-down: known: grey, stretch"),
        (("invert", "invert-where-needed"), "expected one way of inverting"),
    ],
)
def test_a_conversion_that_cannot_be_is_one_clear_line(tmp_path, convert, says):
    with pytest.raises(ParameterError, match=says):
        label(fill(tmp_path / "in", 3), tmp_path / "out.csv", convert=convert)


def test_a_model_that_does_not_say_what_it_has_seen_is_named_and_works(tmp_path):
    _, said = label(inverted(tmp_path / "in"), tmp_path / "out.csv", Bars(seen=None))
    assert len(said) == 1 and "was not checked" in said[0]
    with pytest.raises(ParameterError, match="use invert"):
        label(
            tmp_path / "in", tmp_path / "2.csv", Bars(seen=None), convert=("invert-where-needed",)
        )


def test_a_folder_without_one_readable_picture_is_a_table_of_problems(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"hello")
    summary, _ = label(tmp_path / "in", tmp_path / "out.csv", convert=("stretch",))
    assert (summary.n, summary.problems) == (1, 1)


def test_one_picture_that_the_model_does_not_take_does_not_cost_the_others(tmp_path):
    pictures = fill(tmp_path / "in")
    (pictures / "flat.png").write_bytes(encoded(Image.fromarray(np.full((1, 9), 9, np.uint8))))
    (pictures / "dark.png").write_bytes(encoded(Image.fromarray(np.zeros((12, 12), np.uint8))))
    summary, _ = label(pictures, tmp_path / "out.csv")
    problems = {r["path"]: r["problem"] for r in table(tmp_path / "out.csv") if r["problem"]}
    assert problems == {
        "dark.png": "the model gives no probabilities that are numbers",
        "flat.png": "is not taken by the model (too flat)",
    }
    assert summary.by_class == {"left": 15, "right": 15}


# --- memory ---------------------------------------------------------------------------------------


def test_batches_are_as_small_as_large_pictures_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "BATCH_BYTES", 12 * 12 * 10)
    model = Bars()
    label(fill(tmp_path / "in"), tmp_path / "out.csv", model)
    assert model.calls == [10, 10, 10]


# --- names ----------------------------------------------------------------------------------------

EVIL = [
    "=1+2.png",
    "+x.png",
    "@x.png",
    "-x.png",
    "a,b.png",
    'a"b.png',
    "a\nb.png",
    "ä.png",
    "日.png",
]


def test_names_of_strangers_are_harmless_and_each_is_one_row(tmp_path):
    (tmp_path / "in").mkdir()
    for k, name in enumerate(EVIL):
        (tmp_path / "in" / name).write_bytes(encoded(Image.fromarray(bar(k % 2))))
    odd = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "in" / odd).write_bytes(encoded(Image.fromarray(bar(0))))
    label(tmp_path / "in", tmp_path / "out.csv", copy_to=tmp_path / "sorted")
    rows = table(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfpath,")  # Excel's UTF-8
    paths = [r["path"].removeprefix("'") for r in rows]
    assert sorted(paths) == sorted([*EVIL, r"caf\xe9.png"])
    assert not any(r["path"].startswith(("=", "+", "@", "-")) for r in rows)
    copied = {p.name for p in (tmp_path / "sorted").rglob("*.png")}
    assert copied == {*EVIL, odd}


def test_classes_called_by_signs_keep_their_names_in_the_table(tmp_path):
    model = Bars()
    model.classes = ("+", "=")
    label(fill(tmp_path / "in"), tmp_path / "out.csv", model, copy_to=tmp_path / "sorted")
    assert {r["class"] for r in table(tmp_path / "out.csv")} == {"+", "="}


# --- class folders --------------------------------------------------------------------------------


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_class_folders_are_a_data_set_and_the_pictures_stay_as_they_are(tmp_path):
    pictures = fill(tmp_path / "in")
    before = files_below(pictures)
    label(pictures, tmp_path / "out.csv", copy_to=tmp_path / "sorted")
    back = load(tmp_path / "sorted")
    assert back.classes == ("left", "right") and back.class_counts() == {"left": 15, "right": 15}
    for path in (tmp_path / "sorted").rglob("*.png"):
        path.write_bytes(b"")
    assert files_below(pictures) == before


def test_pictures_of_one_name_do_not_replace_each_other(tmp_path):
    for k, folder in enumerate(["x", "y", "z/x"]):
        path = tmp_path / "in" / folder / "same.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(encoded(Image.fromarray(bar(0, 255 - k))))
    label(tmp_path / "in", tmp_path / "out.csv", copy_to=tmp_path / "sorted")
    copied = files_below(tmp_path / "sorted")
    assert sorted(copied.values()) == sorted(files_below(tmp_path / "in").values())


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("stop", [0, 8, 20])
def test_class_folders_of_a_stopped_run_end_like_those_of_an_undisturbed_one(tmp_path, stop):
    pictures = fill(tmp_path / "in")
    label(pictures, tmp_path / "good.csv", copy_to=tmp_path / "good")
    with pytest.raises(KeyboardInterrupt):
        label(pictures, tmp_path / "out.csv", Bars(stop), copy_to=tmp_path / "sorted")
    (tmp_path / "sorted" / "left").mkdir(parents=True, exist_ok=True)
    (tmp_path / "sorted" / "left" / ".0123.partial").write_bytes(b"half a pict")
    label(pictures, tmp_path / "out.csv", copy_to=tmp_path / "sorted")
    assert files_below(tmp_path / "sorted") == files_below(tmp_path / "good")


def test_a_file_that_lies_where_a_copy_belongs_stays(tmp_path):
    pictures = fill(tmp_path / "in", 4)
    copies = tmp_path / "sorted"
    with pytest.raises(KeyboardInterrupt):
        label(pictures, tmp_path / "out.csv", Bars(0), copy_to=copies)
    (copies / "left").mkdir(parents=True)
    (copies / "left" / "000.png").write_bytes(b"mine")
    label(pictures, tmp_path / "out.csv", copy_to=copies)
    assert (copies / "left" / "000.png").read_bytes() == b"mine"
    wanted = (pictures / "a" / "000.png").read_bytes()
    assert wanted in [p.read_bytes() for p in (copies / "left").iterdir()]


def test_class_folders_begin_empty_and_lie_apart_from_the_pictures(tmp_path):
    pictures = fill(tmp_path / "in", 4)
    (tmp_path / "full" / "x").mkdir(parents=True)
    for folder, says in (
        (tmp_path / "full", "is not empty"),
        (pictures, "the pictures lie in it"),
        (tmp_path, "the pictures lie in it"),
        (pictures / "a" / "000.png", "is a file"),
    ):
        with pytest.raises(BadInput, match=says):
            label(pictures, tmp_path / "out.csv", copy_to=folder)
        assert not (tmp_path / "out.csv.json").exists()


def test_pictures_of_an_npz_are_written_as_png(tmp_path):
    np.savez(tmp_path / "in.npz", images=np.array([bar(0), bar(1), bar(1)]))
    label(tmp_path / "in.npz", tmp_path / "out.csv", copy_to=tmp_path / "sorted")
    back = {
        p.relative_to(tmp_path / "sorted").as_posix() for p in (tmp_path / "sorted").rglob("*.png")
    }
    assert back == {"left/in-000000.png", "right/in-000001.png", "right/in-000002.png"}
    assert [r["path"] for r in table(tmp_path / "out.csv")] == [f"in.npz#{k}" for k in range(3)]


def test_colour_and_grey_of_several_sizes_are_read_together(tmp_path):
    pictures = fill(tmp_path / "in", 40)
    (pictures / "colour.png").write_bytes(encoded(colour(0)))
    summary, _ = label(pictures, tmp_path / "out.csv")
    assert summary.n == 41 and summary.problems == 0


def test_help_names_every_conversion(capsys):
    from alutils.__main__ import main

    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in CONVERSIONS)


@pytest.mark.parametrize("command", [
    ["predict", "", "--model", "m", "--out", "o.csv"],
    ["predict", "p", "--model", "", "--out", "o.csv"],
    ["predict", "p", "--model", "m", "--out", " "],
    ["train", "p", "--out", ""],
    ["data", "folder", "", "o.npz"],
])  # fmt: skip
def test_an_empty_path_is_not_the_working_directory(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "expected the path of a file or folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["", " ", None, 5])
def test_a_model_without_a_path_is_refused(path):
    with pytest.raises(SavedModelError, match="expected the folder that a model was saved in"):
        load_model(path)
