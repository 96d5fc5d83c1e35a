"""A process that ends when the one that started it is gone, however that went.

The starter keeps the other end of its standard input open, and sets `VARIABLE`. When the starter
ends, by an error, a signal or a kill, the system closes that end. The process is then interrupted
as by Ctrl-C: it writes down what it has, and the same command goes on from there. A process that
has nothing to write down ends at once.
"""

import _thread
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

VARIABLE = "ALUTILS_LIFELINE"


def watch(*, at_once: bool = False) -> None:
    """Interrupt the main thread when standard input ends; nothing where `VARIABLE` is not set.

    With ``at_once`` the process ends instead, whatever its threads are doing.
    """
    if not os.environ.pop(VARIABLE, ""):
        return
    # What a shell starts in the background ignores the signal, and so does all that this starts.
    signal.signal(signal.SIGINT, signal.SIG_IGN if at_once else signal.default_int_handler)
    threading.Thread(target=_wait, args=(at_once,), daemon=True, name="lifeline").start()


def _wait(at_once: bool) -> None:
    # Not by sys.stdin, whose lock an ending interpreter would wait for.
    while os.read(0, 4096):
        pass
    if at_once:
        os._exit(1)
    if os.name == "nt":
        _thread.interrupt_main()
    else:  # a real signal also ends what the main thread waits for
        os.kill(os.getpid(), signal.SIGINT)


def environment() -> dict[str, str]:
    """Return the variables for such a process: it finds this package, wherever we have it from."""
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, VARIABLE: "1", "PYTHONPATH": os.pathsep.join(paths)}


def own_group() -> dict[str, Any]:
    """Return the options of `subprocess.Popen` that keep Ctrl-C of the terminal from it."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}
