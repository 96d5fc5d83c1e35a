"""What is said of the model at work: how good it is on all pictures, and what labels would gain."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from alutils.guarantee.error_chances import Judged
from alutils.labelling.model import facts
from alutils.labelling.model.at_work import Labelled
from alutils.labelling.model.curve_picture import HEIGHT, WIDTH, drawn
from alutils.labelling.model.facts import Point, Share
from alutils.stats.learning_curve import Estimate


def labelled(n, distance=2.0, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    x = rng.normal(0, 1, (n, 12)) + distance * np.eye(n_classes, 12)[y]
    sha = [f"{rng.integers(2**32):064x}" for _ in range(n)]
    return Labelled(np.arange(1, n + 1), sha, x.astype(np.float32), y, list("abcd"))


def point(n, right=90, of=100, name="quick"):
    return Point(n, Share(right, of), Share(n * 7 // 10, n), name)


def test_a_share_has_wilsons_interval_and_no_labels_say_nothing():
    low, high = Share(45, 50).interval
    assert low == pytest.approx(0.7864, abs=1e-3)
    assert high == pytest.approx(0.9565, abs=1e-3)
    assert Share(0, 0).interval == (0.0, 1.0)
    assert np.isnan(Share(0, 0).value)


def test_the_random_sample_is_judged_apart_from_what_is_labelled():
    held_out = np.eye(3)[[0, 1, 2, 0, 1]]
    y = np.array([0, 1, 2, 1, 2])
    pool, hard = facts.judged(held_out, y, {10 + i: i for i in range(5)}, [10, 13, 99])
    assert (pool.right, pool.judged) == (1, 2)
    assert (hard.right, hard.judged) == (3, 5)


def test_points_come_back_as_they_were_and_nonsense_is_none():
    points = [point(20), point(40, 5, 9, "quick + network")]
    assert facts.from_json(facts.to_json(points)) == points
    assert (
        facts.from_json("nonsense") == facts.from_json('{"a": 1}') == facts.from_json("[[1]]") == []
    )


def advised(data, points):
    return facts.advised(len(data.y), points, facts.curve_of_quick(data))


def test_below_a_hundred_labels_nothing_is_advised():
    assert facts.curve_of_quick(labelled(99)) is None
    assert facts.advised(99, [point(99)], None) == ""
    assert facts.advised(99, [point(40, name="network"), point(99, name="network")], None) == ""


def test_advice_gives_the_gain_of_twice_as_many_labels_with_its_interval_on_all_pictures():
    said = advised(labelled(120), [point(120)])
    assert said.startswith(
        "As many labels again (120) should raise the accuracy on all pictures by"
    )
    assert "90% interval" in said
    assert "stop" not in said
    few = advised(labelled(120), [point(120, 9, 10)])
    assert "on pictures like those labelled so far" in few


def test_what_is_advised_follows_the_present_count_between_two_curves():
    curve = facts.curve_of_quick(labelled(120))
    said = facts.advised(127, [point(127)], curve)
    assert said.startswith("As many labels again (127)")


def test_labels_are_said_to_buy_little_only_where_even_the_upper_end_is_small():
    assert "buy little" in facts.advice(400, Estimate(0.002, 0.0, 0.006), True)
    assert "buy little" not in facts.advice(400, Estimate(0.002, 0.0, 0.03), True)
    assert facts.advice(400, None, True) == ""


def test_where_twice_the_labels_help_much_nobody_is_told_that_they_buy_little():
    wrongly = 0
    for seed in range(10):
        data = labelled(120, distance=1.5, seed=seed)
        wrongly += "buy little" in advised(data, [point(120, 60, 100)])
    assert wrongly == 0


def test_what_can_be_told_apart_at_once_needs_few_labels_more():
    said = advised(labelled(400, distance=12), [point(400, 200, 200)])
    assert "buy little" in said


def test_the_strong_learners_are_judged_by_what_they_did_on_the_sample():
    points = [
        Point(n, Share(round(300 * (1 - 0.4 * (50 / n) ** 0.8)), 300), Share(1, 2), "network")
        for n in (50, 75, 112, 168, 252, 378)
    ]
    gain = facts.gain_of_strong(points, 378)
    true = 0.4 * ((50 / 378) ** 0.8 - (50 / 756) ** 0.8)
    assert gain.low < true < gain.high
    assert facts.gain_of_strong(points[:1], 378) is None
    assert facts.gain_of_strong(points[:2], 120) is None  # too close together


# --- the picture ----------------------------------------------------------------------------------


def test_the_picture_is_xml_of_shapes_and_words_only_and_all_of_it_lies_inside():
    points = [point(n, 60 + n // 20, 100) for n in (20, 40, 60, 100, 180, 320)]
    found = drawn(points)
    root = ET.fromstring(found["svg"])
    shapes = {"svg", "polygon", "polyline", "circle", "rect", "line", "text", "tspan"}
    for each in root.iter():
        assert each.tag.removeprefix("{http://www.w3.org/2000/svg}") in shapes
        assert not {name for name in each.attrib if name.startswith("on") or "href" in name}
        for pair in each.attrib.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert len(root.findall("{*}circle")) == len(points)
    assert "from 20 to 320 labels" in found["text"]
    assert "On all pictures it went from 61% to 76%" in found["text"]


def test_without_enough_random_pictures_only_the_labelled_ones_are_drawn():
    found = drawn([point(20, 3, 5), point(40, 6, 9)])
    assert "circle" not in found["svg"] and "polygon" not in found["svg"]
    assert "On all pictures" not in found["text"]


def test_one_point_is_no_curve():
    assert drawn([]) is drawn([point(20)]) is None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_accuracies_can_be_drawn(share):
    n = 50
    points = [Point(k, Share(round(share * n), n), Share(round(share * k), k), "quick")
              for k in (30, 60)]  # fmt: skip
    ET.fromstring(drawn(points)["svg"])


def test_all_pictures_are_judged_from_labels_that_are_mostly_hard():
    """The share on what is labelled is far too low; the estimate for all is close to the truth."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sure = rng.beta(6, 0.3, 3000) * 0.5 + 0.5
        wrong = rng.random(3000) > sure
        p = np.column_stack([sure, 1 - sure])
        rows = np.unique(np.concatenate([np.argsort(sure)[:60], rng.choice(3000, 10)]))
        judged = Judged(2 * sure[rows] - 1, wrong[rows], np.zeros(len(rows), bool))
        found = facts.expected_right(facts.Said("m", np.arange(3000), p, ("A", "B")), judged)
        truth = 1 - wrong.mean()
        assert found.low < found.middle < found.high
        assert abs(found.middle - truth) < 0.03 and truth - (1 - wrong[rows].mean()) > 0.05


def test_with_few_labels_nothing_is_said_of_all_pictures():
    said = facts.Said("m", np.arange(5), np.full((5, 2), 0.5), ("A", "B"))
    few = Judged(np.ones(19), np.zeros(19, bool), np.zeros(19, bool))
    assert facts.expected_right(said, few) is None
