"""`python -m alutils train`: from labelled pictures to a model in a folder, in one command."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alutils.__main__ import main
from alutils.models import candidates, load_model

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "az_sample.npz"


def letters(path, n=60, names=("A", "B", "C"), side=12, ground=0):
    rng, y = np.random.default_rng(0), np.arange(n) % 3
    x = rng.integers(0, 60, (n, side, side))
    middle = side // 2
    x[y == 0, middle] += 180
    x[y == 1, :, middle] += 180
    x[y == 2, middle - 1 : middle + 2, middle - 1 : middle + 2] += 180
    images = np.where(ground, 255 - x, x).astype(np.uint8)
    np.savez(path, images=images, labels=y, classes=np.array(names))
    return path, images, y


def run(*arguments):
    return main(["train", *map(str, arguments)])


def test_a_model_is_trained_saved_and_loaded_in_a_new_process(tmp_path, capsys):
    path, _, y = letters(tmp_path / "letters.npz")
    out = tmp_path / "model"
    assert run(path, "--out", out, "--only", "softmax", "--features", "pixels@12") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("model") and "predict PICTURES --model" in said[-2]
    assert said[-3].startswith("Taken: softmax regression on pixels@12 has ")
    code = (
        "import sys, numpy as np; from alutils.models import load_model\n"
        "x = np.load(sys.argv[2])['images']\n"
        "print(*load_model(sys.argv[1]).predict_proba(x).argmax(axis=1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, out, path], capture_output=True, text=True, check=True
    )
    assert (np.array(done.stdout.split(), int) == y).mean() > 0.9


@pytest.mark.parametrize("ground", [0, 1])
def test_rendered_letters_help_where_the_classes_are_letters(tmp_path, monkeypatch, ground):
    monkeypatch.setattr(candidates, "STEPS", 5)
    path, _, _ = letters(tmp_path / "letters.npz", ground=ground)
    assert run(path, "--out", tmp_path, "--only", "network", "--quick", "--letters", "260") == 0
    assert load_model(tmp_path).content().settings["prior"] > 0
    model = load_model(tmp_path)
    assert model.content().sha256() == model.sha256
    run(path, "--out", tmp_path, "--only", "network", "--quick", "--prior", "none")
    assert load_model(tmp_path).content().settings["prior"] == 0
    other, _, _ = letters(tmp_path / "signs.npz", names=("cross", "bar", "dot"))
    run(other, "--out", tmp_path, "--only", "network", "--quick")
    assert load_model(tmp_path).content().settings["prior"] == 0


def test_some_classes_and_pictures_without_labels(tmp_path):
    path, images, _ = letters(tmp_path / "letters.npz")
    np.savez(tmp_path / "more.npz", images=images[:20])
    assert run(
        path, "--out", tmp_path / "m", "--only", "spreading", "--features", "pixels@12",
        "--classes", "A, C", "--unlabelled", tmp_path / "more.npz",
    ) == 0  # fmt: skip
    assert load_model(tmp_path / "m").classes == ("A", "C")


def test_no_letters_are_rendered_where_no_network_can_learn_from_them(tmp_path, monkeypatch):
    from alutils.data import rendering

    monkeypatch.delattr(rendering, "rendered_dataset")
    path, _, _ = letters(tmp_path / "letters.npz", side=70)
    assert run(path, "--out", tmp_path / "m", "--features", "pixels@12") == 0


def test_large_pictures_without_labels_are_held_in_the_size_of_the_labelled_ones(
    tmp_path, monkeypatch
):
    from alutils.models import training

    path, images, _ = letters(tmp_path / "letters.npz")
    (tmp_path / "more").mkdir()
    for i, image in enumerate(images[:4]):
        large = np.kron(image, np.ones((20, 20), np.uint8))
        Image.fromarray(large).save(tmp_path / "more" / f"{i}.png")
    given, train_best = [], training.train_best

    def seen(*arguments, **options):
        given.extend(options["unlabelled"])
        return train_best(*arguments, **options)

    monkeypatch.setattr(training, "train_best", seen)
    run(path, "--out", tmp_path / "m", "--only", "spreading", "--features", "pixels@12",
        "--unlabelled", tmp_path / "more")  # fmt: skip
    assert [each.shape for each in given] == [(12, 12)] * 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--classes", "A,Z"], "--classes=Z: expected some of A, B, C"),
        (["--seed", "-1"], "--seed=-1"),
        (["--prior", "rendered", "--letters", "3"], "--letters=3"),
        (["--only", "spreading", "--features", "pixels"], "none are given"),
        (["--features", "vgg61"], "vgg61"),
        (["--unlabelled", "nowhere"], "nowhere"),
        (["--size", "0"], "--size=0"),
        (["--only", "softmax", "--features", "timm:convnext_tiny"], "timm is not installed"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_nothing_is_saved(tmp_path, capsys, options, says):
    path, _, _ = letters(tmp_path / "letters.npz")
    assert run(path, "--out", tmp_path / "model", *options) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error")]
    assert says in line
    assert not (tmp_path / "model").exists()


def test_a_file_in_the_place_of_the_folder_is_not_replaced(tmp_path, capsys):
    path, _, _ = letters(tmp_path / "letters.npz")
    assert run(path, "--out", path) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err


def test_a_place_where_nothing_can_be_saved_is_said_before_the_training(tmp_path, capsys):
    path, _, _ = letters(tmp_path / "letters.npz")
    assert run(path, "--out", path / "model") == 2
    assert f"nothing can be written in {path}" in capsys.readouterr().err


def test_pictures_that_no_network_takes_are_one_clear_line(tmp_path, capsys):
    np.savez(
        tmp_path / "thin.npz", images=np.zeros((30, 20, 3), np.uint8), labels=np.arange(30) % 2
    )
    assert run(tmp_path / "thin.npz", "--out", tmp_path / "model", "--only", "softmax") == 2
    assert "images have shape (30, 20, 3)" in capsys.readouterr().err


@pytest.mark.slow
def test_real_letters_are_read_as_well_as_promised(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "STEPS", 1500)  # fewer than people get
    if not SAMPLE.is_file():
        pytest.skip("no real letters beside the repository (../shared/data/az_sample.npz)")
    with np.load(SAMPLE) as kept:
        images, labels = kept["images"], kept["labels"]
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[:1000], order[1000:]
    names = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    np.savez(tmp_path / "train.npz", images=images[train], labels=labels[train], classes=names)
    run(tmp_path / "train.npz", "--out", tmp_path / "model", "--only", "network", "--quick")
    model = load_model(tmp_path / "model")
    assert (model.predict_proba(images[test]).argmax(axis=1) == labels[test]).mean() >= 0.95
