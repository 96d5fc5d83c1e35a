"""Where a project lies: people's own folders are left alone, and a project is found again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from label_helpers import encoded, letter

from alutils.__main__ import main
from alutils.base.project_folder import MARK, is_project
from alutils.labelling.exchange.backup import backup
from alutils.labelling.exchange.exporting import export
from alutils.labelling.store import places
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web.watch import Watcher


def picture(path, seed=0):
    """Write a picture that nobody is still writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(letter(seed)))
    os.utime(path, (1e9, 1e9))
    return path


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def shown(store):
    """Return the paths of the files that the project has pictures of."""
    Watcher(store).look()
    return set(store.sources.paths())


# --- a folder of the person's own -----------------------------------------------------------------

OWN = {
    "a picture": lambda at: picture(at / "mine.png"),
    "class folders": lambda at: picture(at / "cat" / "mine.png"),
    "images and classes": lambda at: [
        picture(at / each / "x.png") for each in ("images", "classes")
    ],
    "a text": lambda at: (at.mkdir(), (at / "notes.txt").write_text("mine")),
    "a file of that name": lambda at: at.write_text("mine"),
    "a link to nowhere": lambda at: at.symlink_to("/nowhere"),
}


@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_a_persons_own_folder_is_left_alone_and_the_project_found_again(tmp_path, caplog, make):
    make(tmp_path / "labelling")
    picture(tmp_path / "b.png", 9)
    before = tree(tmp_path)
    with Store.open(tmp_path, ["A"]) as store:
        assert store.files.root == tmp_path / "labelling-2"
        store.reconcile()
        names = {str(path) for path in before if path.suffix == ".png"}
        assert shown(store) == {Path(name).as_posix() for name in names}
        first = store.project_id
    (said,) = caplog.messages
    assert "labelling is not the tool's: it stays as it is" in said and "labelling-2" in said
    assert {path: data for path, data in tree(tmp_path).items() if path in before} == before
    for _ in range(2):
        with Store.open(tmp_path) as again:
            assert again.project_id == first
        # Nor does it change when the person's folder goes.
        at = tmp_path / "labelling"
        if at.is_dir():
            shutil.rmtree(at)
        else:
            at.unlink(missing_ok=True)
    assert len(caplog.messages) == 1


def test_every_name_that_is_a_persons_own_is_passed_over(tmp_path):
    for name in ("labelling", "labelling-2", "labelling-10"):
        picture(tmp_path / name / "mine.png")
    with Store.open(tmp_path) as store:
        assert store.files.root.name == "labelling-3"
        assert len(shown(store)) == 3
    with Store.open(tmp_path) as store:
        assert store.files.root.name == "labelling-3"


def test_an_empty_folder_of_that_name_is_taken_and_nothing_said(tmp_path, caplog):
    (tmp_path / "labelling").mkdir()
    # What a start that was cut short has left is no file of a person's.
    (tmp_path / "labelling" / f".{MARK}.0123.tmp").write_text("{")
    with Store.open(tmp_path) as store:
        assert store.files.root == tmp_path / "labelling"
        store.reconcile()
    assert caplog.messages == []
    assert not list((tmp_path / "labelling").glob("*.tmp"))


def test_a_project_without_a_mark_is_one_that_an_older_version_left(tmp_path):
    with Store.open(tmp_path, ["A"]) as store:
        one = picture(tmp_path / "a.png")
        assert shown(store) == {one.name}
        first = store.project_id
    mark = tmp_path / "labelling" / MARK
    mark.unlink()
    with Store.open(tmp_path) as store:
        assert store.project_id == first
    assert mark.is_file()
    # Without its database it is still no folder of the person's: its pictures are the tool's.
    mark.unlink()
    for path in (tmp_path / "labelling").glob("labels.sqlite*"):
        path.unlink()
    with Store.open(tmp_path) as store:
        assert store.files.root == tmp_path / "labelling"
        assert shown(store) == {one.name}


def test_a_damaged_database_is_said_and_no_new_project_begun(tmp_path):
    (tmp_path / "labelling").mkdir()
    (tmp_path / "labelling" / "labels.sqlite").write_bytes(b"damaged" * 1000)
    with pytest.raises(LabellingError, match="damaged or no database"):
        Store.open(tmp_path)
    assert not (tmp_path / "labelling-2").exists()


# --- what is looked through -----------------------------------------------------------------------


def test_only_what_the_tool_made_is_passed_over(tmp_path):
    inner, outer = tmp_path / "pics" / "inner", tmp_path / "pics"
    picture(inner / "one.png", 1)
    picture(inner / "labelling" / "mine.png", 2)
    for folder in (inner, outer):
        with Store.open(folder, ["A"]) as store:
            shown(store)
            store.queue.label("ann", store.queue.hand_out("ann", 1)[0].id, "A")
    with Store.open(outer) as store:
        export(store, "folders", outer / "sorted")
        backup(store, outer / "copy")
        assert shown(store) == {"inner/one.png", "inner/labelling/mine.png"}
    with Store.open(inner) as store:  # what another project gave is pictures like others
        export(store, "folders", outer / "from inner")
    for path in (outer / "from inner").rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    with Store.open(outer) as store:
        (more,) = shown(store) - {"inner/one.png", "inner/labelling/mine.png"}
        assert more.startswith("from inner/A/")


