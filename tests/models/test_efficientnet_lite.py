"""EfficientNet-Lite gives what its description says, on both runtimes."""

import importlib.util

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from alutils.base.artefacts import ArtefactError
from alutils.base.errors import ParameterError
from alutils.base.lite_weights import HEAD, LITE, lite_weights
from alutils.models.backbones.efficientnet_lite import keras_network, openvino_network, steps

LITE0 = LITE["lite0"]
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino (extra: fast) is not installed"
)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """Random weights that keep numbers in the range in which activations are clipped."""
    rng = np.random.default_rng(3)
    found = {}
    for name, shape in LITE0.shapes().items():
        if name.endswith("running_var"):
            array = rng.uniform(0.5, 2, shape)
        elif ".weight" in name and len(shape) > 1:
            array = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(".weight"):
            array = rng.uniform(0.7, 1.5, shape)
        else:
            array = rng.normal(size=shape) * 0.3
        found[name] = array.astype(np.float32)
    return found


def pictures(n: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (n, height, width, 3)).astype(np.float32)


def computed(build, weights, images) -> np.ndarray:
    out = np.empty((len(images), HEAD), np.float32)
    build(LITE0, weights, images.shape[:3], "float32")([images], out)
    return out


# --- an oracle of plain numpy, from the description -----------------------------------------------


def convolved(x, kernel, stride):
    """(h, w, c) by (out, in, k, k), padded so that the side is the stride's share, rounded up."""
    k = kernel.shape[2]
    pads = []
    for side in x.shape[:2]:
        missing = max(0, (-(-side // stride) - 1) * stride + k - side)
        pads.append((missing // 2, missing - missing // 2))
    x = np.pad(x, [*pads, (0, 0)])
    windows = sliding_window_view(x, (k, k), axis=(0, 1))[::stride, ::stride]
    if kernel.shape[1] == 1 and x.shape[2] == kernel.shape[0]:  # each map by itself
        return np.einsum("hwckl,ckl->hwc", windows, kernel[:, 0])
    return np.einsum("hwckl,ockl->hwo", windows, kernel, optimize=True)


def oracle(weights, image) -> np.ndarray:
    """Return the features of one image, layer by layer, nothing folded, in double precision."""
    w = {name: array.astype(float) for name, array in weights.items()}

    def layer(x, convolution, normal, stride=1, clipped=True):
        x = convolved(x, w[f"{convolution}.weight"], stride)
        x = (x - w[f"{normal}.running_mean"]) / np.sqrt(w[f"{normal}.running_var"] + 0.001)
        x = x * w[f"{normal}.weight"] + w[f"{normal}.bias"]
        return np.clip(x, 0, 6) if clipped else x

    x = layer((image.astype(float) - 127) / 128, "_conv_stem", "_bn0", stride=2)
    for i, block in enumerate(LITE0.blocks()):
        at, before = f"_blocks.{i}.", x
        if f"{at}_expand_conv.weight" in w:
            x = layer(x, f"{at}_expand_conv", f"{at}_bn0")
        x = layer(x, f"{at}_depthwise_conv", f"{at}_bn1", stride=block.stride)
        x = layer(x, f"{at}_project_conv", f"{at}_bn2", clipped=False)
        if x.shape == before.shape:
            x = x + before
    return layer(x, "_conv_head", "_bn1").mean((0, 1))


@pytest.mark.parametrize("size", [(64, 64), (45, 70)])
def test_keras_gives_what_numpy_computes_from_the_description(weights, size):
    images = pictures(2, *size)
    found = computed(keras_network, weights, images)
    expected = np.stack([oracle(weights, image) for image in images])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@needs_openvino
@pytest.mark.parametrize("size", [(96, 96), (33, 50)])
def test_keras_and_openvino_agree(weights, size):
    images = pictures(3, *size)
    keras, openvino = (computed(b, weights, images) for b in (keras_network, openvino_network))
    assert np.ptp(keras) > 0.1
    np.testing.assert_allclose(openvino, keras, rtol=1e-4, atol=1e-4)


def test_folding_leaves_one_kernel_and_bias_for_each_convolution(weights):
    found = steps(LITE0, weights)
    assert [step.name for step in found] == [
        name.removesuffix(".weight") for name, shape in LITE0.shapes().items() if len(shape) == 4
    ]
    assert all(step.kernel.dtype == step.bias.dtype == np.float32 for step in found)
    assert sum(step.added for step in found) == 9  # blocks that are repeated
    assert not any(step.clipped for step in found if "project" in step.name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("_bn0.bias"), "weights=_bn0.bias: this array of lite0 is missing"),
        (lambda w: w.update({"_bn0.bias": np.zeros(31, np.float32)}), r"\(31,\): expected .*32"),
        (lambda w: w.update({"_bn0.bias": np.zeros(32)}), "float64 .*expected float32"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, spoil, message):
    spoiled = dict(weights)
    spoil(spoiled)
    with pytest.raises(ParameterError, match=message):
        steps(LITE0, spoiled)


def test_keras_computes_in_float32_only(weights):
    with pytest.raises(ParameterError, match=r"precision=bfloat16.*float32"):
        keras_network(LITE0, weights, (1, 32, 32), "bfloat16")


PALACE = 698
"""Number of a class of ImageNet."""


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", LITE)
def test_real_weights_see_the_palace_on_scikit_learns_photograph(name):
    """Padding, range and order of colours are as in training: a palace in Beijing is one."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    try:
        weights = lite_weights(name)
    except ArtefactError as error:
        pytest.skip(str(error))
    lite, side = LITE[name], LITE[name].size
    photograph = Image.fromarray(load_sample_image("china.jpg"))
    left = (photograph.width - photograph.height) // 2
    square = photograph.crop((left, 0, left + photograph.height, photograph.height))
    image = np.asarray(square.resize((side, side)), np.float32)[None]
    features = np.empty((1, HEAD), np.float32)
    keras_network(lite, weights, image.shape[:3], "float32")([image], features)
    scores = features @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert PALACE in np.argsort(-scores[0])[:5]
