"""Imports TensorFlow and Keras: with the TensorFlow backend, no log output and no files written.

All modules that need them import them from here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without this, TensorFlow uses oneDNN only on CPUs with features such as AVX-512. Its own code
# takes four times as long to multiply a few rows by a transposed matrix.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide output of libraries to file descriptor 2, unless the import fails."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def _without_user_files() -> Iterator[None]:
    """Keep Keras from reading or writing the user's files while it is imported.

    It would create ``~/.keras/keras.json`` or read a default dtype from it, and import matplotlib
    if installed, which writes a font cache. As a side effect, Keras downloads its example data sets
    to ``/tmp`` for the rest of the process.
    """
    if "keras" in sys.modules:
        yield
        return
    home, plots = os.environ.get("KERAS_HOME"), "matplotlib" in sys.modules
    os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")  # can't be created below a device
    if not plots:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        if home is not None:
            os.environ["KERAS_HOME"] = home
        if not plots:
            del sys.modules["matplotlib"]


with _silence(), _without_user_files():
    import keras
    import tensorflow as tf

    # TensorFlow reports missing GPU libraries when devices are first listed.
    tf.config.list_physical_devices()

__all__ = ["keras", "tf"]
