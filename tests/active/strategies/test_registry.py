"""What every registered strategy promises, whatever it does inside."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import DTYPES, linear_pool

from alutils.active.strategies import committees, diversity, model_change, uncertainty
from alutils.active.strategies import registry as registry
from alutils.active.strategies.registry import STRATEGIES, Context, Strategy

BY_SCORE = [name for name, strategy in STRATEGIES.items() if strategy.score is not None]
# Votes are few numbers, and who is asked among the many with the same is drawn.
BY_CHANCE = ["random", "vote_entropy", "badge", "typiclust", "margin_and_random"]
every = pytest.mark.parametrize("name", STRATEGIES)


def context(n=80, n_labelled=9, seed=0, dtype=np.float32):
    """Return a context with all that any strategy needs."""
    x, p, labelled = linear_pool(n, n_labelled=n_labelled, seed=seed, dtype=dtype)
    rng = np.random.default_rng(seed)
    noise = rng.dirichlet(np.ones(p.shape[1]), (3, n))
    members = ((p + noise) / 2).astype(dtype)

    def retrained(item, label):
        """Return another softmax layer's answers, which depends on the item's own features."""
        moved = p * np.exp((x @ x[item])[:, None] * 0.1 * (np.arange(p.shape[1]) == label))
        return moved / moved.sum(axis=1, keepdims=True)

    return Context(labelled, p, x, members, retrained)


def permuted(ctx, order):
    """Return the same pool with its items in another order."""
    return Context(
        ctx.labelled[order],
        ctx.probabilities[order],
        ctx.features[order],
        ctx.committee[:, order],
        lambda item, label: ctx.retrained(int(order[item]), label),
    )


def choice(name, ctx, batch, seed=0):
    return STRATEGIES[name].select(ctx, batch, np.random.default_rng(seed))


@every
@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(1, 40), n_labelled=st.integers(0, 39), share=st.floats(0, 1),
    dtype=st.sampled_from(sorted(DTYPES)), seed=st.integers(0, 999),
)  # fmt: skip
def test_a_choice_is_of_unlabelled_items_none_twice_and_the_seeds_own(
    name, n, n_labelled, share, dtype, seed
):
    ctx = context(n, min(n_labelled, n - 1), seed, DTYPES[dtype])
    free = np.flatnonzero(~ctx.labelled)
    batch = max(1, round(share * len(free)))
    arrays = {
        f.name: getattr(ctx, f.name).copy()
        for f in fields(ctx)
        if isinstance(getattr(ctx, f.name), np.ndarray)
    }
    chosen = choice(name, ctx, batch, seed)
    assert chosen.shape == (batch,) and chosen.dtype == np.int64
    assert len(set(chosen)) == batch and set(chosen) <= set(free)
    assert np.array_equal(chosen, choice(name, ctx, batch, seed))
    for field, before in arrays.items():
        assert np.array_equal(getattr(ctx, field), before)


@every
def test_the_whole_pool_can_be_asked_for(name):
    ctx = context(30)
    assert np.array_equal(np.sort(choice(name, ctx, 21)), np.flatnonzero(~ctx.labelled))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in BY_CHANCE])
@pytest.mark.parametrize("seed", range(3))
def test_a_choice_follows_its_items_when_the_pool_is_shuffled(name, seed, monkeypatch):
    monkeypatch.setattr(registry, "RETRAINED_PART", 80)  # all, so that no part is drawn
    ctx = context(seed=seed)
    order = np.random.default_rng(seed).permutation(80)
    assert np.array_equal(order[choice(name, permuted(ctx, order), 7)], choice(name, ctx, 7))


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_CHANCE)
def test_chance_favours_no_place_in_the_pool(name):
    """How often an item is chosen belongs to the item: shuffled and not, within five sigmas."""
    ctx, n = context(12, 2), 100 if name == "typiclust" else 1000
    order = np.random.default_rng(5).permutation(12)
    moved = permuted(ctx, order)
    counts = np.zeros((2, 12), int)
    for seed in range(n):
        counts[0, choice(name, ctx, 3, seed)] += 1
        counts[1, order[choice(name, moved, 3, n + seed)]] += 1
    shares = counts / n
    mean = shares.mean(axis=0)
    assert np.ptp(mean[~ctx.labelled]) > 0
    sigma = np.sqrt(2 * mean * (1 - mean) / n)
    assert (np.abs(shares[0] - shares[1]) <= 5 * sigma).all()


@every
def test_only_candidates_are_asked_for(name):
    ctx = context()
    some = np.concatenate([np.flatnonzero(~ctx.labelled)[::7], np.flatnonzero(ctx.labelled)])
    chosen = choice(name, replace(ctx, candidates=some), 5)
    assert set(chosen) <= set(some[: -ctx.labelled.sum()])
    with pytest.raises(ValueError, match="batch=80: the pool holds 11 unlabelled items"):
        choice(name, replace(ctx, candidates=some), 80)


@every
def test_pools_with_nothing_to_tell_apart_are_drawn_from(name):
    """All items alike: who is chosen is chance, and not always the same."""
    n = 12
    ctx = Context(
        np.arange(n) < 2,
        np.full((n, 3), 1 / 3, np.float32),
        np.ones((n, 4), np.float32),
        np.full((2, n, 3), 1 / 3, np.float32),
        lambda item, label: np.full((5, 3), 1 / 3),
    )
    draws = [choice(name, ctx, 3, seed) for seed in range(60)]
    assert set(np.concatenate(draws)) == set(range(2, n))


@every
def test_certain_predictions_one_class_and_one_item_are_borne(name):
    n = 9
    for p in (np.eye(3)[np.arange(n) % 3], np.ones((n, 1))):
        x = np.random.default_rng(0).normal(size=(n, 2))
        ctx = Context(np.arange(n) < 3, p, x, np.stack([p, p]), lambda item, label, p=p: p)
        assert len(set(choice(name, ctx, 4))) == 4
        last = replace(ctx, labelled=np.arange(n) != 5)
        assert list(choice(name, last, 1)) == [5]


@every
def test_a_start_without_any_label_is_borne(name):
    ctx = context(n_labelled=0)
    assert len(set(choice(name, ctx, 6))) == 6


@every
def test_what_is_missing_is_named_before_any_work(name):
    ctx, strategy = context(), STRATEGIES[name]
    for need in strategy.needs:
        with pytest.raises(ValueError, match=rf"{name} needs {need}.*give Context\({need}=\.\.\."):
            choice(name, replace(ctx, **{need: None}), 3)
    others = {"probabilities", "features", "committee", "retrained"} - strategy.needs
    assert len(choice(name, replace(ctx, **dict.fromkeys(others)), 3)) == 3


@every
def test_an_empty_pool_and_a_batch_that_is_too_large_are_refused(name):
    ctx = context()
    with pytest.raises(ValueError, match="the pool is empty: every item is labelled"):
        choice(name, replace(ctx, labelled=np.ones(80, bool)), 1)
    with pytest.raises(ValueError, match="batch=72: the pool holds 71 unlabelled items"):
        choice(name, ctx, 72)
    for batch in (0, -3, 2.5, "4"):
        with pytest.raises(ValueError, match=f"batch={batch!r}"):
            choice(name, ctx, batch)


@every
def test_arrays_of_another_pool_are_refused(name):
    ctx = context()
    for need in STRATEGIES[name].needs - {"retrained"}:
        value = getattr(ctx, need)
        short = value[:, :-1] if need == "committee" else value[:-1]
        with pytest.raises(ValueError, match=rf"{need}: an array of shape .* for 80 items"):
            choice(name, replace(ctx, **{need: short}), 3)


@every
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(name, value):
    ctx = context()
    for need in STRATEGIES[name].needs - {"retrained"}:
        spoilt = getattr(ctx, need).copy()
        spoilt[...] = value
        with pytest.raises(ValueError, match=r"NaN|sums to|not finite"):
            choice(name, replace(ctx, **{need: spoilt}), 3)


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if "probabilities" in s.needs])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_single_row_that_does_not_sum_to_one_is_refused_wherever_it_is(name, labelled):
    ctx = context()
    row = np.flatnonzero(ctx.labelled == labelled)[-1]
    p = ctx.probabilities.copy()
    p[row] = 0.5
    with pytest.raises(ValueError, match=rf"row {row} sums to 2 \(1 of 80 rows"):
        choice(name, replace(ctx, probabilities=p), 3)


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (np.zeros(80, int), "bool array"),
        ([False] * 80, "bool array"),
        (np.zeros((80, 1), bool), "bool array"),
    ],
)
def test_a_mask_that_is_none_is_refused(labelled, message):
    with pytest.raises(ValueError, match=message):
        choice("random", replace(context(), labelled=labelled), 3)


@pytest.mark.parametrize("item", [-1, 80])
def test_candidates_out_of_range_are_refused(item):
    with pytest.raises(ValueError, match=f"candidates: item {item}; expected items 0 to 79"):
        choice("random", replace(context(), candidates=np.array([item, 3])), 1)


@pytest.mark.parametrize("name", BY_SCORE)
def test_strategies_with_a_score_ask_for_the_highest(name):
    ctx = context()
    scores = STRATEGIES[name].score(ctx)
    assert scores.shape == (80,)
    chosen = choice(name, ctx, 10)
    free = np.flatnonzero(~ctx.labelled)
    assert np.array_equal(scores[chosen], np.sort(scores[free])[::-1][:10])


def test_scores_are_the_functions_that_their_names_say():
    ctx = context()
    p, x, members = ctx.probabilities, ctx.features, ctx.committee
    expected = {
        "least_confident": uncertainty.least_confident(p),
        "margin": uncertainty.margin(p),
        "entropy": uncertainty.entropy(p),
        "vote_entropy": committees.vote_entropy(members),
        "consensus_kl": committees.consensus_kl(members),
        "bald": committees.bald(members),
        "expected_gradient_length": model_change.expected_gradient_length(p, x),
        "density_weighted": diversity.density_weighted(uncertainty.entropy(p), x),
    }
    assert set(expected) == set(BY_SCORE)
    for name, scores in expected.items():
        assert np.array_equal(STRATEGIES[name].score(ctx), scores)


@pytest.mark.parametrize("name", ["variance_reduction", "one_step_error_reduction"])
def test_costly_strategies_look_at_a_random_part(name, monkeypatch):
    monkeypatch.setattr(registry, "PART", 5)
    ctx = context()
    chosen = {int(choice(name, ctx, 1, seed)[0]) for seed in range(40)}
    assert len(chosen) > 15  # with all in view it would be one
    assert len(set(choice(name, ctx, 20))) == 20  # a batch over the part widens it


@pytest.mark.parametrize("name", ["variance_reduction", "one_step_error_reduction"])
def test_costly_strategies_do_not_ask_for_one_thing_many_times(name):
    """Every item five times in the pool: a choice by scores alone would take all five."""
    x, p, _ = linear_pool(20)
    ctx = Context(np.arange(100) < 5, np.repeat(p, 5, axis=0), np.repeat(x, 5, axis=0))
    assert len(set(choice(name, ctx, 5) // 5)) == 5


@pytest.mark.slow
def test_the_variance_of_many_parameters_is_looked_at_in_fewer_directions():
    rng = np.random.default_rng(0)
    ctx = Context(
        np.arange(300) < 20, rng.dirichlet(np.ones(26), 300).astype(np.float32),
        rng.normal(size=(300, 512)).astype(np.float32),
    )  # fmt: skip
    assert len(set(choice("variance_reduction", ctx, 5))) == 5


def test_mixed_batches_share_out_and_cover_what_is_left():
    ctx = context()
    chosen = choice("margin_and_k_center", ctx, 7)
    margins = np.where(ctx.labelled, -np.inf, uncertainty.margin(ctx.probabilities))
    assert set(chosen[:4]) == set(np.argsort(-margins)[:4])
    labelled = ctx.labelled.copy()
    labelled[chosen[:4]] = True
    assert list(chosen[4:]) == list(choice("k_center_greedy", replace(ctx, labelled=labelled), 3))


def test_mixtures_of_three_share_out_a_batch_smaller_than_they_are():
    mix = registry.mixed("mix", "entropy", STRATEGIES["badge"], "random", source="a test")
    assert mix.needs == {"probabilities", "features"}
    for batch in (1, 2, 3, 8):
        chosen = mix.select(context(), batch, np.random.default_rng(0))
        assert len(set(chosen)) == batch


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"strategy k_centre: unknown; did you mean k_center_greedy"
    ):
        registry.get("k_centre")
    with pytest.raises(ValueError, match="known: random, least_confident, margin"):
        registry.get("quantum")
    assert registry.get("margin") is STRATEGIES["margin"]


@every
def test_every_strategy_says_what_it_needs_what_it_costs_and_where_it_is_from(name):
    strategy = STRATEGIES[name]
    assert isinstance(strategy, Strategy) and strategy.name == name
    assert strategy.needs <= {f.name for f in fields(Context)} - {"labelled", "candidates"}
    assert "n" in strategy.cost or "random items" in strategy.cost
    assert len(strategy.source) > 5


def test_strategies_do_without_tensorflow_and_the_loops():
    import subprocess
    import sys

    code = (
        "import sys, alutils.active.strategies.registry; "
        "heavy = ('tensorflow', 'alutils.active.loops.pool', 'sklearn'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
