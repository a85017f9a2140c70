"""Decides whether an exception means that memory ran out, by its type and its origin.

A message alone decides nothing: only the messages of the dynamic loader and of ONNX Runtime, which
have no exception of their own for a failed allocation, are read. This module imports none of the
libraries whose exceptions it knows.
"""

from __future__ import annotations

import errno
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")

# In messages of the dynamic loader, and of an extension module that is being initialized.
_LOADER = ("failed to map segment", "cannot allocate memory", "bad_alloc")
# In messages of ONNX Runtime.
_ONNX_RUNTIME = ("bad_alloc", "failed to allocate memory", "cannot allocate memory")
# Raised after an allocation within Python itself failed unnoticed: an error without its exception,
# or source code that was read in part.
_PYTHON = (SystemError, SyntaxError)
# Bytes. Python asks for memory in pieces of 1 MiB, threads and buffers ask for more.
_LEFT_OVER = 2**23


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that there was not enough memory."""
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
    """Whether it is an exception of ONNX Runtime, or a RuntimeError raised in its C++ code."""
    if type(error).__module__.startswith("onnxruntime."):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return type(error) is RuntimeError and raised_in.startswith("onnxruntime.")


def _address_space_is_used_up(status: Path = STATUS) -> bool:
    """Whether the process has reached its limit of address space (``ulimit -v``) or nearly so."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        fields = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines())
        peak = 1024 * int(fields["VmPeak"].split()[0])
    except (OSError, LookupError, ValueError):  # this system does not report it
        return False
    return peak > limit - _LEFT_OVER
