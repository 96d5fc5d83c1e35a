"""What notebook 04 shows: comparisons draw by draw, kept by all that they depend on."""

import importlib
import pkgutil

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from alutils.active import toys
from alutils.base.errors import ParameterError
from alutils.base.files import repository_root
from alutils.data import loading
from alutils.experiments import advice, scenarios, strategies
from alutils.experiments.base import Finding
from alutils.experiments.strategies import families, reference, results
from alutils.experiments.strategies.draws import Pools, every_draw, pool_curve, pools, smaller
from alutils.plots import arm_name
from alutils.runs.notebook import runs
from alutils.stats.intervals import paired


@pytest.fixture(scope="module")
def digits():
    return loading.load("mnist_article").take(np.arange(500))


@pytest.fixture(scope="module")
def few(digits):
    return Pools(digits, n_pool=150, batch=10, budget=40, seeds=2, halved=True)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_RUN_DIR", str(tmp_path / "run"))
    return runs.start("strategies")


def texts(finding: Finding) -> list[str]:
    """Return all that a finding says, in its figure and table, too."""
    said = [finding.text, finding.alt]
    if finding.figure is not None:
        said += [t.get_text() for t in finding.figure.findobj(Text)]
    if finding.table is not None:
        said.append(finding.table.to_html())
    return said


def check(finding: Finding) -> Finding:
    """Check what every finding promises: no code names, readable texts, shares that are shares."""
    known = [name for name in families.registry.STRATEGIES if "_" in name]
    for text in texts(finding):
        assert not [name for name in known if name in text], text
    if finding.figure is not None:
        finding.figure.canvas.draw()
        for axes in finding.figure.axes:
            if "accuracy" in axes.get_ylabel():
                assert axes.get_ylim()[0] >= 0 and axes.get_ylim()[1] <= 1
    return finding


@pytest.mark.parametrize("room", [strategies, scenarios])
def test_a_public_name_is_never_hidden_by_a_module_of_the_same_name(room):
    modules = {module.name for module in pkgutil.iter_modules(room.__path__)}
    for name in modules:
        importlib.import_module(f"{room.__name__}.{name}")
    assert not modules & set(room.__all__)
    assert all(callable(getattr(room, name)) for name in room.__all__)


def test_two_settings_give_two_parts_and_equal_ones_share_theirs(run, digits, few):
    def parts():
        return len(list(run.parts.glob("*.csv")))

    first = every_draw("curves", few, ["random"], keep=run.keep)
    assert parts() == 2
    again = every_draw("curves", few, ["random"], keep=run.keep)
    assert parts() == 2
    pd.testing.assert_frame_equal(first, again)
    others = [
        Pools(digits, n_pool=150, batch=20, budget=40, seeds=2, halved=True),
        Pools(digits, n_pool=150, batch=10, budget=30, seeds=2, halved=True),
        Pools(digits, n_pool=140, batch=10, budget=40, seeds=2, halved=True),
        Pools(digits, n_pool=150, batch=10, budget=40, seeds=2),
        Pools(digits.take(np.arange(490)), n_pool=150, batch=10, budget=40, seeds=2, halved=True),
    ]
    for number, other in enumerate(others, 2):
        every_draw("curves", other, ["random"], keep=run.keep)
        assert parts() == 2 * number
    every_draw("curves", few, ["random"], keep=run.keep, first=5)
    assert parts() == 2 * (len(others) + 2)


