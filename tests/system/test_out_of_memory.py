"""Tests of ``system.out_of_memory``: exceptions that mean it, or only sound like it."""

import errno
import resource
import subprocess
import sys

import pytest

from charlstm.system import out_of_memory as memory
from charlstm.system.out_of_memory import is_out_of_memory

INTERNAL = "<function f> returned NULL without setting an exception"
THREAD = "env.cc:327 pthread_create failed, error code: 12 error msg: Cannot allocate memory"


def raised_in(module, kind, text):
    """Return an exception that was raised in a module with this name."""
    try:
        exec("raise kind(text)", {"__name__": module, "kind": kind, "text": text})
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError("lib.so: failed to map segment from shared object"),
        ImportError("lib.so: failed to map segment from shared object"),
        ImportError("lib.so: cannot allocate memory in static TLS block"),
        ImportError("Exception caught: std::bad_alloc"),
        raised_in("onnxruntime.capi.onnxruntime_inference_collection", RuntimeError, THREAD),
    ],
    ids=repr,
)
def test_exceptions_of_libraries_without_memory(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        SystemError(INTERNAL),
        SyntaxError("expected ':'"),
        ValueError("the sentence 'cannot allocate memory' is no number"),
        RuntimeError(THREAD),
        raised_in("charlstm.engine.inference", RuntimeError, THREAD),
        raised_in("onnxruntime.capi.onnxruntime_inference_collection", ValueError, THREAD),
        raised_in("onnxruntime.capi.onnxruntime_inference_collection", RuntimeError, "bad model"),
        ImportError("No module named 'onnxruntime'"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "bad_alloc.txt"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=repr,
)
def test_exceptions_that_only_sound_like_it(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("Exception during initialization: std::bad_alloc", True), ("invalid dimensions", False)],
)
def test_an_exception_of_onnx_runtime_has_to_be_about_memory(reason, expected):
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    error = RuntimeException(f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {reason}")
    assert is_out_of_memory(error) is expected


def test_the_exception_of_tensorflow_is_recognized():
    from charlstm.network.backend import tf

    assert is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "a tensor"))
    assert not is_out_of_memory(tf.errors.InternalError(None, None, "out of memory"))


def test_no_library_is_imported_to_recognize_its_exceptions():
    program = (
        "import sys; from charlstm.system.out_of_memory import is_out_of_memory; "
        "assert not is_out_of_memory(RuntimeError('bad_alloc')); "
        "assert not {'tensorflow', 'onnxruntime', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does")
@pytest.mark.parametrize(("megabytes", "expected"), [(1, True), (100, False)])
def test_an_internal_error_counts_if_the_address_space_is_used_up(megabytes, expected):
    program = (
        "import resource, sys; from charlstm.system.out_of_memory import is_out_of_memory\n"
        "peak = int(open('/proc/self/status').read().split('VmPeak:')[1].split()[0])\n"
        "hard = resource.getrlimit(resource.RLIMIT_AS)[1]\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (1024 * peak + {megabytes} * 2**20, hard))\n"
        f"print(is_out_of_memory(SystemError('{INTERNAL}')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize("status", [None, "", "VmPeak: ?", "VmPeak\n"])
def test_a_system_that_does_not_report_memory_is_assumed_to_have_it(tmp_path, monkeypatch, status):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**20, 2**20))
    path = tmp_path / "status"
    if status is not None:
        path.write_text(status)
    assert not memory._address_space_is_used_up(path)
