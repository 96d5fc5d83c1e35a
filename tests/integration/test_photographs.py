"""The command that compares backbones on somebody's pictures, from their folder to the table."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import photographs

QUICK = ["--backbones", "pixels-colour@8", "pixels@4,centre", "--labels", "6", "20", "--draws", "2"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder of red and of blue pictures of many sizes, JPEG and PNG."""
    rng = np.random.default_rng(0)
    for i in range(40):
        name, channel = [("blue", 2), ("red", 0)][i % 2]
        pixels = rng.integers(0, 120, (*rng.integers(8, 50, 2), 3), dtype=np.uint8)
        pixels[..., channel] += 120
        path = tmp_path / "pictures" / name / f"{i}.{'jpg' if i % 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def test_a_folder_of_pictures_of_any_sizes_gives_a_table_and_its_manifest(folder, tmp_path, capsys):
    out = tmp_path / "table.csv"
    assert photographs.main([str(folder), *QUICK, "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert list(table) == ["backbone", "n_human", "seed", "value", "n_eval"]
    assert len(table) == 2 * 2 * 2 and set(table["n_eval"]) == {20}
    colour = table[(table["backbone"] == "pixels-colour@8") & (table["n_human"] == 20)]
    assert (colour["value"] == 1).all()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "| backbone | 6 labels | 20 labels |" and "| 100.0 |" in printed[2]
    about = json.loads(out.with_suffix(".manifest.json").read_text())
    assert about["data"] == "pictures" and about["classes"] == ["blue", "red"]
    assert about["n_pictures"] == 40 and str(tmp_path) not in json.dumps(about["command"])


def test_the_same_labels_and_test_pictures_go_to_all_backbones(folder):
    pictures = photographs.load(str(folder))
    twice = photographs.accuracies(pictures, ["pixels@6", "pixels@6"], [6, 20], 3)
    np.testing.assert_array_equal(twice["value"][:6], twice["value"][6:])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("pictures", ["--labels", "40"], "labels=40: expected fewer than the 40 pictures"),
        ("pictures", ["--backbones", "lite1"], "did you mean lite"),
        ("pictures/red", [], "holds 0 class folders"),
        ("nowhere", [], "nowhere"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_writes_nothing(
    folder, data, options, message, capsys
):
    out = folder.parent / "table.csv"
    where = str(folder.parent / data)
    assert photographs.main([where, *QUICK, *options, "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and "Traceback" not in said
    assert not out.exists()


@pytest.mark.slow
def test_cifar_10_comes_from_keras_where_it_can(monkeypatch, tmp_path, capsys):
    from alutils.base.tensorflow import import_tensorflow

    import_tensorflow()
    import keras

    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(60)[:, None] % 10
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    out = tmp_path / "table.csv"
    both = ((images, labels), (images, labels))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: both)
    assert photographs.main(["cifar10", *QUICK, "--out", str(out)]) == 0
    assert set(pd.read_csv(out)["n_eval"]) == {40}

    def fail():
        raise OSError("URL fetch failure\non the web")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fail)
    assert photographs.main(["cifar10", *QUICK, "--out", str(out)]) == 2
    assert "could not download it (URL fetch failure on the web); give" in capsys.readouterr().err
