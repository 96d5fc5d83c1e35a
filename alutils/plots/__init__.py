"""Every figure of the project: a function takes arrays or tables and gives a matplotlib Figure.

Each arm has one colour, one marker and one name in all of them, those of `style`.
"""

from alutils.base import lazy

_HOMES = {
    "curves": "centroids confidence differences digit distributions learning_curves methods"
    " wrong_by_part",
    "guarantee": "accuracy_curves cost_curves forecasts promises suspects",
    "letters": "METRIC_NAMES auto_labelling by_class class_sizes classifiers maps metric_dots"
    " samples spoilt",
    "report": "against_published by_threshold confused_pairs confusion_matrix epochs loop_curves"
    " per_class",
    "strategies": "arm_dots between_parents by_gain curve_panels endings gains ranks"
    " shared_batches synthesised two_dimensions",
    "style": "arm_name axes look",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
