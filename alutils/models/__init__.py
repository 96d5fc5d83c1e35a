"""Classifiers that loops train again and again, and the frozen networks that give them features.

All classifiers have ``fit`` and ``predict_proba``; `features` computes each image once, ever. A
picture model reads pictures of any size; `train_best` makes one, `load_model` loads what it saved.
"""

from alutils.base import lazy

_HOMES = {
    "convnet": "ConvNet",
    "dense_head": "DenseHead",
    "embeddings": "FeaturePlan features plan",
    "estimator": "Estimator softmax_regression",
    "label_spreading": "LabelSpreading",
    "picture_models": "AverageModel FeatureModel NetworkModel PictureModel",
    "prediction.run": "label_pictures",
    "report_model": "save_model",
    "saved": "SavedModelError load_model",
    "softmax_exact": "SoftmaxRegression",
    "softmax_fast": "SparseImages SparseSoftmax",
    "softmax_penalised": "PenalisedSoftmax",
    "training": "train_best",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
