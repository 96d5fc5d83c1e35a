"""Features against an independent network, pixels against Pillow, the cache against damage."""

import functools
import importlib.metadata
import importlib.util
import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pools import random_weights

from alutils.base import artefacts, manifest
from alutils.base.tensorflow import import_tensorflow
from alutils.data.pixels import prepare
from alutils.models import embeddings, precision
from alutils.models.backbones import planning, runtimes, vgg16
from alutils.models.embeddings import features, plan
from alutils.models.precision import Decision

WIDTHS = [4, 4, 6, 6, 8, 8, 8, 10, 10, 10, 12, 12, 12]
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino (extra: fast) is not installed"
)
BACKENDS = ["keras", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture(scope="module")
def weights() -> list[np.ndarray]:
    return random_weights(WIDTHS)


@pytest.fixture
def letters() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (11, 28, 28), dtype=np.uint8)


# --- what the network computes --------------------------------------------------------------------


def forward(image: np.ndarray, weights: list[np.ndarray], layer: str, pooling: str) -> np.ndarray:
    """One image through the blocks in float64 NumPy: sums over windows, maxima of two by two."""
    x, arrays = image.astype(float), iter(weights)
    for count in [2, 2, 3, 3, 3][: int(layer[-1])]:
        for _ in range(count):
            kernel, bias = next(arrays), next(arrays)
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
            x = np.maximum(np.einsum("hwcij,ijco->hwo", windows, kernel) + bias, 0)
        height, width = x.shape[0] // 2, x.shape[1] // 2
        x = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).max((1, 3))
    return x.mean((0, 1)) if pooling == "avg" else x.max((0, 1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("layer", "pooling", "size"),
    [("block5", "avg", (32, 32)), ("block3", "max", (32, 32)), ("block4", "avg", (37, 45))],
)
def test_features_are_those_of_a_network_written_out_in_numpy(
    letters, weights, backend, layer, pooling, size
):
    prepared = prepare(letters, size=size)
    expected = [forward(image, weights, layer, pooling) for image in prepared]
    found = features(
        letters, weights=weights, backend=backend, precision="float32", layer=layer,
        pooling=pooling, size=size, batch=4, cache=False, progress=False,
    )  # fmt: skip
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_both_backends_give_the_features_of_keras_applications():
    import keras

    weights = random_weights([64, 64, 128, 128, *3 * [256], *6 * [512]])
    model = keras.applications.VGG16(
        weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    model.set_weights(weights)
    letters = np.random.default_rng(2).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    expected = model.predict_on_batch(prepare(letters))
    for backend in ["keras", "openvino"] if importlib.util.find_spec("openvino") else ["keras"]:
        options = {"weights": weights, "backend": backend, "cache": False, "progress": False}
        found = features(letters, precision="float32", **options)
        assert found.shape == (6, 512)
        assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected), backend


@needs_openvino
def test_bfloat16_is_close_to_float32():
    if "bf16" not in runtimes.openvino_cpu()[0]:
        pytest.skip("this CPU has no bf16 instructions")
    weights = random_weights([16, 16, 32, 32, *9 * [64]])
    letters = np.random.default_rng(2).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    options = {"weights": weights, "backend": "openvino", "cache": False, "progress": False}
    exact = features(letters, precision="float32", **options)
    rounded = features(letters, precision="bfloat16", **options)
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 0 < error < 0.01


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_has_the_same_features_whatever_batch_it_comes_in(letters, weights, backend):
    options = {"weights": weights, "backend": backend, "precision": "float32"}
    options |= {"cache": False, "progress": False}
    whole = features(letters, **options)
    for batch in (1, 4, 50):
        parts = features(letters, batch=batch, **options)
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-4)
    backwards = features(letters[::-1], **options)
    np.testing.assert_allclose(backwards[::-1], whole, rtol=1e-5, atol=1e-4)


# --- what goes into it ----------------------------------------------------------------------------


def pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize as the report does: three channels, one picture at a time, Pillow's default."""
    three = np.dstack([image] * 3) if image.ndim == 2 else image
    return np.asarray(Image.fromarray(three).resize(size[::-1]))


