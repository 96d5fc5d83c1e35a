"""Picture models: what they read, and that they are the same after saving, in any process."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_matrix

from alutils.base.errors import BadInput, ParameterError
from alutils.base.project_folder import write_mark
from alutils.data.augmentation import DISTORTIONS
from alutils.models import load_model
from alutils.models.convnet import ConvNet
from alutils.models.heads import Head
from alutils.models.model_files import SavedModelError
from alutils.models.picture_models import AverageModel, FeatureModel, NetworkModel
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

CLASSES = ("cross", "bar", "dot")


def pictures(n=60, colour=False, side=12):
    """Return noisy pictures of a cross, a bar and a dot, and which is which."""
    rng, y = np.random.default_rng(0), np.arange(n) % 3
    x = rng.integers(0, 60, (n, side, side))
    middle = side // 2
    x[y == 0, middle] += 180
    x[y == 0, :, middle] = 200
    x[y == 1, :, middle] += 180
    x[y == 2, middle - 1 : middle + 2, middle - 1 : middle + 2] += 180
    grey = x.astype(np.uint8)
    return (np.stack([grey, grey // 2, 255 - grey], axis=-1) if colour else grey), y


def on_pixels(backbone="pixels@12"):
    x, y = pictures()
    model = FeatureModel(backbone, Head((np.zeros((144, 3), np.float32), np.zeros(3, np.float32))),
                         CLASSES)  # fmt: skip
    prepared = np.stack([model.extractor.prepare(each) for each in x])
    head = PenalisedSoftmax().fit(model.extractor(prepared), y).head
    return FeatureModel(backbone, head, CLASSES, len(y), Seen.of(x))


def convnet(colour=False, **options):
    x, y = pictures(colour=colour)
    net = ConvNet(3, steps=200, width=4, seed=3, distortion=DISTORTIONS["shifted"], **options)
    return NetworkModel(net.fit(x, y), (12, 12), colour, CLASSES, len(y), Seen.of(x))


@pytest.fixture(scope="module")
def models():
    x, y = pictures()
    features, network = on_pixels(), convnet(members=2, unlabelled=x[:40], prior=(x[:20], y[:20]))
    return {
        "features": features,
        "convnet": network,
        "colour": convnet(colour=True),
        "average": AverageModel([features, network]),
    }


KINDS = ("features", "convnet", "colour", "average")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_reads_its_pictures_and_others_of_any_size(models, kind):
    model = models[kind]
    x, y = pictures(colour=kind == "colour")
    p = model.predict_proba(x)
    assert p.shape == (60, 3) and p.dtype == np.float32
    assert (p.argmax(axis=1) == y).mean() > 0.9
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    grey, _ = pictures()
    mixed = [grey[0], np.kron(grey[1], np.ones((3, 3), np.uint8)), np.stack([grey[2]] * 3, -1)]
    assert model.predict_proba(mixed).shape == (3, 3)
    for wrong in (None, 5, np.float32(5), iter(x), csr_matrix(x.reshape(len(x), -1))):
        with pytest.raises(BadInput, match="expected an array or a list of pictures"):
            model.predict_proba(wrong)
    assert model.predict_proba(x[:0]).shape == (0, 3)
    np.testing.assert_allclose(model.predict_proba(list(x[:5])), p[:5], atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(x[:5].astype(float)), p[:5], atol=1e-5)


def test_pictures_become_as_blurred_as_those_that_the_model_was_trained_on():
    x, _ = pictures(side=12)
    large = [np.kron(each, np.ones((8, 8), np.uint8)) for each in x]
    small = np.stack([np.asarray(Image.fromarray(each).resize((12, 12))) for each in large])
    # The backbone takes 48 x 48 pixels, of pictures that had 12 x 12.
    head = Head((np.random.default_rng(0).normal(0, 0.1, (48 * 48, 3)).astype(np.float32),
                 np.zeros(3, np.float32)))  # fmt: skip
    model = FeatureModel("pixels@48", head, CLASSES, len(x), Seen.of(x))
    assert np.array_equal(model.predict_proba(large), model.predict_proba(small))
    # Pictures of several sizes, or larger than the backbone takes, are brought to its size at once.
    for seen in (None, Seen.of([*x, *large]), Seen.of(large)):
        other = FeatureModel("pixels@48", head, CLASSES, len(x), seen)
        direct = head.predict_proba(
            other.extractor(np.stack([other.extractor.prepare(each) for each in large]))
        )
        assert np.array_equal(other.predict_proba(large), direct)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_is_the_saved_one(models, kind, tmp_path):
    model = models[kind]
    loaded = load_model(model.save(tmp_path / "deep" / "model"))
    x, _ = pictures(colour=kind == "colour")
    assert np.array_equal(loaded.predict_proba(x), model.predict_proba(x))
    for name in ("kind", "classes", "n_trained", "seen", "sha256"):
        assert getattr(loaded, name) == getattr(model, name), name
    assert loaded.n_trained == 60 and loaded.seen is not None
    # The hash of the content as it now is, not one that was kept.
    assert loaded.content().sha256() == model.sha256
    assert load_model(loaded.save(tmp_path / "again")).sha256 == model.sha256


def test_the_same_probabilities_in_a_new_process_to_the_last_bit(models, tmp_path):
    x, _ = pictures()
    np.save(tmp_path / "x.npy", x)
    for kind in ("features", "convnet", "average"):
        models[kind].save(tmp_path / kind)
        models[kind].predict_proba(x).tofile(tmp_path / f"{kind}.here")
    code = (
        "import sys, numpy as np; from alutils.models import load_model\n"
        "for kind in sys.argv[2:]:\n"
        "    p = load_model(f'{sys.argv[1]}/{kind}').predict_proba(np.load(sys.argv[1]+'/x.npy'))\n"
        "    p.tofile(f'{sys.argv[1]}/{kind}.there')\n"
    )
    kinds = ["features", "convnet", "average"]
    subprocess.run([sys.executable, "-c", code, tmp_path, *kinds], check=True)
    for kind in kinds:
        here, there = (tmp_path / f"{kind}.{where}" for where in ("here", "there"))
        assert here.read_bytes() == there.read_bytes(), kind


def test_the_hash_is_of_all_that_the_model_is(models):
    one = models["convnet"]
    net, size, seen = one.network, one.size, one.seen
    same = NetworkModel(net, size, False, CLASSES, 60, seen)
    assert same.sha256 == one.sha256
    others = [
        NetworkModel(net, size, False, ("a", *CLASSES[1:]), 60, seen),
        NetworkModel(net, size, False, CLASSES, 61, seen),
        NetworkModel(net, size, False, CLASSES, 60, None),
    ]
    assert len({one.sha256, *(other.sha256 for other in others)}) == 4


def test_a_saved_model_replaces_the_one_before_and_leaves_nothing_behind(models, tmp_path):
    models["features"].save(tmp_path)
    models["convnet"].save(tmp_path)
    assert load_model(tmp_path).sha256 == models["convnet"].sha256
    assert len(list(tmp_path.iterdir())) == 2


def test_saving_touches_no_other_file_of_the_folder(models, tmp_path):
    own = tmp_path / "weights-imagenet.npz"
    own.write_bytes(b"somebody's work")
    models["features"].save(tmp_path)
    models["convnet"].save(tmp_path)
    assert own.read_bytes() == b"somebody's work"


def test_two_that_save_into_one_folder_at_once_leave_a_whole_model(models, tmp_path, monkeypatch):
    from alutils.models import model_files

    write_json = model_files.write_json

    def slowly(path, card):
        monkeypatch.setattr(model_files, "write_json", write_json)
        models["convnet"].save(tmp_path)  # another process, between weights and card of this one
        write_json(path, card)

    monkeypatch.setattr(model_files, "write_json", slowly)
    models["features"].save(tmp_path)
    assert load_model(tmp_path).sha256 == models["features"].sha256


def test_a_save_that_is_killed_before_the_card_leaves_the_old_model(models, tmp_path, monkeypatch):
    from alutils.models import model_files

    models["features"].save(tmp_path)

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(model_files, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        models["convnet"].save(tmp_path)
    assert load_model(tmp_path).sha256 == models["features"].sha256


def test_the_card_says_what_the_model_is_and_what_it_was_made_with(models, tmp_path):
    card = json.loads((models["convnet"].save(tmp_path) / "model_card.json").read_text())
    assert card["settings"]["seed"] == 3 and card["settings"]["size"] == [12, 12]
    assert card["settings"]["distortion"]["shift"] == 2
    assert card["settings"]["unlabelled"] == 40 and card["settings"]["prior"] == 20
    assert {"python", "numpy", "keras"} <= set(card["versions"])
    assert Seen.from_json(card["seen"]) == models["convnet"].seen


@pytest.mark.parametrize("where", ["run/model", "project/labelling/model", "run/other"])
def test_a_model_is_found_in_a_run_and_in_a_labelling_project(models, tmp_path, where):
    models["features"].save(tmp_path / where)
    for path in (where, f"{where}/model_card.json", where.split("/")[0]):
        assert load_model(tmp_path / path).sha256 == models["features"].sha256


def test_a_project_is_searched_and_not_a_persons_own_folder_of_its_name(models, tmp_path):
    models["features"].save(tmp_path / "labelling-2" / "model")
    write_mark(tmp_path / "labelling-2", tmp_path)
    (tmp_path / "labelling").mkdir()
    models["convnet"].save(tmp_path / "labelling-3" / "model")  # that is no project
    assert load_model(tmp_path).sha256 == models["features"].sha256


def test_of_several_models_of_a_run_the_best_is_called_model(models, tmp_path):
    models["features"].save(tmp_path / "model_report")
    models["convnet"].save(tmp_path / "other")
    with pytest.raises(SavedModelError, match="several models, model_report, other"):
        load_model(tmp_path)
    models["average"].save(tmp_path / "model")
    assert load_model(tmp_path).kind == "average"


def brightness(x):
    """Return mean and spread of each picture: a backbone of a user's own."""
    return np.stack([x.mean(axis=(1, 2, 3)), x.std(axis=(1, 2, 3))], axis=1)


