"""Labelling in Chromium behind a proxy that puts a path before the tool's own."""

import pytest
from browser_helpers import MARKS, WAIT_MS, chromium, label, saved
from label_helpers import DECODERS, fill, png
from proxy_helpers import PREFIX, proxied

from alutils.labelling.store.store import Store
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access

__all__ = ["chromium"]
pytestmark = MARKS


@pytest.mark.parametrize("prefix", ["", PREFIX], ids=["nothing is told", "the prefix is told"])
def test_a_person_labels_reviews_and_adds_behind_a_proxy(tmp_path, chromium, prefix):
    with Store.open(tmp_path / "letters", ["A", "B", "C"], seed=0, twice=0) as store:
        fill(store, 6)
        app = create_app(
            store, access=access("127.0.0.1", bytes(32)), decoders=DECODERS, prefix=prefix
        )
        with proxied(app) as url:
            context = chromium.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(WAIT_MS)
            page, failed = context.new_page(), []
            page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
            page.goto(f"{url}/")
            page.get_by_label("Your name").fill("Ada")
            page.keyboard.press("Enter")
            page.wait_for_url(f"{url}/")
            site = type("Site", (), {"store": store})
            done = label(site, page, 3)
            saved(page)
            assert store.reader.progress().human == len(set(done)) == 3
            page.keyboard.press("Backspace")
            page.wait_for_selector(f".alq[data-item='{done[-1]}']")
            saved(page)
            assert store.reader.progress().human == 2
            page.get_by_role("link", name="Review").click()
            page.wait_for_url(f"{url}/review")
            page.wait_for_selector("img[src*='small=1']")
            assert page.evaluate(
                "Promise.all([...document.querySelectorAll('main img')].map((i) => i.decode()))"
                ".then(() => true)"
            )
            page.goto(f"{url}/add")
            page.set_input_files(
                "#files", [{"name": "new.png", "mimeType": "image/png", "buffer": png(77)}]
            )
            page.click("#add button")
            page.wait_for_selector("#told:has-text('1 added')")
            page.goto(f"{url}/review/doubtful")
            page.wait_for_load_state("networkidle")
            context.close()
        assert store.reader.progress().total == 7
        assert [address for address in failed if "favicon" not in address] == []
