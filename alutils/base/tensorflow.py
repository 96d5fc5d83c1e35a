"""TensorFlow, imported late, without its start-up messages, and as the backend of Keras."""

import os
import sys
import tempfile
from types import ModuleType

from alutils.base.errors import ParameterError


def settle_keras() -> None:
    """Make TensorFlow the backend of Keras, whatever the user's settings are; imports nothing.

    Our layers and training steps are written for TensorFlow. Keras reads its backend from
    ``KERAS_BACKEND`` or from ``keras.json`` once, when it is imported. What else these settings may
    say (number type, order of dimensions), our layers say for themselves. ParameterError if Keras
    has been imported with another backend already.
    """
    keras = sys.modules.get("keras")
    backend = keras.config.backend() if keras else "tensorflow"
    if backend != "tensorflow":
        raise ParameterError(
            "KERAS_BACKEND",
            backend,
            "Keras was imported with this backend already, expected tensorflow",
            "restart Python and set KERAS_BACKEND=tensorflow, or import keras after alutils",
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"


def import_tensorflow() -> ModuleType:
    """Import and return TensorFlow; its notes on CPU features do not reach the screen.

    They are written by C++ to the process's standard error before any log level is read, so that
    is where they are held back. Should the import fail, they are shown. Errors as `settle_keras`.
    """
    settle_keras()
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow

            tensorflow.zeros(1)  # the last messages come with the first operation
        except BaseException:
            held.seek(0)
            os.write(screen, held.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
    return tensorflow