def test_a_killed_comparison_goes_on_where_it_was(run, few):
    whole = every_draw("curves", few, ["random", "margin"])
    computed = []

    def dying(function, *arguments, **named):
        def counted(*arguments, **named):
            computed.append(arguments[1:])
            if len(computed) == 3:
                raise KeyboardInterrupt
            return function(*arguments, **named)

        counted.__qualname__ = counted.__name__ = function.__name__
        counted.__module__ = function.__module__
        return run.keep(counted, *arguments, **named)

    with pytest.raises(KeyboardInterrupt):
        every_draw("curves", few, ["random", "margin"], keep=dying)
    resumed = every_draw("curves", few, ["random", "margin"], keep=dying)
    assert computed == [("random", 0), ("margin", 0), ("random", 1), ("random", 1), ("margin", 1)]
    pd.testing.assert_frame_equal(resumed, whole)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"budget": 151}, "budget=151: a pool of .* holds 150 of 500"),
        ({"n_pool": 400, "budget": 360}, "budget=360: a pool of .* holds 350 of 500"),
        ({"batch": 41}, "batch=41"),
        ({"seeds": 1}, "seeds=1"),
    ],
)
def test_what_a_pool_cannot_give_is_refused_before_any_work(digits, changes, named):
    given = {"n_pool": 150, "batch": 10, "budget": 40, "seeds": 2} | changes
    with pytest.raises(ParameterError, match=named):
        Pools(digits, **given)


def test_images_of_one_class_are_refused_by_its_name(digits):
    ones = digits.take(digits.labels == 1)
    with pytest.raises(ParameterError, match="are of the class 1; give images of two classes"):
        Pools(ones, n_pool=20, batch=5, budget=10, seeds=2)


def test_a_draw_keeps_its_test_images_out_of_its_pool(few):
    one = few.draw(1)
    assert len(one.y) == few.room == 150 and len(one.y_test) == few.n_test == 150
    mean = (one.plain - one.x)[0]
    pool, test = one.plain, one.x_test + mean
    assert not (np.abs(pool[:, None] - test[None]).max(axis=2) < 1e-6).any()
    assert one.x.shape[1] == 14 * 14 and few.test_to_train == pytest.approx(150 / 350)


def test_images_that_cannot_be_halved_stay_as_they_are(digits):
    odd = loading.load("mnist_article").take(np.arange(300))
    odd = type(odd)(odd.images[:, 1:, 1:].copy(), odd.labels, odd.classes, odd.provenance, odd.name)
    given = Pools(odd, n_pool=100, batch=10, budget=20, seeds=2, halved=True)
    assert given.draw(0).x.shape[1] == 27 * 27
    assert smaller(Pools(digits, 100, 10, 20, 2)).side == 14


@pytest.fixture(scope="module")
def compared(digits):
    letters = loading.load("mnist_article").take(np.arange(500, 900))
    both = pools({"digits": digits, "letters": letters}, n_pool=150, batch=10, budget=40, seeds=3)
    arms = {"digits": ("random", "margin", "k_center_greedy"), "letters": ("random", "margin")}
    return strategies.compare(both, arms)


def test_the_comparison_says_what_its_curves_say(compared):
    found = check(strategies.learning_curves(compared))
    table = compared.curves["digits"]
    ends = table[table["n_human"] == 40].groupby("arm")["value"].mean()
    assert f"With 40 labels of digits: random {ends['random']:.1%}" in found.text
    assert f"best {arm_name(ends.idxmax())} {ends.max():.1%}" in found.text
    assert len(found.rows) == sum(map(len, compared.curves.values()))
    gains = check(strategies.gains(compared))
    verdicts = compared.summary().query("verdict == 'better'")
    for name in ("digits", "letters"):
        better = verdicts[verdicts["protocol"] == name]["arm"].map(arm_name).tolist()
        assert f"on {name} {', '.join(better) or 'none'}" in gains.text
    standings = check(strategies.standings(compared)).table
    assert standings.shape == (3, 6)
    area = compared.summary().set_index(["protocol", "arm"]).loc[("digits", "margin"), "area"]
    assert standings.loc["margin"].iloc[0] == f"{area:.1%}"


