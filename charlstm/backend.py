"""TensorFlow and Keras, loaded the one way charlstm needs them: quietly, and as a pair.

Whoever trains takes both from here. This module knows nothing of charlstm.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

# A user's ~/.keras/keras.json may name another backend or another default type.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_FLOATX"] = "float32"
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


with _silence():
    import keras
    import tensorflow as tf

    # The first look for devices is when TensorFlow reports on GPU libraries it can't find.
    tf.config.list_physical_devices()

__all__ = ["keras", "tf"]
