"""The command finish: from the forecast to the certificate without a browser."""

import csv
import hashlib
import io
import secrets
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alutils.__main__ import main
from alutils.labelling.store.records import Filter
from alutils.labelling.store.store import Store

LEVELS = {"dark": 40, "light": 220, "mid": 130}


@pytest.fixture(autouse=True)
def _the_same_draws(monkeypatch):
    """Draw each plan's seed alike: one audit in some hundred refuses a good model by bad luck."""
    monkeypatch.setattr(secrets, "token_hex", lambda n: f"{1:0{2 * n}x}")


@pytest.fixture
def project():
    """Make a project of 240 pictures in three easy classes, 45 of them labelled."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder, rng, truth = Path(name) / "pictures", np.random.default_rng(0), {}
        with Store.open(folder, list(LEVELS), seed=0, twice=0) as store:
            for i in range(240):
                label = list(LEVELS)[i % 3]
                pixels = np.clip(rng.normal(LEVELS[label], 25, (12, 9)), 0, 255).astype(np.uint8)
                out = io.BytesIO()
                Image.fromarray(pixels).save(out, "PNG")
                sha256 = hashlib.sha256(out.getvalue()).hexdigest()
                store.pictures.add(out.getvalue(), sha256, f"{i}.png", 9, 12)
                truth[sha256] = label
            for item in store.queue.hand_out("ann", 45):
                store.queue.label("ann", item.id, truth[item.sha256])
        yield folder, truth


def finish(folder, *more):
    return main(
        ["finish", str(folder), "--target", "0.9", "--features", "pixels", "--quick", *more]
    )


def questions_of(folder):
    """Return the pictures that to_label.csv lists, by their names."""
    with (folder.parent / "to_label.csv").open(encoding="utf-8-sig") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def write(path, rows, head=("sha256", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def test_a_dry_run_tells_what_it_takes_and_writes_no_plan(project, capsys):
    folder, _ = project
    assert finish(folder, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "90% right: finishing now should take about" in out and "by hand" in out
    with Store.open(folder) as store:
        assert store.plans.all() == []


def test_answers_from_files_bit_by_bit_end_in_a_certificate(project, capsys):
    folder, truth = project
    answers = write(folder.parent / "answers.csv", [])
    assert finish(folder, "--yes", "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "Attempt 1: 90% of all labels right" in out
    questions = folder.parent / "to_label.csv"
    order, rounds = [], 0
    while "are right (confidence 95%" not in out:
        with questions.open(encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        assert rows and all(row["label"] == "" for row in rows)
        order += [row["sha256"] for row in rows]
        some = rows[: max(3, len(rows) // 2)]
        write(answers, [(row["sha256"], truth[row["sha256"]]) for row in some])
        assert finish(folder, "--answers", str(answers)) == 0
        out = capsys.readouterr().out
        rounds += 1
        assert rounds < 40
    assert rounds > 2
    with Store.open(folder) as store:
        progress = store.reader.progress()
        assert progress.remaining == 0 and progress.auto > 100
        items = store.reader.page(Filter(source="any"), limit=300).items
        assert np.mean([item.label == truth[item.sha256] for item in items]) >= 0.9
    path = folder / "labelling" / "certificates" / "1.json"
    assert str(path.name) in out and path.is_file() and path.with_suffix(".html").is_file()
    assert main(["verify", str(path), str(folder)]) == 0
    capsys.readouterr()
    assert finish(folder) == 0
    assert capsys.readouterr().out.startswith("Nothing is left to label")


def test_answers_by_name_and_pictures_that_nobody_can_name(project, capsys):
    folder, truth = project
    with Store.open(folder) as store:
        names = {i.name: truth[i.sha256] for i in store.reader.page(limit=300).items}
    answers = folder.parent / "answers.csv"
    write(answers, [(name, label) for name, label in names.items()], ("path", "label"))
    assert finish(folder, "--yes", "--answers", str(answers), "--by-hand", "6") == 0
    out = capsys.readouterr().out
    assert "are right (confidence 95%" in out
    with Store.open(folder) as store:
        assert store.plans.last().terms["terms"]["by_hand"] == 6
    write(answers, [(name, "?") for name in names], ("name", "label"))


def test_what_nobody_can_name_is_rejected(project, capsys):
    folder, truth = project
    answers = write(folder.parent / "a.csv", [(sha256, "?") for sha256 in truth])
    assert finish(folder, "--yes", "--answers", str(answers)) == 1
    assert "No certificate that 90%" in capsys.readouterr().out
    with Store.open(folder) as store:
        assert store.reader.progress().rejected > 0 and store.reader.progress().auto == 0


def test_without_answers_it_says_where_to_give_them_and_goes_on(project, capsys):
    folder, _ = project
    assert finish(folder, "--yes") == 0
    out = capsys.readouterr().out
    assert f"python -m alutils label {folder}" in out
    assert finish(folder) == 0  # asks nothing: the attempt goes on
    assert "0 pictures answered so far" in capsys.readouterr().out
    assert main(["finish", str(folder), "--target", "0.95", "--features", "pixels"]) == 2
    assert "an attempt at 0.9 goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,kind\na,b\n", "no column tells a class"),
        (b"\xe9,label", "is not UTF-8"),
        (b"name,label\n1.png,dark\n1.png,light\n", "'1.png' is 'light', and 'dark' in line 2"),
        (b"name,label\n1.png,purple\n", "no such class: purple"),
    ],
)
def test_a_file_of_answers_that_cannot_be_is_refused(project, capsys, content, message):
    folder, _ = project
    path = folder.parent / "answers.csv"
    path.write_bytes(content)
    assert finish(folder, "--yes", "--answers", str(path)) == 2
    assert message in capsys.readouterr().err


def test_nobody_to_ask_and_no_project_are_said(project, capsys):
    folder, _ = project
    assert finish(folder) == 2
    assert "--yes" in capsys.readouterr().err
    assert finish(folder / "nothing") == 2
    assert "holds no labels yet" in capsys.readouterr().err
    assert not (folder / "nothing").exists()


def test_one_name_of_two_pictures_answers_neither(project, capsys):
    folder, truth = project
    with Store.open(folder) as store:
        one, two = store.reader.page(Filter(source="none"), limit=2).items
        with store.database.transaction() as connection:
            connection.execute(
                "UPDATE items SET name = 'x.png' WHERE id IN (?, ?)", (one.id, two.id)
            )
        store.sources.note("a/x.png", 1, 1, item=one.id)
        store.sources.note("b/x.png", 1, 1, item=two.id)
    answers = write(folder.parent / "a.csv", [("x.png", "dark")], ("name", "label"))
    assert finish(folder, "--yes", "--by-hand", "500", "--answers", str(answers)) == 2
    assert "several pictures are called 'x.png'" in capsys.readouterr().err
    rows = [("a/x.png", truth[one.sha256]), ("b/x.png", "?")]
    write(answers, rows, ("path", "label"))
    assert finish(folder, "--answers", str(answers)) == 0
    with Store.open(folder) as store:
        assert store.reader.item(one.id).label == truth[one.sha256]
        assert store.reader.item(two.id).rejected


def test_new_files_of_the_folder_are_taken_in_before_the_plan(project, capsys):
    folder, _ = project
    for i in range(3):
        pixels = np.random.default_rng(900 + i).normal(130, 25, (12, 9)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"late-{i}.png")
    answers = write(folder.parent / "answers.csv", [])
    assert finish(folder, "--yes", "--answers", str(answers)) == 0
    assert "3 files of the folder were read." in capsys.readouterr().out
    with Store.open(folder) as store:
        plan = store.plans.open()
        assert plan is not None and plan.terms["waiting"] == 240 - 45 + 3
    Image.fromarray(np.full((12, 9), 9, np.uint8)).save(folder / "later.png")
    assert finish(folder, "--answers", str(answers)) == 0
    assert "1 files of the folder were read." in capsys.readouterr().out
    with Store.open(folder) as store:  # the plan is made: it stays outside
        assert store.plans.open() == plan and "later.png" not in questions_of(folder)
        assert store.reader.progress().remaining == 240 - 45 + 3 + 1


def test_answers_in_the_file_of_questions_are_never_written_over(project, capsys):
    folder, truth = project
    answers = write(folder.parent / "answers.csv", [])
    assert finish(folder, "--yes", "--answers", str(answers)) == 0
    questions = folder.parent / "to_label.csv"
    with questions.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    filled = [(row["sha256"], row["name"], truth[row["sha256"]]) for row in rows[:4]]
    write(questions, [*filled, *((r["sha256"], r["name"], "") for r in rows[4:])],
          ("sha256", "name", "label"))  # fmt: skip
    assert finish(folder, "--answers", str(answers)) == 0  # of another file: these stay
    assert "below the 4 answers that stand in it" in capsys.readouterr().out
    with questions.open(encoding="utf-8-sig") as file:
        kept = list(csv.DictReader(file))
    assert [row["label"] for row in kept[:4]] == [label for *_, label in filled]
    assert {row["sha256"] for row in kept[4:]} == {row["sha256"] for row in rows}
    assert finish(folder, "--answers", str(questions)) == 0  # filled in, again and again
    out = capsys.readouterr().out
    assert "4 answers taken" in out and "below the 4 answers" in out


@pytest.mark.parametrize("text", ["my shopping list\nmilk\n", "a;b\n1;2\n", "\xff"])
def test_a_file_of_that_name_that_holds_something_else_is_left_alone(project, capsys, text):
    folder, _ = project
    answers = write(folder.parent / "answers.csv", [])
    other = folder.parent / "to_label.csv"
    other.write_bytes(text.encode("latin-1"))
    assert finish(folder, "--yes", "--answers", str(answers)) == 2
    assert "holds something else than answers" in capsys.readouterr().err
    assert other.read_bytes() == text.encode("latin-1")


def test_accents_may_be_typed_in_either_form(project, capsys):
    folder, truth = project
    with Store.open(folder) as store:
        store.class_changes.rename("ann", "dark", "d\u00e9j\u00e0")
    answers = folder.parent / "answers.csv"
    write(answers, [(s, "de\u0301ja\u0300" if t == "dark" else t) for s, t in truth.items()])
    assert finish(folder, "--yes", "--answers", str(answers)) == 0
    assert "answers taken" in capsys.readouterr().out


def test_pictures_that_differ_have_to_be_decided_by_an_option_before_anything_is_planned(
    project, capsys
):
    folder, _ = project
    with Store.open(folder, twice=0) as store:  # nearly black: a tenth as many levels
        for i in range(60):
            rng = np.random.default_rng(i)
            pixels = (LEVELS["mid"] + rng.normal(0, 25, (12, 9))).clip(0, 255) // 64
            out = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
            sha256 = hashlib.sha256(out.getvalue()).hexdigest()
            store.pictures.add(out.getvalue(), sha256, f"dim{i}.png", 9, 12)
    assert finish(folder, "--yes") == 2
    told = capsys.readouterr().err
    assert "60 of 300 pictures only have levels from" in told
    assert "--convert stretch-where-needed" in told and "--convert as-they-are" in told
    with Store.open(folder) as store:
        assert store.plans.all() == [] and store.models.present() is None
    assert finish(folder, "--dry-run", "--convert", "stretch-where-needed") == 0
    assert "are spread for the model. (command line)" in capsys.readouterr().out
    assert finish(folder, "--dry-run") == 0  # it is kept
    assert "are spread for the model. (command line)" in capsys.readouterr().out


def test_answers_are_joined_by_the_persons_own_files(project, capsys):
    folder, truth = project
    with Store.open(folder) as store:
        one, two, three = store.reader.page(Filter(source="none"), limit=3).items
        store.sources.note("a/1.bmp", 1, 1, item=one.id, sha256="1" * 64)
        store.sources.note("=2.png", 1, 1, item=two.id, sha256="2" * 64)
        store.sources.note("copy.png", 1, 1, item=two.id, sha256="3" * 64)
    clash = [("2" * 64, "dark"), ("3" * 64, "light")]
    answers = write(folder.parent / "a.csv", clash, ("file_sha256", "label"))
    assert finish(folder, "--yes", "--by-hand", "500", "--answers", str(answers)) == 2
    assert "both are the same picture" in capsys.readouterr().err
    write(answers, [("1" * 64, truth[one.sha256])], ("file_sha256", "label"))
    assert finish(folder, "--answers", str(answers)) == 0
    write(answers, [("./=2.png", truth[two.sha256])], ("path", "label"))
    assert finish(folder, "--answers", str(answers)) == 0
    write(answers, [(three.sha256, truth[three.sha256])], ("picture_sha256", "label"))
    assert finish(folder, "--answers", str(answers)) == 0
    with Store.open(folder) as store:
        for item in (one, two, three):
            assert store.reader.item(item.id).label == truth[item.sha256]