def test_a_model_on_a_function_of_the_users_is_loaded_with_that_function(tmp_path):
    head = Head((np.ones((2, 3), np.float32), np.arange(3, dtype=np.float32)))
    model = FeatureModel(brightness, head, CLASSES)
    model.save(tmp_path)
    x, _ = pictures()
    loaded = load_model(tmp_path, own=brightness)
    assert np.array_equal(loaded.predict_proba(x), model.predict_proba(x))
    with pytest.raises(SavedModelError, match="give the function itself"):
        load_model(tmp_path)
    with pytest.raises(SavedModelError, match="other features than in training"):
        load_model(tmp_path, own=lambda x: brightness(x) + 1)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.full((2, 12, 12), 0.5), "fractions up to 0.5"),
        (np.full((2, 12, 12), 300), "from 300 to 300"),
        (np.full((2, 12, 12), np.nan), "from nan to nan"),
        (np.zeros((2, 12, 12, 4), np.uint8), "shape"),
        ([np.zeros(12, np.uint8)], "shape"),
    ],
)
@pytest.mark.parametrize("kind", ["features", "convnet"])
def test_pictures_that_are_none_are_refused(models, kind, x, says):
    with pytest.raises((BadInput, ValueError), match=says):
        models[kind].predict_proba(x)


