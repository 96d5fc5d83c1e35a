"""Backbones: names, preparation, features that are kept apart, and the choice among them."""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import types
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pools import random_weights

from alutils.base import artefacts, lite_weights
from alutils.base.artefacts import ArtefactError
from alutils.base.errors import ParameterError
from alutils.models import embeddings
from alutils.models.backbones import Backbone, compare, extractor, first_choice, planning
from alutils.models.backbones import choice as choice_module
from alutils.models.backbones.names import LARGEST
from alutils.models.embeddings import features
from alutils.models.precision import Decision

RNG = np.random.default_rng
NAMES = (
    "pixels", "pixels-colour", "vgg16-block1", "vgg16-block5", "vgg16-block3+4",
    "vgg16-block2+4+5", "lite0", "lite2", "keras:EfficientNetV2B0", "timm:convnext_tiny",
)  # fmt: skip


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Let no test measure a precision, which would be kept for the real weights."""
    monkeypatch.setattr(planning, "decide", lambda *_: Decision("float32", 1.0, 0.0))


@pytest.fixture(scope="module")
def imagenet():
    """Put random weights of VGG16's shape in the place of ImageNet's."""
    full = random_weights([64, 64, 128, 128, *3 * [256], *6 * [512]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artefacts, "vgg16_convolutions", lambda: full)
        yield full


@pytest.fixture
def lite(monkeypatch):
    """Put random weights of lite0's shape in the place of ImageNet's."""
    rng = RNG(0)
    shapes = lite_weights.LITE["lite0"].shapes()
    arrays = {k: rng.uniform(0.01, 0.1, s).astype(np.float32) for k, s in shapes.items()}
    monkeypatch.setattr(lite_weights, "lite_weights", lambda name: arrays)


def pictures(n: int = 5, *shape: int) -> np.ndarray:
    return RNG(2).integers(0, 256, (n, *(shape or (40, 30, 3))), dtype=np.uint8)


# --- names ----------------------------------------------------------------------------------------

BACKBONES = st.builds(
    Backbone,
    st.sampled_from(NAMES),
    st.tuples(*2 * [st.integers(32, LARGEST)]),
    st.sampled_from(["squash", "centre"]),
)


@given(BACKBONES)
def test_a_backbone_comes_back_from_its_name_and_from_json(backbone):
    assert Backbone.parse(str(backbone)) == backbone
    assert Backbone.from_json(json.loads(json.dumps(backbone.to_json()))) == backbone


def test_the_usual_size_is_left_out_of_a_name():
    assert str(Backbone("lite0")) == "lite0" == str(Backbone("lite0", (224, 224)))
    assert Backbone("lite2").size == (260, 260) and Backbone("vgg16-block3+4").size == (32, 32)
    assert str(Backbone("lite0", (128, 96), "centre")) == "lite0@128x96,centre"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lite1", "backbone=lite1.*did you mean lite"),
        ("vgg16-block6", "layer=block6.*block1 to block5"),
        ("vgg16-block4+3", r"layer=block4\+3.*in their order"),
        ("vgg16-block3+3", "in their order"),
        ("vgg16-", "block1 to block5"),
        ("timm:", "known: pixels"),
        ("", "expected NAME"),
        ("lite0@", "expected NAME"),
        ("lite0@large", "NAME@SIZE"),
        ("lite0@0", "sides of 1 pixel or more"),
        ("lite0@20", r"size=\(20, 20\): lite0 takes .* from 32 to 1024"),
        ("lite0@2000x32", "from 32 to 1024"),
        ("pixels@0x5", "of 1 pixel or more"),
        ("lite0,stretch", "fit=stretch.*squash, centre"),
    ],
)
def test_what_is_no_backbone_is_named_with_what_there_is(text, message):
    with pytest.raises(ParameterError, match=message):
        Backbone.parse(text)


@pytest.mark.parametrize(
    "value",
    [None, "lite0", {}, {"name": "lite0"}, {"name": 3, "size": [3, 3], "fit": "squash"},
     {"name": "lite0", "size": 224, "fit": "squash"},
     {"name": "lite0", "size": [224, 224], "fit": "squash", "more": 1},
     {"name": "lite0", "size": [224, "224"], "fit": "squash"},
     {"name": "lite0", "size": [224, True], "fit": "squash"},
     {"name": "lite0", "size": [224], "fit": "squash"}],
)  # fmt: skip
def test_json_of_something_else_is_refused(value):
    with pytest.raises(ParameterError):
        Backbone.from_json(value)


# --- preparation ----------------------------------------------------------------------------------


@given(
    shape=st.tuples(*2 * [st.integers(1, 60)]),
    colour=st.sampled_from([(), (1,), (3,)]),
    size=st.tuples(*2 * [st.integers(1, 40)]),
    fit=st.sampled_from(["squash", "centre"]),
)
def test_any_picture_is_prepared_to_the_size_as_pillow_resizes(shape, colour, size, fit):
    picture = pictures(1, *shape, *colour)[0]
    found = extractor(Backbone("pixels", size, fit)).prepare(picture)
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    if fit == "squash":
        image = Image.fromarray(picture[..., 0] if colour == (1,) else picture).convert("RGB")
        expected = image.resize(size[::-1], Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(found, np.asarray(expected))


def test_the_centre_is_cut_out_in_the_shape_of_the_size():
    picture = np.zeros((10, 30), np.uint8)
    picture[:, 10:20] = 200
    take = extractor(Backbone("pixels", (10, 10), "centre")).prepare
    assert (take(picture) == 200).all()
    assert (take(picture.T) == 200).all()
    wide = extractor(Backbone("pixels", (10, 20), "centre")).prepare(picture)
    assert (wide == 200).mean() == 0.5
    same = pictures(1, 10, 10, 3)[0]
    np.testing.assert_array_equal(take(same), same)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((3, 3), np.float32), np.zeros(3, np.uint8), np.zeros((3, 3, 4), np.uint8),
     np.zeros((0, 3), np.uint8), np.zeros((2, 3, 3, 3), np.uint8)],
)  # fmt: skip
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ParameterError, match=r"picture=.*expected"):
        extractor("pixels").prepare(picture)


@pytest.mark.parametrize(
    "prepared",
    [pictures(2, 28, 27, 3), pictures(2, 28, 28), pictures(2, 28, 28, 3).astype(np.float32),
     np.zeros((0, 28, 28, 3), np.uint8)],
)  # fmt: skip
def test_pictures_that_were_not_prepared_are_refused(prepared):
    with pytest.raises(ParameterError, match=r"prepared=.*expected"):
        extractor("pixels")(prepared)


# --- features -------------------------------------------------------------------------------------


def test_pixels_are_the_pixels():
    grey = pictures(3, 28, 28)
    found = features(grey, backbone="pixels", cache=False, progress=False)
    np.testing.assert_array_equal(found, grey.reshape(3, -1).astype(np.float32) / 255)
    colour = pictures(3, 32, 32, 3)
    found = features(colour, backbone="pixels-colour", cache=False, progress=False)
    np.testing.assert_array_equal(found, colour.reshape(3, -1).astype(np.float32) / 255)


def test_blocks_side_by_side_are_the_square_roots_of_each_one(imagenet):
    images = pictures()
    how = {"precision": "float32", "cache": False, "progress": False}
    several = features(images, backbone="vgg16-block3+4", **how)
    each = [features(images, backbone=f"vgg16-block{i}", **how) for i in (3, 4)]
    np.testing.assert_allclose(several, np.sqrt(np.hstack(each)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layer", ["block3+4", "block1+5"])
@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is missing")
def test_keras_and_openvino_agree_on_several_blocks(layer):
    weights = random_weights([16, 16, 32, 32, *9 * [64]])
    found = [
        features(
            pictures(), weights=weights, layer=layer, backend=backend, precision="float32",
            cache=False, progress=False,
        )
        for backend in ("keras", "openvino")
    ]  # fmt: skip
    scale = np.abs(found[0]).max()
    np.testing.assert_allclose(found[1] / scale, found[0] / scale, atol=1e-4)


OURS = ("pixels", "vgg16-block4", "vgg16-block3+4", "vgg16-block4@48,centre", "lite0@64")


@pytest.mark.parametrize("name", OURS)
def test_one_function_and_the_extractor_give_the_same(name, imagenet, lite, tmp_path):
    images = pictures()
    run = extractor(name)
    one_by_one = run(np.stack([run.prepare(image) for image in images]))
    assert one_by_one.shape == (5, run.n_features) and one_by_one.dtype == np.float32
    found = features(images, backbone=name, cache=tmp_path, progress=False)
    np.testing.assert_allclose(found, one_by_one, rtol=1e-5, atol=1e-5)
    assert isinstance(found, np.memmap)
    mixed = [images[0], np.ascontiguousarray(images[1][:20])]  # pictures of several sizes
    found = features(mixed, backbone=name, cache=False, progress=False)
    one_by_one = run(np.stack([run.prepare(image) for image in mixed]))
    np.testing.assert_allclose(found, one_by_one, rtol=1e-5, atol=1e-5)


def test_the_second_call_computes_nothing(tmp_path):
    calls = []

    def mean(prepared):
        calls.append(len(prepared))
        return prepared.mean((1, 2))

    mean.identity, mean.size = "mean of colours", (8, 8)
    first = features(pictures(), backbone=mean, cache=tmp_path, progress=False)
    before = len(calls)
    second = features(pictures(), backbone=mean, cache=tmp_path, progress=False)
    np.testing.assert_array_equal(first, second)
    assert len(calls) <= before + 1  # to find out how many columns there are


def test_no_two_backbones_share_a_cache(tmp_path):
    names = [*NAMES[:-2], "lite0@128", "lite0@128x96", "lite0@128,centre", "vgg16-block4"]
    names += ["vgg16-block4,centre", "vgg16-block4@96", "vgg16-block3+4@64", "pixels@27"]
    found = {name: extractor(name, precision="float32").identity for name in names}
    functions = [lambda x: x.mean((1, 2)), lambda x: x.max((1, 2)) + 0.0]
    identities = [*found.values(), *(extractor(each).identity for each in functions)]
    assert len(set(identities)) == len(identities)
    pairs = [extractor("lite0", precision=p).identity for p in ("float32", "float32")]
    assert pairs[0] == pairs[1]


def test_features_of_the_report_keep_their_identity():
    """Caches of projects and notebooks are named after it: this text may never change."""
    (sha256,) = artefacts.VGG16.content.sha256.values()
    pinned = (
        "[('backend', 'keras'), ('device', 'cpu'), ('layer', 'block5'), ('pooling', 'avg'), "
        f"('precision', 'float32'), ('preprocessing', 'raw'), ('size', (32, 32)), "
        f"('weights_sha256', '{sha256}')]"
    )
    named = extractor("vgg16-block5", backend="keras").identity
    if "'gpu'" not in named:
        assert named == pinned
    assert extractor("vgg16-block5").identity == embeddings.network().identity


def test_the_reports_features_lie_in_the_same_file_by_name(imagenet, tmp_path):
    features(pictures(), cache=tmp_path, progress=False)
    files = set(tmp_path.iterdir())
    named = features(pictures(), backbone="vgg16-block5", cache=tmp_path, progress=False)
    assert set(tmp_path.iterdir()) == files and named.shape == (5, 512)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (64, 64)}, "options=size: beside a backbone"),
        ({"weights": [], "layer": "block4"}, "options=weights, layer"),
    ],
)
def test_options_that_a_backbone_says_itself_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        features(pictures(), backbone="vgg16-block4", **options)


# --- functions of one's own, and other packages ---------------------------------------------------


def test_a_function_of_ones_own_is_a_backbone(tmp_path):
    def colours(prepared):
        assert prepared.dtype == np.uint8
        return prepared.mean((1, 2))

    colours.size = (16, 12)
    found = features(pictures(70), backbone=colours, cache=tmp_path, progress=False)
    run = extractor(colours)
    assert run.size == (16, 12) and run.backbone.name == "own" and found.shape == (70, 3)
    expected = [run.prepare(image).mean((0, 1)) for image in pictures(70)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert extractor(run) is run


def test_a_function_whose_numbers_change_has_another_identity():
    factor = 1.0

    def scaled(prepared):
        return prepared.mean((1, 2)) * factor

    before = extractor(scaled).identity
    assert extractor(scaled).identity == before
    factor = 2.0
    assert extractor(scaled).identity != before


@pytest.mark.parametrize(
    "wrong",
    [lambda x: np.zeros(3), lambda x: np.zeros((1, 3)), lambda x: np.full((len(x), 2), np.nan),
     lambda x: x, lambda x: np.full((len(x), 2), "a"), lambda x: np.full((len(x), 2), None)],
)  # fmt: skip
def test_a_function_that_gives_no_features_is_refused(wrong):
    with pytest.raises(ParameterError, match="a row of finite numbers for each"):
        extractor(wrong)


@pytest.mark.parametrize("size", [8, (8,), (8, 8, 3), "88"])
def test_a_function_whose_size_is_none_is_refused(size):
    def own(pictures):
        return pictures.mean((1, 2))

    own.size = size
    with pytest.raises(ParameterError, match=r"size=.*: expected a height and a width"):
        extractor(own)


def test_an_extractor_of_the_callers_keeps_its_precision(imagenet, tmp_path):
    run = extractor("vgg16-block1", backend="keras", precision="float32")
    found = features(pictures(), backbone=run, cache=tmp_path, progress=False)
    expected = run(np.stack([run.prepare(image) for image in pictures()]))
    np.testing.assert_array_equal(found, expected)


def test_what_is_no_backbone_at_all_is_refused():
    with pytest.raises(ParameterError, match="backbone=int: expected a Backbone"):
        extractor(3)
    with pytest.raises(ParameterError, match="give the function itself"):
        extractor(Backbone("own"))


def test_a_missing_package_is_said_with_what_to_do(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "timm" else found(name, *a)
    )
    with pytest.raises(ImportError, match=r"timm is not installed.*\[timm\].*lite0"):
        extractor("timm:convnext_tiny")


def test_a_network_of_timm_gets_pictures_as_its_configuration_says(monkeypatch):
    """With stand-ins for timm and torch: channels first, scaled by the network's own numbers."""

    class Tensor(np.ndarray):
        def numpy(self):
            return np.asarray(self)

    class Model:
        def eval(self):
            return self

        def state_dict(self):
            return {"w": np.ones(3, np.float32).view(Tensor)}

        def __call__(self, x):
            assert x.dtype == np.float32 and x.shape[1] == 3
            return x.mean((2, 3)).view(Tensor)

    config = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.5)}
    data = types.SimpleNamespace(resolve_model_data_config=lambda model: config)
    asked = []

    def create_model(name, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        if name == "nothing":
            raise RuntimeError("Unknown model\n(nothing)")
        return Model()

    stands = {
        "timm": {"create_model": create_model, "data": data},
        "torch": {"from_numpy": lambda x: x.view(Tensor), "inference_mode": nullcontext},
    }
    for name, attributes in stands.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    run = extractor("timm:convnext_tiny@64")
    prepared = np.stack([run.prepare(image) for image in pictures(3)])
    expected = (prepared.mean((1, 2)) / 255 - config["mean"]) / config["std"]
    np.testing.assert_allclose(run(prepared), expected, rtol=1e-4, atol=1e-4)
    assert asked == [("convnext_tiny", True, 0)]
    with pytest.raises(ArtefactError, match=r"RuntimeError: Unknown model \(nothing\).*lite0"):
        extractor("timm:nothing")


@pytest.mark.slow
def test_a_network_of_keras_is_a_backbone_by_its_name(monkeypatch):
    from alutils.base.tensorflow import import_tensorflow

    import_tensorflow()
    import keras

    build = keras.applications.MobileNetV2

    def without_weights(weights, **options):
        keras.utils.set_random_seed(3)
        return build(weights=None, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", without_weights)
    without_weights.__wrapped__ = build  # beside which its preparation is found
    run = extractor("keras:MobileNetV2@96")
    prepared = np.stack([run.prepare(image) for image in pictures(2)])
    found = run(prepared)
    assert found.shape == (2, 1280) and run.n_features == 1280
    keras.utils.set_random_seed(3)
    model = build(weights=None, include_top=False, pooling="avg", input_shape=(96, 96, 3))
    expected = model.predict_on_batch(prepared / np.float32(127.5) - 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert extractor("keras:MobileNetV2@96").identity == run.identity
    assert extractor("keras:MobileNetV2@128").identity != run.identity


@pytest.mark.slow
def test_a_network_that_keras_has_not_or_cannot_download_is_one_line(monkeypatch):
    with pytest.raises(ParameterError, match=r"keras:MobilNetV2.*did you mean MobileNetV2"):
        extractor("keras:MobilNetV2")
    import keras

    def fail(**options):
        raise OSError("URL fetch failure\non the web")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    with pytest.raises(ArtefactError, match=r"OSError: URL fetch failure on the web.*take lite0"):
        extractor("keras:MobileNetV2")


def test_the_import_loads_no_runtime():
    code = (
        "import sys; from alutils.models.backbones import extractor, compare, first_choice;"
        "extractor('pixels'); extractor('lite0', backend='keras');"
        "print(sorted({'tensorflow', 'keras', 'openvino', 'torch', 'timm'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


# --- the first choice -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "colour", "there", "expected"),
    [
        ([(28, 28)], False, True, "vgg16-block3+4"),
        ([(64, 40), (10, 64)], False, False, "vgg16-block3+4"),
        ([(32, 32)], True, True, "lite0@128"),
        ([(128, 100)], True, True, "lite0@128"),
        ([(300, 400), (500, 20), (28, 28)], True, True, "lite0"),
        ([(300, 400)], False, True, "lite0"),
        ([(300, 400)], True, False, "vgg16-block4@96"),
        ([(32, 32)], True, False, "vgg16-block4@96"),
    ],
)
def test_the_first_choice_goes_by_size_and_colour_and_says_so(sizes, colour, there, expected):
    backbone, why = first_choice(sizes, colour, lambda name: there)
    assert str(backbone) == expected and expected in why and "\n" not in why
    assert ("grey" if not colour else "colour") in why
    assert ("cannot be had" in why) == (expected == "vgg16-block4@96")


def test_weights_that_no_source_gives_are_said_in_one_line(monkeypatch, caplog):
    silent = replace(lite_weights.ARTEFACTS["lite0"], sources=())
    monkeypatch.setitem(lite_weights.ARTEFACTS, "lite0", silent)
    monkeypatch.setenv("ALUTILS_CACHE", "/nowhere")
    backbone, why = first_choice([(300, 300)], True)
    assert str(backbone) == "vgg16-block4@96" and "cannot be had here" in why
    assert [len(record.getMessage().splitlines()) for record in caplog.records] == [1]


@pytest.mark.parametrize("sizes", [[], [3], [(0, 5)], [(1, 2, 3)]])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(ParameterError, match="sizes="):
        first_choice(sizes, True, lambda name: True)


# --- the choice by accuracy -----------------------------------------------------------------------


class Nearest:
    """Goes by the nearest mean of a class."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.means = np.stack([x[y == c].mean(0) for c in self.classes_])
        return self

    def predict_proba(self, x):
        far = ((x[:, None] - self.means) ** 2).sum(2)
        p = np.exp(-(far - far.min(1, keepdims=True)))
        return p / p.sum(1, keepdims=True)


def learned(n: int, share: float, seed: int, n_classes: int = 5):
    """Return labels, and features that know the class of a share of the items."""
    rng = RNG(seed)
    labels = np.arange(n) % n_classes
    told = np.where(rng.random(n) < share, labels, rng.integers(0, n_classes, n))
    return labels, np.eye(n_classes)[told] + rng.normal(0, 0.05, (n, n_classes))


def compared(features, labels, current, seed=0):
    return compare(features, labels, current=current, make=Nearest, rng=RNG(seed))


def test_a_clearly_better_backbone_is_chosen_and_then_kept():
    labels, good = learned(200, 0.95, 1)
    _, bad = learned(200, 0.4, 2)
    first = compared({"old": bad, "new": good}, labels, "old")
    assert first.chosen == "new" and first.accuracy["new"] > 0.9 > first.accuracy["old"]
    assert "new instead of old" in first.why and "200 labels" in first.why
    again = compared({"old": bad, "new": good}, labels, "new")
    assert again.chosen == "new" and "stays" in again.why


def test_equal_backbones_never_change_places():
    labels, x = learned(100, 0.7, 1)
    for current in ("a", "b"):
        assert compared({"a": x, "b": x.copy()}, labels, current).chosen == current


def test_chance_alone_rarely_switches():
    """Of backbones that are equally good, fewer switch than the level says."""
    switched = 0
    for seed in range(100):
        labels, a = learned(60, 0.6, 2 * seed)
        _, b = learned(60, 0.6, 2 * seed + 1)
        switched += compared({"a": a, "b": b}, labels, "a", seed).chosen == "b"
    assert switched <= 100 * choice_module.LEVEL + 4


@given(seed=st.integers(0, 10**6), share=st.floats(0.2, 1))
def test_it_does_not_flap_whatever_the_accuracies(seed, share):
    labels, a = learned(60, 0.6, seed)
    _, b = learned(60, share, seed + 1)
    features = {"a": a, "b": b}
    first = compared(features, labels, "a", seed)
    assert compared(features, labels, first.chosen, seed).chosen == first.chosen


def test_a_gain_of_a_few_items_is_not_clear():
    labels, x = learned(1000, 0.9, 1)
    better = x.copy()
    wrong = np.flatnonzero(x.argmax(1) != labels)[:9]  # 9 of 1,000 more are right
    better[wrong] = np.eye(5)[labels[wrong]]
    found = compared({"a": x, "b": better}, labels, "a")
    assert found.chosen == "a" and found.accuracy["b"] > found.accuracy["a"]


def test_the_best_of_several_clear_ones_is_chosen():
    labels, _ = learned(300, 1, 0)
    shares = {"a": 0.3, "b": 0.7, "c": 0.95, "d": 0.35}
    features = {name: learned(300, s, i)[1] for i, (name, s) in enumerate(shares.items())}
    found = compared(features, labels, "a")
    assert found.chosen == "c" and list(found.accuracy) == list(shares)


def test_accuracies_are_out_of_fold():
    labels = RNG(0).integers(0, 5, 200)
    found = compared({"noise": RNG(1).normal(size=(200, 150)), "a": np.ones((200, 1))}, labels, "a")
    assert found.accuracy["noise"] < 0.35 and found.chosen == "a"


@pytest.mark.parametrize(
    ("features", "labels", "current", "message"),
    [
        ({"a": np.ones((6, 2))}, np.arange(6) % 2, "b", "current=b"),
        ({"a": np.ones((5, 2))}, np.arange(6) % 2, "a", r"features\[a\]=5: expected 6"),
        ({"a": np.ones((3, 2))}, np.arange(3) % 2, "a", "folds=5"),
    ],
)
def test_what_cannot_be_compared_is_named(features, labels, current, message):
    with pytest.raises(ParameterError, match=message):
        compared(features, labels, current)
