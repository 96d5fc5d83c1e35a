"""`loading.load`, and the command that fetches, makes and converts data sets."""

import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from alutils.__main__ import main
from alutils.base import artefacts
from alutils.base.errors import BadInput
from alutils.base.files import repository_root
from alutils.data import loading, mnist
from alutils.data.csv_letters import read_csv
from alutils.data.dataset import LETTERS, Dataset
from alutils.data.loading import load
from alutils.data.npz import read_npz, write_npz
from alutils.data.streams import open_stream
from benchmarks import made_up_csv

ROOT = repository_root()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def table(tmp_path):
    return made_up_csv.write(tmp_path / "letters.csv", 300, stock=2)


@pytest.fixture
def few_rendered(monkeypatch):
    monkeypatch.setattr(loading, "RENDERED_N", 300)
    monkeypatch.setattr(loading, "RENDERED_AT_LEAST", 4)


def kaggle(monkeypatch, table) -> list:
    """Let kagglehub give this table; returns the list of its calls."""
    calls = []
    monkeypatch.setattr(artefacts, "az_kaggle", lambda: calls.append(1) or table)
    return calls


# --- by name --------------------------------------------------------------------------------------


def test_the_rendered_default_is_uneven_with_the_real_sets_smallest_class():
    from alutils.data.rendering import class_counts

    counts = class_counts(loading.RENDERED_N, at_least=loading.RENDERED_AT_LEAST)
    assert counts.sum() == 41_600
    assert counts.min() == 1_120  # as in the real set
    assert round(0.7 * counts.sum()) == 26 * 1_120
    assert counts.max() > 3 * counts.min()


def test_rendered_letters_follow_the_seed_and_say_what_they_are(few_rendered):
    letters = load("rendered", seed=1)
    assert (len(letters), letters.provenance) == (300, "rendered")
    assert min(letters.class_counts().values()) >= 4
    assert letters.content_hash() == load("rendered", seed=1).content_hash()
    assert letters.content_hash() != load("rendered", seed=2).content_hash()


def test_the_articles_digits_are_training_then_test_images():
    digits = load("mnist_article")
    train, test = mnist.mnist_article()
    assert (len(digits), digits.name, digits.provenance) == (4_400, "mnist_article", "mnist")
    assert np.array_equal(digits.images[4_000:], test.images)
    assert np.array_equal(digits.labels[:4_000], train.labels)


def test_all_digits_are_training_then_test_images(monkeypatch):
    train, test = mnist.mnist_article()
    monkeypatch.setattr(mnist, "mnist", lambda: (train, test))
    digits = load("mnist")
    assert digits.name == "mnist"
    assert np.array_equal(digits.labels, np.concatenate([train.labels, test.labels]))


def test_kaggles_letters_are_read_once_and_then_from_the_cache(monkeypatch, table):
    calls = kaggle(monkeypatch, table)
    monkeypatch.setattr(loading, "AZ_ROWS", (300,))
    letters = load("az")
    again = load("az")
    assert calls == [1]
    assert (letters.name, letters.provenance, letters.classes) == ("az", "kaggle", LETTERS)
    assert letters.content_hash() == again.content_hash() == read_csv(table).content_hash()
    assert (again.name, again.provenance) == ("az", "kaggle")


def test_a_damaged_cache_is_made_again(monkeypatch, table, caplog):
    calls = kaggle(monkeypatch, table)
    monkeypatch.setattr(loading, "AZ_ROWS", (300,))
    letters = load("az")
    kept = loading.az_path()
    kept.write_bytes(kept.read_bytes()[:5_000])
    assert load("az").content_hash() == letters.content_hash()
    assert calls == [1, 1]
    assert "az.npz in the cache is not used and made again" in caplog.text
    assert read_npz(kept).content_hash() == letters.content_hash()


def test_a_download_that_lacks_letters_is_reported_and_not_kept(monkeypatch, table, cache, caplog):
    kaggle(monkeypatch, table)
    assert len(load("az")) == 300
    assert "300 letters instead of 372450; not kept" in caplog.text
    assert not cache.exists()


def test_what_kaggles_table_lacks_is_not_kept_either(monkeypatch, table, cache, caplog):
    table.write_bytes(table.read_bytes() + b"1,2,3\n")
    kaggle(monkeypatch, table)
    monkeypatch.setattr(loading, "AZ_ROWS", (300,))
    with pytest.raises(BadInput, match="line 301: 3 values"):
        load("az")
    assert len(load("az", on_bad="skip")) == 300
    assert "1 of 301 rows skipped" in caplog.text
    assert not cache.exists()


# --- by path --------------------------------------------------------------------------------------


