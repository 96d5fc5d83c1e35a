"""The command finish: from the forecast to the certificate without a browser."""

import csv
import hashlib
import io
import os
import pty
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alutils.__main__ import main
from alutils.labelling.finish import telling
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


# --- what was decided is told ---------------------------------------------------------------------


def begun(folder, *more):
    """Begin an attempt; return the file of answers, which is empty."""
    answers = write(folder.parent / "answers.csv", [])
    assert finish(folder, "--yes", "--answers", str(answers), *more) == 0
    return answers


def answer_without_deciding(folder, told):
    """Write all answers that an attempt takes, as by a program that is ended before it decides."""
    with Store.open(folder) as store:
        while store.plans.look(plan := store.plans.open()).decision == "go on":
            for item in store.queue.hand_out("command line", 5):
                if item.label is None and store.plans.look(plan).decision == "go on":
                    store.queue.label("command line", item.id, told(item.sha256))


def attempts(folder):
    with Store.open(folder) as store:
        return [plan.state for plan in store.plans.all()]


def test_a_refusal_that_nobody_was_told_is_told_and_no_attempt_begins(project, capsys):
    folder, truth = project
    answers = begun(folder)
    others = {"dark": "light", "light": "mid", "mid": "dark"}
    answer_without_deciding(folder, lambda sha256: others[truth[sha256]])
    capsys.readouterr()
    assert finish(folder, "--yes", "--answers", str(answers)) == 1
    out = capsys.readouterr().out
    assert "No certificate that 90%" in out and "It took" in out and "Ways on" in out
    assert f"Nothing was taken from {answers}" in out
    assert attempts(folder) == ["refused"]


def test_a_certificate_that_nobody_was_told_is_told_then_and_later(project, capsys):
    folder, truth = project
    answers = begun(folder)
    answer_without_deciding(folder, truth.__getitem__)
    capsys.readouterr()
    for _ in range(2):
        assert finish(folder, "--yes", "--answers", str(answers)) == 0
        out = capsys.readouterr().out
        assert "At least 90% of all 240 labels are right" in out
        assert "certificates/1.html" in out and "certificates/1.json" in out
    assert out.startswith("Nothing is left to label")
    assert "Nothing was taken from" in out and attempts(folder) == ["certified"]


def test_a_call_that_was_ended_before_it_told_the_decision_leaves_that_to_the_next(
    project, capsys, monkeypatch
):
    folder, truth = project
    begun(folder)
    others = {"dark": "light", "light": "mid", "mid": "dark"}
    answers = write(folder.parent / "a.csv", [(s, others[label]) for s, label in truth.items()])

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(telling, "tell", interrupted)
        assert finish(folder, "--answers", str(answers)) == 130
    assert attempts(folder) == ["refused"]
    capsys.readouterr()
    assert finish(folder, "--yes") == 1
    assert "No certificate that 90%" in capsys.readouterr().out
    assert attempts(folder) == ["refused"]  # told once: the next call begins anew
    assert finish(folder, "--yes") == 0
    assert attempts(folder) == ["refused", "open"]


# --- pictures whose files are missing -------------------------------------------------------------


def lay_out(folder):
    """Write the pictures into the folder, as the person's own files."""
    with Store.open(folder) as store:
        for _, sha256, name in pictures_of(store):
            (folder / name).write_bytes(store.files.picture(sha256).read_bytes())


def pictures_of(store):
    """Return number, hash and name of all pictures."""
    return store.database.connection.execute("SELECT id, sha256, name FROM items").fetchall()


def lose(folder, hashes):
    """Remove the tool's copies of pictures, and their links; return what their files held."""
    kept = {}
    with Store.open(folder) as store:
        for number, sha256, _ in pictures_of(store):
            if sha256 in hashes:
                path = store.files.picture(sha256)
                kept[path] = path.read_bytes()
                path.unlink()
                for link in store.files.classes.rglob(f"*-{number}.png"):
                    link.unlink()
    return kept


