"""The small network: learns, learns more from unlabelled images, and says what it cannot use."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alutils.base.errors import ParameterError
from alutils.data import mnist
from alutils.models import convnet, convnet_network
from alutils.models.convnet import ConvNet
from alutils.models.convnet_network import Network, weight_shapes


@pytest.fixture(scope="module")
def digits():
    return mnist.mnist_article()


@pytest.fixture(scope="module")
def trained(digits):
    train, _ = digits
    return ConvNet(10, steps=150, members=2, seed=3).fit(train.images[:200], train.labels[:200])


@pytest.mark.slow
def test_200_labels_and_150_steps_read_most_digits(trained, digits):
    _, test = digits
    assert np.mean(trained.predict(test.images) == test.labels) > 0.85


def test_probabilities_are_the_members_mean_and_sum_to_one(trained, digits):
    images = digits[1].images[:50]
    p = trained.predict_proba(images)
    assert p.dtype == np.float32
    assert p.shape == (50, 10)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    members = trained.member_probabilities(images)
    np.testing.assert_allclose(p, members.mean(axis=0), atol=1e-6)
    assert not np.allclose(members[0], members[1], atol=0.01)


def test_a_seed_gives_the_same_network_and_another_one_another(digits):
    train, test = digits
    p = [
        ConvNet(10, steps=30, seed=seed).fit(train.images[:40], train.labels[:40])
        .predict_proba(test.images[:20])
        for seed in (1, 1, 2)
    ]  # fmt: skip
    assert np.array_equal(p[0], p[1])
    assert not np.allclose(p[0], p[2], atol=0.01)


def test_training_again_starts_anew(digits):
    """What it learned before must not teach it: labels can be taken back between two trainings."""
    train, test = digits
    again = ConvNet(10, steps=30).fit(train.images[500:600], train.labels[500:600])
    again.fit(train.images[:40], train.labels[:40])
    once = ConvNet(10, steps=30).fit(train.images[:40], train.labels[:40])
    some = test.images[:20]
    assert np.array_equal(again.predict_proba(some), once.predict_proba(some))


@pytest.mark.slow
def test_two_members_side_by_side_are_the_two_one_after_the_other(digits, monkeypatch):
    train, test = digits
    p = []
    for cores in (1, 2):
        monkeypatch.setattr(convnet, "cores", lambda cores=cores: cores)
        net = ConvNet(10, train.images[:500], steps=40, members=2)
        net.fit(train.images[:40], train.labels[:40])
        p.append(net.predict_proba(test.images[:30]))
    assert np.array_equal(p[0], p[1])


@pytest.mark.slow
def test_unlabelled_images_are_believed_from_tau_on_and_only_after_the_first_steps(digits):
    train, _ = digits
    x, y = train.images[:100], train.labels[:100]
    net = ConvNet(10, train.images, steps=300, members=2, tau=0.6).fit(x, y)
    begins = np.arange(0, 300, convnet.CHUNK)
    chunks = np.count_nonzero(begins >= 300 * convnet.LABELLED_FIRST)
    assert [len(shares) for shares in net.believed] == [chunks, chunks]
    for shares in net.believed:
        assert ((shares > 0) & (shares <= 1)).all()
    never = ConvNet(10, train.images, steps=100, tau=1.0).fit(x, y)
    assert never.believed[0].max() < 0.2


@pytest.mark.slow
def test_unlabelled_images_are_worth_a_lot(digits):
    train, test = digits
    x, y = train.images[:100], train.labels[:100]
    alone, helped = (
        np.mean(ConvNet(10, more, steps=600).fit(x, y).predict(test.images) == test.labels)
        for more in (None, train.images)
    )
    assert helped > alone + 0.01


@pytest.mark.slow
def test_a_prior_teaches_classes_that_nobody_has_labelled(digits):
    train, test = digits
    few = np.flatnonzero(train.labels < 2)[:60]
    x, y = train.images[few], train.labels[few]
    prior = train.images[1000:1600], train.labels[1000:1600]
    blind = ConvNet(10, train.images, steps=250).fit(x, y)
    net = ConvNet(10, train.images, prior, steps=250).fit(x, y)
    assert set(blind.predict(test.images)) == {0, 1}
    assert len(set(net.predict(test.images))) > 5


def test_views_are_averaged_with_the_image_itself(digits):
    train, test = digits
    net = ConvNet(10, steps=60).fit(train.images[:100], train.labels[:100])
    plain = net.predict_proba(test.images[:100])
    net.views = 3
    seen = net.predict_proba(test.images[:100])
    assert np.array_equal(seen, net.predict_proba(test.images[:100]))
    np.testing.assert_allclose(seen.sum(axis=1), 1, atol=1e-5)
    assert 0 < np.abs(seen - plain).mean() < 0.2


def test_labels_already_in_the_pool_and_any_size_of_image_will_do():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 12, 20), dtype=np.uint8)
    net = ConvNet(3, images, steps=5, members=1).fit(images[:4], np.array([0, 1, 2, 1]))
    assert net.predict_proba(images).shape == (30, 3)
    assert net.predict_proba(images[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_classes": 1}, "n_classes=1"),
        ({"members": 0}, "members=0"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 1.5}, "steps=1.5"),
        ({"width": True}, "width=True"),
        ({"views": -1}, "views=-1"),
        ({"tau": 0.0}, "tau=0"),
        ({"tau": 1.1}, "tau=1.1"),
        ({"unlabelled": np.zeros((3, 28, 28))}, "unlabelled=float64"),
        ({"unlabelled": np.zeros((3, 784), np.uint8)}, "unlabelled="),
        ({"prior": (np.zeros((3, 28, 28), np.uint8), np.array([0, 1]))}, "prior=3 images"),
        ({"prior": (np.zeros((2, 28, 28), np.uint8), np.array([0, 10]))}, "prior=10"),
    ],
)
def test_values_that_cannot_be_used_are_named(change, message):
    with pytest.raises(ParameterError, match=message):
        ConvNet(**({"n_classes": 10} | change))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 28, 28), np.uint8), np.array([0]), "x=2 images"),
        (np.zeros((0, 28, 28), np.uint8), np.array([], int), "x=0 images"),
        (np.zeros((2, 28, 28), np.uint8), np.array([0, 10]), "x=10"),
        (np.zeros((2, 28, 28), np.uint8), np.array([0, -1]), "x=-1"),
        (np.zeros((2, 28, 28), np.uint8), np.array([0.0, 1.0]), "x="),
        (np.zeros((2, 28, 28), np.float32), np.array([0, 1]), "x=float32"),
        (np.zeros((2, 4, 4), np.uint8), np.array([0, 1]), "8 x 8"),
        (np.zeros((2, 65, 28), np.uint8), np.array([0, 1]), "at most 64 pixels a side"),
        (np.zeros((2, 28, 28, 4), np.uint8), np.array([0, 1]), "colour, uint8"),
        (np.zeros((2, 20, 20), np.uint8), np.array([0, 1]), "size of unlabelled"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises(ParameterError, match=message):
        ConvNet(10, np.zeros((5, 28, 28), np.uint8), steps=1).fit(x, y)


def test_what_only_colour_tells_apart_is_learned():
    rng, y = np.random.default_rng(0), np.arange(60) % 2
    x = rng.integers(0, 60, (60, 10, 12, 3), dtype=np.uint8)
    x[y == 0, ..., 0] += 120
    x[y == 1, ..., 2] += 120
    net = ConvNet(2, x, steps=100, width=4).fit(x[:30], y[:30])
    assert (net.predict(x[30:]) == y[30:]).all()


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 8, 1), (32, 32, 3), (64, 33, 3), (9, 20, 1)])
def test_the_shapes_of_the_weights_are_known_without_the_network(shape):
    shapes = weight_shapes(7, shape, 3)
    assert [each.shape for each in Network(7, shape, 3).weights()] == shapes


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_network_trained_in_either_number_type_answers_in_float32(digits, kind):
    net = Network(10, (28, 28, 1), 4, kind)
    net.start(np.random.default_rng(0))
    images, labels = digits[0].images[:256], digits[0].labels[:256]
    shown = (images / 255).astype(np.float32).reshape(4, 64, 28, 28)
    target = np.eye(10, dtype=np.float32)[labels.reshape(4, 64)]
    for _ in range(10):
        net.train(shown, target, np.ones((4, 64), np.float32), np.full(4, 3e-3, np.float32))
    assert {each.dtype for each in net.weights()} == {np.dtype(np.float32)}
    p, guessed = net.predict(images), net.guess(images)
    assert (p.argmax(axis=1) == labels).mean() > 0.6
    assert np.abs(p - guessed).max() < (1e-6 if kind == "float32" else 0.1)
    # What is saved answers the same in a network that never saw the other number type.
    other = Network(10, (28, 28, 1), 4)
    other.set(net.weights())
    np.testing.assert_array_equal(other.predict(images), p)


def test_a_step_is_that_of_keras_adamw():
    # Keras' own optimiser, with our gradients, from the same weights: a bias alone has a loss that
    # can be written down, softmax less target.
    import keras

    net = Network(3, (8, 8, 1), 2)
    net.start(np.random.default_rng(0))
    black, target = np.zeros((5, 4, 8, 8), np.float32), np.zeros((5, 4, 3), np.float32)
    target[..., 1] = 1
    rate = np.linspace(1e-3, 3e-3, 5).astype(np.float32)
    bias = keras.Variable(np.zeros(3, np.float32))
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=convnet_network.DECAY)
    for each in rate:
        p = np.exp(bias.numpy()) / np.exp(bias.numpy()).sum()
        optimizer.learning_rate.assign(each)
        optimizer.apply([keras.ops.convert_to_tensor(p - target[0, 0])], [bias])
    weights = [np.zeros_like(each) if i % 5 == 1 else each for i, each in enumerate(net.weights())]
    net.set(weights)  # no scale: all maps are zero, whatever the kernels are
    net.train(black, target, np.ones((5, 4), np.float32), rate)
    np.testing.assert_allclose(net.weights()[-1], bias.numpy(), rtol=1e-4)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.floats(0.3, 0.99))
def test_no_class_is_believed_beyond_its_even_share(seed, n_classes, tau):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_classes, 0.1) * rng.uniform(0.1, 5, n_classes), 300)
    labels, counts = convnet._belief(p, tau)
    sure = p.max(axis=1) >= tau
    np.testing.assert_array_equal(labels, p.argmax(axis=1))
    assert counts.dtype == np.float32 and (counts <= 1).all() and (counts[~sure] == 0).all()
    assert (np.bincount(labels, counts, n_classes) <= sure.sum() / n_classes + 1e-3).all()
    rare = np.bincount(labels[sure], minlength=n_classes) <= sure.sum() / n_classes
    np.testing.assert_allclose(counts[sure & rare[labels]], 1, rtol=1e-6)


def test_the_weights_that_teach_are_an_average_of_the_last_steps(digits):
    net = Network(10, (28, 28, 1), 2)
    net.start(np.random.default_rng(0))
    images, memory = digits[0].images[:64], 0.75
    shown = (images / 255).astype(np.float32)[np.newaxis]
    target = np.eye(10, dtype=np.float32)[digits[0].labels[:64]][np.newaxis]
    slow = net.weights()
    for _ in range(6):
        net.train(shown, target, np.ones((1, 64), np.float32), np.full(1, 3e-3, np.float32), memory)
        pairs = zip(slow, net.weights(), strict=True)
        slow = [memory * old + (1 - memory) * new for old, new in pairs]
    other = Network(10, (28, 28, 1), 2)
    other.set(slow)
    near = {"float32": 1e-5, "bfloat16": 0.05}[net.kind]
    np.testing.assert_allclose(net.guess(images), other.predict(images), atol=near)
    assert np.abs(net.predict(images) - other.predict(images)).max() > near


@pytest.mark.parametrize("done", [0, 25, 200, 1999])
@pytest.mark.parametrize("steps", [1, 25, 2000, 8000])
def test_what_teaches_is_an_average_of_a_twentieth_of_the_training(steps, done):
    memory = convnet._memory(done, steps)
    assert 0 <= memory < 1 and 1 / (1 - memory) <= convnet.TEACHER * steps + 1 + 1e-9


@pytest.mark.parametrize("which", [0, 1])
def test_a_training_ends_at_once_where_one_member_fails(digits, monkeypatch, which):
    images, labels = digits[0].images[:40], digits[0].labels[:40]
    model = ConvNet(10, members=2, steps=convnet.CHUNK * 400, width=2)
    fails = model._networks(images)[which]
    chunks, train = [], Network.train

    def slowly(network, *batches):
        chunks.append(network)
        if network is fails:
            raise KeyboardInterrupt  # as it would come from outside
        time.sleep(0.05)
        return train(network, *batches)

    monkeypatch.setattr(Network, "train", slowly)
    monkeypatch.setattr(convnet, "cores", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(images, labels)
    assert len(chunks) < 100


def test_an_untrained_network_says_so():
    with pytest.raises(RuntimeError, match="fit comes first"):
        ConvNet(10).predict_proba(np.zeros((2, 28, 28), np.uint8))
