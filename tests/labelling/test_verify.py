"""A certificate is checked against its project; whatever was tampered with is found and named."""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from finish_helpers import CLASSES, FrozenLoop, add_pictures, answer_all, project

from alutils.__main__ import main
from alutils.labelling.finish import certificates, records, verify
from alutils.labelling.finish.project import Finish
from alutils.labelling.store.plans import Plans
from alutils.labelling.store.records import Filter, LabellingError
from alutils.labelling.store.store import Store

SEED = 1


def certified(folder: Path) -> Path:
    """Make a project with a refused attempt and then a certificate; return its file."""
    store, loop, truth = project(folder, n_wrong=60)
    with store:
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=8, person="ann")
        answer_all(finish, truth)
        assert finish.state().phase == "refused"
        waiting = [i.id for i in store.reader.page(Filter(source="none"), limit=300).items]
        finish = Finish(store, FrozenLoop(store, truth, set(waiting[::25]), "better"))
        finish.plan(0.9, by_hand=8, person="ann")
        while finish.state().phase == "asking":
            for item in finish.next("ann", 5):
                if finish.state().phase == "asking":
                    finish.answer("ann", item.id, CLASSES[truth[item.id]])
        assert finish.state().phase == "certified" and finish.state().errors > 0
        return certificates.path(store, 2)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    with pytest.MonkeyPatch.context() as patch:
        # The same draws each time: an audit that finds errors, and accepts.
        patch.setattr(secrets, "token_hex", lambda n: f"{SEED:0{2 * n}x}")
        certified(folder / "project")
    yield folder / "project"
    shutil.rmtree(folder)


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path / "project")
    return tmp_path / "project"


def check(folder: Path, found=None) -> verify.Verdict:
    path = folder / "labelling" / "certificates" / "2.json"
    with Store.open(folder, alone=False) as store:
        return verify.verify(verify.read(path) if found is None else found, store)


def test_an_honest_certificate_holds(folder):
    verdict = check(folder)
    assert verdict.holds, verdict
    assert all(line.holds for line in verdict.lines)
    assert len(verdict.lines) == 10


def test_what_people_do_later_is_told_and_the_certificate_stays(folder):
    with Store.open(folder) as store:
        auto = [i.id for i in store.reader.page(Filter(source="auto"), limit=5).items]
        human = [i.id for i in store.reader.page(Filter(source="human"), limit=5).items]
        store.queue.relabel("bob", [auto[0], human[0]], "A")
        store.models.revoke("carl", [auto[1]])
        (new,) = add_pictures(store, range(500, 501))
        store.queue.label("bob", new, "B")
    verdict = check(folder)
    assert verdict.holds
    told = [line.text for line in verdict.lines if line.holds is None]
    assert told[:2] == [
        "2 labels changed since by bob; it holds for those before.",
        "1 label changed since by carl; it holds for those before.",
    ]
    assert "1 pictures of the project are no part of it." in told
    # The file comes back as it was.
    path = folder / "labelling" / "certificates" / "2.json"
    before = path.read_bytes()
    path.unlink()
    with Store.open(folder) as store:
        Finish(store).settle()
    assert path.read_bytes() == before


def test_classes_that_were_renamed_since_are_told(folder):
    with Store.open(folder) as store:
        for old, new in (("A", "other"), ("B", "A"), ("other", "B")):
            store.class_changes.rename("bob", old, new)
    verdict = check(folder)
    assert verdict.holds
    (told,) = [line.text for line in verdict.lines if line.holds is None]
    assert told.startswith("Classes were renamed since, 'A' is 'B', 'B' is 'A' now")
    assert told.endswith("for the names in the file.")


def test_names_that_are_not_the_projects_are_told(folder):
    found = verify.read(folder / "labelling" / "certificates" / "2.json")
    one, *_ = found["names"]
    was, found["names"][one] = found["names"][one], "\x1b[31mother.png"
    verdict = check(folder, found)
    assert verdict.holds
    (told,) = [line.text for line in verdict.lines if line.holds is None]
    assert told.startswith("1 picture has another name now than in the file")
    assert repr(was) in told and "\\x1b[31mother.png" in told


