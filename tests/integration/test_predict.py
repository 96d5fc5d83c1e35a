"""Letters, a saved model, and ``python -m alutils predict`` in new processes, killed, too."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alutils.base.files import repository_root
from alutils.data.rendering import rendered_dataset
from alutils.models import load_model
from alutils.models.backbones.extractors import extractor
from alutils.models.convnet import ConvNet
from alutils.models.picture_models import AverageModel, FeatureModel, NetworkModel
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
]
N_TRAIN, N_TEST, COPIES = 2600, 520, 6


def pixels_model(letters) -> FeatureModel:
    extract = extractor("pixels")
    prepared = np.stack([extract.prepare(image) for image in letters.images])
    head = PenalisedSoftmax().fit(extract(prepared), letters.labels).head
    return FeatureModel("pixels", head, letters.classes, len(letters), Seen.of(letters.images))


@pytest.fixture(scope="module")
def letters():
    return rendered_dataset(N_TRAIN, 1), rendered_dataset(N_TEST, 2)


@pytest.fixture(scope="module")
def place(tmp_path_factory, letters):
    """Return a folder with a model and pictures in ``pics``, named by what they show."""
    train, test = letters
    folder = tmp_path_factory.mktemp("predict")
    pixels_model(train).save(folder / "run" / "model")
    for copy in range(COPIES):
        below = folder / "pics" / f"{copy}"
        below.mkdir(parents=True)
        for k, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
            Image.fromarray(image).save(below / f"{test.classes[label]}-{k:03}.png")
    (folder / "pics" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return folder


def predict(place: Path, *arguments: str, **options):
    command = [sys.executable, "-m", "alutils", "predict", "pics", *arguments]
    root = str(repository_root())
    environment = os.environ | {"PYTHONPATH": root, "ALUTILS_ROOT": root}
    return subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, **options,
    )  # fmt: skip


def ended(process: subprocess.Popen, status: int) -> tuple[str, str]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == status, err
    return out, err


@pytest.fixture(scope="module")
def undisturbed(place):
    """Return the table of a run that nothing stopped, and what it printed."""
    out, err = ended(
        predict(place, "--model", "run", "--out", "labels.csv", "--copy-to", "sorted"), 1
    )
    return place / "labels.csv", out, err


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_process_labels_a_folder_as_the_model_does_in_this_one(place, undisturbed, letters):
    path, out, _ = undisturbed
    table = rows(path)
    model = load_model(place / "run")
    assert len(table) == N_TEST * COPIES + 1
    problem = [row for row in table if row["problem"]]
    assert [row["path"] for row in problem] == ["broken.png"]
    good = [row for row in table if not row["problem"]]
    assert {row["model"] for row in table} == {model.sha256}
    right = np.mean([row["class"] == row["path"].split("/")[1][0] for row in good])
    _, test = letters
    p = model.predict_proba(test.images)
    assert right == pytest.approx((p.argmax(1) == test.labels).mean())
    assert right > 0.6
    for row in good[:N_TEST]:
        k = int(row["path"].rpartition("-")[2][:-4])
        assert float(row["confidence"]) == pytest.approx(p[k].max(), abs=1e-5)
    assert out.splitlines()[-1] == "labels.csv"
    assert f"{N_TEST * COPIES:,} of {N_TEST * COPIES + 1:,} pictures labelled" in out
    assert "1 cannot be read (broken.png is cut or damaged" in out


def test_class_folders_hold_every_labelled_picture_once(place, undisturbed):
    copied = sorted(path.read_bytes() for path in (place / "sorted").rglob("*.png"))
    pictures = place / "pics"
    given = [p.read_bytes() for p in pictures.rglob("*.png") if p.name != "broken.png"]
    assert copied == sorted(given)


def test_killed_at_any_time_and_started_again_it_ends_with_the_same_table(place, undisturbed):
    good, *_ = undisturbed
    command = "--model", "run", "--out", "killed/labels.csv", "--copy-to", "killed/sorted"
    state = place / "killed" / "labels.csv.json"
    unfinished, rng = [], np.random.default_rng(0)
    for k in range(4):
        process = predict(place, *command)
        end = time.monotonic() + 300
        before = unfinished[-1] if unfinished else -1
        while process.poll() is None and time.monotonic() < end:  # until it has written something
            try:
                facts = json.loads(state.read_text())
            except FileNotFoundError:
                facts = {"pictures": -1}
            if facts["pictures"] > before:
                break
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1) * (k > 0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        unfinished.append(json.loads(state.read_text())["pictures"])
    assert unfinished == sorted(unfinished)
    assert any(0 < n < N_TEST * COPIES for n in unfinished), "it was never killed half-way"
    _, err = ended(predict(place, *command), 1)
    assert "going on after" in err or "complete already" in err
    assert (place / "killed" / "labels.csv").read_bytes() == good.read_bytes()
    copies = [
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (place / "killed" / "sorted", place / "sorted")
    ]
    assert copies[0] == copies[1]


def test_another_model_is_refused_in_one_line_with_the_flag_that_helps(place, undisturbed, letters):
    train, _ = letters
    pixels_model(train.take(np.arange(0, N_TRAIN, 5))).save(place / "other")
    out, err = ended(predict(place, "--model", "other", "--out", "labels.csv"), 2)
    assert out == "" and err.startswith("error: labels.csv: is there already, from another model")
    assert "begin anew with --overwrite" in err and len(err.splitlines()) == 1


def test_inverted_letters_stop_it_and_the_flags_that_it_names_exist(place, letters):
    _, test = letters
    np.savez(place / "inverted.npz", images=255 - test.images)
    command = [
        sys.executable, "-m", "alutils", "predict", "inverted.npz", "--model", "run", "--out",
        "inverted.csv",
    ]  # fmt: skip
    told = {"cwd": place, "capture_output": True, "text": True, "check": False}
    stopped = subprocess.run(command, **told)
    assert stopped.returncode == 2
    assert "the model's pictures are light on dark; these are dark on light" in stopped.stderr
    assert "--convert invert" in stopped.stderr and "--convert as-they-are" in stopped.stderr
    assert not (place / "inverted.csv.json").exists()
    assert subprocess.run([*command, "--convert", "invert"], **told).returncode == 0
    as_saved = load_model(place / "run").predict_proba(test.images).argmax(1)
    found = [row["class"] for row in rows(place / "inverted.csv")]
    assert found == [test.classes[k] for k in as_saved]


def test_every_kind_of_model_labels_the_same_in_a_table_as_in_python(tmp_path, letters):
    from alutils.models.prediction.run import Options, label_pictures

    train, test = letters
    few = train.take(np.arange(0, N_TRAIN, 5))
    network = ConvNet(26, members=1, steps=20, seed=0).fit(few.images, few.labels)
    convnet = NetworkModel(network, (28, 28), False, few.classes, len(few), Seen.of(few.images))
    pixels = pixels_model(train)
    np.savez(tmp_path / "test.npz", images=test.images)
    for model in (pixels, convnet, AverageModel([pixels, convnet])):
        model.save(tmp_path / model.kind)
        out = tmp_path / f"{model.kind}.csv"
        label_pictures(
            tmp_path / "test.npz", tmp_path / model.kind, out, Options(progress=False),
            say=pytest.fail,
        )  # fmt: skip
        # in the same batches, of which the network draws the views it averages
        p = np.concatenate([model.predict_proba(test.images[i : i + 512]) for i in (0, 512)])
        table = rows(out)
        assert [row["class"] for row in table] == [test.classes[k] for k in p.argmax(1)]
        assert np.allclose([float(row["confidence"]) for row in table], p.max(1), atol=1e-5)
        assert {row["model"] for row in table} == {model.sha256}
