"""In a real browser: how pictures are read is asked and decided; keys under other layouts."""

import pytest
from browser_helpers import MARKS, given_by, pressed, ready, saved, until
from label_helpers import encoded
from PIL import Image

from alutils.data.mnist import mnist_article
from alutils.labelling.web import pictures

pytestmark = MARKS


def fill_with_negatives(site, n=60):
    for i, image in enumerate(mnist_article()[0].images[:n]):
        image = 255 - image if i % 2 else image
        picture = pictures.decode(encoded(Image.fromarray(image)), f"{i:03}.png")
        site.store.pictures.add(*picture.to_keep(), "folder")


def test_a_mixed_folder_is_asked_about_above_the_picture_and_on_finish(serve, visit):
    site = serve(0, model=True, classes=tuple("0123456789"), retrain_after=20)
    fill_with_negatives(site)
    labels = mnist_article()[0].labels
    for item in site.store.queue.hand_out("Bob", 30):
        site.store.queue.label("Bob", item.id, str(labels[int(item.name[:3])]))
    site.loop.start()
    page = visit(site)
    notice = page.locator(".alq-reading")
    notice.wait_for()
    assert "30 of 60 pictures are dark on light" in notice.inner_text()
    assert "the model labels nothing" in notice.inner_text()
    ready(page)
    assert page.get_by_role("button", name="Accept").is_disabled()
    page.keyboard.press("Enter")  # accepts nothing
    assert site.store.reader.progress().human == 30
    finish = visit(site, "/finish", name="Cleo")
    finish.get_by_text("above the picture in the queue").wait_for()
    finish.locator(".alq-reading strong", has_text="30 of 60 pictures are dark on light").wait_for()
    page.get_by_role("button", name="Invert those for the model").click()
    page.get_by_text("are inverted for the model. (Ada)").wait_for()
    until(page, lambda: site.store.models.present() is not None)
    page.locator(".alq-prediction strong").wait_for()
    finish.get_by_text("are inverted for the model. (Ada)").wait_for()
    finish.get_by_role("button", name="Ask again").click()
    page.get_by_text("30 of 60 pictures are dark on light").wait_for()
    until(page, lambda: not page.locator(".alq-prediction strong").count())
    assert page.get_by_role("button", name="Accept").is_disabled()


def key(typed: str, code: str, shift: bool = False) -> dict[str, object]:
    return {"key": typed, "code": code, "shiftKey": shift}


@pytest.mark.parametrize(
    ("classes", "presses"),
    [
        # under a Russian layout, with and without Shift; F lies where A does
        ("AB", {"A": key("ф", "KeyA"), "B": key("И", "KeyB", True)}),
        ("Aa", {"a": key("ф", "KeyA"), "A": key("Ф", "KeyA", True)}),
        # in a French row of digits "-" is the key 6
        ("126", {"1": key("&", "Digit1"), "6": key("-", "Digit6"), "2": "2"}),
        # own letters, small and large, and on a Latin layout
        ("БВ", {"Б": key("б", "Comma"), "В": key("В", "KeyD", True)}),
        ("БВ", {"В": "b", "Б": "a"}),
        ("שת", {"ש": key("ש", "KeyA"), "ת": "b"}),
        ("Éé", {"é": key("é", "Digit2"), "É": key("É", "Digit2", True)}),
    ],
)
def test_keys_of_other_layouts_give_the_class_that_they_mean(serve, visit, classes, presses):
    site = serve(6, classes=tuple(classes))
    assert given_by(site.store, visit(site), *presses.values()) == list(presses)


@pytest.mark.parametrize(
    "other",
    [
        key("q", "KeyA"),  # a French Q lies there: what it types is meant
        key("!", "Digit1", True),
        key("ö", "Semicolon"),
        key("Process", "KeyA"),  # an input method is at work
    ],
)
def test_a_key_that_means_no_class_gives_none(serve, visit, other):
    site = serve(6, classes=("A", "1"))
    page = visit(site)
    item = ready(page)
    pressed(page, other)
    page.keyboard.press("a")  # the picture is still there
    saved(page)
    assert [event.label for event in site.store.reader.events(int(item))] == ["A"]
    assert site.store.reader.progress().human == 1


def test_minus_still_rejects_where_it_is_a_key_of_its_own(serve, visit):
    site = serve(6, classes=("1", "2", "6"))
    page = visit(site)
    assert given_by(site.store, page, key("-", "NumpadSubtract"), "6") == [None, "6"]
    assert site.store.reader.progress().rejected == 1


def test_the_keys_of_a_class_stand_on_its_button(serve, visit):
    page = visit(serve(6, classes=("А", "б", "cat", "c")))
    page.locator(".alq-class").first.wait_for()
    names = [each.get_attribute("aria-label") for each in page.locator(".alq-class").all()]
    assert names[0].startswith("А, key а or ") and names[1].startswith("б, key б or ")
    assert names[2:] == ["cat, key a", "c, key c"]
    assert len({name.split(", key ")[1] for name in names}) == 4
