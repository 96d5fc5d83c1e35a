"""What a comparison shows by default: the main results, in an order that does not change."""

import pytest
from compare_helpers import COUNTS, PUBLISHED, ROOT, rows_of, run_of
from hypothesis import given
from hypothesis import strategies as st

from alutils.stats import compare
from alutils.stats.compare import headlines
from alutils.stats.tables import TableError

RESULTS = ROOT / "results"
TABLES = ("mnist", "az", "strategies", "label_costs", "noisy_humans", "scenarios", "az_explore")


def compared(name):
    return compare.compare([RESULTS / f"{name}.csv"], PUBLISHED)


@pytest.mark.parametrize("name", TABLES)
def test_the_main_results_are_few_and_in_the_order_of_all(name):
    whole = compared(name)
    shown = compare.main(whole)
    assert 0 < compare.count(shown) <= headlines.MOST
    assert list(shown.index) == sorted(shown.index)
    assert shown.equals(whole.loc[shown.index])


@pytest.mark.parametrize("name", ["mnist", "az"])
def test_every_published_value_is_a_main_result_and_none_twice(name):
    whole = compared(name)
    shown = compare.main(whole)
    published = whole[whole["published"].notna()]
    counts = set(published.loc[published["metric"] == "n_right", "arm"])
    for row in published.to_dict("records"):
        twin = row["metric"] == "accuracy" and row["arm"] in counts
        same = (shown["metric"] == row["metric"]) & (shown["arm"] == row["arm"])
        same &= (shown["protocol"] == row["protocol"]) & (shown["split"] == row["split"])
        assert same.sum() == (0 if twin else 1)


def test_label_costs_are_led_by_labels_and_others_by_accuracy():
    assert set(compare.main(compared("label_costs"))["metric"]) <= {
        "labels_expected", "labels_to_certify",
    }  # fmt: skip
    assert set(compare.main(compared("noisy_humans"))["metric"]) == {"accuracy"}


@given(st.integers(0, 300))
def test_tables_are_shown_whole_and_one_at_least(most):
    whole = compared("strategies")
    shown = compare.main(whole, most)
    table = ["experiment", "protocol", "split", "metric"]
    sizes = shown.groupby(table).size()
    assert len(sizes) >= 1
    assert sizes.equals(whole.groupby(table).size()[sizes.index])


def test_a_short_comparison_is_shown_whole(tmp_path):
    frame = compare.compare([run_of(tmp_path / "r", rows_of(COUNTS))], PUBLISHED)
    assert compare.main(frame) is frame


def test_of_two_runs_only_what_both_hold_is_a_main_result(tmp_path):
    many = rows_of({f"arm{i}": 0.5 for i in range(30)}, metric="accuracy", protocol="sound")
    first = run_of(tmp_path / "one", [*rows_of(COUNTS), *many])
    second = run_of(tmp_path / "two", [*rows_of(COUNTS), *many[:3]])
    shown = compare.main(compare.compare([first, second], PUBLISHED))
    sound = shown[shown["protocol"] == "sound"]
    assert set(sound["arm"]) == {"arm0", "arm1", "arm2"}
    assert (sound.groupby("arm")["run"].nunique() == 2).all()


def test_runs_keep_their_order_in_every_arm_also_where_one_lacks_it(tmp_path):
    lacking = run_of(tmp_path / "zz", rows_of({a: n for a, n in COUNTS.items() if a != "active"}))
    whole = run_of(tmp_path / "aa", rows_of(COUNTS))
    for paths in ([lacking, whole], [whole, lacking]):
        frame = compare.compare(paths, PUBLISHED)
        order = [path.name for path in paths]
        for _, rows in frame.groupby("arm"):
            assert list(rows["run"]) == order


@pytest.mark.parametrize(
    "names", [("mnist", "az"), ("az", "strategies"), ("mnist", "az", "scenarios")]
)
def test_unrelated_tables_are_refused_with_what_each_holds(names):
    paths = [RESULTS / f"{name}.csv" for name in names]
    sources = compare.load(paths)
    with pytest.raises(TableError, match="have nothing in common") as told:
        compare.check_common(compare.compare(paths, PUBLISHED), sources)
    for name in names:
        assert f"{name} holds " in str(told.value)


def test_one_table_and_related_ones_are_not_refused(tmp_path):
    for paths in ([RESULTS / "mnist.csv"], [run_of(tmp_path / "r", rows_of(COUNTS))] * 2):
        compare.check_common(compare.compare(paths, PUBLISHED), compare.load(paths))
