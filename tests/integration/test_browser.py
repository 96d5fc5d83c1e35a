"""The labelling tool in a real browser: headless Chromium, driven by keyboard, mouse and roles."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from browser_helpers import (
    CLASSES,
    MARKS,
    READY,
    ahead,
    kind,
    label,
    ready,
    saved,
    until,
)
from label_helpers import auto_label, encoded, fill, open_plan, scores, stripes

from alutils.labelling.store.records import Filter, Model, UnavailableError
from alutils.labelling.web import pictures

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = MARKS


# --- the report's flow ----------------------------------------------------------------------------


def test_a_file_is_chosen_and_goes_where_the_model_or_the_person_says(serve, visit):
    site = serve(3)
    scores(site.store, 0.9998)
    items = site.store.reader.page(order="id").items
    page = visit(site, "/one")

    def choose(item):
        data = site.store.pictures.path(item.id).read_bytes()
        file = {"name": item.name, "mimeType": "image/png", "buffer": data}
        page.get_by_label("Image file").set_input_files(file)
        page.get_by_role("button", name="Label it").click()

    choose(items[0])
    playwright.expect(page.get_by_role("status")).to_have_text(
        re.compile(r"Prediction is:\s+C\s+with confidence:\s+99\.98%")
    )
    playwright.expect(page.get_by_text("The picture is in the folder C.")).to_be_visible()
    page.get_by_role("link", name="Label More").click()

    scores(site.store, 0.41)
    choose(items[1])
    playwright.expect(page.get_by_role("status")).to_contain_text("41.00%")
    playwright.expect(page.get_by_label("Class")).to_be_focused()
    page.keyboard.type("B")
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_text("The picture is in the folder B.")).to_be_visible()
    folders = {p.parent.name for p in site.store.files.classes.rglob("*.png")}
    assert folders == {"B", "C"}
    page.get_by_role("link", name="Label More").click()
    choose_text = {"name": "a.png", "mimeType": "image/png", "buffer": b"<html>"}
    page.get_by_label("Image file").set_input_files(choose_text)
    page.get_by_role("button", name="Label it").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("a.png is an HTML page")


# --- the queue ------------------------------------------------------------------------------------


def test_a_hundred_pictures_are_labelled_by_keyboard_alone(serve, visit):
    site = serve(100)
    page = visit(site)
    start = time.monotonic()
    done = label(site, page, 100)
    saved(page)
    playwright.expect(page.get_by_text("Every picture has a label")).to_be_visible()
    print(f"100 pictures in {time.monotonic() - start:.1f} s")
    assert len(set(done)) == 100
    assert all(item.label == item.name[0] for item in site.store.reader.page(limit=200).items)
    assert len(list(site.store.files.classes.rglob("*.png"))) == 100


def test_enter_accepts_tab_skips_backspace_undoes_and_a_held_key_labels_once(serve, visit):
    site = serve(8)
    scores(site.store, 0.7, predicted=1)
    page = visit(site)
    first = ready(page)
    page.keyboard.press("Enter")
    second = ready(page, first)
    page.keyboard.press("Tab")
    third = ready(page, second)
    page.keyboard.down("a")
    for _ in range(5):
        page.keyboard.down("a")  # repeats, as a key that is held down gives them
    page.keyboard.up("a")
    fourth = ready(page, third)
    saved(page)
    labels = [site.store.reader.item(int(i)).label for i in (first, second, third, fourth)]
    assert labels == ["B", None, "A", None]
    assert site.store.reader.item(int(second)).skipped == 1
    for back in (third, second, first):
        before = page.evaluate(READY)
        page.keyboard.press("Backspace")
        assert ready(page, before) == back
    assert (
        site.store.reader.progress().human == 0 and site.store.reader.item(int(second)).skipped == 0
    )
    page.keyboard.press("Backspace")
    playwright.expect(page.get_by_text("Nothing left to undo.")).to_be_attached()


def test_undo_works_across_a_reload_and_another_start(serve, visit):
    site = serve(10)
    page = visit(site)
    done = label(site, page, 3)
    saved(page)
    page.reload()
    now = ready(page)
    assert now not in done
    for back in reversed(done):
        before = page.evaluate(READY)
        page.keyboard.press("Backspace")
        assert ready(page, before) == back
    assert site.store.reader.progress().human == 0
    label(site, page, 1)
    saved(page)
    assert site.store.reader.item(int(done[0])).label == kind(site, done[0])


def test_what_enter_would_accept_is_read_aloud(serve, visit):
    site = serve(6)
    scores(site.store, 0.875)
    page = visit(site)
    item = ready(page)
    live = page.locator("[aria-live=polite]")
    name = site.store.reader.item(int(item)).name
    playwright.expect(live).to_have_text(f"Now {name}, prediction C, 88%.")
    page.keyboard.press("a")
    then = site.store.reader.item(int(ready(page, item))).name
    playwright.expect(live).to_have_text(f"A for {name}. Now {then}, prediction C, 88%.")
    page.keyboard.press("Backspace")
    playwright.expect(live).to_have_text(f"Taken back: {name}. Now {name}, prediction C, 88%.")


def test_a_double_click_labels_one_picture(serve, visit):
    site = serve(6)
    page = visit(site)
    item = ready(page)
    page.get_by_role("button", name="B, key b").dblclick()
    ready(page, item)
    saved(page)
    assert site.store.reader.progress().per_class == {"A": 0, "B": 1, "C": 0}


def test_two_browsers_at_once_never_get_the_same_picture(serve, visit):
    site = serve(60)
    pages = [visit(site, name=name) for name in ("Ada", "Bob")]
    done = [[], []]
    for _ in range(6):
        for page, mine in zip(pages, done, strict=True):
            mine += label(site, page, 2)
            ready(page, mine[-1])
    for page in pages:
        saved(page)
    assert not set(done[0]) & set(done[1])
    assert site.store.reader.progress().per_person == {"Ada": 12, "Bob": 12}
    playwright.expect(pages[0].get_by_text("Ada 12, Bob 12")).to_be_visible()


def test_what_was_labelled_while_pictures_were_asked_for_does_not_come_again(serve, visit):
    site = serve(30)
    page = visit(site, routed=True)
    done = label(site, page, 5)
    ready(page, done[-1])
    saved(page)
    held = {}
    page.route("**/api/label", lambda route: held.update(label=route))
    page.route("**/api/next", lambda route: held.update(next=route))
    done += label(site, page, 1)  # few are left: the next are asked for while this is being sent
    ready(page, done[-1])
    until(page, lambda: len(held) == 2)
    before = held["next"].fetch()  # the server answers: the picture has no label yet
    assert done[-1] in {str(item["id"]) for item in before.json()["items"]}
    held["label"].continue_()
    saved(page)
    held["next"].fulfill(response=before)  # and the browser hears of it when the label is saved
    page.unroute("**/api/label")
    page.unroute("**/api/next")
    done += label(site, page, 8)
    saved(page)
    assert len(set(done)) == 14 == site.store.reader.progress().human
    assert page.get_by_role("alert").is_hidden()


def test_only_some_pictures_even_where_others_had_been_asked_for(serve, visit):
    site = serve(40)
    items = site.store.reader.snapshot()["id"]
    sure = np.arange(len(items)) % 2
    model = Model("m" * 64, CLASSES, 10, "", "")
    site.store.models.set_scores(model, items, 1 + sure, np.where(sure, 0.9, 0.3))
    page = visit(site, routed=True)
    done = label(site, page, 5)
    ready(page, done[-1])
    saved(page)
    held = {}
    page.route("**/api/next", lambda route: route.continue_() if held else held.update(next=route))
    done += label(site, page, 1)
    until(page, lambda: held)
    before = held["next"].fetch()
    page.get_by_text("Only some pictures").click()
    page.get_by_label("Confidence up to %").fill("95")
    page.get_by_label("Predicted as").select_option("C")
    held["next"].fulfill(response=before)
    page.get_by_role("application").focus()
    done = [int(item) for item in label(site, page, 12)]
    saved(page)
    assert len(set(done)) == 12 and set(done) <= set(items[sure == 1].tolist())
    assert site.store.queue.release("Ada") <= 8  # what came for the old order was given back


def test_nothing_is_asked_for_before_all_that_was_given_back_is_free(serve, visit):
    site = serve(40)
    scores(site.store, 0.9)
    page = visit(site, routed=True)
    ready(page)
    held, asked = [], []
    page.route("**/api/release", lambda route: held.append(route))
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[1]))
    page.get_by_text("Only some pictures").click()
    predicted = page.get_by_label("Predicted as")
    for name in ("C", "any", "C"):  # while the first is on its way, two more
        predicted.select_option(label=name)
    until(page, lambda: held)
    assert page.evaluate(READY) == ""  # what was given back is not on the screen
    page.wait_for_timeout(200)
    assert "next" not in asked
    held[0].continue_()
    page.get_by_role("application").focus()
    done = label(site, page, 3)
    saved(page)
    assert len(set(done)) == 3 and asked.index("next") > asked.index("release")


def test_the_last_picture_comes_again_when_it_is_skipped(serve, visit):
    site = serve(1)
    page = visit(site)
    only = ready(page)
    for n in range(1, 4):
        page.keyboard.press("Tab")
        until(page, lambda n=n: site.store.reader.item(int(only)).skipped == n)
        assert ready(page) == only
    page.keyboard.press(kind(site, only).lower())
    saved(page)
    assert site.store.reader.progress().human == 1


def test_labels_given_without_a_connection_are_kept_and_sent_later(serve, visit):
    site = serve(20)
    page = visit(site, patient=True)
    ready(page)
    ahead(page, 10)
    page.context.set_offline(True)
    done = label(site, page, 4)
    alert = page.get_by_role("alert")
    playwright.expect(alert).to_contain_text("4 answers are not saved yet")
    assert site.store.reader.progress().human == 0
    page.context.set_offline(False)
    alert.get_by_role("button", name="Try now").click()
    saved(page)
    playwright.expect(alert).to_be_hidden()
    assert [site.store.reader.item(int(i)).label for i in done] == [kind(site, i) for i in done]


def test_labels_that_were_not_sent_survive_a_reload(serve, visit):
    site = serve(20)
    page = visit(site, routed=True)
    ready(page)
    ahead(page, 10)
    page.route("**/api/label", lambda route: route.abort())
    done = label(site, page, 3)
    playwright.expect(page.get_by_role("alert")).to_contain_text("3 answers are not saved yet")
    page.unroute("**/api/label")
    page.reload()
    ready(page)
    saved(page)
    assert [site.store.reader.item(int(i)).label for i in done] == [kind(site, i) for i in done]


def test_what_was_not_sent_is_kept_for_its_own_project(serve, visit):
    one = serve(6, folder="one")
    port = int(one.url.rsplit(":", 1)[1])
    page = visit(one)
    item = ready(page)
    ahead(page, 6)
    one.end()
    two = serve(6, folder="two", port=port)
    page.keyboard.press("b")  # on the page of a project that is not served any more
    alert = page.get_by_role("alert")
    playwright.expect(alert).to_contain_text("belongs to another project than 'two'")
    page.reload()
    page.get_by_label("Your name").fill("Ada")  # the other project does not know her yet
    page.keyboard.press("Enter")
    ready(page)
    saved(page)
    page.wait_for_timeout(500)
    assert two.store.reader.progress().human == 0 and alert.is_hidden()
    assert page.evaluate("Object.keys(localStorage).length") == 1
    two.end()
    one = serve(6, folder="one", port=port)
    page.reload()
    ready(page)
    saved(page)
    assert one.store.reader.item(int(item)).label == "B" and one.store.reader.progress().human == 1
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_nobody_sends_the_answers_of_a_person_whose_name_goes_on(serve, visit):
    site = serve(20)
    page = visit(site, name="Ada:2", routed=True)
    ready(page)
    ahead(page, 10)
    page.route("**/api/label", lambda route: route.abort())
    page.keyboard.press("b")
    playwright.expect(page.get_by_role("alert")).to_contain_text("not saved yet")
    page.goto(site.url + "/who")
    page.unroute("**/api/label")  # not before: it would be sent again
    page.get_by_role("textbox", name="Your name").fill("Ada")
    page.keyboard.press("Enter")
    ready(page)
    saved(page)
    assert site.store.reader.progress().human == 0
    assert page.evaluate("Object.keys(localStorage).length") == 1, "kept for Ada:2"


def test_an_answer_that_is_lost_on_its_way_is_not_given_twice(serve, visit):
    site = serve(20)
    page = visit(site, routed=True)
    item = ready(page)
    lost = []

    def lose(route):
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)  # it arrives, and its answer does not
        route.abort()

    page.route("**/api/label", lose)
    page.keyboard.press("a")
    saved(page)
    assert lost == [200]
    assert [e.kind for e in site.store.reader.events(int(item))] == ["label"]


def test_a_label_that_comes_too_late_is_told(serve, visit):
    site = serve(5)
    page = visit(site)
    item = ready(page)
    site.store.queue.relabel("Ada", [int(item)], "C")
    page.keyboard.press("a")
    playwright.expect(page.get_by_role("alert")).to_contain_text("was not labelled A")
    assert site.store.reader.item(int(item)).label == "C"


def test_every_label_that_comes_too_late_is_told_and_also_after_a_reload(serve, visit):
    site = serve(8)
    page = visit(site, routed=True)
    ready(page)
    ahead(page, 8)
    page.route("**/api/label", lambda route: route.abort())
    done = label(site, page, 3)
    names = [site.store.reader.item(int(i)).name for i in done]
    site.store.queue.relabel("Ada", [int(i) for i in done[:2]], "C")
    page.goto("about:blank")  # else they may be sent again before the page is gone
    page.unroute("**/api/label")
    page.goto(site.url)
    alert = page.get_by_role("alert")
    for name in names[:2]:
        line = f"{name} was not labelled {name[0]}: picture"
        playwright.expect(alert.get_by_text(line)).to_be_visible()
    saved(page)
    assert site.label_of(names[2]) == names[2][0] and alert.get_by_text(names[2]).count() == 0

    # and on the page that was not reloaded, none instead of another
    late = ready(page)
    site.store.queue.relabel("Ada", [int(late)], "C")
    page.keyboard.press("a")
    name = site.store.reader.item(int(late)).name
    playwright.expect(alert.get_by_text(f"{name} was not labelled A")).to_be_visible()
    assert alert.get_by_text("was not labelled").count() == 3
    alert.get_by_role("button", name="Close").click()
    playwright.expect(alert).to_be_hidden()


def test_labels_are_kept_while_the_disk_is_full(serve, visit, monkeypatch):
    site = serve(20)
    page = visit(site, patient=True)
    ready(page)
    ahead(page, 10)

    def full(*_, **__):
        raise UnavailableError("labels.sqlite: could not be written (database or disk is full)")

    with monkeypatch.context() as patched:
        patched.setattr(site.store.queue, "label", full)
        done = label(site, page, 3)
        alert = page.get_by_role("alert")
        playwright.expect(alert).to_contain_text("3 answers are not saved yet: labels.sqlite")
        page.reload()
        playwright.expect(alert).to_contain_text("3 answers are not saved yet: labels.sqlite")
        assert site.store.reader.progress().human == 0
    alert.get_by_role("button", name="Try now").click()
    saved(page)
    playwright.expect(alert).to_be_hidden()
    assert [site.store.reader.item(int(i)).label for i in done] == [kind(site, i) for i in done]


def test_the_model_learns_while_people_label(serve, visit):
    site = serve(90, model=True, retrain_after=10)
    site.loop.start()
    page = visit(site)
    label(site, page, 30)
    saved(page)
    playwright.expect(page.get_by_text("of all pictures (likely")).to_be_visible()
    playwright.expect(page.get_by_text("Prediction:")).to_be_visible()
    item = ready(page)
    predicted = page.locator(".alq-prediction strong").inner_text()
    page.keyboard.press("Enter")
    ready(page, item)
    saved(page)
    assert site.store.reader.item(int(item)).label == predicted
    label(site, page, 20)
    saved(page)
    page.get_by_text("More about the model").click()
    playwright.expect(page.get_by_text("that had a prediction when they were")).to_be_visible()
    playwright.expect(page.locator(".alq-curves svg")).to_be_visible()
    playwright.expect(page.get_by_text("Learning curve from")).to_be_visible()


def test_a_class_is_added_while_labelling_and_has_a_key_at_once(serve, visit):
    site = serve(5)
    page = visit(site)
    item = ready(page)
    page.get_by_label("Another class").fill("Dog <b>")
    page.get_by_role("button", name="Add class").click()
    playwright.expect(page.get_by_role("button", name="Dog <b>, key d")).to_be_visible()
    page.keyboard.press("d")
    ready(page, item)
    saved(page)
    assert site.store.reader.item(int(item)).label == "Dog <b>"
    page.get_by_label("Another class").fill("dog <B>")
    page.keyboard.press("Enter")
    saved(page)
    assert site.store.reader.progress().per_class["Dog <b>"] == 2


def test_the_prediction_of_a_picture_in_an_attempt_to_finish_is_not_on_the_page(serve, visit):
    site = serve(0)
    items = fill(site.store, 3)
    scores(site.store, 0.875)
    open_plan(site.store, items)
    page = visit(site)
    item = ready(page)
    assert "87" not in page.inner_text(".alq")
    playwright.expect(page.get_by_text("what the model says is hidden")).to_be_visible()
    page.keyboard.press("Enter")  # there is nothing to accept
    page.wait_for_timeout(200)
    assert page.evaluate(READY) == item and site.store.reader.progress().human == 0


# --- the grid -------------------------------------------------------------------------------------


def test_automatic_labels_are_checked_and_mended_in_the_grid(serve, visit):
    site = serve(12)
    store = site.store
    scores(store, 0.9, predicted=2, model="a" * 64)
    items = store.reader.snapshot()["id"]
    model = store.models.present()
    store.models.set_scores(model, items, items * 0 + 2, 0.5 + items / 100)
    assert auto_label(store, 0.55) == 8
    page = visit(site, "/review")
    cards = page.locator(".card")
    playwright.expect(cards).to_have_count(8)
    page.get_by_label("Class", exact=True).select_option("A")
    playwright.expect(page.get_by_text("No such pictures.")).to_be_visible()
    page.get_by_label("Class", exact=True).select_option("C")
    playwright.expect(page.get_by_text("8 of 8 pictures shown")).to_be_visible()
    playwright.expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    shown = [int(card.get_attribute("data-item")) for card in cards.all()]
    assert shown == sorted(shown), "the least confident come first"

    cards.nth(0).focus()
    page.keyboard.press("a")  # mend the first
    playwright.expect(cards.nth(0)).to_have_accessible_name(re.compile("Labelled A, by a person"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # confirm the second
    playwright.expect(cards.nth(1)).to_have_accessible_name(re.compile("Labelled C, by a person"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")  # take the third back
    playwright.expect(cards.nth(2)).to_have_accessible_name(re.compile("No label"))
    cards.nth(3).click()
    cards.nth(4).click()
    page.get_by_label("Class for the chosen pictures").select_option("B")
    page.get_by_role("button", name="Give this class").click()
    playwright.expect(page.get_by_text("2 pictures are B now.")).to_be_visible()
    by = [(store.reader.item(i).label, store.reader.item(i).label_source) for i in shown[:6]]
    assert by == [
        ("A", "human"), ("C", "human"), (None, None), ("B", "human"), ("B", "human"), ("C", "auto"),
    ]  # fmt: skip
    page.get_by_role("button", name="Undo").click()
    playwright.expect(page.get_by_text("Undone:")).to_be_visible()
    assert store.reader.item(shown[3]).label_source == "auto"

    page.get_by_role("button", name="Take back every automatic label").click()
    page.get_by_role("button", name="Keep them").click()
    assert store.reader.progress().auto == 5
    page.get_by_role("button", name="Take back every automatic label").click()
    page.get_by_role("button", name="Take them back").click()
    playwright.expect(page.get_by_text("No such pictures.")).to_be_visible()
    assert store.reader.progress().auto == 0 and store.reader.count(Filter(source="human")) == 2


# --- many pictures --------------------------------------------------------------------------------


def test_many_pictures_are_added_at_once_and_bad_ones_told(serve, visit):
    site = serve(0)
    page = visit(site)
    playwright.expect(page.get_by_text("There are no pictures yet.")).to_be_visible()
    page.get_by_role("link", name="Add pictures").click()
    files = [
        {"name": f"{i}.png", "mimeType": "image/png", "buffer": encoded(stripes(i % 3, 500 + i))}
        for i in range(20)
    ]
    bad = {"name": "bad.png", "mimeType": "image/png", "buffer": b"<svg onload=alert(1)>"}
    page.get_by_label("Picture files").set_input_files([*files[:10], bad, *files[10:], files[0]])
    page.get_by_role("button", name="Add them").click()
    told = page.get_by_text("20 added, 1 were here already, 1 not taken")
    playwright.expect(told).to_be_visible()
    playwright.expect(page.get_by_text("bad.png is an SVG drawing")).to_be_visible()
    assert site.store.reader.progress().total == 20
    page.get_by_role("link", name="Label", exact=True).click()
    ready(page)


def test_the_labels_are_downloaded(serve, visit):
    site = serve(6)
    page = visit(site)
    label(site, page, 4)
    saved(page)
    page.get_by_role("link", name="Export").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    rows = Path(waiting.value.path()).read_text().splitlines()
    assert len(rows) == 5 and waiting.value.suggested_filename == "labels.csv"


# --- for everyone ---------------------------------------------------------------------------------

PAGES = (
    "/", "/begin", "/finish", "/progress", "/review", "/review/doubtful", "/one", "/one/1", "/add",
    "/classes", "/export", "/who", "/nowhere",
)  # fmt: skip


@pytest.mark.parametrize("view", ["narrow", "zoomed"])
def test_no_page_scrolls_sideways_at_320_pixels_or_400_per_cent(serve, visit, view):
    site = serve(6)
    scores(site.store, 0.93)
    # Zoom by 4 makes a window of 1280 x 1024 as small as 320 x 256, in CSS pixels of 4.
    size = {"width": 320, "height": 640 if view == "narrow" else 256}
    page = visit(site, device_scale_factor=1 if view == "narrow" else 4)
    page.set_viewport_size(size)
    for path in PAGES:
        page.goto(site.url + path)
        if path == "/":
            ready(page)
            box = page.get_by_role("application").bounding_box()
            assert box["width"] > 200 and 100 < box["height"] <= size["height"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        for control in page.locator("main :is(button, input, select, a):visible").all():
            box = control.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 320.5, (path, control)
    page.goto(site.url)
    label(site, page, 2)


def test_everything_has_a_name_and_can_be_reached_by_keys(serve, visit):
    site = serve(6)
    scores(site.store, 0.93)
    page = visit(site)
    item = ready(page)
    stage = page.get_by_role("application", name="Picture to label")
    playwright.expect(stage).to_be_focused()
    playwright.expect(stage).to_have_accessible_description(re.compile("Prediction: C with"))
    name = site.store.reader.item(int(item)).name
    playwright.expect(page.get_by_role("img", name=name)).to_be_visible()
    for role, names in {
        "button": ("Accept C", "Undo", "Skip", "A, key a", "Give it", "Add class"),
        "textbox": (), "group": ("Actions", "Classes"), "progressbar": ("Labelled",),
        "navigation": ("Main",), "combobox": ("Another class",),
    }.items():  # fmt: skip
        for each in names:
            playwright.expect(page.get_by_role(role, name=each, exact=True)).to_have_count(1)
    page.keyboard.press("Escape")  # leaves the picture, so that Tab moves on
    seen = []
    for _ in range(12):
        seen.append(page.evaluate("document.activeElement.textContent"))
        page.keyboard.press("Tab")
    assert [text[:4] for text in seen[:3]] == ["Acce", "Undo", "Skip"] and "B" in seen
    assert page.evaluate(READY) == item, "Tab has skipped nothing"
    page.keyboard.press("Shift+Tab")
    playwright.expect(page.locator(":focus")).to_have_count(1)
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    for path in PAGES:
        page.goto(site.url + path)
        if path == "/":
            ready(page)
        assert page.get_by_role("heading", level=1).count() == 1, path
        nameless = page.locator("button:visible, a:visible, input:visible, select:visible")
        for control in nameless.all():
            playwright.expect(control).to_have_accessible_name(re.compile(r"\S"))


CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0.99) return c; }
    return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest(":disabled, option, .hidden, .jump")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${e.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(serve, visit, scheme):
    site = serve(6)
    scores(site.store, 0.93)
    page = visit(site, color_scheme=scheme)
    for path in PAGES:
        page.goto(site.url + path)
        if path == "/":
            ready(page)
        assert page.evaluate(CONTRAST) == [], path


def test_nothing_is_asked_of_any_other_machine(serve, visit):
    site = serve(4)
    page = visit(site)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES:
        page.goto(site.url + path)
        page.wait_for_timeout(100)
    assert asked and all(url.startswith((site.url, "blob:", "data:")) for url in asked)


def test_names_of_files_are_text_on_every_page(serve, visit):
    site = serve(0)
    name = "<img src=x onerror=document.title='hit'>.png"
    picture = pictures.decode(encoded(stripes(0, 1)), name)
    parts = (picture.png, picture.sha256, name, picture.width, picture.height)
    site.store.pictures.add(*parts)
    scores(site.store, 0.9)
    page = visit(site)
    ready(page)
    page.keyboard.press("a")
    saved(page)
    for path in ("/", "/review", "/one/1", "/export"):
        page.goto(site.url + path)
        page.wait_for_timeout(150)
        assert "hit" not in page.title()