# --- attacks on the file --------------------------------------------------------------------------


def change(found, name, value):
    found[name] = value


def widen(found):
    found["waited"][0][7] = (found["waited"][0][7] + 1) % 3


def consistent_target(found):
    found["target"] = found["terms"]["terms"]["target"] = 0.99
    found["text"] = records.sentences(found)


def one_more_label(found):
    found["counts"]["labels"] += 1
    found["text"] = records.sentences(found)


def other_first_answers(found):
    for row in found["waited"]:
        if row[6] is not None:
            row[6] = row[2]
    found["digest"] = records.digest({k: found[k] for k in ("waited", "before")})


FILE_ATTACKS = {
    "a higher target": lambda f: change(f, "target", 0.95),
    "a higher target all through": consistent_target,
    "a higher level": lambda f: change(f, "level", 0.99),
    "the first attempt": lambda f: change(f, "attempt", 1),
    "another attempt's number": lambda f: change(f, "number", 1),
    "an attempt that never was": lambda f: change(f, "number", 7),
    "columns in another order": lambda f: f["columns"]["waited"].reverse(),
    "columns that are none": lambda f: change(f, "columns", []),
    "no names": lambda f: change(f, "names", None),
    "names of other pictures": lambda f: change(f, "names", {"0" * 64: "x.png"}),
    "a name too few": lambda f: f["names"].popitem(),
    "another seed": lambda f: change(f, "seed", "00"),
    "another model": lambda f: change(f, "model", "0" * 64),
    "another project": lambda f: change(f, "project", "0" * 32),
    "more labels": one_more_label,
    "fewer errors": lambda f: f["counts"].update(errors=0),
    "other words": lambda f: change(f, "text", ["All labels are right.", *f["text"][1:]]),
    "another label of a picture": widen,
    "one picture more": lambda f: f["before"].append(["0" * 64, 0]),
    "one picture less": lambda f: f["waited"].pop(),
    "first answers that agree": other_first_answers,
    "attempts before left out": lambda f: change(f, "earlier", []),
    "missing files left out": lambda f: change(f, "missing", ["1" * 64]),
    "an earlier decision": lambda f: change(f, "position", 40),
    "a part left out": lambda f: f.pop("terms"),
    "a list that is none": lambda f: change(f, "waited", 5),
    "another version": lambda f: change(f, "format", 99),
}


@pytest.mark.parametrize("name", FILE_ATTACKS)
def test_a_file_that_was_tampered_with_is_refused(folder, name):
    path = folder / "labelling" / "certificates" / "2.json"
    found = json.loads(path.read_text("utf-8"))
    FILE_ATTACKS[name](found)
    verdict = check(folder, found)
    assert not verdict.holds
    assert verdict.lines[-1].holds is False and len(verdict.lines[-1].text) > 20


# --- attacks on the database ----------------------------------------------------------------------


def sql(text):
    return lambda connection: connection.executescript(text)


def rewrite(connection, act):
    """Change the certificate that the database keeps."""
    (text,) = connection.execute("SELECT certificate FROM plans WHERE id = 2").fetchone()
    found = json.loads(text)
    act(found)
    connection.execute("UPDATE plans SET certificate = ? WHERE id = 2", (json.dumps(found),))


def terms(connection, act):
    (text,) = connection.execute("SELECT terms FROM plans WHERE id = 2").fetchone()
    found = json.loads(text)
    act(found)
    connection.execute("UPDATE plans SET terms = ? WHERE id = 2", (json.dumps(found),))


def looser_plan(connection):
    """Let the plan allow more errors than it may, everywhere in the same way."""

    def loosen(found):
        found["terms"]["plan"]["allowed"] = found["allowed"] = found["allowed"] + 20

    rewrite(connection, loosen)
    terms(connection, lambda t: t["plan"].update(allowed=t["plan"]["allowed"] + 20))


