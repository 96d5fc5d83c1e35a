"""Classifiers that loops train again and again, and the frozen networks that give them features.

All classifiers have ``fit`` and ``predict_proba``; `features` computes each image once, ever.
"""

from alutils.base import lazy

_HOMES = {
    "convnet": "ConvNet",
    "dense_head": "DenseHead",
    "embeddings": "FeaturePlan features plan",
    "estimator": "Estimator softmax_regression",
    "saved": "load_model save_model",
    "softmax_exact": "SoftmaxRegression",
    "softmax_fast": "SparseImages SparseSoftmax",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
