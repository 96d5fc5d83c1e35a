"""A clock that nobody sets: for what is due, as opposed to what is written down."""

from __future__ import annotations

import time


class Steady:
    """Gives seconds since 1970 as they were when it was made, and counts on by itself from there.

    The system's clock may be set while a program runs, by a person or over the network: hours
    forward, and all that people hold would be given to others; hours back, and nothing would come
    free or be tried again for so long.
    """

    def __init__(self) -> None:
        self._from = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time."""
        return self._from + time.monotonic()
