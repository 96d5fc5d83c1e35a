"""Picture files, good and bad, for the tests of the labelling tool."""

import hashlib
import io
import json
import sqlite3
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from alutils.guarantee.finishing import Said
from alutils.guarantee.terms import Terms
from alutils.labelling.store.names import checked_name
from alutils.labelling.store.plan_records import Draft
from alutils.labelling.store.records import LabellingError, Model
from alutils.labelling.store.store import Store
from alutils.labelling.web import pictures
from alutils.labelling.web.decoders import Decoders

DECODERS = Decoders()
"""For all tests together: a process takes a moment to start, and ends with the tests."""


def is_name(text: str) -> bool:
    """Whether a text can be the name of a class."""
    try:
        return bool(checked_name(text))
    except LabellingError:
        return False


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def letter(seed: int = 0, size: tuple[int, int] = (28, 28)) -> Image.Image:
    """Return a grey picture, another one for every seed."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, size[::-1], np.uint8))


def png(seed: int = 0, size: tuple[int, int] = (28, 28)) -> bytes:
    return encoded(letter(seed, size))


def colour(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(
    width: int, height: int, rows: bytes, *, bits: int = 8, before: bytes = b"", interlaced: int = 0
) -> bytes:
    """Return a grey PNG whose header can say what it likes; ``before`` goes before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def interlaced(image: Image.Image) -> bytes:
    """Return a grey picture as a PNG in the seven passes of Adam7, which Pillow cannot write."""
    values, rows = np.asarray(image), b""
    for y, x, down, across in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):  # fmt: skip
        part = values[y::down, x::across]
        rows += b"".join(b"\0" + row.tobytes() for row in part if row.size)
    return png_of(*image.size, rows, interlaced=1)


def wrong_crc(name: bytes) -> bytes:
    data = bytearray(png())
    at = data.index(name)
    (length,) = struct.unpack(">I", data[at - 4 : at])
    data[at + 4 + length] ^= 0xFF
    return bytes(data)


def animated(kind: str) -> bytes:
    return encoded(letter(0), kind, save_all=True, append_images=[letter(1), letter(2)])


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a.png", png())
    return file.getvalue()


def with_text(n: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * n)
    return encoded(letter(), pnginfo=info)


def text_bomb() -> bytes:
    """Return a PNG with 100 kB of text that unpack to 100 MB."""
    packed = zlib.compress(b"x" * 100_000_000, 9)
    return png_of(1, 1, b"\0\0", before=chunk(b"zTXt", b"comment\0\0" + packed))


def pixel_bomb(side: int = 30_000) -> bytes:
    """Return a PNG of a few kB whose header asks for 900 million pixels."""
    return png_of(side, side, bytes(1_000_000))


def heavy(side: int = 6000) -> bytes:
    """Return a sound picture of a kB or so that takes seconds to decode and to write again."""
    plain = Image.new("RGBA", (side, side), (1, 2, 3, 100))
    return encoded(plain, "WEBP", lossless=True, method=0)


