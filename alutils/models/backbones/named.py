"""Networks of other packages by their name: `keras.applications`, and timm where it is installed.

Their weights come from the web, so they are for machines that reach it. What is imported here is
imported when it is asked for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from alutils.base.artefacts import ArtefactError
from alutils.base.downloads import one_line
from alutils.base.errors import MissingPackage, ParameterError, nearest
from alutils.base.tensorflow import import_tensorflow

Loaded = tuple[Callable[[np.ndarray], np.ndarray], str]
"""Prepared pictures to features, and a hash of the weights."""


def keras_network(name: str, size: tuple[int, int]) -> Loaded:
    """Return a network of `keras.applications`, such as ``EfficientNetV2B0``.

    Parameters
    ----------
    name : of the function there that builds it
    size : (height, width) of the pictures

    Returns
    -------
    function from (n, height, width, 3) uint8 to (n, channels) float32; SHA-256 of the weights

    Raises
    ------
    ParameterError
        For a name that Keras does not have.
    ArtefactError
        If the weights cannot be downloaded.
    """
    import_tensorflow()
    import keras

    known = [each for each in dir(keras.applications) if each[0].isupper()]
    if name not in known:
        raise ParameterError("backbone", f"keras:{name}", nearest(name, known))
    build = getattr(keras.applications, name)
    try:
        model = build(include_top=False, weights="imagenet", pooling="avg", input_shape=(*size, 3))
    except Exception as error:  # Keras passes on whatever its download raises
        raise _unavailable(f"keras:{name}", error) from error
    preprocess = inspect.getmodule(inspect.unwrap(build)).preprocess_input  # type: ignore[union-attr]

    def compute(prepared: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(preprocess(prepared.astype(np.float32)))

    return compute, _hash(model.get_weights())


def timm_network(name: str, size: tuple[int, int]) -> Loaded:
    """Return a network of timm, such as ``convnext_tiny``; parameters and results as above.

    Raises
    ------
    MissingPackage
        If timm is not installed.
    ArtefactError
        If the network does not exist or its weights cannot be downloaded.
    """
    if importlib.util.find_spec("timm") is None:
        raise MissingPackage(
            f"backbone=timm:{name}: timm is not installed; run `pip install -e .[timm]`, or take "
            "lite0, which needs nothing more."
        )
    import timm
    import torch

    try:
        model = timm.create_model(name, pretrained=True, num_classes=0).eval()
    except Exception as error:  # timm passes on whatever its download raises
        raise _unavailable(f"timm:{name}", error) from error
    config = timm.data.resolve_model_data_config(model)
    mean, spread = (np.float32(config[key]) * 255 for key in ("mean", "std"))

    def compute(prepared: np.ndarray) -> np.ndarray:
        x = ((prepared - mean) / spread).astype(np.float32).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(x))).numpy()

    return compute, _hash(each.numpy() for each in model.state_dict().values())


def _unavailable(name: str, error: Exception) -> ArtefactError:
    said = f"{type(error).__name__}: {one_line(error)}"[:300]
    return ArtefactError(
        f"backbone={name}: it could not be had ({said}); check the network and the name, or take "
        "lite0"
    )


def _hash(arrays: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