def test_models_that_cannot_be_are_refused():
    features = on_pixels()
    with pytest.raises(ParameterError, match="two models or more"):
        AverageModel([features])
    with pytest.raises(ParameterError, match="same classes"):
        AverageModel([features, FeatureModel("pixels@12", features.head, ("a", "b", "c"))])
    with pytest.raises(ParameterError, match="expected 3 names"):
        FeatureModel("pixels@12", features.head, ("a", "b"))
    with pytest.raises(ParameterError, match="no two alike"):
        FeatureModel("pixels@12", features.head, ("a", "a", "b"))
    with pytest.raises(ParameterError, match="n_trained"):
        FeatureModel("pixels@12", features.head, CLASSES, -1)
    with pytest.raises(ParameterError, match="weights"):
        NetworkModel(ConvNet(3), (12, 12), False, CLASSES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: 255 - x, "are light on dark; these are dark on light"),
        (lambda x: x // 16, "these only have 0 to 1"),
        (lambda x: (x > 100).astype(int), "these only have 0 to 1"),
        (lambda x: np.stack([x, 0 * x, x], -1), "are grey; these are in colour"),
    ],
)
def test_what_a_model_has_not_seen_is_said_in_python_once(change, says, caplog, tmp_path):
    rng = np.random.default_rng(0)
    x = np.zeros((60, 12, 12), np.uint8)
    x[:, 3:9, 3:9] = rng.integers(100, 256, (60, 6, 6))
    x[:, 5, 5] = 255
    model = FeatureModel(
        "pixels@12", Head((np.zeros((144, 2), np.float32), np.zeros(2, np.float32))), "ab",
        seen=Seen.of(x),
    )  # fmt: skip
    model = load_model(model.save(tmp_path / "model"))
    model.predict_proba(x[:7])
    assert caplog.text == ""
    model.predict_proba(change(x))
    assert "the model has not seen such pictures" in caplog.text and says in caplog.text
    caplog.clear()
    model.predict_proba(change(x))
    assert caplog.text == ""
