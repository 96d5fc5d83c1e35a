"""The experiments that can be swept, by their names in grid files."""

from __future__ import annotations

from typing import Any

import pandas as pd

from alutils.experiments.base import Experiment
from alutils.experiments.label_costs import fewest_labels, noisy_humans, noisy_results
from alutils.experiments.strategies import curves, vgg16_blocks
from alutils.experiments.strategies import results as curve_results


def _summarise_label_costs(table: pd.DataFrame, timings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    from alutils.experiments.label_costs import results  # it draws, and workers need not

    return results.publish(table, timings)


def _draw_label_costs(table: pd.DataFrame) -> dict[str, tuple]:
    from alutils.experiments.label_costs import results

    return results.figures(table)


def _of(name: str, module: Any, **says: Any) -> Experiment:
    """Return the experiment that a module holds, by the names that all these modules share."""
    return Experiment(name, module.Settings, module.run, module.VOCABULARY, module.prepare, **says)


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        _of("curve", curves, summarise=curve_results.publish, figures=curve_results.figures),
        _of(
            "fewest_labels",
            fewest_labels,
            summarise=_summarise_label_costs,
            figures=_draw_label_costs,
        ),
        _of(
            "noisy_humans",
            noisy_humans,
            summarise=noisy_results.publish,
            figures=noisy_results.figures,
        ),
        _of("vgg16_blocks", vgg16_blocks),
    )
}