AUDITED = """(SELECT events.id FROM events JOIN plan_items ON plan_items.plan = events.plan
    AND plan_items.item = events.item WHERE events.plan = 2 AND kind = 'label' AND NOT by_hand
    ORDER BY events.id LIMIT 1)"""
WAITED = "(SELECT item FROM plan_items WHERE plan = 2 AND place = 3)"
DATABASE_ATTACKS = {
    "an automatic label to another picture": sql(
        "UPDATE events SET label = (label + 1) % 3 WHERE id = (SELECT max(id) FROM events)"
    ),
    "an automatic label less": sql(
        "PRAGMA foreign_keys = 0; DELETE FROM events WHERE id = (SELECT max(id) FROM events)"
    ),
    "an automatic label more": sql(
        """INSERT INTO events (item, kind, label, model, at, predicted, confidence, plan)
        SELECT item, 'auto', 0, model, 0, 0, 0.9, 2 FROM events WHERE kind = 'label' LIMIT 1"""
    ),
    "an answer of the audit changed": sql(
        f"UPDATE events SET label = (label + 1) % 3 WHERE id = {AUDITED}"
    ),
    "an answer of the audit left out": sql(f"UPDATE events SET plan = NULL WHERE id = {AUDITED}"),
    "an answer put in": sql(
        f"""UPDATE events SET plan = 2, item = {WAITED}
        WHERE id = (SELECT id FROM events WHERE plan = 1 AND kind = 'label' LIMIT 1)"""
    ),
    "a label without an event": sql(
        """UPDATE items SET label = (label + 1) % 3
        WHERE id = (SELECT item FROM plan_items WHERE plan = 2 AND place = 3)"""
    ),
    "another prediction": sql(
        "UPDATE plan_items SET predicted = (predicted + 1) % 3 WHERE plan = 2 AND place = 3"
    ),
    "another confidence": sql(
        "UPDATE plan_items SET confidence = 0.5 WHERE plan = 2 AND place = 3"
    ),
    "a margin by which another would be by hand": sql(
        "UPDATE plan_items SET margin = -1, by_hand = 0 WHERE plan = 2 AND by_hand"
    ),
    "by hand and audit exchanged": sql(
        "UPDATE plan_items SET by_hand = 1 - by_hand WHERE plan = 2"
    ),
    "a picture of the plan left out": sql("DELETE FROM plan_items WHERE plan = 2 AND place = 3"),
    "a picture put among those before": sql(
        "UPDATE plan_items SET place = NULL WHERE plan = 2 AND place = 3"
    ),
    "the refused attempt does not count": sql("UPDATE plans SET begun = NULL WHERE id = 1"),
    "the attempt's number": sql("UPDATE plans SET attempt = 1 WHERE id = 2"),
    "another seed": sql("UPDATE plans SET seed = '12' WHERE id = 2"),
    "another target": sql("UPDATE plans SET target = 0.95 WHERE id = 2"),
    "the state": sql("UPDATE plans SET state = 'refused' WHERE id = 2"),
    "a looser plan": looser_plan,
    "a lower level": lambda c: terms(c, lambda t: t["plan"].update(level=0.5)),
    "terms for fewer by hand": lambda c: terms(c, lambda t: t["terms"].update(by_hand=2)),
    "more room": lambda c: terms(c, lambda t: t["terms"].update(room=90)),
    "a certificate of other words": lambda c: rewrite(c, lambda f: f.update(text=["All right."])),
    "a plan younger than its answers": lambda c: terms(c, lambda t: t.update(position=10**6)),
    "a picture's hash": sql(
        f"UPDATE items SET sha256 = '{'a' * 64}' WHERE id = {WAITED}"
    ),
    "classes exchanged": sql("UPDATE models SET sha256 = 'f' WHERE id = 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", DATABASE_ATTACKS)
def test_a_database_that_was_tampered_with_is_refused(folder, name):
    path = folder / "labelling" / "labels.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        there = triggers.fetchall()
        for trigger, _ in there:
            connection.execute(f"DROP TRIGGER {trigger}")
        DATABASE_ATTACKS[name](connection)
        for _, made in there:  # a database that lacks them is not even opened
            connection.execute(made)
        connection.commit()
    verdict = check(folder)
    assert not verdict.holds, verdict
    bad = [line.text for line in verdict.lines if line.holds is False]
    assert len(bad) == 1 and len(bad[0]) > 20


def test_file_and_database_changed_alike_are_refused_where_they_do_not_follow_from_the_answers(
    folder,
):
    """The certificate is rewritten on both sides; the answers are as they were."""
    path = folder / "labelling" / "certificates" / "2.json"
    for act in (
        lambda f: f["counts"].update(errors=0),
        lambda f: f["counts"].update(labels=f["counts"]["labels"] + 50),
        lambda f: f.update(text=["All labels are right."]),
        lambda f: f.update(missing=["a" * 64]),
        lambda f: f.update(position=f["position"] - 20),
        lambda f: f.update(attempt=1),
    ):
        found = json.loads(path.read_text("utf-8"))
        act(found)
        with closing(sqlite3.connect(folder / "labelling" / "labels.sqlite")) as connection:
            (before,) = connection.execute("SELECT certificate FROM plans WHERE id = 2").fetchone()
            rewrite(connection, act)
            connection.commit()
        assert not check(folder, found).holds
        with closing(sqlite3.connect(folder / "labelling" / "labels.sqlite")) as connection:
            connection.execute("UPDATE plans SET certificate = ? WHERE id = 2", (before,))
            connection.commit()
    assert check(folder).holds


@pytest.mark.parametrize("how", ["missing", "changed"])
def test_a_picture_that_is_missing_or_another_one_is_told(folder, how):
    with Store.open(folder) as store:
        path = store.files.picture(store.reader.item(100).sha256)
    if how == "missing":
        path.unlink()
    else:
        path.unlink()
        path.write_bytes(b"another")
    verdict = check(folder)
    bad = [line for line in verdict.lines if line.holds is False]
    assert len(bad) == 1 and "1 picture files are missing or changed" in bad[0].text


def test_a_copied_certificate_does_not_fit_another_project(folder, tmp_path):
    with Store.open(tmp_path / "other", CLASSES):
        pass
    found = verify.read(folder / "labelling" / "certificates" / "2.json")
    assert "another project's" in check(tmp_path / "other", found).lines[-1].text


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"format": ', b"[" * 100_000]
)
def test_a_file_that_is_no_certificate_is_refused(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(LabellingError, match="certificate"):
        verify.read(path)


def test_an_open_attempt_cannot_be_verified(tmp_path):
    store, loop, _ = project(tmp_path)
    with store:
        Finish(store, loop).plan(0.9, by_hand=5, person="ann")
        found = {"format": records.FORMAT, "project": store.project_id, "number": 1}
        assert "gave no certificate" in verify.verify(found, store).lines[-1].text


# --- the commands ---------------------------------------------------------------------------------


def test_the_command_verifies_and_its_exit_status_tells(folder, capsys):
    path = folder / "labelling" / "certificates" / "2.json"
    assert main(["verify", str(path), str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.count("holds  ") == 10 and "At least 90% of all" in out
    found = json.loads(path.read_text("utf-8"))
    found["target"] = 0.99
    path.write_text(json.dumps(found))
    assert main(["verify", str(path), str(folder)]) == 1
    assert "FAILS  The file differs" in capsys.readouterr().out
    assert main(["verify", str(path), str(folder / "nothing")]) == 2
    assert "holds no labels yet" in capsys.readouterr().err
    assert not (folder / "nothing").exists()


def test_the_command_verifies_beside_a_server(folder):
    with Store.open(folder):
        path = folder / "labelling" / "certificates" / "2.json"
        done = subprocess.run(
            [sys.executable, "-m", "alutils", "verify", str(path), str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


def tree(folder):
    """Return all files with what tells whether they were written."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def read_only(monkeypatch, folder):
    """Let a folder look as on a disk that is read-only; root may write everywhere else."""
    ask = os.access

    def access(path, mode):
        return ask(path, mode) and not (mode & os.W_OK and Path(path).is_relative_to(folder))

    monkeypatch.setattr(os, "access", access)


def test_verify_only_reads(folder):
    before = tree(folder)
    assert main(["verify", str(folder / "labelling" / "certificates" / "2.json"), str(folder)]) == 0
    assert tree(folder) == before


def test_who_opens_a_project_to_read_cannot_write(folder):
    path = folder / "labelling" / "labels.sqlite"
    before = path.read_bytes()
    with Store.open_to_read(folder) as store:
        with pytest.raises(LabellingError, match="could not be written"):
            store.queue.relabel("bob", [1], "A")
        assert store.reader.progress().remaining == 0
    assert path.read_bytes() == before


def test_verify_needs_no_right_to_write(folder, capsys, monkeypatch):
    read_only(monkeypatch, folder)
    root = folder / "labelling"
    before, changed = tree(folder), root.stat().st_mtime_ns
    assert main(["verify", str(root / "certificates" / "2.json"), str(folder)]) == 0
    assert capsys.readouterr().out.count("holds  ") == 10
    assert (tree(folder), root.stat().st_mtime_ns) == (before, changed), "not even for a moment"


def test_labels_in_the_log_are_read_too_or_it_is_said(folder, capsys, monkeypatch):
    root, path = folder / "labelling", str(folder / "labelling" / "certificates" / "2.json")
    with Store.open(folder) as store:
        human = [i.id for i in store.reader.page(Filter(source="human"), limit=1).items]
        store.queue.relabel("bob", human, "A")
        for end in ("", "-wal", "-shm"):  # as a crash leaves them
            shutil.copy(root / f"labels.sqlite{end}", folder / f"kept{end}")
    for end in ("", "-wal", "-shm"):
        (folder / f"kept{end}").rename(root / f"labels.sqlite{end}")
    before = tree(folder)
    assert main(["verify", path, str(folder)]) == 0
    assert "1 label changed since by bob" in capsys.readouterr().out
    assert {p: before[p] for p in before if "shm" not in p.name} == {
        p: about for p, about in tree(folder).items() if "shm" not in p.name
    }, "what is in the log stays there"
    (root / "labels.sqlite-shm").unlink()
    read_only(monkeypatch, folder)
    assert main(["verify", path, str(folder)]) == 2
    error = capsys.readouterr().err
    assert "its last labels are still in labels.sqlite-wal" in error and "copy " in error


@pytest.mark.parametrize(
    "words",
    [
        ["export", "--to", "csv", "--out", "x.csv"], ["backup", "x"], ["import", "x.csv"],
        ["import", "--undo"], ["finish", "--dry-run"], ["label", "--restore", "1"],
        ["label", "--no-model", "--port", "0"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_moved", [True, False])
def test_other_commands_say_in_one_line_that_nothing_can_be_written(
    folder, tmp_path, capsys, monkeypatch, words, is_moved
):
    with Store.open(folder) as store:
        store.database.back_up()
    if is_moved:  # its mark would be written anew
        folder = folder.rename(tmp_path / "moved")
    read_only(monkeypatch, folder)
    before = tree(folder)
    monkeypatch.chdir(tmp_path)
    assert main([words[0], str(folder), *words[1:]]) == 2
    error = capsys.readouterr().err
    assert "labelling: nothing can be written there" in error and error.count("\n") == 1
    assert tree(folder) == before


def test_a_plan_of_a_broken_level_is_never_replayed(folder):
    """The plan's own constructor refuses it, whoever asks."""
    with Store.open(folder) as store:
        plans = Plans(store.database)
        plan = plans.plan(2)
        plan.terms["plan"]["allowed"] += 500
        with pytest.raises(ValueError, match=r"allowed|looks|expected"):
            plans.attempt(plan)
