"""In a real browser: many classes, a closer look, notes, guidelines, doubtful labels, search."""

import re

import pytest
from browser_helpers import MARKS, kind, label, ready, saved, until
from label_helpers import scores

from alutils.labelling.store.records import Filter

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = MARKS
expect = playwright.expect

# 120 classes, as of a field guide: ten kinds of each of twelve birds.
BIRDS = "Auk Bunting Curlew Dove Eider Finch Gull Heron Ibis Jay Kite Lapwing"
KINDS = "Arctic Black Common Dusky Elegant Field Grey House Island Joyful"
NAMES = [f"{kind} {bird}" for bird in BIRDS.split() for kind in KINDS.split()] + ["Émeu"]


def labels(site):
    return {
        str(i.id): i.label for i in site.store.reader.page(Filter(source="any"), limit=100).items
    }


def test_any_of_many_classes_is_given_by_a_key_and_a_few_letters(serve, visit):
    site = serve(8)
    site.store.classes.add(NAMES)
    page = visit(site)
    given = {}
    item = ready(page)
    for letters, name in [
        ("grey h", "Grey Heron"),  # of its beginning
        ("lapw", None),  # a word within: the first of ten
        ("joyful lap", "Joyful Lapwing"),
        ("eme", "Émeu"),  # without its accent
        ("GREY H", "Grey Heron"),
    ]:
        page.keyboard.press("/")
        expect(page.get_by_role("combobox", name="Another class")).to_be_focused()
        page.keyboard.type(letters)
        page.keyboard.press("Enter")
        given[item] = name or "Arctic Lapwing"
        item = ready(page, item)
        expect(page.get_by_role("application", name="Picture to label")).to_be_focused()
    saved(page)
    assert labels(site) == given
    # Arrow keys choose another one; the list says which.
    page.keyboard.press("/")
    page.keyboard.type("lapw")
    field = page.get_by_role("combobox", name="Another class")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    # Given last, it comes before the others that fit as well.
    expect(found(page).and_(page.locator("[aria-selected=true]"))).to_have_text("Black Lapwing")
    expect(field).to_have_attribute("aria-activedescendant", re.compile("alq-found-2"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(found(page).and_(page.locator("[aria-selected=true]"))).to_have_text("Joyful Lapwing")
    page.keyboard.press("Escape")
    expect(field).to_have_value("")
    expect(page.get_by_role("listbox")).to_be_hidden()
    # What was given last is there before anything is typed.
    page.keyboard.press("/")
    expect(found(page)).to_have_text(["Grey Heron", "Émeu", "Joyful Lapwing", "Arctic Lapwing"])
    page.keyboard.press("Enter")
    ready(page, item)
    saved(page)
    assert labels(site)[item] == "Grey Heron"


def found(page):
    return page.get_by_role("listbox", name="Classes that fit").get_by_role("option")


FEWEST = """async (names) => {
  const { matching } = await import("/static/typeahead.js");
  const classes = names.map((name) => ({ name }));
  return names.map((name) => {
    const [one, other] = name.split(" ");
    const typed = [];
    for (let n = 1; n <= name.length; n++) typed.push(name.slice(0, n));
    for (let n = 1; n <= one.length; n++) {
      for (let m = 1; m <= other.length; m++) typed.push(`${one.slice(0, n)} ${other.slice(0, m)}`);
    }
    const enough = typed.filter((text) => matching(classes, text)[0].name === name);
    return Math.min(...enough.map((text) => text.length));
  });
}"""


def test_five_hundred_classes_take_few_letters(serve, visit):
    rooms = "kitchen garage office attic garden cellar hall studio lab shop"
    begins, ends = "ba ke li mo nu pe ra so ti vo", "ck nd rt sk lm"
    things = [begin + end for begin in begins.split() for end in ends.split()]
    names = [f"{thing} {room}" for thing in things for room in rooms.split()]
    page = visit(serve(1))
    letters = page.evaluate(FEWEST, names)
    assert len(names) == 500
    # Ten rooms of fifty things, the things alike: three letters, a space and one to four.
    assert max(letters) <= 8 and sorted(letters)[250] <= 6, letters


def test_letters_with_others_between_are_offered_but_not_taken_unasked(serve, visit):
    site = serve(3)
    site.store.classes.add(["catfish", "dog"])
    page = visit(site)
    item = ready(page)
    page.keyboard.press("/")
    page.keyboard.type("cfs")
    expect(found(page)).to_have_text(["catfish"])
    page.keyboard.press("Enter")
    expect(page.get_by_text("There is no class “cfs” yet")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    ready(page, item)
    saved(page)
    assert labels(site) == {item: "catfish"}


def test_a_class_is_chosen_by_a_click_in_the_list(serve, visit):
    site = serve(2)
    site.store.classes.add(["catfish", "dog"])
    page = visit(site)
    item = ready(page)
    page.keyboard.press("/")
    page.keyboard.type("d")
    found(page).get_by_text("dog").click()
    ready(page, item)
    saved(page)
    assert labels(site) == {item: "dog"}


STYLE = "document.querySelector('.alq-picture').style"


def test_a_closer_look_changes_what_is_seen_and_nothing_else(serve, visit):
    site = serve(3)
    page = visit(site)
    item = ready(page)
    page.keyboard.press("Space")
    assert page.evaluate(f"{STYLE}.transform") == "scale(2)"
    expect(page.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(f"{STYLE}.transformOrigin") == "65% 35%"
    page.keyboard.press("z")  # no class has this key here
    assert page.evaluate(f"{STYLE}.transform") == "scale(4)"
    page.keyboard.press("Space")
    assert page.evaluate(f"{STYLE}.transform") == ""
    page.keyboard.press(".")
    assert "contrast(" in page.evaluate(f"{STYLE}.filter")
    page.keyboard.press("Space")
    page.keyboard.press(kind(site, item).lower())
    ready(page, item)
    saved(page)
    # The next picture is whole again; its greys are spread as well.
    until(page, lambda: page.evaluate(f"{STYLE}.transform") == "")
    until(page, lambda: "contrast(" in page.evaluate(f"{STYLE}.filter"))
    page.get_by_role("button", name="Contrast").click()
    assert page.evaluate(f"{STYLE}.filter") == ""
    assert labels(site) == {item: kind(site, item)}


def test_a_class_of_its_own_keeps_the_letter_z(serve, visit):
    site = serve(2)
    site.store.classes.add(["Z"])
    page = visit(site)
    item = ready(page)
    page.keyboard.press("z")
    ready(page, item)
    saved(page)
    assert labels(site) == {item: "Z"}


SPREAD = """async () => {
  const { greys, spreading } = await import("/static/look.js");
  const [low, high] = greys(document.querySelector(".alq-picture"));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.filter = spreading(low, high);
  const seen = [low, high].map((grey) => {
    context.fillStyle = `rgb(${Array(3).fill(Math.round(255 * grey)).join(" ")})`;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data[0];
  });
  return [low, high, ...seen];
}"""


def test_contrast_spreads_the_pictures_greys_over_the_whole_range(serve, visit):
    page = visit(serve(1))
    ready(page)
    low, high, black, white = page.evaluate(SPREAD)
    assert 0 <= low < 0.1 and 0.8 < high < 0.95
    assert black <= 3 and white >= 252


def test_a_note_is_written_by_keys_and_labels_nothing(serve, visit):
    site = serve(3)
    page = visit(site)
    item = ready(page)
    page.locator("summary", has_text="Note").click()
    field = page.get_by_label("Note", exact=True)
    expect(field).to_be_focused()
    page.keyboard.type("a bit dark")  # a, b and c are keys of classes
    page.keyboard.press("Enter")
    expect(page.get_by_text("Noted for")).to_be_visible()
    expect(page.get_by_role("application", name="Picture to label")).to_be_focused()
    assert [n.text for n in site.store.notes.of()[int(item)]] == ["a bit dark"]
    assert labels(site) == {}
    page.reload()
    ready(page)
    page.locator("summary", has_text="Notes (1)").click()
    expect(page.get_by_text("Ada: a bit dark")).to_be_visible()


def test_guidelines_stand_beside_the_queue_and_follow_their_file(serve, visit):
    site = serve(2)
    path = site.store.files.root / "guidelines.md"
    page = visit(site)
    ready(page)
    expect(page.locator(".alq-guide")).to_be_hidden()
    path.write_text(
        "## When in doubt\n\nAn *A* has <b>three</b> strokes. <img src=x onerror=alert(1)>"
    )
    page.locator("summary", has_text="Guidelines").click()
    expect(page.get_by_role("heading", name="When in doubt")).to_be_visible()
    expect(page.locator(".alq-guide-text img")).to_have_count(0)
    expect(page.get_by_text("<b>three</b>")).to_be_visible()
    path.write_text("Now otherwise.")
    expect(page.get_by_text("Now otherwise.")).to_be_visible()
    path.unlink()
    expect(page.locator(".alq-guide")).to_be_hidden()


def test_doubtful_labels_are_settled_by_keys(serve, visit):
    site = serve(9, model=True)
    store = site.store
    items = store.reader.page(order="id", limit=20).items
    for item in items:
        store.queue.label("Ada", item.id, item.name[0])
    for item, label_ in zip(items[:3], "BCA", strict=True):  # of A, B and C
        with store.database.transaction() as connection:
            store.seconds.ask(connection, item.id, "share")
            store.seconds.hold(connection, "Bob", item.id, 2e12, 0)
        store.queue.label("Bob", item.id, label_)
    page = visit(site, "/review/doubtful")
    expect(page.get_by_text("3 labels are doubtful.")).to_be_visible()
    expect(page.get_by_text("Two people agree on 0% of 3 pictures")).to_be_visible()
    page.get_by_text("Classes that people confuse").click()
    expect(page.get_by_text("A and B: 1 picture")).to_be_visible()
    first = page.locator(".doubt").first
    first.focus()
    expect(first).to_contain_text("Bob says B")
    page.keyboard.press("Enter")  # it is right
    expect(page.get_by_text("Kept A. 2 labels are doubtful.")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")
    expect(page.get_by_text("Now A. 1 label is doubtful.")).to_be_visible()
    page.keyboard.press("Backspace")
    expect(page.locator(".doubt")).to_have_count(2)
    page.get_by_role("button", name="It is C").click()
    expect(page.get_by_text("Now C. 1 label is doubtful.")).to_be_visible()
    page.get_by_role("button", name="C is right").click()
    expect(page.get_by_text("Nothing speaks against any label now.")).to_be_visible()
    now = labels(site)
    assert [now[str(item.id)] for item in items[:3]] == ["A", "C", "C"]


def test_a_picture_in_two_class_folders_is_settled_by_a_click(serve, visit):
    site = serve(3)
    store = site.store
    one, two, _ = store.reader.page(order="id", limit=3).items
    for item, folders in ((one, "AB"), (two, "BC")):
        for folder in folders:
            store.sources.note(f"{folder}/{item.id}.png", 1, 1, item=item.id, sha256="0" * 64)
    page = visit(site, "/review/doubtful")
    expect(page.get_by_text("2 labels are doubtful.")).to_be_visible()
    first = page.locator(".doubt").first
    expect(first).to_contain_text("No label yet")
    expect(first).to_contain_text("B/1.png: in the folder of B")
    first.focus()
    page.keyboard.press("Enter")  # there is nothing to confirm
    expect(page.locator(".doubt")).to_have_count(2)
    first.get_by_role("button", name="It is B").click()
    expect(page.get_by_text("Now B. 1 label is doubtful.")).to_be_visible()
    page.locator(".doubt").first.focus()
    page.keyboard.press("c")
    expect(page.get_by_text("Nothing speaks against any label now.")).to_be_visible()
    assert labels(site) == {str(one.id): "B", str(two.id): "C"}


def test_pictures_are_found_by_their_file_names(serve, visit):
    site = serve(12)
    page = visit(site)
    label(site, page, 3)
    saved(page)
    page.goto(site.url + "/review")
    page.get_by_label("Labelled by").select_option(label="any or nobody")
    field = page.get_by_label("File name has")
    field.fill("b-00")
    field.press("Enter")
    expect(page.get_by_text("3 of 3 pictures shown")).to_be_visible()
    field.fill("%")
    field.press("Enter")
    expect(page.get_by_text("No such pictures.")).to_be_visible()


def test_a_second_person_sees_no_label_no_prediction_and_no_difference(serve, visit):
    site = serve(6, model=True)
    with site.store.database.transaction():
        site.store.seconds.set_up(1.0)
    scores(site.store, 0.9)
    page = visit(site)
    done = label(site, page, 6)
    saved(page)
    other = visit(site, name="Bob")
    seen = []
    item = ""
    for _ in range(6):
        item = ready(other, item)
        expect(other.locator(".alq-prediction")).to_contain_text("two people are asked about")
        other.keyboard.press(kind(site, item).lower())
        seen.append(item)
    saved(other)
    assert sorted(seen) == sorted(done)
    other.goto(site.url + "/review/doubtful")
    expect(other.get_by_text("Two people agree on 100% of 6 pictures")).to_be_visible()
    expect(other.get_by_text("Nothing speaks against any label now.")).to_be_visible()
