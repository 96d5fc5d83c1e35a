"""The experiments that can be swept, by their names in grid files."""

from __future__ import annotations

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


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="curve",
            settings=curves.Settings,
            run=curves.run,
            vocabulary=curves.VOCABULARY,
            prepare=curves.prepare,
            summarise=curve_results.publish,
            figures=curve_results.figures,
        ),
        Experiment(
            name="fewest_labels",
            settings=fewest_labels.Settings,
            run=fewest_labels.run,
            vocabulary=fewest_labels.VOCABULARY,
            prepare=fewest_labels.prepare,
            summarise=_summarise_label_costs,
            figures=_draw_label_costs,
        ),
        Experiment(
            name="noisy_humans",
            settings=noisy_humans.Settings,
            run=noisy_humans.run,
            vocabulary=noisy_humans.VOCABULARY,
            prepare=noisy_humans.prepare,
            summarise=noisy_results.publish,
            figures=noisy_results.figures,
        ),
        Experiment(
            name="vgg16_blocks",
            settings=vgg16_blocks.Settings,
            run=vgg16_blocks.run,
            vocabulary=vgg16_blocks.VOCABULARY,
            prepare=vgg16_blocks.prepare,
        ),
    )
}
