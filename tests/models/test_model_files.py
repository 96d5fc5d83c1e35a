"""Damaged, foreign and malicious model files: nothing is run, and one line says what is wrong."""

import hashlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from alutils.models import load_model, model_files, report_model
from alutils.models.backbones import vgg16
from alutils.models.convnet import ConvNet
from alutils.models.heads import Head
from alutils.models.model_files import CARD, Content, SavedModelError
from alutils.models.picture_models import FeatureModel, NetworkModel

RAN = []


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return RAN.append, ("unpickled",)


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a good model."""
    w = np.random.default_rng(0).normal(0, 1, (144, 3)).astype(np.float32)
    model = FeatureModel("pixels@12", Head((w, np.zeros(3, np.float32))), ("a", "b", "c"), 5)
    return model.save(tmp_path / "model")


@pytest.fixture(autouse=True)
def _nothing_runs():
    RAN.clear()
    yield
    assert RAN == []


def refused(folder, says):
    with pytest.raises(SavedModelError, match=says) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def weights(folder):
    (path,) = folder.glob("weights-*.npz")
    return path


def change_card(folder, **changes):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


def rewrite(folder, hashed=True, compression=zipfile.ZIP_STORED, **arrays):
    """Replace arrays of the weights by others, given as arrays or as a member's bytes."""
    path, card = weights(folder), json.loads((folder / CARD).read_text())
    with np.load(path) as kept:
        arrays = {name: arrays.get(name, kept[name]) for name in kept.files} | arrays
    if hashed and all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays.values()):
        # A forger would give the hash that fits.
        content = Content(
            card["kind"], tuple(card["classes"]), card["n_trained"], None, card["settings"], arrays
        )
        card["sha256"] = content.sha256()
        card["arrays"] = content.card()["arrays"]
        path.unlink()
        path = folder / f"weights-{card['sha256'][:16]}.npz"
        (folder / CARD).write_text(json.dumps(card))
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in arrays.items():
            if isinstance(array, bytes):
                archive.writestr(f"{name}.npy", array)
                continue
            file = io.BytesIO()
            np.lib.format.write_array(file, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", file.getvalue())


# --- the weights ----------------------------------------------------------------------------------


def test_the_model_itself_is_good(folder):
    assert load_model(folder).predict_proba(np.zeros((2, 12, 12), np.uint8)).shape == (2, 3)
    rewrite(folder)
    load_model(folder)


def test_an_array_of_objects_is_never_unpickled(folder):
    rewrite(folder, w0=np.array([Bomb()], object))
    refused(folder, "is object of shape")


def test_a_pickle_in_place_of_an_array_is_never_unpickled(folder):
    rewrite(folder, w0=pickle.dumps(Bomb()))
    refused(folder, "damaged")


def test_a_pickle_in_place_of_the_whole_file_is_never_unpickled(folder):
    weights(folder).write_bytes(pickle.dumps(Bomb()))
    refused(folder, "damaged")


def test_a_pickle_behind_the_arrays_is_a_stranger(folder):
    with zipfile.ZipFile(weights(folder), "a") as archive:
        archive.writestr("evil.pkl", pickle.dumps(Bomb()))
    refused(folder, "other arrays than the card names")


def test_a_member_that_would_leave_the_folder_is_a_stranger(folder):
    with zipfile.ZipFile(weights(folder), "a") as archive:
        archive.writestr("../../evil.npy", b"x")
    refused(folder, "other arrays than the card names")


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_weights_that_are_cut_off_are_damaged(folder, cut):
    path = weights(folder)
    path.write_bytes(path.read_bytes()[:-cut])
    refused(folder, "damaged")


def test_every_flipped_bit_of_the_weights_is_noticed(folder):
    path = weights(folder)
    whole = path.read_bytes()
    with np.load(path) as kept:
        good = {name: kept[name] for name in kept.files}
    for place in range(0, len(whole), 41):
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        try:
            loaded = load_model(folder)  # a bit that no number depends on
            assert all(np.array_equal(loaded.head.weights[i], good[f"w{i}"]) for i in (0, 1))
        except SavedModelError as error:
            assert "\n" not in str(error)


def test_weights_that_are_missing_or_empty_are_said(folder):
    path = weights(folder)
    path.write_bytes(b"")
    refused(folder, "damaged")
    path.unlink()
    refused(folder, "is missing")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"w0": np.zeros((144, 4), np.float32)}, "one or two layers"),
        ({"w0": np.zeros((9, 3), np.float32)}, None),
        ({"w1": np.zeros(3, np.float64)}, "is float64 of shape"),
        ({"w1": np.zeros((3, 1), np.float32)}, "one or two layers"),
        ({"w1": np.array([0, np.nan, 0], np.float32)}, "not finite"),
        ({"w1": np.array([0, np.inf, 0], np.float32)}, "not finite"),
        ({"w0": np.zeros((144, 4), np.float32), "w1": np.zeros(4, np.float32)}, "expected 4 names"),
        ({"w2": np.zeros((3, 3), np.float32)}, "one or two layers"),
    ],
)
def test_arrays_that_are_not_the_models_are_refused_though_their_hash_fits(folder, arrays, says):
    rewrite(folder, **arrays)
    if says is not None:
        refused(folder, says)
    else:  # only the backbone knows how many features it has
        with pytest.raises(ValueError, match=r"\(n, 9\)"):
            load_model(folder).predict_proba(np.zeros((2, 12, 12), np.uint8))


