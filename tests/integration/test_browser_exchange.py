"""In a real browser: reject, import, rename and merge, download."""

import io
import zipfile

import pytest
from browser_helpers import MARKS, kind, label, ready, saved, until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = MARKS
expect = playwright.expect


def rejected(site):
    return {e.item: e.why for i, e in site.store.reader.labelled(rejected=True) if i.rejected}


def test_a_picture_is_rejected_by_a_key_and_comes_back_by_undo(serve, visit):
    site = serve(6)
    page = visit(site)
    first = ready(page)
    page.keyboard.press("-")
    second = ready(page, first)
    page.keyboard.press("Delete")
    third = ready(page, second)
    saved(page)
    assert rejected(site) == {int(first): "none of these", int(second): "bad picture"}
    page.keyboard.press("Backspace")
    saved(page)
    assert ready(page, third) == second
    assert rejected(site) == {int(first): "none of these"}
    page.get_by_role("button", name="Bad picture").click()
    ready(page, second)
    saved(page)
    assert set(rejected(site)) == {int(first), int(second)}
    page.goto(site.url + "/review")
    page.get_by_label("Labelled by").select_option(label="nobody: rejected")
    expect(page.get_by_role("status").filter(has_text="2 of 2 pictures shown")).to_be_visible()
    card = page.locator(f".card[data-item='{first}']")
    card.focus()
    page.keyboard.press("a")
    expect(card).to_contain_text("by a person")
    assert site.store.reader.item(int(first)).label == "A"
    card.focus()
    page.keyboard.press("-")
    expect(card).to_contain_text("rejected")
    assert set(rejected(site)) == {int(first), int(second)}


def test_who_has_skipped_pictures_only_is_told_to_answer_or_reject(serve, visit):
    site = serve(2)
    page = visit(site)
    told = page.get_by_text("Only skipped pictures are left")
    first = ready(page)
    expect(told).to_have_count(0)
    page.keyboard.press("Tab")
    second = ready(page, first)
    expect(told).to_have_count(0)
    page.keyboard.press(kind(site, second).lower())
    assert ready(page, second) == first
    expect(told).to_be_visible()
    page.keyboard.press("-")
    expect(page.get_by_text("Every picture has a label or was rejected")).to_be_visible()


def test_labels_are_imported_after_they_were_checked(serve, visit):
    site = serve(8)
    items = site.store.reader.page(limit=10, order="id").items
    lines = [f"{item.sha256},{item.name[0]}" for item in items[:4]]
    lines += [f"{items[4].sha256},new", f"{'0' * 64},A"]
    page = visit(site, "/add")
    page.locator("#labels").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv",
         "buffer": ("sha256,label\n" + "\n".join(lines)).encode()}
    )  # fmt: skip
    report = page.locator("#import-report")
    expect(report).to_contain_text("4 labels to write.")
    expect(report).to_contain_text("Classes that the project does not have:")
    expect(report).to_contain_text("Pictures that the project does not have (1 line):")
    write = page.locator("#import-write")
    expect(write).to_be_disabled()
    assert site.store.reader.progress().human == 0
    page.get_by_label("add classes that are new").check()
    expect(report).to_contain_text("5 labels to write.")
    expect(write).to_be_disabled()
    page.get_by_label("pass over lines").check()
    expect(write).to_have_text("Write 5")
    write.click()
    expect(report).to_contain_text("Written: 5 labels")
    assert site.store.reader.progress().human == 5
    assert site.store.reader.item(items[4].id).label == "new"
    assert site.store.reader.events(items[0].id)[0].person == "import: mine.csv"
    page.get_by_role("button", name="Take the last import back").click()
    expect(report).to_contain_text("mine.csv: 5 answers taken back.")
    assert site.store.reader.progress().human == 0


def test_a_file_that_is_no_table_is_told_in_its_own_words(serve, visit):
    page = visit(serve(2), "/add")
    page.locator("#labels").set_input_files(
        {"name": "odd.csv", "mimeType": "text/csv", "buffer": b"name,label\na.png,caf\xe9"}
    )
    expect(page.locator("#import-report")).to_contain_text("odd.csv: line 2 is not UTF-8")


def test_a_class_is_renamed_and_merged_and_both_are_taken_back(serve, visit):
    site = serve(12)
    page = visit(site)
    label(site, page, 6)
    saved(page)
    before = site.store.reader.progress().per_class
    page.goto(site.url + "/classes")
    page.get_by_role("button", name="Rename A").click()
    page.get_by_label("New name").fill("Anna")
    page.keyboard.press("Enter")
    expect(page.get_by_text("A is Anna now.")).to_be_visible()
    page.get_by_role("button", name="Merge B").click()
    page.get_by_label("Into which class").select_option("Anna")
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_text("B is part of Anna now")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(3)
    now = site.store.reader.progress().per_class
    assert now == {"Anna": before["A"] + before["B"], "C": before["C"]}
    for text in ("B is there again", "Anna is A again."):
        page.get_by_role("button", name="Undo the last change").click()
        expect(page.get_by_text(text)).to_be_visible()
    assert site.store.reader.progress().per_class == before
    assert not site.store.reconcile()


def test_classes_are_deleted_ordered_and_given_keys_by_keyboard(serve, visit):
    site = serve(9)
    page = visit(site)
    label(site, page, 6)
    saved(page)
    n = site.store.reader.progress().per_class["C"]
    page.goto(site.url + "/classes")
    page.get_by_role("button", name="Delete C").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text(f"The labels of {n} picture")
    page.keyboard.press("Escape")
    assert site.store.reader.progress().per_class["C"] == n
    page.get_by_role("button", name="Move up C").press("Enter")
    expect(page.get_by_role("rowheader").nth(1)).to_have_text("C")
    page.get_by_role("button", name="Move up C").press("Enter")
    expect(page.get_by_role("rowheader").nth(0)).to_have_text("C")
    key = page.get_by_label("Key of A")
    key.fill("7")
    key.press("Tab")
    until(page, lambda: site.store.classes.all()[1].key == "7")
    # All rows are made anew then, and who works by keyboard stays where they are.
    expect(page.locator(":focus")).to_have_accessible_name("Move up A")
    page.get_by_role("button", name="Delete C").press("Enter")
    page.get_by_role("button", name="Delete it and take").press("Enter")
    expect(page.get_by_text("C is deleted.")).to_be_visible()
    assert [c.name for c in site.store.classes.all()] == ["A", "B"]
    page.get_by_label("New class").fill("fourth")
    page.keyboard.press("Enter")
    expect(page.get_by_text("fourth is there.")).to_be_visible()
    page.goto(site.url)
    item = ready(page)
    page.keyboard.press("7")
    ready(page, item)
    saved(page)
    assert site.store.reader.item(int(item)).label == "A"


@pytest.mark.parametrize(
    ("link", "file"),
    [
        ("COCO", "annotations.json"),
        ("Hugging Face", "train/metadata.jsonl"),
        ("ZIP archive", "labelling/labels.sqlite"),
    ],
)
def test_archives_are_downloaded(serve, visit, link, file):
    site = serve(4)
    page = visit(site)
    label(site, page, 3)
    saved(page)
    page.goto(site.url + "/export")
    with page.expect_download() as download:
        page.get_by_role("link", name=link).click()
    data = download.value.path().read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert file in archive.namelist()
        assert sum(name.endswith(".png") for name in archive.namelist()) == (
            4 if link == "ZIP archive" else 3
        )