def test_missing_pictures_without_which_nothing_goes_on_are_named_as_an_error(project, capsys):
    folder, truth = project
    answers = begun(folder)
    rows = questions_of(folder)
    hashes = [row["sha256"] for row in rows.values()]
    write(answers, [(sha256, truth[sha256]) for sha256 in hashes[:-1]])
    assert finish(folder, "--answers", str(answers)) == 0
    kept = lose(folder, hashes[:6])
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0  # there is still something to answer
    out = capsys.readouterr().out
    assert "The files of 6 pictures of the attempt are missing" in out and "Missing: " in out
    assert hashes[-1] in {row["sha256"] for row in questions_of(folder).values()}
    last = write(folder.parent / "last.csv", [(hashes[-1], truth[hashes[-1]])])
    for more in ([], ["--answers", str(last)], ["--dry-run"], []):
        status = finish(folder, *more)
        told = capsys.readouterr()
    assert status == 2 and "Bring the pictures again; without them it can only" in told.err
    assert sum(name in told.err for name in rows) == 5 and ", ..." in told.err
    assert "It takes" not in told.out
    for path, content in kept.items():
        path.write_bytes(content)
    assert finish(folder, "--answers", str(last)) == 0
    assert "At least 90% of all 240 labels are right" in capsys.readouterr().out


def test_pictures_whose_files_lie_in_the_folder_are_read_again_while_an_attempt_goes_on(
    project, capsys
):
    folder, _ = project
    lay_out(folder)
    answers = begun(folder)
    hashes = [row["sha256"] for row in questions_of(folder).values()]
    lose(folder, hashes[:6])
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "6 files of the folder were read." in out and "missing" not in out
    with Store.open(folder) as store:
        assert store.plans.unreadable(1) == set()
        assert all(store.files.picture(sha256).is_file() for sha256 in hashes)


# --- answers that match no picture, or another ----------------------------------------------------


def answered(folder):
    """Return the labels that people gave, by the pictures' names."""
    with Store.open(folder) as store:
        items = store.reader.page(Filter(source="human"), limit=300).items
        return {item.name: item.label for item in items}


@pytest.mark.parametrize("how", ["whole", "by_link", "backslash", "capitals", "semicolons"])
def test_answers_are_joined_however_paths_and_hashes_are_written(project, how):
    folder, truth = project
    lay_out(folder)
    answers = begun(folder, "--by-hand", "500")
    name, row = next(iter(questions_of(folder).items()))
    label = truth[row["sha256"]]
    link = folder.parent / "link"
    link.symlink_to(folder)
    at = link if how == "by_link" else folder
    if how == "semicolons":
        answers.write_bytes(f"Name;Label\n{name};{label}\n".encode("utf-16"))
    else:
        which = {
            "whole": str(folder / name), "by_link": str(link / name), "backslash": f".\\{name}",
            "capitals": row["sha256"].upper(),
        }[how]  # fmt: skip
        write(answers, [(which, label)], ("sha256" if how == "capitals" else "path", "label"))
    assert finish(at, "--answers", str(answers)) == 0
    assert answered(folder)[name] == label


def test_lines_that_match_no_picture_are_listed_with_their_numbers(project, capsys):
    folder, truth = project
    answers = begun(folder)
    name, row = next(iter(questions_of(folder).items()))
    write(answers, [("lost.png", "dark"), (f"d/{name}", "dark"), (name, truth[row["sha256"]])],
          ("path", "label"))  # fmt: skip
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "1 answers taken" in out and "(2 lines)" in out
    assert "line 2: 'lost.png'" in out and f"line 3: 'd/{name}'" in out


def test_a_correction_of_an_answer_is_told_and_the_answer_stays(project, capsys):
    folder, _ = project
    answers = begun(folder)
    name, row = next(iter(questions_of(folder).items()))
    write(answers, [(row["sha256"], "dark")])
    assert finish(folder, "--answers", str(answers)) == 0
    write(answers, [(row["sha256"], "light")])
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "Pictures that were answered otherwise before (1 line):" in out
    assert "line 2:" in out and "'light' here, and 'dark' in the project" in out
    assert f"python -m alutils label {folder}" in out and answered(folder)[name] == "dark"


def test_two_lines_that_call_one_picture_differently_may_not_contradict(project, capsys):
    folder, _ = project
    answers = begun(folder)
    name, row = next(iter(questions_of(folder).items()))
    rows = [(row["sha256"], "", "dark"), ("", name, "light")]
    write(answers, rows, ("sha256", "name", "label"))
    assert finish(folder, "--answers", str(answers)) == 2
    told = capsys.readouterr().err
    assert "line 3" in told and "in line 2" in told and "both are the same picture" in told
    assert name not in answered(folder)


