"""The page of the JSON API: it names every action with its arguments, and its session works."""

import inspect
import os
import re
import shutil
import subprocess
import threading
from dataclasses import fields as fields_of
from pathlib import Path

import pytest
from label_helpers import fill, png
from waitress import create_server

from alutils.labelling.finish.project import PlanState
from alutils.labelling.model.desk import Desk
from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


def described() -> dict[str, list[tuple[str, bool]]]:
    """Return the arguments of each action on the page, and whether each may be left out."""
    actions = PAGE.partition("## Actions")[2].partition("## Files")[0]
    found = {}
    for name, arguments in ROW.findall(actions):
        plain = re.sub(r"\(.*?\)", "", arguments)
        found[name] = [(n, mark == "?") for n, mark in re.findall(r"`(\w+)(\??)`", plain)]
    return found


def test_every_action_is_on_the_page_with_its_arguments(tmp_path):
    with Store.open(tmp_path) as store:
        actions = Desk(store).actions
        expected = {
            name: sorted(
                (argument.name, argument.default is not inspect.Parameter.empty)
                for argument in list(inspect.signature(act).parameters.values())[1:]
            )
            for name, act in actions.items()
        }
    assert {name: sorted(arguments) for name, arguments in described().items()} == expected


def test_what_is_said_of_pictures_events_and_classes_is_what_comes(tmp_path):
    def fields(start: str) -> list[str]:
        line = next(line for line in PAGE.splitlines() if line.startswith(start))
        return re.findall(r'"(\w+)"', line.partition("{")[2].partition("}")[0])

    with Store.open(tmp_path, ["A"]) as store:
        fill(store, 2)
        desk = Desk(store)
        (handed,) = desk.answer("next", "ann", {})["items"]
        picture = desk.answer("history", "ann", {"item": handed["id"]})["item"]
        event = desk.answer("label", "ann", {"item": picture["id"], "label": "A", "key": "k"})
        status = desk.answer("status", "ann", {})
    assert sorted(fields("- A **picture**")) == sorted(picture)
    assert sorted(fields("A state is")) == sorted(field.name for field in fields_of(PlanState))
    assert sorted(fields("- An **event**")) == sorted(event["event"])
    assert sorted(fields("- A **class**")) == sorted(status["classes"][0])


@pytest.fixture
def served(tmp_path):
    with Store.open(tmp_path / "pictures", ["A", "B"], seed=0) as store:
        fill(store, 3)
        app = create_app(store, access=access("127.0.0.1", bytes(32)))
        server = create_server(app, host="127.0.0.1", port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield store, f"http://127.0.0.1:{server.effective_port}"
        server.trigger.pull_trigger(server._map.clear)
        thread.join(30)
        server.task_dispatcher.shutdown()
        server.close()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="no curl or bash")
def test_the_session_on_the_page_does_what_it_says(served, tmp_path):
    store, url = served
    (tmp_path / "picture.png").write_bytes(png(77))
    sha256 = store.reader.item(2).sha256
    (tmp_path / "labels.csv").write_text(f"sha256,label\n{sha256},B\n")
    (session,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", session], cwd=tmp_path, env=os.environ | {"URL": url},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert '"error"' not in done.stdout, done.stdout
    assert [e.kind for e in store.reader.events(1)] == ["label", "undo"]
    assert store.reader.events(1)[0].person == "Ada"
    assert store.reader.item(2).label == "B"
    assert store.reader.progress().total == 4
    assert (tmp_path / "export.csv").read_text().count("\n") == 2


def test_errors_are_those_that_the_page_names(tmp_path):
    with Store.open(tmp_path, ["A", "B"], seed=0) as store:
        fill(store, 3)
        ann = create_app(store, access=access("127.0.0.1", bytes(32))).test_client()
        page = ann.get("/who").text
        token = re.search(r'name="csrf-token" content="([^"]*)"', page)[1]
        mark = {"X-CSRFToken": token}
        assert ann.get("/api/status").status_code == 200
        assert ann.post("/api/next", json={}).status_code == 400
        assert ann.post("/api/next", json={}, headers=mark).status_code == 401
        assert ann.get("/export/csv").status_code == 401
        ann.post("/who", data={"name": "Ada"}, headers=mark)
        for request, status in (
            (("next", {"n": "x"}), 400), (("next", {"m": 1}), 400), (("nothing", {}), 404),
            (("label", {"item": 99, "label": "A", "key": "1"}), 404),
            (("label", {"item": 1, "label": "Z", "key": "2"}), 400),
            (("label", {"item": 1, "label": "A", "key": "3"}), 200),
            (("label", {"item": 1, "label": "B", "key": "4"}), 409),
            (("label", {"item": 2, "label": "B", "key": "3"}), 409),
            (("label", {"item": 1, "label": "A", "key": "3"}), 200),
            (("class_delete", {"name": "A"}), 409),
        ):  # fmt: skip
            answer = ann.post(f"/api/{request[0]}", json=request[1], headers=mark)
            assert answer.status_code == status, request
            if status != 200:
                assert answer.json["status"] == status
                assert answer.json["error"]
        other = mark | {"X-Labelling-Project": "0" * 32}
        assert ann.post("/api/next", json={}, headers=other).json["code"] == "project"