def test_a_table_an_npz_file_and_a_folder_hold_the_same_letters(table, tmp_path):
    letters = load(table)
    assert main(["data", "az_png", str(tmp_path / "png"), "--from", str(table)]) == 0
    write_npz(replace(letters, provenance="mine"), tmp_path / "letters.npz")
    assert load(str(tmp_path / "letters.npz")).content_hash() == letters.content_hash()
    assert load(tmp_path / "letters.npz").provenance == "mine"
    with pytest.raises(BadInput, match=r"class '[A-Z]' has one image"):
        load(tmp_path / "png")
    pictures = load(tmp_path / "png", on_bad="skip")
    lonely = [letter for letter, n in letters.class_counts().items() if n == 1]
    assert lonely and pictures.classes == tuple(c for c in LETTERS if c not in lonely)
    assert len(pictures) == 300 - len(lonely)


def test_bad_rows_of_a_local_table_are_skipped_only_on_request(table, caplog):
    table.write_bytes(table.read_bytes()[:-300])
    with pytest.raises(BadInput, match="line 300: the file ends within this row"):
        load(table)
    assert len(load(table, on_bad="skip")) == 299
    assert "1 cut row" in caplog.text


def test_a_relative_path_is_looked_for_here_and_in_the_repository(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(load("letters.csv")) == 300
    with pytest.raises(BadInput, match="holds no array 'images'"):  # MNIST's file has other names
        load("data/mnist_article.npz")


def test_a_file_called_as_a_data_set_is_reached_by_its_path(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "az" / "A").mkdir(parents=True)
    for name in "01":
        cv2.imwrite(str(tmp_path / "az" / "A" / f"{name}.png"), np.zeros((3, 3), np.uint8))
    assert load("./az").images.shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("renderd", r"data='renderd': no such name \(az, fashion, mnist.*did you mean rendered\?"),
        ("MNIST", r"did you mean mnist\?"),
        ("letters2.npz", r"no such file or folder; looked for .*letters2.npz and .*letters2.npz"),
        ("/nowhere/at.csv", r"looked for /nowhere/at.csv; check the spelling"),
        ("", "data='': expected az, fashion, mnist, mnist_article, rendered or a path"),
        (None, "data=None: expected az"),
        (7, "data=7: expected az"),
        (
            "pyproject.toml",
            r"pyproject.toml: a .toml is not read; expected .csv, .npz, -ubyte.gz or a folder",
        ),
        ("LICENSE", r"a file without suffix is not read"),
        ("docs.zip", "unpack an archive first"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_what_could_be(spec, message, tmp_path, monkeypatch):
    (tmp_path / "docs.zip").write_bytes(b"PK")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=message):
        load(spec)


def test_an_unknown_choice_is_named_before_any_work():
    with pytest.raises(BadInput, match=r"on_bad='maybe': expected one of 'error', 'skip'"):
        load("az", on_bad="maybe")


# --- the command ----------------------------------------------------------------------------------


def test_data_az_downloads_and_tells_where(monkeypatch, table, cache, capsys):
    kaggle(monkeypatch, table)
    monkeypatch.setattr(loading, "AZ_ROWS", (300,))
    assert main(["data", "az"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2].split() == ["all", "300"]
    assert out[-1].endswith("az.npz") and (cache / "az.npz").is_file()


def test_data_rendered_writes_an_npz_file_that_says_so(few_rendered, tmp_path, capsys):
    assert main(["data", "rendered", str(tmp_path / "r.npz"), "--seed", "4"]) == 0
    letters = load(tmp_path / "r.npz")
    assert letters.provenance == "rendered"
    assert letters.content_hash() == load("rendered", seed=4).content_hash()


def test_data_az_png_converts_kaggles_table_and_counts(monkeypatch, table, tmp_path, capsys):
    kaggle(monkeypatch, table)
    assert main(["data", "az_png", str(tmp_path / "png")]) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines()[:-1])
    expected = read_csv(table).class_counts() | {"all": 300}
    assert {name: int(n) for name, n in printed.items()} == expected
    assert len(list((tmp_path / "png" / "O").iterdir())) == expected["O"]
    assert load(tmp_path / "png", on_bad="skip").provenance == "kaggle"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["az_png"], "out='': expected a folder to be made"),
        (["az_png", "png", "--from", "missing.csv"], "No such file or directory: 'missing.csv'"),
        (["az_png", "png", "--from", "bad.csv"], "bad.csv, line 301: 2 values, expected 785"),
        (["mnist", "--from", "bad.csv"], "--from=bad.csv: mnist is not made from a table"),
        (["az", "az.npz"], "az is kept in the cache and takes no file"),
        (["rendered", "r.csv"], "r.csv: expected the name of a file that ends in .npz"),
        (["rendered", "--seed", "-1"], "--seed=-1: expected 0 or more"),
    ],
)
def test_a_command_that_cannot_work_says_why_and_writes_nothing(
    arguments, message, table, tmp_path, monkeypatch, capsys, few_rendered
):
    monkeypatch.chdir(tmp_path)
    table.rename("bad.csv").write_bytes((tmp_path / "bad.csv").read_bytes() + b"1,2\n")
    assert main(["data", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {"bad.csv", "cache"}


def test_help_tells_of_every_data_set(capsys):
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    out = capsys.readouterr().out
    for name in loading.NAMES:
        assert f"\n  {name} " in out
    assert "az_png" in out and "--from CSV" in out and "--on-bad" in out


def test_loading_a_small_thing_imports_no_tensorflow(tmp_path):
    dataset = Dataset(np.zeros((2, 3, 3), np.uint8), np.array([0, 1]), ("a", "b"), "local", "few")
    path = write_npz(dataset, tmp_path / "few.npz")
    code = (
        "import sys\nfrom alutils.data import loading\n"
        f"assert len(loading.load({str(path)!r})) == 2\nassert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=dict(os.environ))


# --- colour and size ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["npz", "folder"])
def test_pictures_of_any_source_come_in_the_colour_and_size_asked_for(tmp_path, where):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
    data = Dataset(images, np.arange(6) % 2, ("a", "b"), "mine", "mine")
    path = tmp_path / "mine.npz"
    if where == "npz":
        write_npz(data, path)
    else:
        path = tmp_path / "pictures"
        for place, image in enumerate(images):
            kind = path / data.classes[place % 2]
            kind.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(kind / f"{place}.png"), image[..., ::-1])
    as_they_are = load(path)
    assert as_they_are.images.shape == (6, 20, 30, 3)
    grey = load(path, colour="grey", size=14)
    assert grey.images.shape == (6, 14, 14)
    assert (grey.labels == as_they_are.labels).all() and grey.classes == ("a", "b")
    assert load(path, colour="rgb", size=(10, 15)).images.shape == (6, 10, 15, 3)
    whole = load(path, colour="grey").images.astype(float)
    expected = as_they_are.images @ np.array([0.299, 0.587, 0.114])
    assert np.abs(whole - expected).max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"colour": "blue"}, "colour='blue'"), ({"size": 0}, "size="), ({"size": (3,)}, "size=")],
)
def test_a_colour_or_size_that_there_is_not_is_refused_before_any_work(options, message):
    with pytest.raises(BadInput, match=message):
        load("mnist", **options)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("suffix", ["csv", "npz"])
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path, suffix, what):
    path = tmp_path / f"x.{suffix}"
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in (load, open_stream):
        with pytest.raises(BadInput, match="is a folder, a pipe or a device, expected a file"):
            read(path)


