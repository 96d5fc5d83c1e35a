"""In a real browser: from the first start to the certificate, refusals, progress, a phone."""

import re

import pytest
from browser_helpers import MARKS, kind, label, ready, saved, taught

from alutils.labelling.finish.project import Finish

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = MARKS
expect = playwright.expect
ACTIVE = "(document.activeElement.innerText || document.activeElement.value || '').trim()"


def go_to(page, text, key="Tab", most=40):
    """Move the focus by a key until it is on what has this text."""
    for _ in range(most):
        if page.evaluate(ACTIVE).startswith(text):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{text!r} cannot be reached by {key}")


def answer_until(page, site, words, wrong=False):
    """Answer the pictures of an attempt by keys until its banner says these words; count them."""
    item, n = "", 0
    banner = page.get_by_label("Finishing")
    while not banner.get_by_text(words).count():
        now = page.evaluate("document.querySelector('.alq')?.dataset.item")
        if not now or now == item:
            page.wait_for_timeout(20)
            continue
        right = kind(site, now)
        page.keyboard.press("ABC"["ABC".index(right) - wrong].lower())
        item, n = now, n + 1
    return n


def begin_by_keys(page, target):
    """Go from the queue to the page Finish and begin there, without the mouse."""
    page.keyboard.press("Escape")
    go_to(page, "Finish", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Finish at {target}")).to_be_visible()
    go_to(page, f"Finish at {target}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=f"Finish at {target}")).to_be_visible()
    page.keyboard.press("Enter")


def test_from_the_first_start_to_the_certificate_by_keyboard_alone(serve, visit):
    site = serve(150, model=True, retrain_after=12, first_steps=True)
    page = visit(site, lands="/begin")
    expect(page.get_by_role("heading", level=1)).to_have_text("Three steps, and you label")
    expect(page.get_by_role("link", name="Start labelling")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(site.url + "/")
    expect(page.get_by_text("The first model comes after 12 more labels")).to_be_visible()
    before = len(taught(site, page, 30))
    begin_by_keys(page, "95%")
    page.wait_for_url(site.url + "/")
    expect(page.get_by_text("Finishing: attempt 1, 95%")).to_be_visible()
    ready(page)
    expect(page.get_by_text("what the model says is hidden")).to_be_visible()
    expect(page.get_by_role("button", name="Accept")).to_be_disabled()
    answered = answer_until(page, site, "Finished")
    expect(page.get_by_text("Every picture has a label")).to_be_visible()
    progress = site.store.reader.progress()
    assert progress.human == before + answered < 110 and progress.auto == 150 - progress.human
    assert all(i.label == i.name[0] for i in site.store.reader.page(limit=200).items)
    page.keyboard.press("Escape")
    go_to(page, "To the certificate", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("At least 95% of all 150 labels are right")).to_be_visible()
    expect(page.get_by_role("link", name="Export the labels")).to_be_visible()
    with page.expect_download() as waiting:
        go_to(page, "as JSON")
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "certificate.json"
    go_to(page, "The certificate", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Certificate 1")
    assert page.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == (
        "collapse"
    ), "the page comes with its style"


def test_a_refusal_says_what_it_cost_and_the_second_attempt_can_be_stopped(serve, visit):
    site = serve(150, model=True, retrain_after=12)
    page = visit(site)
    taught(site, page, 30)
    begin_by_keys(page, "95%")
    page.wait_for_url(site.url + "/")
    answer_until(page, site, "Not accepted", wrong=True)
    assert site.store.reader.progress().auto == 0
    page.get_by_role("link", name="What it means").click()
    expect(page.get_by_role("heading", name="Not accepted")).to_be_visible()
    expect(page.get_by_text(re.compile(r"It took \d+ answers"))).to_be_visible()
    expect(page.get_by_text("held to a stricter level").first).to_be_visible()
    begin = page.get_by_role("button", name="Finish at 95%")
    expect(begin).to_be_visible()  # the ways on, with their prices
    begin.click()
    page.get_by_role("button", name="Not yet").click()
    begin.click()
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url(site.url + "/")
    expect(page.get_by_text("Finishing: attempt 2, 95%")).to_be_visible()
    ready(page)
    page.get_by_role("link", name="Look or stop").click()
    expect(page.get_by_role("heading", name="Attempt 2: 95% of all labels right")).to_be_visible()
    expect(page.get_by_role("button", name="Finish at 95%")).to_be_hidden()
    page.get_by_role("button", name="Stop this attempt").click()
    page.get_by_role("button", name="Go on with it").click()
    assert site.store.plans.open() is not None
    page.get_by_role("button", name="Stop this attempt").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_role("heading", name="Stopped")).to_be_visible()
    expect(page.get_by_role("button", name="Finish at 95%")).to_be_visible()
    assert site.store.plans.open() is None and site.store.reader.progress().auto == 0


def test_the_banner_follows_who_answers_without_a_pause(serve, visit):
    site = serve(150, model=True, retrain_after=12)
    page = visit(site)
    taught(site, page, 30)
    begin_by_keys(page, "95%")
    page.wait_for_url(site.url + "/")
    ready(page)
    item, n, said = "", 0, []
    while n < 16:  # an answer about every 0.15 s
        now = page.evaluate("document.querySelector('.alq')?.dataset.item")
        if now and now != item:
            page.keyboard.press(kind(site, now).lower())
            item, n = now, n + 1
        said.append(page.get_by_label("Finishing").inner_text())
        page.wait_for_timeout(150)
    answered = [int(re.search(r"(\d+) answered", text)[1]) for text in said]
    assert answered[-1] >= 6, answered


def test_before_there_is_a_model_finish_says_what_is_missing(serve, visit):
    page = visit(serve(9, model=True), "/finish")
    expect(page.get_by_text("There is no forecast without a model")).to_be_visible()
    expect(page.get_by_role("button", name="Finish at 95%")).to_have_count(0)


def test_an_attempt_is_seen_by_all_and_gives_back_what_was_ahead(serve, visit):
    site = serve(90, model=True, retrain_after=12)
    ada, bob = visit(site), visit(site, name="Bob")
    taught(site, ada, 24)
    ready(bob)
    Finish(site.store, site.loop).plan(0.95, person="Ada")
    for page in (ada, bob):
        expect(page.get_by_text("Finishing: attempt 1")).to_be_visible()
        expect(page.get_by_text("what the model says is hidden")).to_be_visible()


# --- the first steps ------------------------------------------------------------------------------


def test_a_project_without_classes_begins_with_them(serve, visit):
    site = serve(4, classes=(), first_steps=True)
    page = visit(site, lands="/begin")
    field = page.get_by_label("Names of the classes")
    expect(field).to_be_focused()
    page.keyboard.type("cat, dog")
    page.keyboard.press("Enter")
    page.keyboard.type("owl")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("A picture gets one of 3 classes")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="dog")).to_contain_text("d")
    expect(page.get_by_role("link", name="Start labelling")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(site.url + "/")
    item = ready(page)
    page.keyboard.press("o")
    ready(page, item)
    saved(page)
    assert site.store.reader.item(int(item)).label == "owl"


def test_a_key_where_there_are_no_classes_offers_to_add_one(serve, visit):
    site = serve(3, classes=())
    page = visit(site)
    item = ready(page)
    expect(page.get_by_text("There are no classes yet. Type")).to_be_visible()
    page.keyboard.press("7")
    expect(page.get_by_text("Enter adds the class “7”")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="7, key 7")).to_be_visible()
    page.keyboard.press("7")
    ready(page, item)
    saved(page)
    assert site.store.reader.item(int(item)).label == "7"
    page.keyboard.press("8")
    expect(page.get_by_text("No class has the key 8.")).to_be_visible()


# --- progress, review, phone ----------------------------------------------------------------------


def test_progress_shows_classes_people_and_what_is_mixed_up(serve, visit):
    site = serve(60, model=True, retrain_after=10)
    page = visit(site, "/progress")
    expect(page.get_by_text("Nobody has answered anything yet.")).to_be_visible()
    items = site.store.reader.page(limit=60, order="id").items
    for n, item in enumerate(items[:40]):
        wrong = n in (9, 12)  # two of class A are called B: the model has them otherwise
        site.store.queue.label("Ada", item.id, "B" if wrong else item.name[0])
    site.loop.work(train=True)
    page.reload()
    row = page.get_by_role("row", name=re.compile("^Ada"))
    expect(row).to_contain_text("40")
    assert page.get_by_role("row", name=re.compile("^A ")).inner_text().split()[1] == "12"
    mixed = page.get_by_role("heading", name="A and B: 2×")
    expect(mixed).to_be_visible()
    first = page.get_by_role("link", name="B, the model says A").first
    expect(first.get_by_role("img")).to_have_js_property("naturalWidth", 24)
    first.click()
    expect(page.get_by_text("The picture is in the folder B.")).to_be_visible()


def test_review_opens_with_what_there_is_and_chooses_all_that_is_shown(serve, visit):
    site = serve(230)
    page = visit(site, "/review")
    expect(page.get_by_text("Nothing is labelled yet.")).to_be_visible()
    for start in (1, 101, 201):
        site.store.queue.relabel("Ada", list(range(start, min(start + 100, 231))), "A")
    page.reload()
    expect(page.get_by_text("60 of 230 pictures shown")).to_be_visible()
    for n in (120, 180, 230):
        page.get_by_role("button", name="Show more").click()
        expect(page.get_by_text(f"{n} of 230 pictures shown")).to_be_visible()
    page.get_by_role("button", name="Choose all shown").click()
    expect(page.get_by_text("230 chosen")).to_be_visible()
    page.get_by_label("Class for the chosen pictures").select_option("B")
    page.get_by_role("button", name="Give this class").click()
    expect(page.get_by_text("230 pictures are B now.")).to_be_visible()
    assert site.store.reader.progress().per_class["B"] == 230


def test_on_a_phone_all_class_buttons_are_above_the_fold(serve, visit):
    site = serve(6, classes=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    page = visit(site)
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    item = ready(page)
    last = page.get_by_role("button", name="Z, key z").bounding_box()
    assert last["y"] + last["height"] <= 844
    picture = page.get_by_role("application").bounding_box()
    assert picture["height"] >= 220 and picture["width"] >= 340
    page.get_by_role("button", name="B, key b").click()
    ready(page, item)
    saved(page)
    assert site.store.reader.item(int(item)).label == "B"


def test_the_model_is_told_of_in_one_line_and_a_fold(serve, visit):
    site = serve(60, model=True, retrain_after=10)
    site.loop.start()
    page = visit(site)
    label(site, page, 30)
    saved(page)
    lines = page.locator(".alq-side > :last-child > .alq-model p")
    expect(lines).to_have_count(1)
    expect(page.get_by_text("At work: the quick learner")).to_be_hidden()
    page.get_by_text("More about the model").click()
    expect(page.get_by_text("At work: the quick learner")).to_be_visible()


def test_pictures_that_are_still_read_are_told_before_an_attempt(serve, visit):
    coming = {"to_read": 7}
    site = serve(120, model=True, retrain_after=12, more={"folder": lambda: coming})
    page = visit(site)
    label(site, page, 24)
    saved(page)
    site.loop.work(train=True)
    page.get_by_role("link", name="Finish").click()
    expect(page.get_by_text("7 pictures are still being read").first).to_be_visible()
    coming["to_read"] = 0
    begin = page.get_by_role("button", name="Finish at 95%")
    begin.click()
    dialog = page.get_by_role("dialog", name="Finish at 95%")
    expect(dialog.get_by_text("They come mixed")).to_be_visible()
    expect(dialog.get_by_text("still being read")).to_have_count(0)
