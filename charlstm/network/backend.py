"""TensorFlow and Keras, loaded the one way charlstm needs them: as a pair, quietly, and traceless.

Whoever trains takes both from here. This module knows nothing of charlstm.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what libraries write to file descriptor 2 from the user, unless loading fails."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            os.write(kept, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def _without_user_files() -> Iterator[None]:
    """Keep Keras from reading or writing files of the user while it is imported.

    Its keras.json, written where there is none, may name another default type. matplotlib, which
    Keras imports where it is installed, writes a list of fonts. For the rest of the process, Keras
    downloads its own data sets to /tmp.
    """
    if "keras" in sys.modules:
        yield
        return
    home, plots = os.environ.get("KERAS_HOME"), "matplotlib" in sys.modules
    os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")  # below a device nothing can be
    if not plots:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]  # not to be imported
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

    # The first look for devices is when TensorFlow reports on GPU libraries it can't find.
    tf.config.list_physical_devices()

__all__ = ["keras", "tf"]