@pytest.mark.parametrize("spec", ["x" * 5000, "~no_such_user/pictures", "a\0b", " "])
def test_whatever_cannot_be_a_path_is_one_line(spec):
    for read in (load, open_stream):
        with pytest.raises(BadInput, match=r"no such file or folder|expected"):
            read(spec)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (True, "size=True: expected a height and a width"),
        ((28, False), "expected a height and a width"),
        ((28, 28, 3), "expected a height and a width"),
        (28.0, "expected a height and a width"),
        (10**20, "expected at most 20,000 pixels a side"),
        ((20_000, 20_000), "50,000,000 in all"),
    ],
)
def test_a_size_that_no_picture_has_is_refused_before_any_work(size, message):
    with pytest.raises(BadInput, match=message):
        load("mnist_article", size=size)


def test_a_size_of_numpys_is_one(tmp_path):
    assert load("mnist_article", size=np.int64(5)).images.shape[1:] == (5, 5)


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_more_pictures_than_memory_holds_are_refused_before_it_is_asked_for(
    tmp_path, monkeypatch, kind
):
    digits = load("mnist_article").take(np.arange(6))
    if kind == "npz":
        spec = write_npz(digits, tmp_path / "six.npz")
    else:
        spec = tmp_path / "six"
        for place, image in enumerate(digits.images):
            (spec / f"{place % 2}").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(spec / f"{place % 2}" / f"{place}.png"), image)
    memory = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**10}
    monkeypatch.setattr(os, "sysconf", memory.get)
    assert len(load(spec, size=100)) == 6
    with pytest.raises(BadInput, match=r"6 pictures of 2000×1000 pixels take .* make them smaller"):
        load(spec, size=(2000, 1000))


@pytest.mark.parametrize("value", [["skip"], np.array(["skip", "error"]), None])
def test_a_choice_that_is_no_text_is_refused(value):
    with pytest.raises(BadInput, match=r"on_bad=.*: expected one of 'error', 'skip'"):
        load("mnist_article", on_bad=value)


@pytest.mark.parametrize("name", ["rendered", "mnist_article"])
@pytest.mark.parametrize("out", ["letters.txt", "letters"])
def test_a_name_that_nothing_reads_is_refused_before_the_work(tmp_path, capsys, name, out):
    assert main(["data", name, str(tmp_path / out)]) == 2
    assert "expected the name of a file that ends in .npz" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
