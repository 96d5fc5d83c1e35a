"""The report's model on disk: whole, as the report saves it, and read without running anything."""

import json

import numpy as np
import pytest

from alutils.base.tensorflow import import_tensorflow
from alutils.models import report_model
from alutils.models import saved as saved_models
from alutils.models.dense_head import DenseHead
from alutils.models.saved import SavedModelError


@pytest.fixture(scope="module")
def keras():
    import_tensorflow()
    import keras

    return keras


CLASSES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@pytest.fixture(scope="module")
def vgg_weights():
    """Return random convolutions of VGG16's shapes through which signals neither fade nor grow."""
    rng, widths = np.random.default_rng(0), [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    weights, channels = [], 3
    for width in widths:
        kernel = rng.standard_normal((3, 3, channels, width), np.float32)
        weights += [kernel * np.float32((2 / (9 * channels)) ** 0.5), np.zeros(width, np.float32)]
        channels = width
    return weights


@pytest.fixture(scope="module")
def letters():
    return np.random.default_rng(1).integers(0, 256, (20, 28, 28), np.uint8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, vgg_weights, letters):
    """Return the folder of a saved model, its head, and the features of `letters`."""
    from alutils.models import embeddings

    features = embeddings.features(
        letters, weights=vgg_weights, cache=False, backend="keras", progress=False
    )
    head = DenseHead(26, epochs=3)
    head.fit(features, np.arange(20))
    folder = tmp_path_factory.mktemp("model") / "deep" / "model"
    report_model.save_model(folder, head, vgg_weights, classes=CLASSES)
    return folder, head, features


def test_a_saved_model_reads_images_as_the_head_reads_their_features(saved, letters):
    folder, head, features = saved
    model = saved_models.load_model(folder)
    expected = head.predict_proba(features)
    assert expected.max() - expected.min() > 0.05  # not all the same
    np.testing.assert_allclose(model.predict_proba(letters), expected, atol=1e-4)
    assert model.classes == CLASSES
    # lists, colour and single images: what a labelling tool hands over
    colour = [np.repeat(image[..., None], 3, axis=2) for image in letters[:3]]
    np.testing.assert_allclose(model.predict_proba(colour), expected[:3], atol=1e-4)
    assert model.predict_proba(letters[:1]).shape == (1, 26)


def test_a_saved_model_loads_in_plain_keras_as_the_report_loads_it(saved, letters, keras):
    from alutils.data.pixels import prepare

    folder, head, features = saved
    loaded = keras.models.model_from_json((folder / "model_structure.json").read_text())
    loaded.load_weights(folder / "model-detection.weights.h5")
    assert loaded.input_shape == (None, 32, 32, 3) and loaded.output_shape == (None, 26)
    probabilities = loaded.predict(prepare(letters), verbose=0)
    np.testing.assert_allclose(probabilities, head.predict_proba(features), atol=1e-4)
    trainable = [layer.name for layer in loaded.layers if layer.trainable and layer.weights]
    assert trainable == ["dense", "dense_1"]  # the base stays frozen


def test_saving_over_a_model_replaces_it_and_leaves_nothing_behind(
    saved, vgg_weights, letters, tmp_path
):
    _, head, features = saved
    other = DenseHead(26, epochs=3, rng=5)
    other.fit(features, np.arange(20)[::-1])
    report_model.save_model(tmp_path, head, vgg_weights, classes=CLASSES)
    first = saved_models.load_model(tmp_path).sha256
    report_model.save_model(tmp_path, other, vgg_weights, classes=CLASSES)
    model = saved_models.load_model(tmp_path)
    assert model.sha256 != first
    np.testing.assert_allclose(
        model.predict_proba(letters), other.predict_proba(features), atol=1e-4
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model-detection.weights.h5",
        "model_card.json",
        "model_structure.json",
    ]


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _card(**changes):
    """Return what changes a card as a forger would, or of an older version, without its hash."""

    def change(path):
        card = json.loads(path.read_text()) | changes
        del card["model_sha256"]
        path.write_text(json.dumps(card))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("model_card.json", lambda path: path.unlink(), "holds no saved model"),
        ("model_card.json", _cut, "damaged"),
        ("model_card.json", lambda path: path.write_text("[]"), "not a model's card"),
        ("model_card.json", _card(format=3), "format"),
        ("model_card.json", _card(classes=[]), "classes="),
        ("model_card.json", _card(size=[32]), "size="),
        ("model_card.json", _card(preprocessing="none"), "preprocessing="),
        ("model_card.json", _card(sha256={}), "sha256="),
        ("model_card.json", _card(classes=["A", "B"]), "names 2 classes, the network has 26"),
        ("model_structure.json", lambda path: path.unlink(), "missing"),
        ("model_structure.json", _flip, "not the file that was saved"),
        ("model-detection.weights.h5", lambda path: path.unlink(), "missing"),
        ("model-detection.weights.h5", _cut, "not the file that was saved"),
        ("model-detection.weights.h5", _flip, "not the file that was saved"),
    ],
)
def test_a_damaged_model_is_refused_and_the_fault_named(saved, tmp_path, name, damage, says):
    for path in saved[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damage(tmp_path / name)
    with pytest.raises(SavedModelError, match=says):
        saved_models.load_model(tmp_path)


def test_the_hash_is_of_the_names_and_the_preparation_too(saved, tmp_path):
    for path in saved[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = saved_models.load_model(tmp_path).sha256
    path = tmp_path / "model_card.json"
    card, text = json.loads(path.read_text()), path.read_text()
    for change in ({"classes": [*CLASSES[::-1]]}, {"preprocessing": "vgg"}, {"size": [48, 48]}):
        path.write_text(json.dumps(card | change))
        with pytest.raises(SavedModelError, match="not the card that was saved"):
            saved_models.load_model(tmp_path)
        path.write_text(text)
        _card(**change)(path)
        assert saved_models.load_model(tmp_path).sha256 != before


def test_what_cannot_be_saved_is_refused_before_anything_is_written(saved, vgg_weights, tmp_path):
    _, head, _ = saved
    narrow = DenseHead(26, epochs=1)
    narrow.fit(np.ones((30, 7), np.float32), np.arange(30) % 26)
    folder = tmp_path / "model"
    for options, says in (
        ({"classes": CLASSES[:25]}, "expected 26 names"),
        ({"classes": ["A"] * 26}, "no two alike"),
        ({"classes": CLASSES, "preprocessing": "tf"}, "preprocessing='tf'"),
        ({"classes": CLASSES, "size": (16, 16)}, "32 x 32"),
        ({"classes": CLASSES, "size": None}, "size=None"),
        ({"classes": CLASSES, "head": narrow}, "7 features"),
    ):
        given = {"head": head, "vgg_weights": vgg_weights} | options
        with pytest.raises(ValueError, match=says):
            report_model.save_model(folder, **given)
    with pytest.raises(RuntimeError, match="not trained"):
        report_model.save_model(folder, DenseHead(26), vgg_weights, classes=CLASSES)
    assert not folder.exists()