# name -> (the file's bytes, what the refusal says)
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is an empty file"),
    "one byte": (lambda: b"\x89", "is not a picture"),
    "text": (lambda: b"hello", "is not a picture"),
    "html": (lambda: b"<!DOCTYPE html><script>alert(1)</script>", "is an HTML page"),
    "html after spaces": (lambda: b"\n \t<html><img src=x onerror=alert(1)>", "is an HTML page"),
    "script": (lambda: b"<script>alert(1)</script>", "is an HTML page"),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
    "svg with xml": (lambda: b'<?xml version="1.0"?><svg onload="alert(1)"/>', "XML or SVG"),
    "pdf": (lambda: b"%PDF-1.7\n%\xe2\xe3", "is a PDF document"),
    "zip": (archive, "is a ZIP archive"),
    "gzip": (lambda: b"\x1f\x8b\x08\0\0\0", "is a gzip archive"),
    "program": (lambda: b"MZ\x90\0\x03", "is a program"),
    "elf": (lambda: b"\x7fELF\x02\x01", "is a program"),
    "heic": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC or AVIF photograph"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript"),
    "ico": (lambda: encoded(letter(0, (32, 32)), "ICO"), "is an icon"),
    "ppm": (lambda: encoded(letter(), "PPM"), "is a Netpbm picture"),
    "png signature alone": (lambda: b"\x89PNG\r\n\x1a\n", "its end is missing"),
    "png cut in its pixels": (lambda: png()[:300], "it ends inside a part"),
    "png without its end": (lambda: png()[:-12], "its end is missing"),
    "png with a wrong header sum": (lambda: wrong_crc(b"IHDR"), "check sum of its part b'IHDR'"),
    "png with a wrong pixel sum": (lambda: wrong_crc(b"IDAT"), "check sum of its part b'IDAT'"),
    "png with too few rows": (lambda: png_of(28, 28, bytes(29 * 10)), "is cut or damaged"),
    "png without its last pixel": (lambda: png_of(28, 28, bytes(29 * 28 - 1)), "811 bytes"),
    "png with pixels that do not unpack": (
        lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", b"no zlib stream") + chunk(b"IEND", b""),
        "is cut or damaged",
    ),
    "png with 3 bits": (lambda: png_of(8, 8, bytes(72), bits=3), "cannot be read"),
    "png without header": (lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "is cut or damaged"),
    "png with text before its header": (
        lambda: png()[:8] + chunk(b"tEXt", b"comment\0first") + png()[8:], "begin with its header",
    ),
    "png with two headers": (lambda: png()[:33] + png()[8:], "begin with its header, or has two"),
    "png of 0 by 0": (lambda: png_of(0, 0, b""), "damaged"),
    "png of 0 by 8": (lambda: png_of(0, 8, bytes(8)), "damaged"),
    "png bomb by pixels": (pixel_bomb, "pixels"),
    "png just over the limit": (lambda: png_of(8_000, 6_251, b""), "expected at most 50,000,000"),
    "png too long": (lambda: png_of(20_001, 1, bytes(20_002)), "20,000 a side"),
    "png bomb by text": (text_bomb, "is cut or damaged"),
    "png with much text": (lambda: with_text(2**20 + 1), "bytes of text beside its pixels"),
    "png and zip": (lambda: png() + archive(), "after the picture's end"),
    "png and html": (lambda: png() + b"<script>alert(1)</script>", "after the picture's end"),
    "jpeg cut": (lambda: encoded(colour(0, (300, 300)), "JPEG")[:9000], "is cut or damaged"),
    "jpeg header alone": (lambda: encoded(colour(), "JPEG")[:200], "is cut or damaged"),
    "gif cut": (lambda: encoded(letter(0, (90, 90)), "GIF")[:2000], "is cut or damaged"),
    "webp cut": (lambda: encoded(colour(0, (90, 90)), "WEBP")[:900], "is cut or damaged"),
    "bmp cut": (lambda: encoded(colour(), "BMP")[:900], "is cut or damaged"),
    "tiff cut": (lambda: encoded(colour(), "TIFF")[:900], "is cut or damaged"),
    "animated gif": (lambda: animated("GIF"), "has several frames"),
    "animated png": (lambda: animated("PNG"), "has several frames"),
    "animated webp": (lambda: animated("WEBP"), "has several frames"),
    "tiff of three pages": (lambda: animated("TIFF"), "has several pages"),
    "32 bit tiff": (
        lambda: encoded(Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)), "TIFF"),
        "has 32 bits a pixel",
    ),
    "float tiff": (
        lambda: encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
        "has 32 bits a pixel",
    ),
    "wholly transparent": (lambda: encoded(Image.new("RGBA", (8, 8))), "is wholly transparent"),
    "too many bytes": (lambda: png() + bytes(32 * 2**20), "MiB large: expected at most 32 MiB"),
}  # fmt: skip


# --- projects -------------------------------------------------------------------------------------


