"""What a project forecasts of its certificate: from its model, for its pictures, and drawn."""

import hashlib
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from alutils.guarantee.cost_forecasts import Forecast, Forecasts, Row
from alutils.labelling.finish import forecast_picture
from alutils.labelling.finish.forecast import Forecaster
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store


class Grey:
    """The mean grey and its spread: enough to tell dark from light."""

    identity, size = "grey", (16, 16)

    def prepare(self, picture):
        return picture

    def __call__(self, pictures):
        return np.array([[p.mean() / 255, p.std() / 255] for p in pictures], np.float32)


@pytest.fixture
def project(tmp_path):
    """Make a project of 200 pictures, dark and light, and a loop; give both and the truth."""
    rng, truth = np.random.default_rng(0), {}
    with Store.open(tmp_path / "project", ["dark", "light"], seed=0) as store:
        for i in range(200):
            name = ("dark", "light")[i % 2]
            level = {"dark": 90, "light": 150}[name]
            pixels = np.clip(rng.normal(level, 40, (9, 9)), 0, 255).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            sha = hashlib.sha256(file.getvalue()).hexdigest()
            store.pictures.add(file.getvalue(), sha, f"{i}.png", 9, 9)
            truth[sha] = name
        loop = LabellingLoop(store, Learning(Grey(), 10, 0, beside=False))
        yield store, loop, truth
        loop.stop()


def label(store, truth, n):
    for item in store.queue.hand_out("Ann", n):
        store.queue.label("Ann", item.id, truth[item.sha256])


def test_there_is_none_without_a_model(project):
    store, loop, _ = project
    with pytest.raises(LabellingError, match="without a model"):
        Forecaster(store, loop.training).forecasts()


def test_it_is_about_the_projects_pictures_and_kept_until_something_happens(project):
    store, loop, truth = project
    label(store, truth, 40)
    loop.work(train=True)
    forecaster = Forecaster(store, loop.training)
    found = forecaster.forecasts([0.95])
    assert (found.n_labelled, found.n_waiting) == (40, 160)
    assert forecaster.forecasts([0.95]) is found
    assert json.loads(json.dumps(asdict(found)))["targets"][0]["rows"]
    label(store, truth, 1)
    again = forecaster.forecasts([0.95])
    assert (again.n_labelled, again.n_waiting) == (41, 159)
    assert forecaster.forecasts([0.95], attempt=2).attempt == 2


def test_the_choice_is_the_forecasts_row_and_a_number_by_hand_is_kept(project):
    store, loop, truth = project
    label(store, truth, 40)
    loop.work(train=True)
    forecaster = Forecaster(store, loop.training)
    row, choice = forecaster.forecasts([0.9]).of(0.9).now, forecaster.choice(0.9)
    assert (row.by_hand, row.weighted) == (choice.by_hand, choice.weighted)
    assert forecaster.choice(0.9, by_hand=100).by_hand == 100


def some(*best, high=900):
    rows = tuple(Row(n, 10, 100, 0.9, 300 - n, 200, high, True, 0.01) for n in (0, 50, 100))
    targets = tuple(
        Forecast(0.9 + 0.01 * i, rows, place, f"Sentence {i}.") for i, place in enumerate(best)
    )
    return Forecasts(120, 880, 1, 0.95, targets, "")


def test_the_picture_marks_now_and_what_is_advised_for_each_target():
    drawn = forecast_picture.drawn(some(0, 2, 1))
    picture = ET.fromstring(drawn["svg"])
    tags = [each.tag.split("}")[1] for each in picture.iter()]
    assert tags.count("polyline") == tags.count("circle") == tags.count("polygon") == 3
    words = [each.text for each in picture.iter() if each.tag.endswith("text")]
    assert "now: 120" in words and {"90%", "91%", "92%"} <= set(words)
    assert "style" not in drawn["svg"] and "script" not in tags  # the pages' policy forbids both
    assert "Sentence 2." in drawn["text"]


@pytest.mark.parametrize("high", [200, 900])  # the lines end near the top; far below it
def test_names_at_the_right_edge_stay_inside_and_do_not_cover_each_other(high):
    picture = ET.fromstring(forecast_picture.drawn(some(0, 0, 0, 0, high=high))["svg"])
    places = sorted(
        float(each.get("y")) for each in picture.iter() if "alq-name" in each.get("class", "")
    )
    assert len(places) == 4 and np.diff(places).min() >= 12
    assert places[0] >= 10 and places[-1] <= forecast_picture.HEIGHT


def test_one_way_alone_is_no_picture():
    one = some(0)
    rows = (one.targets[0].rows[0],)
    alone = Forecasts(1, 2, 1, 0.95, (Forecast(0.9, rows, 0, ""),), "")
    assert forecast_picture.drawn(alone) is None
