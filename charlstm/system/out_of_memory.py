"""Whether an exception means that memory ran out, decided by its type and where it comes from.

A text alone decides nothing: only of the exceptions in which the dynamic loader and ONNX Runtime
report a failed allocation is the text read. This module imports none of the libraries whose
exceptions it knows.
"""

from __future__ import annotations

import errno
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")

# How the dynamic loader and an extension module that is being initialized report it.
_LOADER = ("failed to map segment", "cannot allocate memory", "bad_alloc")
# How ONNX Runtime does.
_ONNX_RUNTIME = ("bad_alloc", "failed to allocate memory", "cannot allocate memory")
# Where allocations within Python itself fail unnoticed, what comes of it: an error without its
# exception, or source text that is only half read.
_PYTHON = (SystemError, SyntaxError)
# Python asks the system for memory in pieces of 1 MiB, threads and buffers take more.
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
    """Return whether it is one of its exceptions, or one of C++, which are RuntimeErrors."""
    if type(error).__module__.startswith("onnxruntime."):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return type(error) is RuntimeError and raised_in.startswith("onnxruntime.")


def _address_space_is_used_up(status: Path = STATUS) -> bool:
    """Return whether the process has had nearly all that its limit (``ulimit -v``) allows."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        fields = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines())
        peak = 1024 * int(fields["VmPeak"].split()[0])
    except (OSError, LookupError, ValueError):  # this system doesn't tell
        return False
    return peak > limit - _LEFT_OVER
