"""Rules for automatic labels on the notebook's networks and on the report's letters."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from alutils.base.errors import ParameterError
from alutils.data import loading, mnist
from alutils.experiments import label_costs
from alutils.experiments.label_costs import rules
from alutils.guarantee import certify
from alutils.stats import intervals
from tests.experiments.test_networks import OPTIONS, made_up  # noqa: F401 (a fixture)


def test_the_rule_shown_in_the_notebook_is_that_of_the_library(made_up):  # noqa: F811
    networks = made_up(target=0.97)
    settings, waiting = networks.settings, networks.at_last("random")
    found = set()
    for seed in range(40):
        seen = waiting.sample(settings.audit, random_state=seed)
        certified = None
        for threshold in label_costs.thresholds(settings, waiting["confidence"]):
            above = seen[seen["confidence"] >= threshold]
            errors = (~above["right"]).sum()
            bound = beta.ppf(1 - settings.level, len(above) - errors, errors + 1)
            if bound < settings.target:
                break
            certified = threshold
        certificate = certify(
            seen["confidence"], seen["right"], target=settings.target, level=settings.level,
            pool=waiting["confidence"],
        )  # fmt: skip
        assert certificate.threshold == certified
        found.add(certified)
    assert len(found) > 3
    text = label_costs.certified(certificate, waiting).text
    above = waiting[waiting["confidence"] >= certified]
    assert f"In truth {above['right'].mean():.2%} of the {len(above):,} labels" in text


def test_how_many_labels_a_promise_needs_is_exact(made_up):  # noqa: F811
    found = label_costs.needed(made_up().settings, 4000)
    assert found.exact
    assert "149, 236, 313, 386, 456 audited labels" in found.text
    assert "all 3,650 labels of the network, with 80 wrong at most" in found.text


def test_an_attempt_at_the_whole_pool_comes_to_a_decision_that_is_told(made_up):  # noqa: F811
    networks = made_up(target=0.9)
    attempt, answers = label_costs.whole_pool(networks, "random")
    while attempt.decision == "go on":
        places = attempt.next(20)
        attempt.answer(places, answers[places])
    text = label_costs.finished(attempt, answers).text
    if attempt.decision == "certified":
        right = 1 - answers[attempt.rest].sum() / networks.n_pool
        assert f"at least 90% of all {networks.n_pool:,} labels" in text
        assert f"In truth {right:.2%}" in text
    else:
        assert text.startswith("Refused after")
    assert f"{len(attempt.by_hand):,} labels by hand" in text


def test_the_finding_counts_networks_for_fixed_thresholds_and_audits_for_the_others(made_up):  # noqa: F811
    networks = made_up()
    found = label_costs.promises(networks, "random", draws=100)
    table = found.tables["autolabel_promises"].set_index(["rule", "n_human"])
    assert set(table.index.get_level_values("n_human")) == {100, 200, 300}
    assert table.loc[("fixed 0.6", 100), "broken"] == 1
    n_broken = int((table.loc["fixed 0.6", "broken"] == 1).sum())
    assert f"0.6 with {n_broken} and 0.9 with 0 of the 3 networks" in found.text
    worst = max(table.loc[rule, "broken"].max() for rule in rules.TESTED)
    low, high = intervals.wilson(worst, 100)
    told = f"at most {worst:.1%} of the audits (95% interval {low:.1%} to {high:.1%}; 5% allowed)"
    assert told in found.text
    assert worst <= 0.09


@pytest.fixture
def few_letters(monkeypatch):
    """Put the article's digits in the place of letters."""
    train, _ = mnist.mnist_article()
    given = {}

    def load(spec, **options):
        given.update(options)
        return train.take(np.flatnonzero(train.labels != 7)[:600]) if spec == "no 7" else train

    monkeypatch.setattr(loading, "load", load)
    return given


def test_a_class_with_too_few_letters_is_named_before_any_work(few_letters):
    with pytest.raises(ParameterError, match=r"letters=no 7: class 7 has 0 letters, 2 or more"):
        label_costs.letters("no 7", 0, seed=0, audit=100)


def test_an_audit_that_the_pool_cannot_give_is_refused(few_letters):
    with pytest.raises(ParameterError, match=r"audit=900: the pool holds \d+ letters"):
        label_costs.letters("all", 500, seed=0, audit=900)


def test_letters_that_cannot_be_used_are_left_to_the_loader(few_letters):
    letters = label_costs.letters("all", 1000, seed=0, audit=100, on_bad="skip")
    assert few_letters == {"on_bad": "skip"} and len(letters.data) == 1000
    assert len(letters.part.pool) > 100


def test_what_is_said_of_the_reports_rule_is_what_is_true_of_its_letters(few_letters, made_up):  # noqa: F811
    letters = label_costs.letters("all", 0, seed=0, audit=100)
    rng = np.random.default_rng(0)
    right = rng.random(3000) < 0.9
    confidence = np.where(right, rng.uniform(0.65, 1, 3000), rng.uniform(0.5, 0.8, 3000))
    scores = pd.DataFrame({"confidence": confidence, "right": right})
    settings = label_costs.settings(**OPTIONS)
    found = label_costs.report_rule(letters, scores, settings, draws=100)
    taken = scores[scores["confidence"] >= 0.6]
    assert f"At the report's 0.6 {len(taken) / 3000:.0%} of the letters get" in found.text
    assert f"and {1 - taken['right'].mean():.1%} of these are wrong" in found.text
    assert list(found.tables["autolabel_report"]["target"].unique()) == [0.98, 0.95, 0.9]
    assert found.text.count("right:") == 3