@pytest.mark.parametrize("shape", [(28, 28), (64, 40), (32, 32), (33, 7, 3), (90, 32, 3)])
@pytest.mark.parametrize("size", [(32, 32), (48, 33), (224, 100)])
def test_pixels_are_bit_for_bit_those_of_pillow(shape, size):
    images = np.random.default_rng(3).integers(0, 256, (5, *shape), dtype=np.uint8)
    images[0] = 255 * (images[0] > 127)  # hard edges overshoot and have to be clipped
    expected = np.stack([pillow(image, size) for image in images])
    found = prepare(images, size=size)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(prepare(list(images), size=size), expected)


def test_pixels_are_those_of_the_reports_own_keras_calls(letters):
    from keras.utils import array_to_img, img_to_array

    three = np.stack([np.dstack([letter] * 3) for letter in letters])
    expected = [img_to_array(array_to_img(im, scale=False).resize((32, 32))) for im in three]
    np.testing.assert_array_equal(prepare(letters), np.asarray(expected))


def test_the_second_preparation_is_that_of_keras_applications(letters):
    from keras.applications.vgg16 import preprocess_input

    expected = preprocess_input(prepare(letters).copy())
    found = prepare(letters, preprocessing="vgg")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_numbers_of_any_type_are_the_same_images(letters):
    expected = prepare(letters)
    for kind in (np.int64, np.uint16, np.float32, np.float64):
        np.testing.assert_array_equal(prepare(letters.astype(kind)), expected)
    np.testing.assert_array_equal(prepare(letters[..., np.newaxis]), expected)


def test_a_large_picture_is_prepared_in_parts_that_give_the_whole(monkeypatch):
    from alutils.data import pixels

    images = np.random.default_rng(4).integers(0, 256, (7, 40, 50, 3), dtype=np.uint8)
    whole = prepare(images)
    monkeypatch.setattr(pixels, "_PART_BYTES", 2 * images[0].nbytes)
    np.testing.assert_array_equal(prepare(images), whole)


# --- how it is planned ----------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be another machine: what OpenVINO's kernel is called, whether Keras has a GPU."""

    def pretend(kernel: str | None, gpu: bool = False) -> None:
        found = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *rest: (
                (object() if kernel else None) if name == "openvino" else found(name, *rest)
            ),
        )
        monkeypatch.setattr(runtimes, "openvino_cpu", lambda: (kernel, 8))
        monkeypatch.setattr(runtimes, "keras_has_gpu", lambda: gpu)
        monkeypatch.setattr(planning, "decide", lambda *_: Decision("bfloat16", 1.97, 0.0046))

    return pretend


@pytest.mark.parametrize(
    ("kernel", "gpu", "asked", "expected"),
    [
        ("brgconv_avx512_amx_bf16", False, {}, ("openvino", "cpu", "bfloat16")),
        ("brgconv_avx512_bf16", False, {}, ("openvino", "cpu", "bfloat16")),
        ("jit_avx2_f32", False, {}, ("openvino", "cpu", "float32")),
        (None, False, {}, ("keras", "cpu", "float32")),
        ("brgconv_avx512_amx_bf16", True, {}, ("keras", "gpu", "float32")),
        ("jit_avx2_f32", True, {"backend": "openvino"}, ("openvino", "cpu", "float32")),
        ("brgconv_avx512_bf16", True, {"precision": "bfloat16"}, ("openvino", "cpu", "bfloat16")),
        ("brgconv_avx512_amx_bf16", False, {"backend": "keras"}, ("keras", "cpu", "float32")),
        ("x_amx_bf16", False, {"precision": "float32"}, ("openvino", "cpu", "float32")),
    ],
)
def test_the_backend_and_precision_suit_the_machine(machine, kernel, gpu, asked, expected):
    machine(kernel, gpu)
    chosen = plan(**asked)
    assert (chosen.backend, chosen.device, chosen.precision) == expected
    assert str(chosen).startswith(f"{chosen.backend}, {chosen.precision} (")


# --- the precision that pays ----------------------------------------------------------------------


