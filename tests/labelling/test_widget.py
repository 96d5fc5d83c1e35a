"""The queue in a notebook: its messages, and its script among a notebook's listeners."""

import base64
import shutil

import pytest
from label_helpers import TinyFeatures, fill, scores

from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.records import LabellingError, UnavailableError
from alutils.labelling.store.store import Store
from alutils.labelling.widget import LabelWidget, label

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", ("A", "B", "C"), audit_share=0, seed=0) as opened:
        fill(opened, 12)
        yield opened


@pytest.fixture
def widget(store):
    made = LabelWidget(store, LabellingLoop(store, TinyFeatures()), person="Ada")
    yield made
    made.close()


def ask(widget, action, **request):
    content, buffers = widget.answer({"id": "1", "action": action, "request": request})
    assert content["id"] == "1"
    return content, buffers


def test_the_widget_answers_as_the_page_does(widget, store):
    items = ask(widget, "next", n=3)[0]["answer"]["items"]
    content, (png,) = ask(widget, "picture", item=items[0]["id"])
    assert content["answer"] == {} and png == store.pictures.path(items[0]["id"]).read_bytes()
    event = ask(widget, "label", item=items[0]["id"], label="B", key="k")[0]["answer"]["event"]
    assert (event["person"], event["label"]) == ("Ada", "B")
    assert (
        ask(widget, "label", item=items[0]["id"], label="B", key="k")[0]["answer"]["event"] == event
    )
    assert ask(widget, "status")[0]["answer"]["progress"]["human"] == 1
    assert ask(widget, "undo", key="u")[0]["answer"]["items"][0]["id"] == items[0]["id"]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (None, 400),
        ("label", 400),
        ({"action": "next"}, 400),
        ({"id": 7, "action": "next"}, 400),
        ({"id": "1", "action": "explode"}, 400),
        ({"id": "1"}, 400),
        ({"id": "1", "action": ["next"]}, 400),
        ({"id": "1", "action": "next", "request": [1]}, 400),
        ({"id": "1", "action": "next", "request": {"n": 0}}, 400),
        ({"id": "1", "action": "label", "request": {"item": 1, "label": "Z", "key": "k"}}, 400),
        ({"id": "1", "action": "label", "request": {"item": 99, "label": "A", "key": "k"}}, 404),
        ({"id": "1", "action": "picture"}, 404),
        ({"id": "1", "action": "picture", "request": {"item": "../labels.sqlite"}}, 404),
        ({"id": "1", "action": "picture", "request": 5}, 404),
    ],
)
def test_a_bad_message_gets_its_reason_and_changes_nothing(widget, store, message, status, caplog):
    content, buffers = widget.answer(message)
    assert content["status"] == status and content["error"] and buffers == []
    assert store.reader.progress().human == 0


def test_a_full_disk_is_answered_so_that_the_script_keeps_the_label(widget, store, monkeypatch):
    def full(*_):
        raise UnavailableError("labels.sqlite: could not be written (database or disk is full)")

    monkeypatch.setattr(store.queue, "label", full)
    assert ask(widget, "label", item=1, label="A", key="k")[0]["status"] == 503


def test_messages_are_answered_through_the_comm(widget, monkeypatch):
    sent = []
    monkeypatch.setattr(widget, "send", lambda *parts: sent.append(parts))
    widget._handle_custom_msg({"id": "x", "action": "status", "request": {}}, [])
    ((content, buffers),) = sent
    assert content["id"] == "x" and content["answer"]["progress"]["total"] == 12 and buffers == []


def test_one_call_opens_a_folder_and_close_gives_it_free(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(LabellingError, match="no such folder"):
        label(tmp_path / "missing")
    widget = label(folder, ["cat", "dog"], learn=False)
    assert [c.name for c in widget.store.classes.all()] == ["cat", "dog"]
    with pytest.raises(LabellingError, match="another process"):
        label(folder)
    widget.close()
    widget.close()
    with pytest.raises(LabellingError, match="person"):
        label(folder, person=" ")
    label(folder, learn=False).close()


# --- in a browser ---------------------------------------------------------------------------------

PAGE = """<!doctype html><title>notebook</title><input id="cell"><div id="output"></div>"""
NOTEBOOK = """
window.heard = [];
// as JupyterLab does it: on the document, before any element
document.addEventListener("keydown", (event) => window.heard.push(event.key), true);
const listeners = new Set();
const model = {
  on: (_, act) => listeners.add(act),
  off: (_, act) => listeners.delete(act),
  send: async (message) => {
    const { content, buffers } = await window.kernel(message);
    const parts = buffers.map((text) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return new DataView(bytes.buffer);
    });
    listeners.forEach((act) => act(content, parts));
  },
};
window.unmount = plugin.render({ model, el: document.getElementById("output") });
"""


@pytest.fixture
def notebook(widget):
    """Return a page that shows the widget as a notebook does, connected to this process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")

    def kernel(message):
        content, buffers = widget.answer(message)
        return {"content": content, "buffers": [base64.b64encode(b).decode() for b in buffers]}

    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.expose_function("kernel", kernel)
        page.set_content(PAGE)
        page.add_style_tag(content=widget._css)
        script = widget._esm.replace("export default", "const plugin =")
        page.add_script_tag(content=script.replace("export ", "") + NOTEBOOK, type="module")
        yield page
        browser.close()


def test_the_widgets_script_labels_and_keeps_its_keys_from_the_notebook(notebook, store):
    scores(store, 0.8)
    page, ready = notebook, ".alq[data-item]:not([data-item=''])"
    stage = page.get_by_role("application")
    page.wait_for_selector(ready)
    stage.focus()
    done = []
    for _ in range(4):
        page.wait_for_selector("".join([ready, *[f":not([data-item='{i}'])" for i in done]]))
        item = page.get_attribute(".alq", "data-item")
        page.keyboard.press(store.reader.item(int(item)).name[0].lower())
        done.append(item)
    page.wait_for_selector(".alq[data-waiting='0']")
    assert all(store.reader.item(int(i)).label == store.reader.item(int(i)).name[0] for i in done)
    page.keyboard.press("Backspace")
    page.wait_for_selector(f".alq[data-item='{done[-1]}']")
    page.get_by_label("Another class").fill("d")
    page.keyboard.press("x")
    assert page.evaluate("window.heard") == []
    assert page.get_by_label("Another class").input_value() == "dx"
    page.keyboard.press("Control+s")  # the notebook's own stay its own
    page.locator("#cell").focus()
    page.keyboard.press("a")
    assert page.evaluate("window.heard") == ["Control", "s", "a"]
    assert store.reader.progress().human == 3
    page.evaluate("window.unmount()")
    assert page.locator(".alq").count() == 0
