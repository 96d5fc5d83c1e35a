"""Every figure of the project: a function takes arrays or tables and gives a matplotlib Figure.

Each arm has one colour, one marker and one name in all of them, those of `style`.
"""

from alutils.plots.curves import (
    centroids,
    confidence,
    differences,
    digit,
    distributions,
    learning_curves,
)
from alutils.plots.guarantee import accuracy_curves, cost_curves, forecasts, promises, suspects
from alutils.plots.letters import (
    METRIC_NAMES,
    auto_labelling,
    by_class,
    class_sizes,
    classifiers,
    maps,
    metric_dots,
    samples,
)
from alutils.plots.report import against_published, by_threshold, confused_pairs, confusion_matrix
from alutils.plots.strategies import (
    arm_dots,
    between_parents,
    by_gain,
    curve_panels,
    endings,
    gains,
    shared_batches,
    synthesised,
    two_dimensions,
)
from alutils.plots.style import arm_name, axes, look

__all__ = [
    "METRIC_NAMES", "accuracy_curves", "against_published", "arm_dots", "arm_name",
    "auto_labelling", "axes", "between_parents", "by_class", "by_gain", "by_threshold", "centroids",
    "class_sizes", "classifiers", "confidence", "confused_pairs", "confusion_matrix",
    "cost_curves", "curve_panels", "differences", "digit", "distributions", "endings", "forecasts",
    "gains", "learning_curves", "look", "maps", "metric_dots", "promises", "samples",
    "shared_batches", "suspects", "synthesised", "two_dimensions",
]  # fmt: skip
