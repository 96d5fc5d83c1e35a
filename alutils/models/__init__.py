"""Classifiers that loops train again and again, and the frozen networks that give them features.

All classifiers have ``fit`` and ``predict_proba``; `features` computes each image once, ever.
"""

from typing import Any

from alutils.base import lazy

_PLACES = {
    "ConvNet": "convnet",
    "DenseHead": "dense_head",
    "Estimator": "estimator",
    "FeaturePlan": "embeddings",
    "SoftmaxRegression": "softmax_exact",
    "SparseImages": "softmax_fast",
    "SparseSoftmax": "softmax_fast",
    "features": "embeddings",
    "load_model": "saved",
    "plan": "embeddings",
    "save_model": "saved",
    "softmax_regression": "estimator",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    return lazy.find(__name__, _PLACES, name)