def test_the_answers_of_a_model_are_no_answers_of_an_audit(project, capsys):
    folder, truth = project
    answers = begun(folder)
    rows = [(sha256, label, "0.99") for sha256, label in truth.items()]
    write(answers, rows, ("sha256", "label", "confidence"))
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "0 answers taken" in out and "a model answered" in out and "(240 lines)" in out


def test_questions_with_the_columns_of_an_export_need_no_answer_in_every_line(project, capsys):
    folder, truth = project
    answers = begun(folder)
    one, two, *_ = (row["sha256"] for row in questions_of(folder).values())
    write(answers, [(one, truth[one]), (two, "")], ("picture_sha256", "label"))
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "1 answers taken" in out and "line" not in out


def test_the_path_of_a_damaged_file_is_not_taken_for_another_of_its_name(project, capsys):
    folder, _ = project
    (folder / "sub").mkdir()
    Image.fromarray(np.full((12, 9), 41, np.uint8)).save(folder / "sub" / "scan.png")
    (folder / "scan.png").write_bytes(b"damaged")
    answers = write(folder.parent / "a.csv", [("scan.png", "light")], ("path", "label"))
    assert finish(folder, "--yes", "--by-hand", "500", "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "line 2: 'scan.png': this file of the folder could not be read" in out
    assert "scan.png" not in answered(folder)
    write(answers, [("sub/scan.png", "light")], ("path", "label"))
    assert finish(folder, "--answers", str(answers)) == 0
    assert answered(folder)["scan.png"] == "light"


def test_files_that_were_exchanged_since_the_attempt_began_mean_no_picture(project, capsys):
    folder, truth = project
    lay_out(folder)
    answers = begun(folder, "--by-hand", "500")
    rows = questions_of(folder)
    (one, first), (two, second) = list(rows.items())[:2]
    (folder / one).rename(folder / "between")
    (folder / two).rename(folder / one)
    (folder / "between").rename(folder / two)
    told = {one: truth[second["sha256"]], two: truth[first["sha256"]]}
    write(answers, told.items(), ("path", "label"))
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "0 answers taken" in out and "(2 lines)" in out and "by its sha256" in out
    assert not {one, two} & set(answered(folder))


# --- who holds what -------------------------------------------------------------------------------


def test_pictures_on_somebodys_screen_are_told_and_stay_there(project, capsys):
    folder, truth = project
    begun(folder, "--by-hand", "3")
    with Store.open(folder) as store:
        held = [item.id for item in store.queue.hand_out("ann", 8)]
    answers = write(folder.parent / "a.csv", truth.items())
    capsys.readouterr()
    assert finish(folder, "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "lists 0 pictures" in out
    assert "8 of the pictures that it takes were handed to 'ann'" in out and "10 minutes" in out
    with Store.open(folder) as store:  # what her browser sends later is taken
        for item in held:
            store.queue.label("ann", item, truth[store.reader.item(item).sha256])


def test_what_the_persons_own_browser_holds_is_not_given_back(project):
    folder, truth = project
    answers = begun(folder)
    with Store.open(folder) as store:
        (held,) = store.queue.hand_out("ann", 1)
    assert finish(folder, "--answers", str(answers), "--person", "ann") == 0
    with Store.open(folder) as store:
        store.queue.label("ann", held.id, truth[held.sha256])
        assert {who for who, _ in store.queue.holders().values()} <= {"ann"}


# --- what people wrote into the list of questions -------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";"])
def test_columns_and_rows_that_somebody_wrote_into_the_questions_stay(project, capsys, mark):
    folder, truth = project
    begun(folder)
    questions = folder.parent / "to_label.csv"
    rows = list(questions_of(folder).values())
    table = [
        [r["sha256"], r["name"], truth[r["sha256"]] if i < 2 else "", f"note {i}" if i < 5 else ""]
        for i, r in enumerate(rows)
    ]
    table.append(["", "", "", "ask Bob"])
    with questions.open("w", newline="", encoding="utf-8") as file:
        head = ["sha256", "name", "Label", "remark"]
        csv.writer(file, delimiter=mark).writerows([head, *table])
    capsys.readouterr()
    assert finish(folder, "--answers", str(questions)) == 0
    assert "below the 2 answers" in capsys.readouterr().out
    with questions.open(encoding="utf-8-sig", newline="") as file:
        kept = list(csv.reader(file, delimiter=mark))
    assert kept[0] == head and kept[1:6] == table[:5] and kept[6] == table[-1]
    asked = [row[0] for row in kept[1:] if row[0] and not row[2]]
    assert len(set(asked)) == len(asked) and set(asked) >= {row["sha256"] for row in rows[2:]}


# --- options, and nobody to ask -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *[("--target", value, "0.98 means 98%") for value in ("99", "nan", "0", "1", "-1", "inf")],
        ("--by-hand", "-3", "a whole number, 0 or more"),
        ("--person", " ", "expected a name"),
    ],
)
def test_values_that_cannot_be_are_refused_before_any_work(project, capsys, option, value, message):
    folder, _ = project
    assert finish(folder, f"{option}={value}") == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(f"error: {option}=") and message in told.err


