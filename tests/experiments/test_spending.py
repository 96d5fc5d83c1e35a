"""What the notebook's networks cost, how many more labels it takes, and people who err."""

import numpy as np
import pandas as pd
import pytest

from alutils.data import mnist
from alutils.experiments import label_costs
from alutils.experiments.label_costs import spending
from alutils.guarantee import certify, draw_audit
from tests.experiments.test_networks import made_up  # noqa: F401 (a fixture)


def test_the_cost_is_the_mean_over_all_draws_of_an_audit_that_is_likely_to_accept(made_up):  # noqa: F811
    found = label_costs.cost(made_up(seeds=3), draws=20)
    # Refused audits of random labels take 500 labels: they are no certificate, however few.
    assert (
        "takes 911 of 4,000 labels at best (active), mean over all draws of the audit" in found.text
    )
    assert "of which 90% accept" in found.text
    table = found.table.data
    shares = table["labelled automatically above a threshold"]
    assert f"{shares['random']:.0%} (random), {shares['active']:.0%} (active)" in found.text
    assert table.loc["random", "human labels, mean of all draws"] == 500
    assert table.loc["random", "audits that accept"] == 0
    stars = [line for line in found.figure.axes[0].lines if line.get_marker() == "*"]
    assert [list(line.get_xdata()) for line in stars if len(line.get_xdata())] == [[911]]


def test_coverage_is_what_certificates_of_many_audits_leave_to_the_network(made_up):  # noqa: F811
    networks = made_up(target=0.97)
    settings, each = networks.settings, networks.at_last("random")
    table = spending.coverage(networks.scores, settings, draws=150)
    assert len(table) == 6
    mine = table[(table["arm"] == "random") & (table["n_human"] == 300)]["value"].item()
    rng, shares = np.random.default_rng(0), []
    confidence, right = each["confidence"].to_numpy(), each["right"].to_numpy()
    for _ in range(150):
        drawn = draw_audit(len(each), settings.audit, rng)
        certificate = certify(
            confidence[drawn], right[drawn], target=0.97, level=settings.level, pool=confidence
        )
        above = certificate.covers(confidence)
        above[drawn] = False
        shares.append(above.sum() / 4000)
    assert 0.1 < mine < 0.9
    assert mine == pytest.approx(np.mean(shares), abs=4 * np.std(shares) / 150**0.5)


def test_where_no_audit_is_likely_to_accept_nothing_is_said_to_be_certified(made_up):  # noqa: F811
    networks = made_up()
    rows = networks.rows
    rows.loc[rows["metric"] == "accept_chance", "value"] = 0.2
    found = label_costs.cost(networks, draws=20)
    assert "no audit of the whole pool is likely to accept any of them" in found.text


def test_false_certificates_are_counted_not_left_out(made_up):  # noqa: F811
    text = label_costs.tries(made_up(seeds=2)).text
    # Of six networks an arm... two of three rounds are under 98%; 80 of 4,000 may be wrong.
    assert "Each of 12 networks" in text
    assert "Thresholds: 12 certificates, 8 of them untrue" in text
    assert "The whole pool: 2 certificates, 2 of them untrue" in text


def test_forecasts_stand_beside_what_it_took(made_up):  # noqa: F811
    found = label_costs.learning_forecasts(made_up(target=0.9), known=3)
    table = found.tables["autolabel_forecasts"]
    assert list(table.columns[-1:]) == ["arm"] and len(table) == 4
    assert found.text.endswith(".") and "intervals hold" in found.text
    names = [text.get_text() for text in found.figure.axes[0].get_yticklabels()]
    assert names[0] == "random: 90% right" and names[-1] == "active: 95% right"


@pytest.mark.parametrize(
    ("took", "text"),
    [
        ((5, 20, np.nan), "1 of 2 intervals hold what it then took; 1 of the 1 others rightly"),
        ((5, 9, 8), "3 of 3 intervals hold what it then took."),
        ((np.nan,) * 3, "No network had so many right in these rounds; 3 of the 3 others"),
    ],
)
def test_intervals_that_hold_what_it_took_are_counted(took, text):
    table = pd.DataFrame({"low": 1.0, "high": 10.0, "took": took, "seen": 7})
    assert spending._about_forecasts(table).startswith(text)


def test_audit_forecasts_say_what_it_took_for_both_shares(made_up):  # noqa: F811
    found = label_costs.audit_forecasts(made_up(target=0.9), "active")
    assert "**50% of the pool**, 90% right" in found.text
    assert "**80% of the pool**, 90% right" in found.text


def knows(function, digits, answers, **named):
    """Stand in for a run's ``keep``: probabilities of networks that know every digit."""
    p = np.full((len(answers), 10), 0.01)
    p[np.arange(len(answers)), digits.labels] = 0.91
    return pd.DataFrame(p)


def test_who_knows_every_digit_finds_every_wrong_answer(made_up):  # noqa: F811
    found = label_costs.wrong_answers(made_up(), wrong=0.05, folds=2, steps=1, keep=knows)
    n_wrong = int(found.text.split(" labels ")[1].split()[0])
    assert 5 <= n_wrong <= 30
    assert f"{n_wrong} of {n_wrong} suspects are really wrong" in found.text
    assert f"{n_wrong} of the {n_wrong} wrong labels are found" in found.text
    titles = {panel.get_title() for panel in found.figure.axes if panel.get_title()}
    assert titles and all(": wrong\nmaybe " in title for title in titles)


def test_where_nobody_errs_nothing_is_suspected_and_no_figure_is_drawn(made_up):  # noqa: F811
    found = label_costs.wrong_answers(made_up(), wrong=0.0, folds=2, steps=1, keep=knows)
    assert found.text == "Of 300 labels 0 are wrong, and none was suspected."
    assert found.figure is None


@pytest.mark.slow
def test_networks_that_never_saw_a_label_name_most_of_the_wrong_ones():
    digits = mnist.mnist_article()[0].take(np.arange(400))
    answers = digits.labels.copy()
    answers[:20] = (answers[:20] + 1) % 10
    p = spending.unseen(digits, answers, folds=2, steps=150, seed=0)
    assert (p.to_numpy().argmax(axis=1)[:20] != answers[:20]).mean() > 0.7
    assert list(p.columns) == [f"p{digit}" for digit in range(10)]
