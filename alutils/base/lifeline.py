"""A process that ends when the one that started it is gone, however that went.

The starter keeps the other end of its standard input open, and sets `VARIABLE`. When the starter
ends, by an error, a signal or a kill, the system closes that end, and the process is interrupted as
by Ctrl-C: it writes down what it has, and the same command goes on from there.
"""

import _thread
import os
import signal
import threading

VARIABLE = "ALUTILS_LIFELINE"


def watch() -> None:
    """Interrupt the main thread when standard input ends; nothing where `VARIABLE` is not set."""
    if not os.environ.pop(VARIABLE, ""):
        return
    # What a shell starts in the background ignores the signal, and so does all that this starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_wait, daemon=True, name="lifeline").start()


def _wait() -> None:
    # Not by sys.stdin, whose lock an ending interpreter would wait for.
    while os.read(0, 4096):
        pass
    if os.name == "nt":
        _thread.interrupt_main()
    else:  # a real signal also ends what the main thread waits for
        os.kill(os.getpid(), signal.SIGINT)