def test_what_changes_nothing_while_an_attempt_goes_on_is_said(project, capsys):
    folder, truth = project
    answers = begun(folder, "--by-hand", "3")
    capsys.readouterr()
    assert finish(folder, "--by-hand", "3") == 0
    assert "changes nothing" not in capsys.readouterr().out
    assert finish(folder, "--by-hand", "7", "--convert", "stretch-where-needed") == 0
    out = capsys.readouterr().out
    assert "--by-hand 7 changes nothing" in out and "with 3 pictures by hand" in out
    assert "--convert stretch-where-needed changes nothing" in out
    write(answers, truth.items())
    assert finish(folder, "--dry-run", "--answers", str(answers)) == 0
    out = capsys.readouterr().out
    assert "this is a dry run" in out and "0 pictures answered so far" in out


def ends(folder, **more):
    """Run the command in a process of its own without --yes; return its status and what it says."""
    command = [sys.executable, "-m", "alutils", "finish", str(folder), "--target", "0.9"]
    command += ["--features", "pixels", "--quick"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True, **more
    )
    return done.returncode, done.stdout


def test_a_closed_input_begins_nothing(project):
    folder, _ = project
    status, out = ends(folder, preexec_fn=lambda: os.close(0))
    assert status == 2 and "Traceback" not in out and "--yes" in out.splitlines()[-1]
    assert attempts(folder) == []


def test_an_end_of_input_at_the_question_begins_nothing(project):
    folder, _ = project
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"\x04")  # Ctrl-D
        status, out = ends(folder, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert status == 2 and "Traceback" not in out and "Begin? [y/N]" in out
    assert "--yes" in out.splitlines()[-1]
    assert attempts(folder) == []


def test_a_class_that_is_not_there_yet_is_added_where_that_is_asked(project, capsys):
    folder, truth = project
    rows = [(sha256, "purple" if label == "mid" else label) for sha256, label in truth.items()]
    answers = write(folder.parent / "a.csv", rows)
    assert finish(folder, "--yes", "--answers", str(answers)) == 2
    error = capsys.readouterr().err
    assert "no such class: purple" in error and "--add-classes" in error
    status = finish(folder, "--yes", "--answers", str(answers), "--add-classes")
    out = capsys.readouterr().out
    assert "Classes added: purple." in out
    assert status == 1  # the model knows nothing of it
    with Store.open(folder) as store:
        assert [c.name for c in store.classes.all()] == [*LEVELS, "purple"]


def test_answers_that_a_refused_attempt_did_not_ask_for_are_told_with_a_way(project, capsys):
    folder, truth = project
    turned = dict(zip(LEVELS, [*list(LEVELS)[1:], "dark"], strict=True))
    answers = write(folder.parent / "a.csv", [(s, turned[label]) for s, label in truth.items()])
    assert finish(folder, "--yes", "--answers", str(answers)) == 1
    out = capsys.readouterr().out
    with Store.open(folder) as store:
        left = store.reader.progress().remaining
    assert f"{left:,} more answers of the file were not asked for" in out
    command = out.split("To take them as labels: python -m alutils ")[1].split("\n")[0]
    assert main([*command.split(), "--on-conflict", "keep"]) == 0
    with Store.open(folder) as store:
        assert store.reader.progress().remaining == 0


def test_an_attempt_can_be_given_up(project, capsys):
    folder, _ = project
    assert finish(folder, "--stop") == 2
    assert "--stop" in capsys.readouterr().err
    assert finish(folder, "--yes") == 0
    capsys.readouterr()
    assert finish(folder, "--stop") == 0
    assert "The attempt was stopped after 0 answers" in capsys.readouterr().out
    with Store.open(folder) as store:
        assert store.plans.open() is None
    assert finish(folder, "--stop") == 2