class TinyFeatures:
    """The pixels of a picture as its features: a model in milliseconds, without TensorFlow."""

    identity = "tiny"
    size = (8, 8)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return pictures.mean(axis=-1).reshape(len(pictures), -1).astype(np.float32)


def stripes(kind: int, seed: int) -> Image.Image:
    """Return a picture of one of three kinds that even a tiny model tells apart."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 60, (24, 24), np.uint8)
    if kind == 0:
        values[:, :8] += 180
    elif kind == 1:
        values[:8] += 180
    else:
        values[8:16, 8:16] += 180
    return Image.fromarray(values)


def fill(store: Store, n: int) -> list[int]:
    """Add n pictures, named by their kind; return their numbers."""
    numbers = []
    for seed in range(n):
        name = f"{'ABC'[seed % 3]}-{seed:03d}.png"
        picture = pictures.decode(encoded(stripes(seed % 3, seed)), name)
        numbers.append(store.pictures.add(*picture.to_keep(), "folder"))
    return numbers


def scores(store: Store, confidence: float, predicted: int = 2, model: str = "m" * 64) -> None:
    """Let a model be equally sure of every picture."""
    items = store.reader.snapshot()["id"]
    classes = tuple(c.name for c in store.classes.all())
    known = Model(model, classes, 10, "", "")
    store.models.set_scores(
        known, items, np.full(len(items), predicted), np.full(len(items), confidence, float)
    )


def state(folder: Path) -> tuple[dict[str, str], dict[str, list]]:
    """Return all files below a folder by their hashes, and all rows of its database."""
    files, rows = {}, {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("labels.sqlite"):
            files[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    with closing(sqlite3.connect(folder / "labelling" / "labels.sqlite")) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (name,) in connection.execute(query).fetchall():
            rows[name] = connection.execute(f"SELECT * FROM {name}").fetchall()
    return files, rows


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something has happened in another thread or process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def bare_pictures(store: Store, n: int) -> list[int]:
    """Add pictures that nobody looks at; return their numbers."""
    first = store.reader.position()[1]
    with store.database.transaction() as connection:
        drawn = np.random.default_rng(first).random(n).tolist()
        connection.executemany(
            """INSERT INTO items (sha256, name, width, height, source, added, shuffle, rank)
            VALUES (?, '', 1, 1, 'upload', '', ?, ?)""",
            [(f"{first + i:064x}", b, 2 + b) for i, b in enumerate(drawn)],
        )
    return list(range(first + 1, first + n + 1))


def auto_label(store: Store, least: float) -> int:
    """Give every free picture what the model predicts if it is so sure; return how many."""
    with store.database.transaction() as connection:
        rows = connection.execute(
            """SELECT id, predicted, confidence, model FROM items
            WHERE label IS NULL AND rejected IS NULL AND coalesce(until, 0) <= ?
                AND confidence >= ? ORDER BY id""",
            (store.database.clock(), least),
        ).fetchall()
        labels = [(row["id"], row["predicted"], row["confidence"]) for row in rows]
        done = store.models.give(connection, rows[0]["model"], labels) if rows else []
    store.folders.show(done)
    return len(done)


def open_plan(store: Store, items: list[int]) -> int:
    """Begin an attempt to finish in which all of these pictures are answered by hand."""
    query = """SELECT coalesce(predicted, 0), coalesce(confidence, 0.5) FROM items
        WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"""
    with store.database.transaction() as connection:
        rows = connection.execute(query, (json.dumps(items),)).fetchall()
        predicted, confidence = (np.array(column) for column in zip(*rows, strict=True))
        terms = Terms(0.9, by_hand=len(items))
        said, none = Said(predicted, confidence, -confidence), np.empty(0, np.int64)
        plan = terms.plan(len(items), 0)
        draft = Draft(terms, plan, np.sort(items), said, none, store.reader.position()[0])
        model = connection.execute("SELECT max(id) FROM models").fetchone()[0]
        return store.plans.write(connection, draft, "00", model, "ann")
