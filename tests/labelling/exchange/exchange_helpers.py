"""Small projects for the tests of import and export."""

import hashlib
import io

import numpy as np
from PIL import Image


def png(i):
    """Return a picture, another one for each number."""
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6), i, np.uint8)).save(file, "PNG")
    return file.getvalue()


def add(store, i, name=None):
    data = png(i)
    name = f"{i}.png" if name is None else name
    return store.pictures.add(data, hashlib.sha256(data).hexdigest(), name, 6, 4)


def answers(store):
    """Return (label, whose) or the reason of the rejection of each picture, by its hash."""
    found = {}
    for item, event in store.reader.labelled(rejected=True):
        answer = (
            (event.kind == "reject", event.why)
            if item.rejected
            else (item.label, item.label_source)
        )
        found[item.sha256] = (answer, event.person)
    return found


def state(store):
    """Return all rows that an import may write."""
    return [
        [tuple(row) for row in store.database.connection.execute(f"SELECT * FROM {table}")]
        for table in ("items", "events", "classes", "class_events")
    ]