def test_classes_with_a_label_never_pass_the_classes_that_there_are(compared):
    found = check(strategies.classes_seen(compared))
    n_classes = len(compared.pools["letters"].images.classes)
    (axes,) = found.figure.axes
    assert axes.get_ylim()[1] <= n_classes
    highest = [band.get_paths()[0].vertices[:, 1].max() for band in axes.collections]
    assert max(highest) <= n_classes


def test_costs_name_the_slowest_and_time_every_strategy(few):
    table = strategies.benchmark.batch_seconds(few)
    assert set(table["strategy"]) == set(families.registry.STRATEGIES)
    found = check(strategies.costs(few, keep=lambda *_: table))
    slowest = table.sort_values("seconds")["strategy"].iloc[-1]
    assert f"The slowest, {arm_name(slowest)}, takes" in found.text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ({"margin": 3.0}, "The slowest, margin, takes 3 s."),
        ({"margin": 0.5, "badge": 2.0}, "The slowest, BADGE, takes 2 s, less than 10 times"),
        ({"margin": 0.01, "badge": 2.0}, "BADGE, takes 2 s, more than 100 times as long as margin"),
    ],
)
def test_how_much_slower_the_slowest_is_goes_by_its_time(few, seconds, said):
    rows = [(name, seconds.get(name, 0.001), "n") for name in families.registry.STRATEGIES]
    table = pd.DataFrame(rows, columns=["strategy", "seconds", "grows_with"])
    assert said in strategies.costs(few, keep=lambda *_: table).text


def test_large_batches_and_first_labels_are_compared_on_the_same_draws(few):
    batched, started = check(strategies.batches(few)), check(strategies.cold_starts(few))
    (row,) = batched.advice
    curves = [pool_curve(few, "badge", n, batch=15, first=10, budget=40) for n in few.numbers]
    others = [pool_curve(few, "margin", n, batch=15, first=10, budget=40) for n in few.numbers]
    ends = [[curve["value"].iloc[-1] for curve in arm] for arm in (curves, others)]
    assert advice.in_points(few.paired(*map(np.array, ends))) in row.because
    table = check(strategies.what_to_do([batched, started])).tables["strategies_advice"]
    assert list(table["situation"]) == ["batches of 15", "no label yet"]


def test_a_comparison_advises_one_way_only_where_its_interval_leaves_out_zero():
    base = np.zeros(4)
    ahead, behind = np.array([0.1, 0.11, 0.1, 0.12]), np.array([-0.1, -0.11, -0.1, -0.12])
    told = {
        name: advice.Advice.compared("somewhere", "ours", "theirs", paired(values, base)).use
        for name, values in {"ahead": ahead, "behind": behind}.items()
    }
    assert told["ahead"] == "ours" and told["behind"] == "theirs"
    assert advice.TIED in advice.Advice.compared(
        "somewhere", "ours", "theirs", paired(np.array([0.1, -0.1, 0.2, -0.2]), base)
    ).use  # fmt: skip


@pytest.mark.parametrize("name", families.FAMILIES)
def test_what_is_said_of_a_family_is_what_its_strategies_ask_for(name):
    toy = strategies.toy(3)
    found = check(strategies.family(name, toy, 3))
    asked = {n: {*toys.ask(toy, n, families.ASKING, 3).tolist()} for n in families.COMPARED}
    first = families.FAMILIES[name][1][0]
    common = len(asked[first] & asked["margin"])
    said = {
        "uncertainty": f"least confident has {len(asked['least_confident'] & asked['margin'])}",
        "committee": f"BALD and margin {len(asked['bald'] & asked['margin'])}",
        "change": f"expected gradient length {common}",
        "coverage": f"TypiClust has {len(asked['typiclust'] & asked['margin'])}",
    }
    assert said[name] in found.text
    assert f"toy_{name}" == found.name


