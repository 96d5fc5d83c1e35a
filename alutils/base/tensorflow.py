"""TensorFlow, imported late and without its start-up messages."""

import os
import sys
import tempfile
from types import ModuleType


def tensorflow() -> ModuleType:
    """Import and return TensorFlow; its notes on CPU features do not reach the screen.

    They are written by C++ to the process's standard error before any log level is read, so that
    is where they are held back. Should the import fail, they are shown.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow

            tensorflow.zeros(1)  # the last messages come with the first operation
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
    return tensorflow
