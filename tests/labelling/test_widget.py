"""The queue in a notebook: its messages, and its script among a notebook's listeners."""

import base64
import shutil

import pytest
from label_helpers import TinyFeatures, fill, png, scores, until

import alutils.labelling.widget as widget_module
from alutils.base.errors import ParameterError
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.records import LabellingError, UnavailableError
from alutils.labelling.store.store import Store
from alutils.labelling.widget import LabelWidget, label

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "p", ("A", "B", "C"), seed=0) as opened:
        fill(opened, 12)
        yield opened


@pytest.fixture
def widget(store):
    made = LabelWidget(
        store, LabellingLoop(store, Learning(TinyFeatures(), beside=False)), person="Ada"
    )
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
    widget.close()
    widget.close()
    Store.open(folder).close()
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
window.dead = false;
const model = {
  get: (name) => ({ project: "p", person: "Ada" })[name],
  on: (_, act) => listeners.add(act),
  off: (_, act) => listeners.delete(act),
  send: (message) => {
    if (window.dead) throw new Error("Cannot send");
    window.answer(message);
  },
};
window.answer = async (message) => {
    const { content, buffers } = await window.kernel(message);
    const parts = buffers.map((text) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return new DataView(bytes.buffer);
    });
    listeners.forEach((act) => act(content, parts));
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


def test_a_class_is_typed_and_a_note_is_written_without_the_notebook_hearing_of_it(notebook, store):
    page, ready = notebook, ".alq[data-item]:not([data-item=''])"
    store.classes.add(["catfish", "cattle"])
    page.wait_for_selector(ready)
    item = int(page.get_attribute(".alq", "data-item"))
    page.get_by_role("application").focus()
    page.get_by_role("button", name="cattle").wait_for()
    for key in ("/", "c", "a", "t", "ArrowDown", "ArrowDown", "Escape", "/", "c", "a", "t"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowDown")  # from the first that fits to the second
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{ready}:not([data-item='{item}'])")
    page.wait_for_selector(".alq[data-waiting='0']")
    assert store.reader.item(item).label == "cattle"
    now = int(page.get_attribute(".alq", "data-item"))
    page.locator("summary", has_text="Note").click()
    page.wait_for_selector("#alq-note:focus")
    page.keyboard.type("dd")  # would delete a cell
    page.keyboard.press("Enter")
    page.get_by_text("Noted for").wait_for()
    assert [note.text for note in store.notes.of()[now]] == ["dd"]
    page.keyboard.press("Space")
    page.keyboard.press(".")
    assert page.evaluate("window.heard") == []


def test_the_widget_brings_its_style_wherever_it_is_shown(notebook):
    notebook.wait_for_selector(".alq[data-item]:not([data-item=''])")
    term, number = notebook.locator(".alq-facts dt").first, notebook.locator(".alq-facts dd").first
    apart = number.bounding_box()["x"] - term.bounding_box()["x"] - term.bounding_box()["width"]
    assert (
        apart >= 0
        and notebook.evaluate("getComputedStyle(document.querySelector('.alq-facts')).display")
        == "grid"
    )


def test_after_a_new_start_of_the_kernel_it_says_to_run_the_cell_again(notebook, store):
    page = notebook
    page.wait_for_selector(".alq[data-item]:not([data-item=''])")
    page.evaluate("window.dead = true")
    page.get_by_role("application").focus()
    page.keyboard.press("a")
    alert = page.get_by_role("alert")
    alert.get_by_text("Run the cell again").wait_for()
    assert "1 answer is not saved yet" in alert.inner_text()
    page.evaluate("window.dead = false")  # the cell is run again
    alert.get_by_role("button", name="Try now").first.click()
    page.wait_for_selector(".alq[data-waiting='0']")
    assert store.reader.progress().human == 1


def test_an_attempt_to_finish_is_begun_and_stopped_in_the_widget(notebook, widget, store):
    fill(store, 90)
    for item in store.queue.hand_out("Ada", 60):
        store.queue.label("Ada", item.id, item.name[0])
    widget.loop.work(train=True)
    page = notebook
    page.get_by_text("Finish with a certificate").click()
    page.get_by_role("button", name="What it costs now").click()
    page.get_by_role("button", name="Finish at 95%").click()
    assert store.plans.open() is None  # once more is asked
    page.get_by_role("button", name="Begin at 95%").click()
    page.get_by_text("Finishing: attempt 1, 95%").wait_for()
    assert store.plans.open() is not None
    page.get_by_role("button", name="Stop this attempt").click()
    page.get_by_role("button", name="Stop it").click()
    page.get_by_role("button", name="What it costs now").wait_for()
    assert store.plans.open() is None and store.plans.last().state == "stopped"
    assert page.evaluate("window.heard") == []


# --- a cell that is run again ---------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(4):
        (folder / f"{seed}.png").write_bytes(png(seed))
    yield folder
    for widget in list(widget_module._open.values()):
        widget.close()


def test_the_same_cell_again_gives_the_same_project_and_closes_the_older_widget(pictures):
    first = label(pictures, ["cat", "dog"], learn=False)
    until(lambda: first.store.reader.progress().total == 4)
    item = ask(first, "next", n=1)[0]["answer"]["items"][0]["id"]
    ask(first, "label", item=item, label="cat", key="k")
    second = label(pictures, ["cat", "dog"], learn=False)
    assert second.store.project_id == first.store.project_id
    assert second.store.reader.progress().human == 1
    assert first.comm is None and second.comm is not None
    first.close()  # once more: it must not take the place of the second
    assert ask(second, "status")[0]["answer"]["progress"]["human"] == 1


def test_another_cell_with_other_options_takes_its_place(pictures, monkeypatch):
    label(pictures, ["cat"], learn=False)  # a bare expression: no name leads to it
    monkeypatch.chdir(pictures.parent)
    again = label("pictures/../pictures", ["cat", "dog"], person="Bob", learn=False)
    assert again.person == "Bob"
    assert [c.name for c in again.store.classes.all()] == ["cat", "dog"]
    learning = label(pictures)
    assert learning.loop is not None and learning.loop.is_running


@pytest.mark.parametrize(
    "bad", [{"person": ""}, {"person": "A\u200bda"}, {"features": "no-such"}, {"model": "/nowhere"}]
)
def test_options_that_cannot_be_leave_the_older_widget_as_it_is(pictures, bad):
    first = label(pictures, ["cat"], learn=False)
    with pytest.raises((LabellingError, ParameterError)):
        label(pictures, ["cat", "dog"], **bad)
    assert first.comm is not None
    assert ask(first, "status")[0]["answer"]["classes"][0]["name"] == "cat"


@pytest.mark.parametrize("at", ["reconcile", "start"])
def test_after_an_exception_half_way_the_next_run_opens_the_project(pictures, monkeypatch, at):
    label(pictures, ["cat"], learn=False)
    where = Store if at == "reconcile" else widget_module.Watcher

    def fails(self):
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patched:
        patched.setattr(where, at, fails)
        with pytest.raises(RuntimeError, match="in the middle"):
            label(pictures, ["cat"], learn=False)
    again = label(pictures, ["cat"], learn=False)
    assert ask(again, "status")[0]["answer"]["classes"][0]["name"] == "cat"


def test_a_project_that_another_program_has_open_is_still_refused(pictures):
    with Store.open(pictures, ["cat"]), pytest.raises(LabellingError, match="open in another"):
        label(pictures, ["cat"], learn=False)
