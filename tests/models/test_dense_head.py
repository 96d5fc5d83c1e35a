"""The report's head."""

import time

import numpy as np
import pytest

from alutils.base.tensorflow import import_tensorflow
from alutils.models import dense_head
from alutils.models.dense_head import DenseHead


def blobs(n, n_features=512, n_classes=26, seed=0):
    """Return features like VGG16's: not negative, mostly zero, a pattern for each class."""
    rng = np.random.default_rng(seed)
    # The patterns are the same for every seed: another seed draws other items of the same classes.
    shared = np.random.default_rng(1)
    centres = np.maximum(shared.normal(-1, 1, (n_classes, n_features)), 0) * 7
    y = rng.integers(0, n_classes, n)
    x = np.maximum(centres[y] + rng.normal(-9, 10, (n, n_features)), 0)
    return x.astype(np.float32), y


@pytest.fixture(scope="module")
def keras():
    import_tensorflow()
    import keras

    return keras


def keras_head(keras, weights):
    """Return the report's two layers in Keras, compiled as it compiles them."""
    hidden, n_classes = weights.w2.shape
    inputs = keras.Input((len(weights.w1),))
    x = keras.layers.Dense(hidden, activation="relu")(inputs)
    x = keras.layers.Dense(n_classes, activation="softmax")(x)
    model = keras.Model(inputs, x)
    model.set_weights(list(weights))
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["acc"])
    return model


# --- training -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_follows_keras_weight_for_weight_on_the_same_batches(keras):
    x, y = blobs(300)
    start = dense_head.initial_weights(512, 128, 26, np.random.default_rng(3))
    order = np.random.default_rng(4).permutation(len(x))[None]
    model = keras_head(keras, start)
    onehot = keras.utils.to_categorical(y, 26)
    logged = np.zeros(2)
    for first in range(0, 300, 32):  # the last batch holds 12
        items = order[0, first : first + 32]
        logged += np.array(model.train_on_batch(x[items], onehot[items])) * len(items) / 300
    ours, history = dense_head.train(start, x, y, order)
    for mine, theirs, before in zip(ours, model.get_weights(), start, strict=True):
        assert np.abs(theirs - before).max() > 1e-3  # it did move
        np.testing.assert_allclose(mine, theirs, atol=2e-5)
    np.testing.assert_allclose(history["loss"][0], logged[0], rtol=1e-4)
    np.testing.assert_allclose(history["accuracy"][0], logged[1], atol=1e-6)


def test_starting_weights_are_distributed_as_keras_draws_them(keras):
    ours = dense_head.initial_weights(512, 128, 26, np.random.default_rng(0))
    layer = keras.layers.Dense(128)
    layer.build((None, 512))
    theirs = layer.get_weights()[0]
    assert abs(ours.w1.std() / theirs.std() - 1) < 0.02
    assert abs(np.abs(ours.w1).max() / np.abs(theirs).max() - 1) < 0.01
    assert not ours.b1.any() and not ours.b2.any()


@pytest.mark.slow
def test_ten_epochs_read_as_well_as_keras_fit(keras):
    x, y = blobs(1500, seed=5)
    x_new, y_new = blobs(3000, seed=6)
    ours, theirs = [], []
    for seed in range(3):
        head = DenseHead(26, epochs=4, rng=seed)
        head.fit(x, y)
        ours.append((head.predict_proba(x_new).argmax(1) == y_new).mean())
        keras.utils.set_random_seed(seed)
        start = dense_head.initial_weights(512, 128, 26, np.random.default_rng(100 + seed))
        model = keras_head(keras, start)
        model.fit(x, keras.utils.to_categorical(y, 26), epochs=4, shuffle=True, verbose=0)
        theirs.append((model.predict(x_new, verbose=0).argmax(1) == y_new).mean())
    assert 0.3 < np.mean(theirs) < 0.99  # neither hopeless nor solved: a difference would show
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.02


def test_ten_epochs_on_3640_features_take_less_than_a_second_of_a_processor():
    x, y = blobs(3640)
    DenseHead(26, epochs=1).fit(x[:64], y[:64])  # warm-up: compiles

    def seconds():
        began = time.process_time()  # what else the machine does is not what is measured
        DenseHead(26).fit(x, y)
        return time.process_time() - began

    assert min(seconds() for _ in range(4)) < 1


def test_a_fading_moment_becomes_zero_before_it_becomes_subnormal():
    weights, v = np.ones(1, np.float32), np.full(1, 1e-4, np.float32)
    m, nothing = np.full(1, 1e-3, np.float32), np.zeros(1, np.float32)
    smallest = 1.0
    for _ in range(1200):
        arguments = (weights, nothing, m, v, *map(np.float32, (1e-3, 0.1, 1e-3, 1e-7)))
        dense_head._adam(*arguments)
        smallest = min(smallest, float(m[0])) if m[0] else smallest
    assert m[0] == 0
    assert np.finfo(np.float32).tiny < smallest < 1e-29


def test_every_fit_starts_anew_and_the_same_seed_gives_the_same_head():
    x, y = blobs(200)
    one, two = DenseHead(26, epochs=2, rng=7), DenseHead(26, epochs=2, rng=7)
    one.fit(x, y)
    first = one.weights
    two.fit(x, y)
    for a, b in zip(first, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    one.fit(x, y)
    assert np.abs(one.weights.w1 - first.w1).mean() > 0.01  # other starting weights


def test_probabilities_are_the_same_in_blocks_and_from_a_memory_map(tmp_path, monkeypatch):
    x, y = blobs(500)
    head = DenseHead(26, epochs=1)
    head.fit(x, y)
    whole = head.predict_proba(x)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-5)
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(dense_head, "_ROWS", 64)
    np.testing.assert_allclose(
        head.predict_proba(np.load(tmp_path / "x.npy", mmap_mode="r")), whole, atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_classes": 0}, "n_classes=0"),
        ({"hidden": 0}, "hidden=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch": -1}, "batch=-1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
    ],
)
def test_a_head_that_cannot_be_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        DenseHead(**{"n_classes": 26} | change)


def test_what_cannot_be_trained_on_is_refused_and_named():
    x, y = blobs(40)
    head = DenseHead(26)
    for bad_x, bad_y, says in (
        (x[:0], y[:0], "n 1 or more"),
        (x, y[:-1], "expected"),
        (x.ravel(), y, "expected"),
        (x, y + 26, "label"),
        (x, y - 26, "label -"),
        (np.where(x > x.mean(), np.nan, x), y, "not finite"),
    ):
        with pytest.raises(ValueError, match=says):
            head.fit(bad_x, bad_y)
    with pytest.raises(RuntimeError, match="not trained"):
        head.predict_proba(x)
    head.fit(x, y)
    with pytest.raises(ValueError, match="512 features"):
        head.predict_proba(x[:, :100])
