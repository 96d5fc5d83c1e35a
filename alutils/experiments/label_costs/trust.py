"""What rules for automatic labels keep of their promise, on the scores of a model that was trained.

``benchmarks/guarantee.py`` asks this of made-up error models. Here the items, the confidences and
the mistakes are a real model's (`scores`), the truth is known, and only the audit is drawn, again
and again (`simulate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from alutils.active.strategies import uncertainty
from alutils.base.checks import check_count, check_known
from alutils.base.errors import ParameterError
from alutils.experiments.label_costs import fewest_labels
from alutils.guarantee import simulation
from alutils.guarantee.audit_slice import check_audit, reachable
from alutils.guarantee.simulation import Audits, Outcomes, Rule, Truth
from alutils.guarantee.terms import Terms, unsure_first
from alutils.guarantee.thresholds import THRESHOLDS, labels_needed

RULES = {
    "fixed 0.6": "everything at or above 0.6, the report's threshold",
    "fixed 0.9": "everything at or above 0.9",
    "best on validation": "the lowest threshold at which the audit looks right",
    "certified": "the lowest threshold that the audit certifies",
    "whole pool": "everything, if a planned audit accepts it",
    "whole pool, weighted": "everything, if an audit accepts it that looks where the model doubts",
}
"""Rules by name, and what each labels automatically."""
FIXED = {"fixed 0.6": 0.6, "fixed 0.9": 0.9}
WHOLE = ("whole pool", "whole pool, weighted")


def rows_and_scores(settings: fewest_labels.Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of `fewest_labels.run` and, of the same training, all its `scores`."""
    both = [
        (fewest_labels.measured(settings, trained), scores(trained))
        for trained in fewest_labels.trainings(settings)
    ]
    rows, said = (pd.concat(frames, ignore_index=True) for frames in zip(*both, strict=True))
    return rows, said


def scores(trained: fewest_labels.Trained) -> pd.DataFrame:
    """Return what a model says of every waiting item, in the order in which they waited.

    A row an item: n_human (labels trained on), confidence (highest probability), margin
    (`uncertainty.margin`; higher is less sure), right (1 where the likeliest class is the true
    one, else 0).
    """
    p = trained.probabilities
    return pd.DataFrame(
        {
            "n_human": trained.state.book.n_human,
            "confidence": p.max(axis=1).astype(float),
            "margin": uncertainty.margin(p).astype(float),
            "right": (p.argmax(axis=1) == trained.data.labels[trained.waiting]).astype(int),
        }
    )


def simulate(
    confidence: np.ndarray,
    right: np.ndarray,
    terms: Terms,
    *,
    n_audit: int,
    draws: int,
    rng: np.random.Generator,
    rules: Sequence[str] = tuple(RULES),
    margin: np.ndarray | None = None,
    n_human: int = 0,
) -> pd.DataFrame:
    """Draw many audits of one model and count, rule by rule, how often its promise was broken.

    A row a rule: rule, and what `simulation.Outcomes.summary` tells; coverage is a share of the
    waiting items, labels are the audit's and those by hand. The promise of a threshold is broken
    where less than the target of the model's labels at or above it are right, of all items that
    wait; that of the whole pool where it was given and more than `pool.allowed_errors` of all
    labels are wrong.

    Parameters
    ----------
    confidence, right : (n_items,) float and bool or 0 and 1, of the items that wait for a label
    terms : of the promise; rules for thresholds use its target and level alone
    n_audit : labels of an audit that is asked about thresholds
    draws : audits; all rules for thresholds get the same ones
    rules : of `RULES`
    margin, n_human : for the rules for whole pools alone: how unsure the model is of each item;
        human labels that the pool has besides, which are right

    """
    confidence, right = check_audit(confidence, right)
    check_count("draws", draws, 1)
    check_count("n_human", n_human)
    for rule in rules:
        check_known("rules", rule, RULES)
    by_threshold = threshold_rules(confidence, terms, n_audit)
    audits = Audits.drawn(confidence, right, n_audit, draws, rng)
    truth = Truth.of(confidence, right)
    rows = []
    for rule in rules:
        if rule in by_threshold:
            found = simulation.simulate(by_threshold[rule], audits, truth, terms.target)
            if rule in FIXED:  # asks nobody
                found = replace(found, labels=np.zeros(draws, int))
        else:
            how = replace(terms, weighted=rule == WHOLE[1])
            found = _whole_pool(confidence, right, margin, n_human, how, draws, rng)
        rows.append({"rule": rule, **found.summary()})
    return pd.DataFrame(rows)


def threshold_rules(confidence: np.ndarray, terms: Terms, n_audit: int) -> dict[str, Rule]:
    """Return the rules for thresholds by name; parameters as in `simulate`."""
    target, level = terms.target, terms.level
    # The part of the list that `certify` takes when it is given the pool.
    listed = reachable(THRESHOLDS, confidence, n_audit, labels_needed(target, level))
    return {
        **{name: simulation.fixed(at) for name, at in FIXED.items()},
        "best on validation": simulation.lowest_right(target),
        "certified": simulation.certified(target, level, thresholds=listed),
    }


def _whole_pool(
    confidence: np.ndarray, right: np.ndarray, margin: np.ndarray | None, n_human: int,
    terms: Terms, draws: int, rng: np.random.Generator,
) -> Outcomes:  # fmt: skip
    """Return what `pool.finish` comes to in each of many audits."""
    if terms.by_hand and margin is None:
        raise ParameterError(
            "margin", None, f"expected one for each item, to find {terms.by_hand} to label by hand"
        )
    left = np.arange(len(right))
    if margin is not None:
        if np.shape(margin) != right.shape:
            raise ParameterError("margin", np.shape(margin), f"expected {right.shape}")
        _, left = unsure_first(np.asarray(margin), terms.by_hand)
    plan = terms.plan(len(right) + n_human, len(left), 1 - confidence[left], answered_once=True)
    return simulation.simulate_pool(plan, ~right[left], draws, rng, len(right) - len(left))
