"""The widget in a real JupyterLab: a server, a kernel, a notebook, Chromium; nothing imitated."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from label_helpers import until

from alutils.labelling.store.store import Store

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH"
    ),
]
WAIT_MS = 120_000
TOKEN = "of-this-test"
QUEUE = ".alq[data-item]:not([data-item=''])"
CELLS = ".jp-Notebook .jp-Cell"
HELPERS = Path(__file__).parents[1]
SETUP = f"""import sys
sys.path.insert(0, {str(HELPERS)!r})
from label_helpers import TinyFeatures, fill
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store
from alutils.labelling.widget import LabelWidget
store = Store.open("letters", ("A", "B", "C"), random_rate=0, seed=0)
fill(store, 60)
loop = LabellingLoop(store, Learning(TinyFeatures(), retrain_after=6, pause_s=0, beside=False))
loop.start()"""
PLAN = """from alutils.labelling.finish.project import Finish
if store.models.present():
    Finish(store, loop).plan(0.9, person="Ada")"""


@dataclass
class Lab:
    """A JupyterLab that is served, and the folder of its notebooks."""

    url: str
    folder: Path

    def project(self) -> Store:
        """Open the project that the notebook labels, beside its kernel."""
        return Store.open(self.folder / "letters", alone=False)


@pytest.fixture
def lab(tmp_path):
    folder, own = tmp_path / "notebooks", tmp_path / "jupyter"
    folder.mkdir()
    cells = [SETUP, 'widget = LabelWidget(store, loop, person="Ada")\nwidget', PLAN]
    (folder / "test.ipynb").write_text(json.dumps(notebook(cells)))
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(own / name.lower()) for name in names}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        "--port=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    runtime = own / "jupyter_runtime_dir"
    try:
        until(lambda: server.poll() is not None or address(runtime), 120)
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        yield Lab(address(runtime), folder)
    finally:
        server.terminate()  # ends its kernels
        server.wait(60)


def address(runtime: Path) -> str | None:
    """Return the server's address, None while it has not written down all of it."""
    for path in runtime.glob("jpserver-*.json"):
        with contextlib.suppress(ValueError):
            return json.loads(path.read_text())["url"]
    return None


def notebook(sources: list[str]) -> dict:
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "source": source,
         "execution_count": None}
        for i, source in enumerate(sources)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip


@pytest.fixture
def page(lab):
    """Return the notebook's page, its cells run, the widget there."""
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        shown.set_default_timeout(WAIT_MS)
        shown.goto(f"{lab.url}lab/tree/test.ipynb?token={TOKEN}&reset")
        shown.locator(CELLS).first.wait_for()
        shown.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # in the bar below
        run_all(shown)
        shown.wait_for_selector(QUEUE)
        yield shown
        browser.close()


def run_all(page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()


def label(page, store: Store, n: int) -> list[int]:
    """Label n pictures rightly, by keys alone."""
    done: list[int] = []
    page.get_by_role("application", name="Picture to label").focus()
    for _ in range(n):
        page.wait_for_selector("".join([QUEUE, *[f":not([data-item='{i}'])" for i in done]]))
        item = int(page.get_attribute(".alq", "data-item"))
        page.keyboard.press(store.reader.item(item).name[0].lower())
        done.append(item)
    page.wait_for_selector(".alq[data-waiting='0']")
    return done


def test_pictures_are_labelled_by_keys_which_do_not_reach_the_notebook(lab, page):
    with lab.project() as store:
        done = label(page, store, 8)
        assert all(
            (i.label, i.person) == (i.name[0], None) for i in map(store.reader.item, done)
        ), "each has the label that its key gives"
        assert {e.person for i in done for e in store.reader.events(i)} == {"Ada"}
        # Each of these does something to cells in the notebook's command mode: delete, cut, paste,
        # add, undo, merge, change the kind. None is a class's key here.
        for key in ("d", "d", "x", "v", "z", "y", "m", "r", "1", "Shift+M", "o", "ArrowDown"):
            page.keyboard.press(key)
        assert page.locator(CELLS).count() == 3
        assert page.locator(".jp-Cell.jp-CodeCell").count() == 3
        assert page.evaluate("document.activeElement.getAttribute('role')") == "application"
        page.keyboard.press("Backspace")
        page.wait_for_selector(f".alq[data-item='{done[-1]}']")
        assert store.reader.item(done[-1]).label is None
        # The model beside it learns, and its prediction comes to the page.
        playwright.expect(page.get_by_text("Prediction:")).to_be_visible(timeout=WAIT_MS)
    # Outside the widget the notebook's own keys are as ever: `b` adds a cell below.
    page.locator(CELLS).last.locator(".jp-InputPrompt").click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    playwright.expect(page.locator(CELLS)).to_have_count(4)


def test_a_project_is_finished_in_the_widget_with_a_certificate(lab, page):
    ended = ".alq-finish:has-text('Finished: at least 90%')"
    with lab.project() as store:
        label(page, store, 12)
        playwright.expect(page.get_by_text("Prediction:")).to_be_visible(timeout=WAIT_MS)
        page.locator(CELLS).last.locator(".jp-InputPrompt").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".alq-finish:has-text('Finishing: attempt 1, 90%')")
        page.get_by_role("application", name="Picture to label").focus()
        item = ""
        for _ in range(60):
            page.wait_for_selector(f"{QUEUE}:not([data-item='{item}']), {ended}")
            if page.locator(ended).count():
                break
            item = page.get_attribute(".alq", "data-item")
            shown = page.locator(".alq-prediction").inner_text()
            assert "Prediction:" not in shown, "nobody is led by the model"
            page.keyboard.press(store.reader.item(int(item)).name[0].lower())
        page.wait_for_selector(ended)
        progress = store.reader.progress()
        assert progress.remaining == 0 and progress.auto > 0
        assert all(i.label == i.name[0] for i in store.reader.page(limit=100).items)
        assert store.plans.last().state == "certified"


def test_what_was_answered_to_a_dead_kernel_is_saved_when_the_cell_runs_again(lab, page):
    with lab.project() as store:
        label(page, store, 2)
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_text("Restart Kernel…", exact=True).click()
        page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
        page.locator(".jp-Dialog").wait_for(state="detached")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("application", name="Picture to label").focus()
        item = int(page.get_attribute(".alq", "data-item"))
        page.keyboard.press(store.reader.item(item).name[0].lower())
        alert = page.locator(".alq-alert")
        playwright.expect(alert).to_contain_text(re.compile("run the cell again", re.IGNORECASE))
        assert store.reader.item(item).label is None
        run_all(page)
        until(lambda: store.reader.item(item).label == store.reader.item(item).name[0], 120)