# --- a project elsewhere --------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path):
    """Return a folder of pictures and the project's, which lies beside it and has one label."""
    picture(tmp_path / "pics" / "a" / "x.png")
    with Store.open(tmp_path / "pics", ["A"], project=tmp_path / "work") as store:
        assert shown(store) == {"a/x.png"}
        store.queue.label("ann", store.queue.hand_out("ann", 1)[0].id, "A")
    assert [p.name for p in (tmp_path / "pics").iterdir()] == ["a"]
    return tmp_path / "pics", tmp_path / "work"


def test_a_project_elsewhere_is_opened_by_both_folders_or_by_its_own(elsewhere):
    pics, work = elsewhere
    for given, project in ((pics, work), (work, None), (work, work)):
        with Store.open(given, project=project) as store:
            assert (store.folder.resolve(), store.files.root) == (pics, work)
            assert store.reader.progress().human == 1
    assert places.find(pics).is_new, "the pictures alone do not tell of it"


def test_both_folders_can_be_moved(elsewhere, tmp_path):
    pics, work = elsewhere
    pics.rename(tmp_path / "moved pics")
    work.rename(tmp_path / "moved work")
    with Store.open(tmp_path / "moved pics", project=tmp_path / "moved work") as store:
        assert store.reader.progress().human == 1
    with Store.open(tmp_path / "moved work") as store:
        assert store.folder == tmp_path / "moved pics"


def test_a_project_that_was_moved_or_copied_goes_with_the_pictures_that_are_named(tmp_path, caplog):
    for name in ("pics", "copy of pics"):
        picture(tmp_path / name / "x.png")
    with Store.open(tmp_path / "pics", ["A"]) as store:
        assert shown(store) == {"x.png"}
        first = store.project_id
    (tmp_path / "pics" / "labelling").rename(tmp_path / "work")
    shutil.copytree(tmp_path / "work", tmp_path / "copy")
    for pics, project in (("pics", "work"), ("copy of pics", "copy")):
        caplog.clear()
        with Store.open(tmp_path / pics, project=tmp_path / project) as store:
            assert store.project_id == first
        assert f"are those in {tmp_path / pics} now" in caplog.text
        with Store.open(tmp_path / project) as store:
            assert store.folder == tmp_path / pics
            assert shown(store) == {"x.png"}


def test_a_project_among_its_pictures_is_moved_with_them(tmp_path):
    picture(tmp_path / "pics" / "x.png")
    for project in (None, tmp_path / "pics" / "deep" / "own"):
        with Store.open(tmp_path / "pics", ["A"], project=project) as store:
            assert shown(store) == {"x.png"}
    (tmp_path / "pics").rename(tmp_path / "new")
    for given in ("new/labelling", "new/deep/own"):
        with Store.open(tmp_path / given) as store:
            assert store.folder.resolve() == tmp_path / "new"
            assert shown(store) == {"x.png"}


def test_a_link_among_the_pictures_leads_to_the_project_wherever_they_are(tmp_path):
    picture(tmp_path / "pics" / "x.png")
    (tmp_path / "large disk").mkdir()
    (tmp_path / "pics" / "labelling").symlink_to(tmp_path / "large disk")
    with Store.open(tmp_path / "pics", ["A"]) as store:
        assert shown(store) == {"x.png"}
        first = store.project_id
    (tmp_path / "pics").rename(tmp_path / "moved")
    with Store.open(tmp_path / "moved") as store:
        assert (store.project_id, store.files.root.name) == (first, "labelling")


def test_the_project_of_other_pictures_is_not_taken_for_ones_own(elsewhere, tmp_path, caplog):
    pics, _ = elsewhere
    picture(tmp_path / "home" / "y.png", 5)
    Store.open(pics, ["A"], project=tmp_path / "home" / "labelling").close()
    with Store.open(tmp_path / "home", ["A"]) as store:
        assert store.files.root.name == "labelling-2"
        assert shown(store) == {"y.png"}
    assert "is the project of other pictures" in caplog.text


REFUSED = {
    "other pictures": (lambda t: (t / "other", t / "work"), "belongs to the pictures in"),
    "a folder in use": (lambda t: (t / "other", t / "full"), "holds what is no project"),
    "the pictures' own": (lambda t: (t / "pics", t / "pics"), "is the folder of the pictures"),
    "a project's folder": (lambda t: (t / "work", t / "new"), "is a project's folder"),
    "inside a project": (lambda t: (t / "work" / "classes", None), "lies in the tool's own folder"),
    "a file": (lambda t: (t / "full" / "x.txt", None), "is a file"),
}


