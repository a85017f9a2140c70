"""Decides whether an exception means that memory ran out, by its type and its origin.

Messages are read only for the dynamic loader and ONNX Runtime, which have no exception of their own
for a failed allocation. The module imports none of the libraries whose exceptions it recognizes.
"""

from __future__ import annotations

import errno
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")

# Parts of messages of the dynamic loader, and of extension modules that are being initialized.
_LOADER = ("failed to map segment", "cannot allocate memory", "bad_alloc")
# Parts of messages of ONNX Runtime.
_ONNX_RUNTIME = ("bad_alloc", "failed to allocate memory", "cannot allocate memory")
# Python raises these after an allocation inside it failed unnoticed: it returned an error without
# an exception, or read source code only in part.
_PYTHON = (SystemError, SyntaxError)
# In bytes. Python asks for memory in blocks of 1 MiB; threads and buffers ask for more.
_LEFT_OVER = 2**23


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that there was not enough memory."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    if isinstance(error, ImportError | OSError):
        return _says(error, _LOADER)
    if isinstance(error, _PYTHON):
        return _address_space_is_used_up()
    return _is_from_tensorflow(error) or (
        _is_from_onnx_runtime(error) and _says(error, _ONNX_RUNTIME)
    )


def _says(error: BaseException, reasons: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(reason in text for reason in reasons)


def _is_from_tensorflow(error: BaseException) -> bool:
    errors = sys.modules.get("tensorflow.python.framework.errors_impl")
    return errors is not None and isinstance(error, errors.ResourceExhaustedError)


def _is_from_onnx_runtime(error: BaseException) -> bool:
    """Return whether it is an exception of ONNX Runtime, or a RuntimeError from its C++ code."""
    if type(error).__module__.startswith("onnxruntime."):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return type(error) is RuntimeError and raised_in.startswith("onnxruntime.")


def _address_space_is_used_up(status: Path = STATUS) -> bool:
    """Return whether the process is at or near its address space limit (``ulimit -v``)."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        fields = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines())
        peak = 1024 * int(fields["VmPeak"].split()[0])
    except (OSError, LookupError, ValueError):  # the system does not report the peak
        return False
    return peak > limit - _LEFT_OVER
