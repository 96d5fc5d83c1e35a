"""The networks of notebook 05, and what is said of them: made-up ones, whose truth is known."""

import functools

import numpy as np
import pandas as pd
import pytest

from alutils.base.content import content_digest
from alutils.base.errors import ParameterError
from alutils.experiments import label_costs
from alutils.experiments.label_costs import networks, trust
from alutils.experiments.label_costs.fewest_labels import VOCABULARY
from alutils.stats import tables

OPTIONS = {
    "first": 100, "batch": 100, "budget": 300, "members": 1, "steps": 10, "target": 0.98,
    "by_hand": 50, "audit": 400, "known": 3,
}  # fmt: skip
WRONG = {"random": (0.2, 0.1, 0.04), "active": (0.2, 0.05, 0.01)}
"""Shares of wrong answers after each round."""


def rows_and_scores(settings):
    """Stand in for `trust.rows_and_scores`: a network that is wrong at the known rates."""
    rng = np.random.default_rng([settings.seed, len(settings.arm)])
    rows, scores = [], []
    for number, rate in enumerate(WRONG[settings.arm.removesuffix("_unlabelled")]):
        n_human = 100 * (number + 1)
        n = 4000 - n_human
        right = np.ones(n, int)
        right[: round(rate * n)] = 0
        rng.shuffle(right)
        confidence = np.where(right, rng.uniform(0.7, 1, n), rng.uniform(0.4, 0.9, n))
        scores.append(
            pd.DataFrame(
                {
                    "n_human": n_human, "confidence": confidence, "margin": 1 - confidence,
                    "right": right,
                }
            )
        )  # fmt: skip
        refused = rate > 0.02
        values = {
            "n_wrong": rate * n, "auto_coverage": 0.5, "auto_precision": 0.97 if number else 0.99,
            "labels_to_certify": np.nan if refused else n_human + 600.0,
            "labels_expected": 500.0 if refused else n_human + 610.0 + settings.seed,
            "labels_expected_uniform": n_human + 900.0, "accept_chance": 0.0 if refused else 0.9,
            "wrong_left": np.nan if refused else 81.0 + settings.seed,
        }  # fmt: skip
        rows += [("pool", name, value, 4000, number, n_human) for name, value in values.items()]
        rows.append(("test", "accuracy", 1 - rate, 10_000, number, n_human))
    names = ["split", "metric", "value", "n_eval", "round", "n_human"]
    table = pd.DataFrame(rows, columns=names)
    table = table.assign(protocol="article", arm=settings.arm, seed=settings.seed, n_auto=0)
    return table, pd.concat(scores, ignore_index=True)


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(trust, "rows_and_scores", rows_and_scores)

    def make(seeds=1, unlabelled=False, **options):
        settings = label_costs.settings(**OPTIONS | options)
        return label_costs.train(settings, seeds=seeds, unlabelled=unlabelled)

    return make


def test_a_forecast_from_more_rounds_than_there_are_is_refused_before_any_work():
    with pytest.raises(ParameterError, match=r"known=4: there are 3 rounds; lower known"):
        label_costs.settings(**OPTIONS | {"known": 4})


@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 0.98, 0.995])
def test_every_target_that_the_notebook_takes_can_be_planned(target):
    settings = label_costs.settings(**OPTIONS | {"target": target})
    assert label_costs.needed(settings, 4000).text


def test_the_plan_expects_half_of_the_wrong_labels_that_the_target_allows():
    assert label_costs.settings(**OPTIONS).expected_wrong == 0.01
    assert label_costs.settings(**OPTIONS | {"target": 0.95}).expected_wrong == 0.025
    assert label_costs.settings(**OPTIONS).weighted


@pytest.mark.parametrize(
    ("unlabelled", "arms"), [(False, networks.LABELLED), (True, networks.ARMS)]
)
def test_every_way_is_trained_once_a_seed_and_kept_by_its_settings(monkeypatch, unlabelled, arms):
    kept, computed = {}, []

    def keep(function, *arguments, frames=1, **named):
        key = content_digest(functools.partial(function, *arguments, **named))
        if key not in kept:
            computed.append((arguments[0].arm, arguments[0].seed))
            kept[key] = rows_and_scores(*arguments)
        assert frames == 2
        return kept[key]

    settings = label_costs.settings(**OPTIONS)
    first = label_costs.train(settings, seeds=2, unlabelled=unlabelled, keep=keep)
    assert sorted(computed) == sorted((arm, seed) for arm in arms for seed in (0, 1))
    again = label_costs.train(settings, seeds=3, unlabelled=unlabelled, keep=keep)
    assert sorted(computed[2 * len(arms) :]) == sorted((arm, 2) for arm in arms)
    pd.testing.assert_frame_equal(first.rows[first.rows["seed"] == 0],
                                  again.rows[again.rows["seed"] == 0])  # fmt: skip
    assert first.arms == arms


def test_the_rows_are_of_the_results_table_and_the_layers_stand_side_by_side(made_up):
    found = label_costs.accuracy(made_up(seeds=2))
    tables.tidy(found.rows, VOCABULARY, run_id="a", experiment="autolabel")
    layers = found.tables["autolabel_layers"].set_index(["layer", "arm"])["accuracy"]
    assert layers["better", "random"] == pytest.approx(0.96)
    assert layers["better", "active"] == pytest.approx(0.99)
    assert layers["published", "active"] == 0.8975
    assert "get 96.0% (random), 99.0% (active) of the test digits right" in found.text
    assert "where 89.8% was published" in found.text and "_" not in found.text


def test_a_curve_is_the_mean_over_draws_with_its_interval(made_up):
    networks_ = made_up(seeds=3)
    rows = networks_.measured("labels_expected")
    curve = networks_.over_seeds(rows.astype({"arm": str}), 400)["active"]
    assert list(curve["n"]) == [500, 600, 700]
    assert curve["middle"].iloc[-1] == pytest.approx(911)
    assert curve["high"].iloc[-1] - 911 == pytest.approx(4.3027 / 3**0.5, rel=1e-3)
    assert made_up().curve("accuracy")["random"]["low"].isna().all()