def test_an_array_of_another_type_is_refused(folder):
    rewrite(folder, hashed=False, w1=np.zeros(3, np.int32))
    refused(folder, "is int32 of shape")


def test_a_file_that_unpacks_to_gigabytes_is_not_unpacked(folder):
    rewrite(folder, hashed=False, compression=zipfile.ZIP_DEFLATED, w0=bytes(200_000_000))
    refused(folder, "compressed")


def test_an_array_larger_than_the_card_says_is_not_read(folder):
    rewrite(folder, hashed=False, w0=bytes(1_000_000))
    refused(folder, "too many")


@pytest.mark.parametrize("shape", ["(999999, 999999)", "(144, 3)"])
def test_a_header_without_its_numbers_is_damage(folder, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    rewrite(folder, hashed=False, w0=b"\x93NUMPY\x01\x00v\x00" + header.encode())
    refused(folder, "shape .999999, 999999., expected|damaged")


# --- the card -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "not a model's card"),
        ("[" * 100_000, "damaged"),
        ("{}", "format None"),
        ('{"format": 3}', "another version"),
        ('{"format": true, "kind": "features"}', "cannot be|another version"),
        ("\x00\x01\x02", "damaged"),
    ],
)
def test_a_card_that_is_none_is_refused(folder, text, says):
    (folder / CARD).write_text(text)
    refused(folder, says)


def test_a_card_in_another_encoding_or_far_too_large_is_refused(folder):
    (folder / CARD).write_bytes(b"\xff\xfe{}")
    refused(folder, "damaged")
    (folder / CARD).write_bytes(b" " * (model_files.MOST_CARD + 1))
    refused(folder, "larger than any")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": ["a", "b", "d"]}, "not the model that was saved"),
        ({"classes": ["a", "b"]}, "not the model that was saved"),
        ({"classes": ["a", "a", "b"]}, "classes="),
        ({"classes": "abc"}, "classes="),
        ({"classes": [1, 2, 3]}, "classes="),
        ({"n_trained": 6}, "not the model that was saved"),
        ({"n_trained": -1}, "n_trained="),
        ({"n_trained": True}, "n_trained="),
        ({"kind": "convnet"}, "not the model that was saved"),
        ({"kind": None}, "kind="),
        ({"seen": {"n": 5}}, "seen"),
        ({"seen": [1]}, "seen="),
        ({"settings": None}, "settings="),
        ({"settings": {"backbone": {"name": "lite0", "size": [224, 224], "fit": "squash"}}},
         "not the model that was saved"),
        ({"sha256": "0" * 64}, "missing"),
        ({"sha256": "../../../etc/passwd"}, "sha256="),
        ({"sha256": None}, "sha256="),
        ({"arrays": {"w0": [144, 3], "../../w1": [3]}}, "other arrays"),
        ({"arrays": {"w0": [144, 3]}}, "other arrays"),
        ({"arrays": {"w0": [10**6, 10**6], "w1": [3]}}, "more than 1 GiB"),
        ({"arrays": {"w0": [144, -3], "w1": [3]}}, "arrays="),
        ({"arrays": {"w0": [144.0, 3], "w1": [3]}}, "arrays="),
    ],
)  # fmt: skip
def test_a_card_that_was_changed_is_refused(folder, changes, says):
    change_card(folder, **changes)
    refused(folder, says)


def test_a_card_of_a_kind_or_backbone_that_does_not_exist_is_refused_though_its_hash_fits(folder):
    kept = model_files.read(folder, model_files.read_card(folder / CARD))
    for change, says in (
        ({"kind": "os.system"}, "kind 'os.system'"),
        ({"settings": {"backbone": "pixels"}}, "backbone=pixels"),
        ({"settings": {"backbone": {"name": "evil", "size": [12, 12], "fit": "squash"}}}, "evil"),
        ({"settings": {}}, "backbone=None"),
        ({"kind": "average", "settings": {"parts": [{"kind": "average"}]}}, "no other average"),
        ({"kind": "average", "settings": {}}, "parts"),
        ({"kind": "convnet"}, "convolutions"),
    ):
        model_files.write(folder, kept._replace(**change))
        refused(folder, says)


def test_weights_of_another_model_under_this_ones_name_are_refused(folder, tmp_path):
    other = FeatureModel(
        "pixels@12", Head((np.ones((144, 3), np.float32), np.zeros(3, np.float32))), ("a", "b", "c")
    )
    other.save(tmp_path / "other")
    weights(folder).write_bytes(weights(tmp_path / "other").read_bytes())
    refused(folder, "not the model that was saved")