def small_trial() -> precision.Trial:
    """Return VGG16 with few maps, to be measured."""
    weights, shape = random_weights([16, 16, 32, 32, *9 * [64]]), (32, 32, 32)
    build = functools.partial(vgg16.openvino_network, weights, layer="block5", pooling="avg")
    return precision.Trial(shape, 64, lambda kind: build(shape=shape, precision=kind))


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Pretend that a measurement gave this; return how often it was made."""
    calls = []

    def pretend(speedup: float, error: float = 0.004) -> list:
        monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
        monkeypatch.setattr(
            precision, "_measure", lambda trial, threads: calls.append(1) or (speedup, error)
        )
        return calls

    return pretend


@pytest.mark.parametrize(
    ("speedup", "error", "expected"),
    [(1.97, 0.0046, "bfloat16"), (1.19, 0.004, "float32"), (0.8, 0.004, "float32"),
     (3.0, 0.05, "float32"), (1.2, 0.02, "bfloat16"), (2.0, np.nan, "float32")],
)  # fmt: skip
def test_bfloat16_is_taken_where_it_is_clearly_faster_and_close(measured, speedup, error, expected):
    measured(speedup, error)
    assert precision.decide("bf16", 2, "abc", small_trial).precision == expected


def test_a_machine_decides_once_and_then_always_the_same(measured, tmp_path):
    calls = measured(1.97)
    first = precision.decide("bf16", 2, "abc", small_trial)
    measured(0.5)
    assert precision.decide("bf16", 1, "abc", small_trial) == first and len(calls) == 1
    (path,) = tmp_path.glob("features/precision-*.json")
    told = json.loads(path.read_text())
    assert (told["precision"], told["speedup"], told["weights_sha256"]) == ("bfloat16", 1.97, "abc")
    assert "1.97 times the speed of float32" in str(first) and "0.0040" in str(first)
    # Other weights, or another processor, are another question.
    assert precision.decide("bf16", 2, "other", small_trial).precision == "float32"
    assert precision.decide("other bf16", 2, "abc", small_trial).precision == "float32"
    # What somebody wrote into the file counts; a damaged one is measured again.
    path.write_text(json.dumps(told | {"precision": "float32"}))
    assert precision.decide("bf16", 2, "abc", small_trial).precision == "float32"
    for damaged in ('{"precision', json.dumps(told | {"precision": "int8"}), "{}"):
        path.write_text(damaged)
        assert precision.decide("bf16", 2, "abc", small_trial) == Decision("float32", 0.5, 0.004)


def test_a_decision_that_cannot_be_kept_is_said_and_used(measured, tmp_path, caplog):
    measured(2.0)
    (tmp_path / "features").write_text("a file in the folder's place")
    assert precision.decide("bf16", 2, "abc", small_trial).precision == "bfloat16"
    assert "cannot be kept" in caplog.text


def test_what_training_computes_in_is_decided_once_on_a_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    of_training = precision.of_training.__wrapped__  # not kept by this process
    monkeypatch.setattr(precision, "_measure_training", lambda: (1.5, 0.003))
    assert of_training() == "bfloat16"
    monkeypatch.setattr(precision, "_measure_training", lambda: (0.5, 0.003))
    assert of_training() == "bfloat16"
    (path,) = tmp_path.glob("features/precision-*.json")
    told = json.loads(path.read_text())
    assert (told["what"], told["speedup"]) == ("training", 1.5)
    path.unlink()
    assert of_training() == "float32"


def test_the_measurement_of_training_compares_gradients():
    speedup, error = precision._measure_training()
    assert speedup > 0 and 0 < error < 0.01


def test_where_nothing_can_be_trained_in_bfloat16_it_is_float32(monkeypatch, tmp_path):
    tf = import_tensorflow()
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    convolution = tf.nn.conv2d

    def only_real(x, *others):
        if x.dtype == tf.bfloat16:
            raise tf.errors.UnimplementedError(None, None, "no kernel")
        return convolution(x, *others)

    monkeypatch.setattr(tf.nn, "conv2d", only_real)
    assert precision.of_training.__wrapped__() == "float32"


@needs_openvino
def test_the_measurement_is_of_both_precisions_and_quick():
    if "bf16" not in runtimes.openvino_cpu()[0]:
        pytest.skip("this CPU has no bf16 instructions")
    speedup, error = precision._measure(small_trial(), 2)
    assert speedup > 0 and 0 < error < 0.01


def test_the_plan_can_go_into_a_manifest(weights):
    chosen = plan(size=[48, 32], weights=weights, backend="keras")
    written = json.loads(json.dumps(asdict(chosen)))
    assert written["size"] == [48, 32]
    assert len(written["weights_sha256"]) == 64
    assert written["threads"] >= 1 and written["batch"] >= 1
    pinned = next(iter(artefacts.VGG16.content.sha256.values()))
    assert plan(backend="keras").weights_sha256 == pinned != written["weights_sha256"]


@needs_openvino
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="asks Linux for the CPU's flags")
def test_the_runtime_names_a_kernel_that_this_cpu_has():
    kernel, threads = runtimes.openvino_cpu()
    flags = Path("/proc/cpuinfo").read_text().split()
    assert ("amx" in kernel) == ("amx_bf16" in flags)
    assert "bf16" in kernel or "avx512_bf16" not in flags
    assert 1 <= threads <= manifest.cores()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backend": "openvno"}, ValueError, "did you mean 'openvino'"),
        ({"backend": "kears"}, ValueError, "did you mean 'keras'"),
        ({"precision": "bf16"}, ValueError, "precision='bf16'.*bfloat16"),
        ({"layer": "block6"}, ValueError, "layer=block6.*block5"),
        ({"pooling": "mean"}, ValueError, "pooling='mean'.*avg, max"),
        ({"preprocessing": "VGG"}, ValueError, "preprocessing='VGG'.*raw, vgg"),
        ({"size": (28, 28)}, ValueError, "32 x 32"),
        ({"size": 32}, ValueError, "size=32.*height, width"),
        ({"size": (32, 32, 3)}, ValueError, "height, width"),
        ({"batch": 0}, ValueError, "batch=0"),
        ({"backend": "keras", "precision": "bfloat16"}, ValueError, r"\[fast\]"),
    ],
)
def test_an_option_that_cannot_be_had_is_named(options, error, message):
    with pytest.raises(error, match=message):
        plan(**options)


def test_a_missing_openvino_and_a_cpu_without_bfloat16_are_named(machine):
    machine(None)
    with pytest.raises(ImportError, match=r"pip install -e \.\[fast\]"):
        plan(backend="openvino")
    machine("jit_avx2_f32")
    with pytest.raises(ValueError, match="no instructions"):
        plan(precision="bfloat16")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w[:-1], "25 arrays, expected 26"),
        (lambda w: [w[0].transpose(3, 2, 0, 1), *w[1:]], r"weights\[0\] has shape \(4, 3, 3, 3\)"),
        (lambda w: [*w[:5], w[5][:-1], *w[6:]], r"weights\[5\] has shape"),
        (lambda w: [w[0].astype(np.float64), *w[1:]], "float32"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, spoil, message):
    with pytest.raises(ValueError, match=message):
        plan(weights=spoil(weights))


def test_the_import_loads_no_runtime():
    code = """import sys, alutils.models.embeddings
    loaded = {"tensorflow", "keras", "openvino"} & set(sys.modules)
    sys.exit(f"loaded: {loaded}" if loaded else 0)"""
    subprocess.run([sys.executable, "-c", code.replace("    ", "")], check=True)


# --- the cache ------------------------------------------------------------------------------------


class Counted:
    """A quick network in place of both backends; knows how many images went through."""

    def __init__(self) -> None:
        self.seen = 0
        self.dies_at: int | None = None

    def __call__(self, weights, *, layer, pooling, shape, precision):
        channels = vgg16.channels(layer, list(map(np.shape, weights)))
        mix = np.random.default_rng(7).integers(1, 100, (3, channels))

        def run(batches, out):
            for i, batch in enumerate(batches):
                rows = out[i * shape[0] : (i + 1) * shape[0]]
                sums = batch.astype(np.int64).sum((1, 2))  # whole numbers: exact in any batch
                rows[:] = (sums @ mix % 65521)[: len(rows)]
                self.seen += len(rows)
                if self.dies_at is not None and self.seen >= self.dies_at:
                    raise KeyboardInterrupt

        return run


@pytest.fixture
def network(monkeypatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(vgg16, "keras_network", counted)
    monkeypatch.setattr(vgg16, "openvino_network", counted)
    monkeypatch.setattr(runtimes, "keras_has_gpu", lambda: False)
    monkeypatch.setattr(planning, "decide", lambda *_: Decision("float32", 1.0, 0.004))
    monkeypatch.setattr(embeddings, "_BLOCK", 4)
    return counted


@pytest.fixture
def compute(network, weights, tmp_path):
    def run(images, **options) -> np.ndarray:
        options = {"weights": weights, "backend": "keras", "cache": tmp_path, **options}
        return features(images, progress=False, **options)

    return run


def test_the_second_call_gives_the_same_bits_and_computes_nothing(compute, network, letters):
    fresh = compute(letters, cache=False)
    first = compute(letters)
    assert network.seen == 2 * len(letters)
    second = compute(letters.astype(np.int32))  # the same pixels are the same images
    assert network.seen == 2 * len(letters)
    assert isinstance(second, np.memmap) and not second.flags.writeable
    np.testing.assert_array_equal(first, fresh)
    np.testing.assert_array_equal(second, fresh)


def test_a_hit_does_not_ask_for_the_imagenet_weights(
    network, weights, letters, tmp_path, monkeypatch
):
    loads = []
    full = random_weights([64, 64, 128, 128, *3 * [256], *6 * [512]])
    monkeypatch.setattr(artefacts, "vgg16_convolutions", lambda: loads.append(1) or full)
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    for _ in range(2):
        found = features(letters, backend="keras", progress=False)
    assert found.shape == (len(letters), 512)
    assert loads == [1]
    assert list((tmp_path / "features").glob("*.npy"))


def test_everything_that_changes_the_numbers_has_its_own_file(compute, network, letters, machine):
    machine("brgconv_avx512_bf16")
    other_weights = random_weights(WIDTHS, seed=5)
    images = [letters, letters[:5], letters[::-1], np.ascontiguousarray(letters.swapaxes(1, 2))]
    images += [list(letters), letters.reshape(11, 14, 56)]
    options = [
        {"preprocessing": "vgg"}, {"size": (33, 32)}, {"layer": "block4"}, {"pooling": "max"},
        {"backend": "openvino", "precision": "float32"},
        {"backend": "openvino", "precision": "bfloat16"},
        {"weights": other_weights},
    ]  # fmt: skip
    asked = [(array, {}) for array in images] + [(letters, extra) for extra in options]
    for array, extra in asked:
        before = network.seen
        compute(array, **extra)
        assert network.seen == before + len(array), (np.shape(array), extra)
    before = network.seen
    compute(letters, batch=3)  # gives the same numbers
    for array, extra in asked:
        compute(array, **extra)
    assert network.seen == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    with path.open("r+b") as file:
        np.save(file, np.zeros(np.load(path).shape, np.float32))


def reshaped(path: Path) -> None:
    array = np.load(path)
    with path.open("wb") as file:
        np.save(file, array.reshape(array.shape[::-1]))


def retyped(path: Path) -> None:
    array = np.load(path)
    with path.open("wb") as file:
        np.save(file, array.view(np.int32))  # every byte of the rows is as it was


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(5000))


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff not what it should be")


def other_seal(path: Path) -> None:
    seal = json.loads(path.read_text())
    seal["identity"]["layer"] = "block1"
    path.write_text(json.dumps(seal))


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        ("npy", cut), ("npy", flip), ("npy", foreign), ("npy", reshaped), ("npy", retyped),
        ("npy", longer), ("npy", garbage),
        ("npy", lambda path: path.write_bytes(b"")), ("npy", Path.unlink),
        ("json", cut), ("json", garbage), ("json", other_seal), ("json", Path.unlink),
        ("json", lambda path: path.write_text("[]")),
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_computed_again_and_said(
    compute, network, letters, tmp_path, caplog, ending, damage
):
    expected = np.array(compute(letters))
    (path,) = tmp_path.glob(f"*.{ending}")
    damage(path)
    with caplog.at_level(logging.WARNING, "alutils"):
        found = compute(letters)
    assert network.seen == 2 * len(letters)
    np.testing.assert_array_equal(found, expected)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (0 if damage is Path.unlink and ending == "npy" else 1)
    assert all("computed again" in line and "\n" not in line for line in said)
    compute(letters)
    assert network.seen == 2 * len(letters)


def test_an_interrupted_computation_goes_on_after_its_last_block(
    compute, network, letters, tmp_path
):
    expected = compute(letters, cache=False)
    network.seen, network.dies_at = 0, 9  # in the third block of four images
    with pytest.raises(KeyboardInterrupt):
        compute(letters, batch=2)
    assert not list(tmp_path.glob("*.npy"))
    network.seen, network.dies_at = 0, None
    np.testing.assert_array_equal(compute(letters, batch=2), expected)
    assert network.seen == len(letters) - 8
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".lock", ".npy"]


def zeroed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:128] + bytes(path.stat().st_size - 128))


@pytest.mark.parametrize(
    ("ending", "damage"),
    [(ending, d) for ending in ("partial", "journal") for d in (cut, flip, garbage, Path.unlink)]
    + [("partial", zeroed), ("partial", longer), ("journal", lambda path: path.write_bytes(b""))],
)
def test_what_an_interrupted_computation_left_is_not_trusted(
    compute, network, letters, tmp_path, ending, damage
):
    expected = compute(letters, cache=False)
    network.seen, network.dies_at = 0, 9
    with pytest.raises(KeyboardInterrupt):
        compute(letters, batch=2)
    (path,) = tmp_path.glob(f"*.{ending}")
    damage(path)
    network.dies_at = None
    np.testing.assert_array_equal(compute(letters), expected)
    network.seen = 0
    np.testing.assert_array_equal(compute(letters), expected)
    assert network.seen == 0


RUN = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from alutils.base.tensorflow import import_tensorflow
from alutils.base.row_cache import CachedRows
folder, delay, dies_after = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
if int(sys.argv[4]) >= 0:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
def produce(start):
    for first in range(start, 50, 10):
        if first == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(delay)
        print(first, flush=True)
        yield np.arange(first * 3, first * 3 + 30, dtype=np.float32).reshape(10, 3)
rows = CachedRows(folder, {"what": "test"}, (50, 3), np.dtype(np.float32), 10).get(produce)
assert np.array_equal(rows, np.arange(150, dtype=np.float32).reshape(50, 3))
"""


