"""In a real browser: what the tool refuses for now comes by itself a little later."""

from browser_helpers import MARKS, until
from label_helpers import png

pytestmark = MARKS


def failing(page, pattern: str, times: int) -> list[str]:
    """Answer the first requests with 503; return which."""
    failed: list[str] = []

    def answer(route):
        if len(failed) < times:
            failed.append(route.request.url)
            route.fulfill(status=503, json={"error": "too many pictures are being read now"})
        else:
            route.continue_()

    page.route(pattern, answer)
    return failed


def test_small_pictures_are_asked_for_again(serve, visit):
    site = serve(4)
    for item in site.store.queue.hand_out("Bob", 4):
        site.store.queue.label("Bob", item.id, "A")
    page = visit(site, "/progress", routed=True)
    failed = failing(page, "**/pictures/*small=1*", 3)
    page.goto(f"{site.url}/review")
    loaded = "[...document.querySelectorAll('#grid img')].filter((i) => i.naturalWidth > 0).length"
    until(page, lambda: page.evaluate(loaded) == 4)
    assert len(failed) == 3


def test_an_upload_is_sent_again_until_it_is_taken(serve, visit):
    site = serve(2)
    page = visit(site, "/add", routed=True)
    failed = failing(page, "**/api/pictures", 4)
    page.set_input_files("#files", [{"name": "a.png", "mimeType": "image/png", "buffer": png(77)}])
    page.click("#add button")
    page.wait_for_selector("#told:has-text('1 added')")
    assert len(failed) == 4 and site.store.reader.progress().total == 3
