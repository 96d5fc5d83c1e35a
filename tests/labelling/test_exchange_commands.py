"""The commands import, export and backup."""

import re
import shutil

import pytest
from exchange_helpers import png

from alutils.__main__ import main
from alutils.labelling.store.store import Store


@pytest.fixture
def folder(tmp_path):
    """Three pictures in a folder that nobody has labelled in."""
    for i in range(1, 4):
        path = tmp_path / "pictures" / f"{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return tmp_path / "pictures"


def write(path, text):
    path.write_text(text)
    return str(path)


def test_labels_go_from_one_folder_to_another_of_the_same_pictures(folder, tmp_path, capsys):
    labels = write(tmp_path / "labels.csv", "path,label\n1/1.png,cat\n0/2.png,dog\n")
    assert main(["import", str(folder), labels, "--add-classes"]) == 0
    assert "2 labels to write." in capsys.readouterr().out
    out = tmp_path / "out.jsonl"
    assert main(["export", str(folder), "--to", "jsonl", "--out", str(out)]) == 0
    assert '"path": "1/1.png"' in out.read_text()
    assert main(["backup", str(folder), str(tmp_path / "copy")]) == 0
    with Store.open(tmp_path / "copy") as store:
        assert store.reader.progress().per_class == {"cat": 1, "dog": 1}


def test_options_and_files_stand_in_any_order(folder, tmp_path, capsys):
    labels, project = write(tmp_path / "labels.csv", "path,label\n1/1.png,cat\n"), tmp_path / "own"
    place = ["--project", str(project)]
    assert main(["import", str(folder), *place, labels, "--add-classes"]) == 0
    assert main(["backup", str(folder), *place, str(tmp_path / "copy")]) == 0
    assert main(["import", *place, str(folder), "--add-classes", labels]) == 0
    assert "1 there already" in capsys.readouterr().out


def test_a_projects_own_class_folders_are_refused_with_a_way_that_works(folder, tmp_path, capsys):
    labels = write(tmp_path / "labels.csv", "path,label,label_source\n1/1.png,cat,auto\n")
    assert main(["import", str(folder), labels, "--add-classes"]) == 0
    shutil.copytree(folder, tmp_path / "two", ignore=shutil.ignore_patterns("labelling"))
    capsys.readouterr()
    other = ["import", str(tmp_path / "two"), "--add-classes"]
    assert main([*other, str(folder / "labelling" / "classes")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    way = re.search(r"\(python -m alutils (export .* --out )labels.csv\)", error)[1].split()
    assert main([*way, str(tmp_path / "out.csv")]) == 0
    assert main([*other, str(tmp_path / "out.csv")]) == 0
    with Store.open(tmp_path / "two") as store:
        assert (store.reader.progress().human, store.reader.progress().auto) == (0, 1)


def test_a_dry_run_writes_no_label(folder, tmp_path, capsys):
    labels = write(tmp_path / "labels.csv", "name,label\n1.png,cat\n9.png,cat\n")
    assert main(["import", str(folder), labels, "--add-classes", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "1 label to write." in told
    assert "line 3: '9.png'" in told
    with Store.open(folder) as store:
        assert store.reader.progress().human == 0
        assert store.classes.all() == []


def test_the_last_import_is_taken_back(folder, tmp_path, capsys):
    labels = write(tmp_path / "labels.csv", "name,label\n1.png,cat\n")
    assert main(["import", str(folder), labels, "--add-classes"]) == 0
    assert main(["import", str(folder), "--undo"]) == 0
    assert main(["import", str(folder), "--undo"]) == 0
    told = capsys.readouterr().out
    assert "labels.csv: 1 answer taken back." in told
    assert "Nothing left to take back." in told
    assert main(["import", str(folder)]) == 2
    assert main(["import", str(folder), labels, "--undo"]) == 2
    with Store.open(folder) as store:
        assert store.reader.progress().human == 0


def test_what_cannot_be_taken_ends_with_an_error_and_writes_nothing(folder, tmp_path, capsys):
    labels = write(tmp_path / "labels.csv", "name,label\n1.png,cat\n")
    assert main(["import", str(folder), labels]) == 2
    seen = capsys.readouterr()
    assert "Classes that the project does not have: cat (1 line):" in seen.out
    assert main(["import", str(folder), labels, "--dry-run"]) == 0
    assert "As it is, nothing would be written." in capsys.readouterr().out
    assert "nothing was written" in seen.err
    with Store.open(folder) as store:
        assert store.reader.progress().human == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "{0}", "--to", "csv", "--out", "{0}/x.csv"], "holds no labels yet"),
        (["backup", "{0}", "{0}/x"], "holds no labels yet"),
        (["import", "{0}/none", "x.csv"], "no such folder"),
        (["import", "{0}", "{0}/none.csv"], "no such file"),
        (["export", "{0}", "--to", "npz", "--out", "x", "--size", "28"], "expected height x width"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(folder, capsys, arguments, message):
    assert main([each.format(folder) for each in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_labels_are_imported_while_the_tool_is_open(folder, tmp_path):
    with Store.open(folder, ["cat"]) as store:
        labels = write(tmp_path / "labels.csv", "name,label\n1.png,cat\n")
        assert main(["import", str(folder), labels]) == 0
        assert store.reader.progress().human == 1
        assert (store.files.classes / "cat").is_dir()


def test_a_file_that_is_written_for_ever_keeps_no_command_waiting(
    folder, tmp_path, capsys, monkeypatch
):
    from alutils.labelling import opening
    from alutils.labelling.web import watch

    labels = write(tmp_path / "labels.csv", "path,label\n1/1.png,cat\n")
    assert main(["import", str(folder), labels, "--add-classes"]) == 0
    monkeypatch.setattr(watch, "SETTLED_S", 0.1)
    monkeypatch.setattr(opening, "_MOST_WAIT_S", 0.5)
    look = watch.Watcher.look

    def grow(self):
        with (folder / "growing.png").open("ab") as file:
            file.write(b"x")
        return look(self)

    monkeypatch.setattr(watch.Watcher, "look", grow)
    assert main(["export", str(folder), "--to", "csv", "--out", str(tmp_path / "x.csv")]) == 0
    assert "still being written are left for the next time" in capsys.readouterr().out