def run(folder: Path, delay: float = 0, dies_after: int = -1, room: int = -1) -> subprocess.Popen:
    arguments = [sys.executable, "-c", RUN, *map(str, (folder, delay, dies_after, room))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, **pipes)


def test_a_killed_process_is_taken_up_where_it_stopped(tmp_path):
    killed = run(tmp_path, dies_after=30)
    assert killed.communicate()[0].split() == ["0", "10", "20"]
    assert killed.returncode == -9
    second = run(tmp_path)
    assert second.communicate()[0].split() == ["30", "40"]
    assert second.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes as POSIX does")
def test_a_full_disk_is_an_error_and_what_was_written_is_used_later(tmp_path):
    full = run(tmp_path, room=128 + 2 * 120 + 50)  # header, two blocks and a part of the third
    printed, error = full.communicate()
    assert printed.split() == ["0", "10", "20"]
    assert "OSError" in error and not list(tmp_path.glob("*.npy"))
    second = run(tmp_path)
    assert second.communicate()[0].split() == ["20", "30", "40"]
    assert second.returncode == 0


def test_two_processes_at_once_do_the_work_once_and_agree(tmp_path):
    both = [run(tmp_path, delay=0.1) for _ in range(2)]
    printed = sorted(process.communicate()[0].split() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert printed == [[], ["0", "10", "20", "30", "40"]]


MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from alutils.models import embeddings
from alutils.models.backbones import runtimes, vgg16
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
from test_embeddings import Counted, WIDTHS, random_weights
vgg16.keras_network, runtimes.keras_has_gpu = Counted(), lambda: False
folder = Path(sys.argv[2])
images = np.memmap(folder / "images", np.uint16, "w+", shape=(800, 512, 512, 3))
images.flush()
images = np.memmap(folder / "images", np.uint16, "r", shape=images.shape)
used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if "VmData" in line)
limit = used + 300 * 2**20  # a quarter of the images, half of them as bytes
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.array(images)
except MemoryError:
    found = embeddings.features(
        images, weights=random_weights(WIDTHS), backend="keras", cache=folder, progress=False
    )
    print(found.shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits memory as Linux does")
def test_images_larger_than_memory_are_read_in_parts(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "(800, 12)", ran.stderr


# --- images of people -----------------------------------------------------------------------------


def test_a_list_may_mix_sizes_and_colour(compute, weights):
    rng = np.random.default_rng(6)
    images = [
        rng.integers(0, 256, shape, dtype=np.uint8)
        for shape in [(28, 28), (100, 60, 3), (32, 32, 1), (5, 9)]
    ]
    whole = compute(images)
    assert whole.shape == (4, WIDTHS[-1])
    for image, row in zip(images, whole, strict=True):
        np.testing.assert_array_equal(compute(image[np.newaxis])[0], row)


def test_images_can_keep_their_size(compute, network):
    images = np.random.default_rng(6).integers(0, 256, (3, 40, 70, 3), dtype=np.uint8)
    kept = compute(images, size=None)
    np.testing.assert_array_equal(kept, compute(list(images), size=None))
    seen = network.seen
    np.testing.assert_array_equal(kept, compute(images, size=(40, 70)))
    assert network.seen == seen  # resizing to the size they have is keeping it
    assert plan(size=None, backend="keras").batch is None
    assert not np.array_equal(kept, compute(images, size=(40, 71)))


def fill(*shape: int, value: float = 9, kind: type = np.uint8) -> np.ndarray:
    return np.full(shape, value, kind)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (fill(28, 28), {}, r"shape \(28, 28\).*image\[None\]"),
        (fill(28, 28, 3), {}, r"shape \(28, 28, 3\).*image\[None\]"),
        (fill(2, 28, 28, 4), {}, r"shape \(2, 28, 28, 4\)"),
        (fill(2, 3, 28, 28), {}, r"shape \(2, 3, 28, 28\)"),
        (fill(0, 28, 28), {}, r"shape \(0, 28, 28\)"),
        (fill(2, 0, 28), {}, r"shape \(2, 0, 28\)"),
        (np.array(5), {}, r"shape \(\)"),
        ([], {}, "empty list"),
        ([fill(28, 28), fill(784)], {}, r"shape \(784,\)"),
        ([fill(28, 28), fill(28, 28, 2)], {}, r"shape \(28, 28, 2\)"),
        (fill(2, 28, 28), {"size": None}, "28 x 28.*32 x 32.*size="),
        ([fill(32, 32), fill(40, 32)], {"size": None}, r"2 sizes.*\(32, 32\).*\(40, 32\)"),
        (fill(2, 28, 28, value=256, kind=np.int32), {}, "from 256 to 256.*0 to 255"),
        (fill(2, 28, 28, value=-1, kind=np.int32), {}, "from -1 to -1"),
        (fill(2, 28, 28, value=255.5, kind=np.float32), {}, "255.5"),
        (fill(2, 28, 28, value=np.nan, kind=np.float32), {}, "nan"),
        (fill(2, 28, 28, value=0.5, kind=np.float32), {}, "brightest pixel .* is 0.5.*255"),
        (fill(2, 28, 28, value=1, kind=bool), {}, "type bool"),
        (np.full((2, 28, 28), "a"), {}, "type <U1"),
    ],
)
def test_images_that_cannot_be_taken_are_named(
    compute, network, tmp_path, images, options, message
):
    with pytest.raises(ValueError, match=message):
        compute(images, **options)
    assert network.seen == 0
    assert not list(tmp_path.iterdir())


def test_a_backend_that_gives_something_else_leaves_no_file(
    compute, monkeypatch, letters, tmp_path
):
    from alutils.base.row_cache import CachedRows

    rows = CachedRows(tmp_path, {}, (11, 4), np.dtype(np.float32), 4)
    with pytest.raises(ValueError, match=r"rows 0 to 4 came as float64 \(4, 4\), expected float32"):
        rows.get(lambda start: iter([np.zeros((4, 4))]))
    with pytest.raises(ValueError, match="rows 4 to 8 came"):
        rows.get(lambda start: iter([np.zeros((4, 4), np.float32)]))
    assert not list(tmp_path.glob("*.npy"))
