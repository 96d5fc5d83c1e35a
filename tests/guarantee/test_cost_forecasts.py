"""Forecasts side by side: what is advised, how it is said, that it goes through JSON."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from alutils.base.errors import ParameterError
from alutils.guarantee.cost import Waiting
from alutils.guarantee.cost_forecasts import Pool, forecasts
from alutils.guarantee.error_chances import Judged, fitted


def forecast(n_labelled=200, n_waiting=1800, wrong=0.3, targets=(0.95, 0.99), **more):
    rng = np.random.default_rng(0)
    margin = rng.beta(2, 1, n_labelled)
    judged = Judged(
        margin, rng.random(n_labelled) < wrong * (1 - margin), rng.random(n_labelled) < 0.2
    )
    top = rng.beta(6, 0.5, n_waiting) * 0.5 + 0.5
    waiting = Waiting.of(np.column_stack([top, 1 - top]))
    pool = Pool(n_labelled, n_waiting, **more)
    return forecasts(pool, waiting, fitted(judged), n_judged=n_labelled, targets=targets)


def test_rows_are_for_each_number_of_labels_to_train_on():
    found = forecast()
    for each in found.targets:
        assert [row.train_more for row in each.rows] == [0, 50, 100, 200]
        for row in each.rows:
            assert row.low <= row.expected <= row.high <= 1800
            assert row.train_more + row.by_hand <= row.expected
    assert found.of(0.99).now.expected >= found.of(0.95).now.expected
    with pytest.raises(ParameterError, match="target"):
        found.of(0.9)


def test_they_go_through_json():
    found = forecast()
    assert json.loads(json.dumps(asdict(found)))["targets"][0]["target"] == 0.95


def test_going_on_is_advised_only_where_it_saves():
    for each in forecast(wrong=0.9).targets:
        best, now = each.rows[each.best], each.now
        assert each.best == 0 or best.expected < 0.95 * now.expected
        assert ("Training on" in each.sentence) and (
            str(best.train_more) in each.sentence or not each.best
        )


def test_a_pool_with_few_left_has_fewer_rows():
    found = forecast(n_waiting=60)
    assert [row.train_more for row in found.targets[0].rows] == [0, 50]
    assert forecast(n_waiting=0).targets[0].now.expected == 0


def test_a_model_that_saves_nothing_says_so():
    said = forecast(n_labelled=100, wrong=1e9, targets=(0.995,)).targets[0].sentence
    assert "not good enough yet" in said


def test_spare_errors_and_later_attempts_cost():
    first = forecast().of(0.99).now.expected
    assert forecast(spare=8).of(0.99).now.expected > first
    assert forecast(attempt=3).of(0.99).now.expected > first


def test_targets_and_numbers_are_checked():
    with pytest.raises(ParameterError, match="targets"):
        forecast(targets=(1.0,))
