"""The pictures of the labelling tool in these pages: ``python docs/screenshots.py``.

A scripted person takes the demonstration from its first page to the certificate, in headless
Chromium. On the way each picture is taken, and frames for the recording. It takes a minute or two.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from alutils.data.mnist import mnist_article
from alutils.labelling.web import demo
from alutils.labelling.web.serve import Options, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TALL = {"width": 1280, "height": 1900}
QUEUE = ".alq[data-item]:not([data-item=''])"
FRAME = (800, 500)
MOST_BYTES = 2_000_000
THINKS_MS = 500  # before each answer
BEFORE, TARGET = 40, "95%"
"""Labels before the attempt to finish, and its promise."""


@dataclass
class Recording:
    """Frames of the page, each with the milliseconds that it stays."""

    page: Page
    frames: list[tuple[Image.Image, int]] = field(default_factory=list)

    def take(self, ms: int) -> None:
        """Add what the page shows now."""
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append((shot.resize(FRAME, Image.Resampling.LANCZOS), ms))

    def write(self, path: Path) -> None:
        """Write an animated WebP that is small enough for a page."""
        images, times = zip(*self.frames, strict=True)
        for quality in (80, 60, 40, 20):
            images[0].save(
                path, save_all=True, append_images=images[1:], duration=list(times), loop=0,
                quality=quality, method=6,
            )  # fmt: skip
            if path.stat().st_size < MOST_BYTES:
                return
        raise RuntimeError(f"{path}: {path.stat().st_size:,} bytes, expected under {MOST_BYTES:,}")


class Person:
    """Labels what the queue shows, always rightly, by keys."""

    def __init__(self, page: Page, folder: Path) -> None:
        digits = mnist_article()[0]
        known = {
            image.tobytes(): digits.classes[label]
            for image, label in zip(digits.images, digits.labels, strict=True)
        }
        self.page, self._last = page, ""
        self._truth = {
            path.name: known[np.asarray(Image.open(path)).tobytes()]
            for path in folder.glob("*.png")
        }

    def label(self, n: int, each: Callable[[], Any] = lambda: None) -> int:
        """Label n pictures, fewer if an attempt to finish ends; ``each`` is called before each."""
        for done in range(n):
            while not self._is_ready():
                if self.page.get_by_text("Finished: at least").count():
                    return done
                self.page.wait_for_timeout(30)
            each()
            self.page.wait_for_timeout(THINKS_MS)
            self._last = self._item()
            name = self.page.locator(".alq-about .alq-caption").inner_text().split(" ")[0]
            self.page.keyboard.press(self._truth[name])
        return n

    def _item(self) -> str:
        return self.page.evaluate("document.querySelector('.alq')?.dataset.item || ''")

    def _is_ready(self) -> bool:
        return self._item() not in ("", self._last)


@contextmanager
def shown(folder: Path) -> Iterator[tuple[Page, str, Path]]:
    """Serve a new demonstration, and open a browser on it."""
    made = demo.make_demo(folder)
    options = Options(made.folder, made.model, ",".join(made.classes), port=0)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with serving(options) as (url, server), sync_playwright() as running:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE)
        page.set_default_timeout(120_000)
        yield page, url, made.folder
        browser.close()


def run(out: Path) -> None:
    """Take all pictures into a folder."""
    with tempfile.TemporaryDirectory() as folder, shown(Path(folder)) as (page, url, pictures):
        film, person = Recording(page), Person(page, pictures)

        def still(name: str, path: str | None = None, wait: str = "h1") -> None:
            if path is not None:
                page.goto(url + path)
            page.wait_for_selector(wait)
            page.wait_for_timeout(1500)
            page.screenshot(path=out / f"label_{name}.png")

        page.goto(url)
        page.get_by_label("Your name").fill("Ada")
        page.keyboard.press("Enter")
        page.wait_for_url("**/begin")
        film.take(2500)
        page.get_by_role("link", name="Start labelling").click()
        page.wait_for_selector(f"{QUEUE} .alq-prediction strong")
        page.get_by_text("1,000", exact=False).first.wait_for()
        page.wait_for_selector(f"{QUEUE} .alq-facts >> text=of 1,000")
        page.wait_for_timeout(4000)
        person.label(10, lambda: film.take(450))
        person.label(BEFORE - 10)
        page.get_by_text("of all pictures (likely").wait_for()
        page.wait_for_timeout(5000)
        still("queue", wait=QUEUE)
        film.take(1500)
        still("review", "review", ".card")
        for card in page.locator(".card").all()[2:4]:
            card.click()
        page.screenshot(path=out / "label_review.png")
        page.set_viewport_size(NARROW)
        still("narrow", "", QUEUE)
        page.set_viewport_size(WIDE)
        begin = page.get_by_role("button", name=f"Finish at {TARGET}")
        page.goto(url + "finish")
        begin.wait_for()
        page.wait_for_timeout(500)
        page.screenshot(path=out / "label_finish.png", full_page=True)
        film.take(3500)
        begin.click()
        page.wait_for_timeout(300)
        film.take(4000)
        page.keyboard.press("Enter")
        page.wait_for_selector(QUEUE)
        page.get_by_text("Finishing: attempt 1").wait_for()
        n = person.label(8, lambda: film.take(450))
        n += person.label(1000)
        page.get_by_text("Every picture has a label").wait_for()
        film.take(2500)
        page.get_by_role("link", name="To the certificate").click()
        certificate = page.get_by_role("link", name="The certificate")
        certificate.wait_for()
        film.take(3500)
        certificate.click()
        page.get_by_role("heading", level=1).wait_for()
        film.take(3500)
        film.write(out / "label_recording.webp")
        page.set_viewport_size(TALL)
        still("progress", "progress")
        page.set_viewport_size(WIDE)
        _one(page, url, Path(folder) / "new.png", out)
        print(f"{BEFORE} labels, then {n} answers")


def _one(page: Page, url: str, new: Path, out: Path) -> None:
    """Take the picture of the report's flow: one file, and what the model says."""
    Image.fromarray(mnist_article()[1].images[0]).save(new)
    page.goto(url + "one")
    page.get_by_label("Image file").set_input_files(new)
    page.get_by_role("button", name="Label it").click()
    page.get_by_text("Prediction is:").wait_for()
    shown_as = "pictures/labelling/classes/7"  # whose machine it is does not matter
    page.locator("p.path").evaluate("(element, text) => (element.textContent = text)", shown_as)
    page.screenshot(path=out / "label_one.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder")
    run(parser.parse_args().out)