def test_what_strategies_have_in_common_is_found_on_many_toys():
    chosen = toys.choices(("random", "margin", "least_confident"), 3, families.PER_TOY, 0)
    found, apart = check(strategies.in_common(chosen)), check(strategies.distances(chosen))
    shared = toys.shared(chosen)
    assert f"{shared.loc['margin', 'least_confident']:.0%} in common" in found.text
    assert "margin and least confident" in found.text or "least confident and margin" in found.text
    assert apart.figure.axes[0].get_xlabel()


def answered(monkeypatch, arms):
    """Return the answer's lines of a benchmark: by strategy gain, verdict and seconds."""
    rows = [
        (setting, arm, 20, gain, verdict, seconds)
        for setting in ("mnist_pixels", "mnist_vgg16")
        for arm, (gain, verdict, seconds) in ({"random": (0.0, "", 1.0)} | arms).items()
    ]
    columns = ["protocol", "arm", "seeds", "gain", "verdict", "seconds"]
    summary = pd.DataFrame(rows, columns=columns)
    top = max(arms, key=lambda arm: arms[arm][0])
    best = pd.DataFrame({"protocol": ["mnist_pixels", "mnist_vgg16"], "arm": top})
    published = {"summary": summary, "best": best}
    monkeypatch.setattr(reference, "_published", published.__getitem__)
    return strategies.answer().lines


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (
            {"margin": (0.03, "better", 9.0), "entropy": (0.01, "better", 2.0)},
            ("Ask by margin", "Every strategy helps", "The slowest strategy is also the best"),
        ),
        (
            {"margin": (0.03, "better", 2.0), "entropy": (-0.01, "worse", 9.0)},
            ("Ask by margin", "Not every strategy helps", "The slowest strategy is not the best"),
        ),
        (
            {"margin": (-0.01, "no better", 2.0), "entropy": (-0.02, "worse", 9.0)},
            ("Draw at random", "No strategy helps", "The slowest strategy is not the best"),
        ),
        (
            {"margin": (0.01, "no better", 9.0), "entropy": (-0.02, "worse", 2.0)},
            (
                "No strategy is clearly the one to use",
                "No strategy helps",
                "The slowest strategy is also the best",
            ),
        ),
        (
            {"margin": (0.01, "better", np.nan)},
            ("Ask by margin", "Every strategy helps", "What a choice costs was not measured"),
        ),
    ],
)
def test_the_answers_headlines_go_by_what_the_benchmark_found(monkeypatch, arms, said):
    lines = answered(monkeypatch, arms)
    assert [line.split("**")[1].rstrip(".") for line in lines] == list(said)
    assert not [line for line in lines if "nan" in line]


def test_the_answer_and_the_advice_are_those_of_the_reference_tables():
    folder = repository_root() / "results"
    summary = pd.read_csv(folder / "strategies_summary.csv")
    best = pd.read_csv(folder / "strategies_best.csv")
    answer = strategies.answer()
    assert len(answer.lines) == 3 and (folder / "figures" / f"{answer.figure}.png").is_file()
    gain = summary[summary["arm"] != "random"].groupby("arm")["gain"].mean()
    assert answer.lines[0].startswith(f"**Ask by {arm_name(gain.idxmax())}.**")
    assert f"adds {100 * gain.max():.1f} points" in answer.lines[0]
    table = check(strategies.what_to_use()).table.data
    assert len(table) == best["protocol"].nunique()
    for row, (protocol, tied) in zip(
        table.itertuples(), best.groupby("protocol", sort=False), strict=True
    ):
        own = summary[summary["protocol"] == protocol].set_index("arm")
        assert row.setting == results.TITLES[protocol]
        assert row.best.startswith(arm_name(own["area"].idxmax()) + ",")
        others = set(tied["arm"]) - {own["area"].idxmax()}
        assert {*filter(None, row[3].split(", "))} == ({arm_name(a) for a in others} or {"none"})
        useless = own[~own["verdict"].isin(["better"])].index.drop("random")
        assert {*row[4].split(", ")} == {arm_name(arm) for arm in useless}
    check(strategies.reference_curves())
