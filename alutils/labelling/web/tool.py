"""What the views of the labelling tool work with."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from flask import current_app

from alutils.labelling.model.desk import Desk
from alutils.labelling.store.store import Store


@dataclass(frozen=True)
class Tool:
    """What an application works with; kept as ``app.extensions["labelling"]``.

    Attributes
    ----------
    desk : answers the queue's requests
    threshold : confidence from which a single picture goes to its folder without being asked about
    decoders : is held while a picture is decoded
    """

    desk: Desk
    threshold: float
    decoders: threading.Semaphore

    @property
    def store(self) -> Store:
        return self.desk.store


def tool() -> Tool:
    """Return what the present application works with."""
    return current_app.extensions["labelling"]