def test_a_network_whose_weights_have_other_shapes_is_refused(tmp_path):
    x = np.zeros((6, 12, 12), np.uint8)
    net = ConvNet(2, steps=1, width=2).fit(x, np.arange(6) % 2)
    model = NetworkModel(net, (12, 12), False, ("a", "b"))
    good = model.content()
    for change in (
        {"settings": good.settings | {"size": [28, 28]}},
        {"settings": good.settings | {"size": [2]}},
        {"settings": good.settings | {"colour": True}},
        {"settings": good.settings | {"members": 2}},
        {"settings": good.settings | {"members": 10**9}},
        {"settings": good.settings | {"width": 10**9}},
        {"settings": good.settings | {"views": 10**12}},
        {"settings": good.settings | {"seed": "x"}},
        {"settings": good.settings | {"seed": -1}},
        {"settings": good.settings | {"distortion": {"degrees": "x"}}},
        {"classes": ("a", "b", "c")},
        {"arrays": {}},
    ):
        model_files.write(tmp_path, good._replace(**change))
        refused(tmp_path, "holds no such model")


def test_a_network_of_an_older_program_is_called_so(tmp_path):
    x = np.zeros((6, 12, 12), np.uint8)
    net = ConvNet(2, steps=1, width=2).fit(x, np.arange(6) % 2)
    good = NetworkModel(net, (12, 12), False, ("a", "b")).content()
    for older in (2, 3, "4", None):
        settings = good.settings | {"convolutions": older}
        model_files.write(tmp_path, good._replace(settings=settings))
        refused(tmp_path, f"convolutions={older}: .*another version.*train it again")
    del settings["convolutions"]  # as it was not told before
    model_files.write(tmp_path, good._replace(settings=settings))
    refused(tmp_path, "convolutions=3: .*another version.*train it again")


def test_a_folder_that_cannot_be_read_is_said(folder):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder / CARD).chmod(0)
    refused(folder, "cannot be read")


def test_folders_without_a_model_are_said(tmp_path):
    refused(tmp_path, "holds no saved model")
    refused(tmp_path / "nothing", "holds no saved model")


# --- the report's format --------------------------------------------------------------------------

LAYERS = ["InputLayer"]
for _count in vgg16.CONVOLUTIONS.values():
    LAYERS += ["Conv2D"] * _count + ["MaxPooling2D"]
LAYERS += ["GlobalAveragePooling2D", "Flatten", "Dense", "Dense"]


@pytest.fixture
def reports(tmp_path):
    """Return a function that makes a folder in the report's format from layers and a H5 file."""

    def make(layers=LAYERS, h5=None, units=(128, 2), text=None):
        described = [{"class_name": name, "config": {}} for name in layers]
        for layer, n in zip(described[-2:], units, strict=True):
            layer["config"] = {"units": n, "function": "__import__('os').abort()"}
        files = {
            report_model.ARCHITECTURE: (text or json.dumps({"config": {"layers": described}})),
            report_model.WEIGHTS: h5 or b"",
        }
        hashes = {}
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            (tmp_path / name).write_bytes(content)
            hashes[name] = hashlib.sha256(content).hexdigest()
        card = {"format": 1, "classes": ["a", "b"], "preprocessing": "raw", "size": [32, 32],
                "sha256": hashes}  # fmt: skip
        (tmp_path / CARD).write_text(json.dumps(card))
        return tmp_path

    return make


def test_a_lambda_layer_is_named_and_not_run(reports):
    refused(reports([*LAYERS[:-3], "Lambda", *LAYERS[-2:]]), "layer 20 is 'Lambda'")
    refused(reports(["Lambda", *LAYERS[1:]]), "layer 0 is 'Lambda', .*nothing of it was run")
    refused(reports([*LAYERS, "Lambda"], units=(2, 2)), "not the report's network")


@pytest.mark.parametrize("text", ["{", "[]", '{"config": []}', "[" * 100_000])
def test_an_architecture_that_is_none_is_refused(reports, text):
    refused(reports(text=text), "no architecture of Keras")


@pytest.mark.parametrize("units", [(128, 3), (10**12, 2), (-1, 2), ("128", 2), (True, 2)])
def test_dense_layers_that_cannot_be_are_refused(reports, units):
    refused(reports(units=units), "classes, the network has 3|not the report's network")


def test_a_h5_file_that_is_none_is_damaged(reports):
    refused(reports(h5=b"\x89HDF\r\n\x1a\n" + bytes(100)), "damaged")
    refused(reports(h5=pickle.dumps(Bomb())), "damaged")


def h5_file(path, link=None, shape=(3, 3, 3, 64)):
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        if link is not None:
            group["0"] = h5py.ExternalLink(link, "/secret")
        else:
            group.create_dataset("0", shape, np.float32)  # takes no room until it is written
    return path.read_bytes()


def test_weights_that_lie_in_another_file_are_not_read(reports, tmp_path):
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.zeros((3, 3, 3, 64), np.float32)
    content = h5_file(tmp_path / "made.h5", str(tmp_path / "other.h5"))
    refused(reports(h5=content), "no array of this file")


def test_weights_that_would_fill_the_memory_are_not_read(reports, tmp_path):
    refused(reports(h5=h5_file(tmp_path / "made.h5", shape=(10**6, 10**6))), "expected float32")