@pytest.mark.parametrize(("where", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_mix_things_up_is_refused_and_nothing_written(elsewhere, where, message):
    top = elsewhere[0].parent
    picture(top / "other" / "y.png", 3)
    (top / "full").mkdir()
    (top / "full" / "x.txt").write_text("mine")
    before = tree(top)
    folder, project = where(top)
    with pytest.raises(LabellingError, match=message):
        Store.open(folder, ["A"], project=project)
    assert tree(top) == before


def test_a_second_project_of_the_same_pictures_is_told(tmp_path, caplog):
    picture(tmp_path / "pics" / "x.png")
    Store.open(tmp_path / "pics").close()
    Store.open(tmp_path / "pics", project=tmp_path / "second").close()
    assert "labelling is another project of the same pictures" in caplog.messages[0]


def test_a_folder_that_cannot_be_written_names_the_way_out(tmp_path, monkeypatch, capsys):
    picture(tmp_path / "x.png")

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(places, "make_folder", refuse)
    with pytest.raises(LabellingError, match=r"cannot be written.*with project='DIR'"):
        Store.open(tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text("name,label\nx.png,A\n")
    for command in (["label", str(tmp_path), "--no-model"], ["import", str(tmp_path), str(labels)]):
        assert main(command) == 2
        assert "put the project elsewhere with --project DIR" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_labelled_with_the_project_elsewhere(tmp_path):
    picture(tmp_path / "pics" / "x.png")
    (tmp_path / "pics").chmod(0o555)
    try:
        with pytest.raises(LabellingError, match="cannot be written"):
            Store.open(tmp_path / "pics")
        with Store.open(tmp_path / "pics", project=tmp_path / "work") as store:
            assert shown(store) == {"x.png"}
    finally:
        (tmp_path / "pics").chmod(0o755)


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_its_own", [True, False])
def test_every_command_takes_either_folder(elsewhere, tmp_path, capsys, by_its_own):
    pics, work = map(str, elsewhere)
    place = [work] if by_its_own else [pics, "--project", work]
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\na/x.png,B\n")
    replace = ["--add-classes", "--on-conflict", "replace"]
    assert main(["import", place[0], str(labels), *place[1:], *replace]) == 0
    out = tmp_path / "out.jsonl"
    assert main(["export", *place, "--to", "jsonl", "--out", str(out)]) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["path"], row["label"]) == ("a/x.png", "B")
    assert main(["backup", place[0], str(tmp_path / "copy"), *place[1:]]) == 0
    assert main(["finish", *place, "--quick"]) == 0
    assert "Nothing is left to label" in capsys.readouterr().out
    (tmp_path / "c.json").write_text("{}")
    assert main(["verify", str(tmp_path / "c.json"), *place]) == 2
    assert "holds no labels yet" not in capsys.readouterr().err
    assert [p.name for p in elsewhere[0].iterdir()] == ["a"]
    # The copy is a project wherever it is put back.
    shutil.rmtree(work)
    shutil.copytree(tmp_path / "copy" / "labelling", work)
    with Store.open(pics, project=work) as store:
        assert store.reader.progress().per_class == {"A": 0, "B": 1}


def test_the_tool_is_served_for_a_project_elsewhere(elsewhere, tmp_path):
    from alutils.labelling.web.serve import Options, serving

    pics, work = elsewhere
    for options in (Options(pics, work, port=0, learn=False), Options(work, port=0, learn=False)):
        with serving(options):
            assert is_project(work)
    assert [p.name for p in pics.iterdir()] == ["a"]


def test_pictures_that_are_elsewhere_now_are_asked_for(elsewhere, capsys):
    pics, work = elsewhere
    shutil.rmtree(pics)
    assert main(["label", str(work), "--no-model"]) == 2
    assert f"label PICTURES --project {work}" in capsys.readouterr().err
    out = work.parent / "x.csv"
    assert main(["export", str(work), "--to", "csv", "--out", str(out)]) == 0
    assert b"a/x.png" in out.read_bytes()


def test_a_folder_of_pictures_is_needed_with_a_project(tmp_path, capsys):
    assert main(["label", "--project", str(tmp_path / "new")]) == 2
    assert "is given without a folder of pictures" in capsys.readouterr().err


def test_two_processes_that_begin_at_once_share_one_project(tmp_path):
    (tmp_path / "labelling").mkdir()
    picture(tmp_path / "labelling" / "mine.png")
    code = f"""from alutils.labelling.store.store import Store
with Store.open({str(tmp_path)!r}, ["A"], alone=False) as store: print(store.project_id)"""
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)
    ]
    told = {process.communicate()[0] for process in started}
    assert len(told) == 1 and b"" not in told
