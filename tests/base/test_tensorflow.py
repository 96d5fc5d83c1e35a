"""A user's settings of Keras change nothing, and a Keras of another backend is said in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NUMBERS = """
import hashlib, sys
import numpy as np
from alutils.base.tensorflow import import_tensorflow
from alutils.models import embeddings, report_model, saved
from alutils.models.convnet import ConvNet
from alutils.models.dense_head import DenseHead

if sys.argv[2]:
    import_tensorflow()
    import keras
    keras.config.set_dtype_policy(sys.argv[2])
rng, channels, weights = np.random.default_rng(0), 3, []
for width in [64, 64, 128, 128, *3 * [256], *6 * [512]]:
    kernel = rng.normal(0, (2 / (9 * channels)) ** 0.5, (3, 3, channels, width))
    weights += [kernel.astype(np.float32), np.zeros(width, np.float32)]
    channels = width
images, labels = rng.integers(0, 256, (12, 9, 9), np.uint8), np.arange(12) % 3
options = {"weights": weights, "backend": "keras", "cache": False, "progress": False}
features = embeddings.features(images, **options)
head = DenseHead(3, epochs=2)
head.fit(features, labels)
report_model.save_model(sys.argv[1], head, weights, classes=["a", "b", "c"])
whole = saved.load_model(sys.argv[1]).predict_proba(images)
small = ConvNet(3, images, steps=3, width=2).fit(images, labels).predict_proba(images)
for numbers in (features, head.predict_proba(features), whole, small):
    assert numbers.dtype == np.float32
    print(hashlib.sha256(numbers).hexdigest())
"""
SETTINGS = {  # environment, keras.json, dtype policy that the user's code has set
    "KERAS_BACKEND=torch": ({"KERAS_BACKEND": "torch"}, {"backend": "torch"}, ""),
    "floatx=float64": ({}, {"floatx": "float64"}, ""),
    "image_data_format=channels_first": ({}, {"image_data_format": "channels_first"}, ""),
    "mixed_float16": ({}, {}, "mixed_float16"),
}


def numbers(folder: Path, environment: dict, keras_json: dict, policy: str) -> list[str]:
    """Return hashes of features, head, saved network and small network in a new process."""
    (folder / "keras.json").write_text(json.dumps(keras_json))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    ran = subprocess.run(
        [sys.executable, "-c", NUMBERS, str(folder / "model"), policy],
        env=clean | {"KERAS_HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> list[str]:
    return numbers(tmp_path_factory.mktemp("keras"), {}, {}, "")


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_users_keras_settings_change_no_number(setting, usual, tmp_path):
    assert len(usual) == 4
    assert numbers(tmp_path, *SETTINGS[setting]) == usual


def test_a_keras_of_another_backend_is_said_in_one_line_before_any_work(tmp_path):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text("from keras import config")
    (tmp_path / "keras" / "config.py").write_text("def backend():\n    return 'torch'\n")
    code = """import keras
from alutils.base import tensorflow
for call in (tensorflow.settle_keras, tensorflow.import_tensorflow):
    try:
        call()
    except ValueError as error:
        print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]
    assert lines[0].startswith("KERAS_BACKEND=torch: Keras was imported with this backend already")
    assert "restart Python" in lines[0]
