"""Toys show what the strategies do: the same choices, maps and boundaries as the loop has."""

import numpy as np
import pandas as pd
import pytest

from alutils.active import toys
from alutils.active.strategies import registry, uncertainty
from alutils.base.errors import ParameterError

SCORED = [name for name, strategy in registry.STRATEGIES.items() if strategy.score is not None]


@pytest.fixture(scope="module")
def toy():
    return toys.draw(90, 4, np.random.default_rng(3))


def test_a_toy_has_as_many_points_of_each_class_and_labels_of_each(toy):
    assert np.bincount(toy.y).tolist() == [30, 30, 30]
    assert np.bincount(toy.y[toy.labelled]).tolist() == [4, 4, 4]
    assert len(np.unique(toy.labelled)) == 12


def test_the_same_seed_draws_the_same_toy(toy):
    again, other = (toys.draw(90, 4, np.random.default_rng(seed)) for seed in (3, 4))
    assert np.array_equal(again.x, toy.x) and np.array_equal(again.labelled, toy.labelled)
    assert not np.array_equal(other.x, toy.x)


@pytest.mark.parametrize(("n_points", "per_class", "named"), [(14, 4, "n_points"), (90, 0, "per_")])
def test_a_toy_without_room_for_its_labels_is_refused(n_points, per_class, named):
    with pytest.raises(ParameterError, match=named):
        toys.draw(n_points, per_class, np.random.default_rng(0))


@pytest.mark.parametrize("name", registry.STRATEGIES)
def test_every_strategy_asks_for_points_without_a_label_and_does_so_again(toy, name):
    asked = toys.ask(toy, name, 5, 0)
    assert len(np.unique(asked)) == 5 and not np.isin(asked, toy.labelled).any()
    assert np.array_equal(asked, toys.ask(toy, name, 5, 0))


@pytest.mark.parametrize("name", SCORED)
def test_the_point_asked_for_first_is_the_highest_of_its_map(toy, name):
    free = np.setdiff1d(np.arange(len(toy.x)), toy.labelled)
    first = toys.ask(toy, name, 1, 0)[0]
    values = toys.utility(toy, name, toy.x[free], 0)
    # Each is put in a second time: where density counts, that changes the values a little.
    best = values.max() if name != "density_weighted" else np.quantile(values, 0.95)
    assert values[free == first][0] >= best - 1e-6 * abs(best)


@pytest.mark.parametrize("name", SCORED)
def test_a_map_does_not_depend_on_its_other_points(toy, name):
    points = toys.map_points(toy, 4)[1]
    alone = [toys.utility(toy, name, points[[i]], 1)[0] for i in range(len(points))]
    # float32 probabilities of several points at once differ in the last bits.
    assert np.allclose(toys.utility(toy, name, points, 1), alone, rtol=1e-4, atol=1e-6)


def test_who_chooses_batches_as_a_whole_has_no_map(toy):
    assert toys.utility(toy, "badge", toy.x[:3], 0) is None
    assert toys.panel(toy, "badge", 3, 0, side=5).utility is None


def test_a_panel_is_of_the_model_that_the_strategy_sees(toy):
    panel = toys.panel(toy, "margin", 4, 0, side=7)
    points = toys.map_points(toy, 7)[1]
    assert panel.model.shape == (7, 7, toys.N_CLASSES)
    # Row i has the height axis[i]; columns go along the first coordinate.
    assert np.allclose(points.reshape(7, 7, 2)[2, 5], [panel.axis[5], panel.axis[2]])
    assert np.allclose(panel.utility, uncertainty.margin(panel.model.reshape(49, 3)).reshape(7, 7))
    assert panel.members is None


def test_a_committee_panel_shows_members_that_differ(toy):
    members = toys.panel(toy, "bald", 2, 0, side=6).members
    assert members.shape == (toys.N_MEMBERS, 6, 6, toys.N_CLASSES)
    assert np.ptp(members, axis=0).max() > 0.05


def test_choices_are_those_of_ask_with_their_measures():
    table = toys.choices(["margin", "random"], draws=2, batch=4, seed=5, n_points=60, per_class=3)
    assert table.groupby(["draw", "strategy"]).size().tolist() == [4] * 4
    one = toys.draw(60, 3, np.random.default_rng(6))
    own = table[(table["draw"] == 6) & (table["strategy"] == "margin")]
    assert own["item"].tolist() == toys.ask(one, "margin", 4, 6).tolist()
    # The first is the least sure of all; those after it follow in order.
    n_free = 60 - 9
    assert np.allclose(own["unsure"], 1 - np.arange(1, 5) / n_free)
    x = one.x[own["item"]]
    by_hand = [
        min(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i) for i in range(len(x))
    ]
    ratio = own["apart"].to_numpy() / by_hand
    assert np.isfinite(ratio).all() and np.allclose(ratio, ratio[0])


def test_what_two_strategies_share_is_counted_draw_by_draw():
    table = pd.DataFrame(
        [(0, "a", 1), (0, "a", 2), (0, "b", 2), (0, "b", 3), (1, "a", 1), (1, "a", 2),
         (1, "b", 2), (1, "b", 1)],
        columns=["draw", "strategy", "item"],
    )  # fmt: skip
    matrix = toys.shared(table)
    assert matrix.loc["a", "b"] == matrix.loc["b", "a"] == (1 / 2 + 1) / 2
    assert matrix.loc["a", "a"] == 1


def test_strategies_that_ask_alike_stand_together():
    names = list("abcd")
    matrix = pd.DataFrame(np.eye(4), names, names)
    for one, other in (("a", "c"), ("b", "d")):
        matrix.loc[one, other] = matrix.loc[other, one] = 0.9
    order = toys.alike(matrix)
    assert sorted(order) == names
    assert abs(order.index("a") - order.index("c")) == abs(order.index("b") - order.index("d")) == 1


def test_a_batch_of_one_has_nothing_to_compare_within():
    with pytest.raises(ParameterError, match="batch=1"):
        toys.choices(["random"], 1, 1, 0)
