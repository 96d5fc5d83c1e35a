"""What softmax regression sees of images, in the experiments on strategies and on blocks."""

from __future__ import annotations

import numpy as np

from alutils.models import embeddings


def vgg16(images: np.ndarray, block: str = "block5") -> np.ndarray:
    """VGG16 features in float32, also where bfloat16 is faster: the same curves on any machine."""
    return embeddings.features(images, layer=block, precision="float32")


def scaled(x_pool: np.ndarray, x_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both, float32, on a scale on which softmax regression's penalty fits.

    Less the pool's mean, divided by the pool's root mean square norm over 8: pixels of digits stay
    about as long as they are, VGG16's features, which are hundreds, come to the same length.
    """
    x = np.concatenate([x_pool, x_test]).astype(np.float32)
    of_pool = x[: len(x_pool)]
    x -= of_pool.mean(axis=0)
    norm = np.sqrt(np.mean(np.einsum("nd,nd->n", of_pool, of_pool)))
    if norm:
        x *= np.float32(8 / norm)
    return of_pool, x[len(x_pool) :]
