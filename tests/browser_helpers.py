"""Headless Chromium on a project that is served: what the tests of the pages share."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from label_helpers import TinyFeatures, fill
from waitress import create_server

from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH"
    ),
]
CLASSES = ("A", "B", "C")
WAIT_MS = 60_000


@dataclass
class Site:
    """A project that is served, and the folder that it lies in."""

    store: Store
    url: str
    loop: LabellingLoop | None = None
    end: Callable[[], None] = lambda: None

    def label_of(self, name: str) -> str | None:
        return next(i.label for i in self.store.reader.page(limit=1000).items if i.name == name)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path):
    """Return a function that serves a project with some pictures."""
    ends = []

    def begin(
        n: int,
        *,
        model: bool = False,
        retrain_after: int = 20,
        folder: str = "letters",
        port: int = 0,
        twice: float = 0,
        classes: tuple[str, ...] = CLASSES,
        **options,
    ) -> Site:
        store = Store.open(tmp_path / folder, classes, seed=0, twice=twice)
        fill(store, n)
        loop = LabellingLoop(
            store,
            Learning(TinyFeatures(), retrain_after=retrain_after, pause_s=0, beside=False),
        )
        app = create_app(
            store, loop if model else None, access=access("127.0.0.1", bytes(32)), **options
        )
        server = create_server(app, host="127.0.0.1", port=port, threads=6)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()

        def end() -> None:
            ends.remove(end)
            loop.stop()
            open_ones = list(server.active_channels.values())
            server.trigger.pull_trigger(server._map.clear)  # nothing to wait for: it returns
            thread.join(30)
            server.task_dispatcher.shutdown()
            server.close()
            for channel in open_ones:  # else the browser waits for answers on them
                if (socket := channel.socket) is not None:  # None: the server closed it meanwhile
                    socket.close()
            store.close()

        ends.append(end)
        return Site(store, f"http://127.0.0.1:{server.effective_port}", loop, end)

    yield begin
    for end in list(ends):
        end()


@pytest.fixture
def visit(chromium):
    """Return a function that opens a page as a person of that name, in a browser of its own.

    ``routed``: for a test that calls the page's ``route``, once it is there. ``patient``: for one
    that presses a button which goes away when the page has tried again by itself. ``lands``: where
    one is after the name was given, if not at the path.
    """
    contexts, faults = [], []

    def begin(
        site: Site,
        path: str = "/",
        name: str = "Ada",
        routed: bool = False,
        patient: bool = False,
        lands: str = "",
        **options,
    ):
        context = chromium.new_context(
            viewport={"width": 1280, "height": 800}, reduced_motion="reduce", **options
        )
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        if patient:
            page.add_init_script(PATIENT)
        if routed:  # from the beginning: the first requests after a later start may slip through
            page.route("**/no-such-thing", lambda route: route.abort())
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None,
        )
        page.goto(site.url + path)
        page.get_by_label("Your name").fill(name)
        page.keyboard.press("Enter")
        page.wait_for_url(site.url + (lands or path))
        return page

    yield begin
    for context in contexts:
        context.close()
    assert faults == []


def given_by(store: Store, page, *keys: str | dict[str, object]) -> list[str | None]:
    """Press keys, as for `pressed`, one for each picture of a queue; return the labels given."""
    given, item = [], ""
    for key in keys:
        item = ready(page, item)
        pressed(page, key)
        saved(page)
        given.append(store.reader.item(int(item)).label)
    return given


@contextmanager
def queue_of(folder: Path, classes: Iterable[str]):
    """Serve pictures with these classes, outside of pytest too; yield what presses keys there.

    That takes keys as `pressed` does, and returns the labels that they gave.
    """
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")

    with Store.open(folder, list(classes), twice=0) as store:
        fill(store, 6)
        app = create_app(store, access=access("127.0.0.1", bytes(32)))
        server = create_server(app, host="127.0.0.1", port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        with sync_playwright() as running:
            browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(f"http://127.0.0.1:{server.effective_port}/")
            page.get_by_label("Your name").fill("Ada")
            page.keyboard.press("Enter")
            yield lambda *keys: given_by(store, page, *keys)
            browser.close()
        server.trigger.pull_trigger(server._map.clear)
        thread.join(30)
        server.task_dispatcher.shutdown()
        server.close()


PATIENT = """{ const later = window.setTimeout;
  window.setTimeout = (act, ms, ...more) => later(act, ms < 500 ? ms : 1000 * ms, ...more); }"""
HERE = "performance.getEntriesByType('resource').filter((e) => /pictures/.test(e.name)).length"
READY = "document.querySelector('.alq')?.dataset.item"
# Selectors, because the pages' content policy forbids what wait_for_function does: eval.
QUEUE = ".alq[data-item]:not([data-item=''])"


def ready(page, other_than: str = "") -> str:
    """Wait for a picture to be there; return its number."""
    page.wait_for_selector(f"{QUEUE}:not([data-item='{other_than}'])")
    return page.evaluate(READY)


def saved(page) -> None:
    """Wait until all that was done is acknowledged."""
    page.wait_for_selector(".alq[data-waiting='0']")


def pressed(page, key: str | dict[str, object]) -> None:
    """Press a key by its name, or one of another layout by what its event says."""
    if isinstance(key, str):
        page.keyboard.press(key)
        return
    page.evaluate(
        """(parts) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown",
            { bubbles: true, cancelable: true, composed: true, ...parts }))""",
        key,
    )


def ahead(page, n: int) -> None:
    """Wait until n pictures have come, the one to label and those that are fetched ahead."""
    until(page, lambda: page.evaluate(HERE) >= n)


def until(page, condition: Callable[[], object]) -> None:
    """Wait until something has happened, while the page's requests are dealt with."""
    end = time.monotonic() + WAIT_MS / 1000
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        page.wait_for_timeout(20)


def taught(site: Site, page, n: int) -> list[str]:
    """Label n pictures; the model is trained on all of them, and goes on by itself from there."""
    done = label(site, page, n)
    saved(page)
    site.loop.work(train=True)
    site.loop.start()
    until(page, page.get_by_text("of all pictures (likely").is_visible)
    return done


def kind(site: Site, item: str) -> str:
    """Return the class that a picture of `fill` is of."""
    return site.store.reader.item(int(item)).name[0]


def label(site: Site, page, n: int) -> list[str]:
    """Label n pictures rightly, by keys alone."""
    done, item = [], ""
    for _ in range(n):
        item = ready(page, item)
        page.keyboard.press(kind(site, item).lower())
        done.append(item)
    return done
