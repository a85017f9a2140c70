"""How TensorFlow is set up, in separate processes."""

import os
import subprocess
import sys

import pytest

PRINT = "import charlstm.network.backend, os; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"


@pytest.mark.parametrize(("own", "expected"), [(None, "1"), ("0", "0")])
def test_matmuls_use_onednn_unless_the_user_decides(own, expected):
    environ = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    if own is not None:
        environ["TF_ENABLE_ONEDNN_OPTS"] = own
    command = [sys.executable, "-c", PRINT]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected}\n", "")
