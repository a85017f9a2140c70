"""The machine: the number, speed and number formats of its CPU cores, and the available memory.

The module imports nothing heavy, so that runs can be planned without TensorFlow. It does not cover
GPUs.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import Literal

import numpy as np

ProductType = Literal["float32", "bfloat16"]

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")

# The files with the memory limit of a container: control groups, versions 2 and 1.
MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

# Flags of CPUs that multiply bfloat16 in hardware. Others would emulate it.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def processor_count() -> int:
    """Return the number of CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def available_memory(
    meminfo: Path = MEMINFO, limits: tuple[Path, ...] = MEMORY_LIMITS
) -> int | None:
    """Return the memory that a new process may use, in bytes, or ``None`` if it is unknown.

    Args:
        meminfo: the file in which Linux reports available memory, including caches.
        limits: the files in which Linux reports the memory limit of a container. The smallest of
            all numbers counts.
    """
    bounds = []
    with contextlib.suppress(OSError, LookupError, ValueError):
        fields = dict(line.split(":") for line in meminfo.read_text("ascii").splitlines())
        bounds.append(1024 * int(fields["MemAvailable"].split()[0]))
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # "max" means no limit
            bounds.append(int(limit.read_text("ascii")))
    if (most := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        bounds.append(most)
    return min(bounds, default=None)


def processor_flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Return the flags of the first x86 core; empty if the system does not list them."""
    try:
        lines = cpuinfo.read_text("ascii", "replace").splitlines()
    except OSError:
        return set()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return set(next(flags, "").split())


def product_type(precision: Literal["auto"] | ProductType, cpuinfo: Path = CPUINFO) -> ProductType:
    """Return the number format of matmuls in training: bfloat16 if the CPU supports it.

    Args:
        precision: the choice of the user.
        cpuinfo: the file in which Linux describes the CPU.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if BFLOAT16_FLAGS & processor_flags(cpuinfo) else "float32"


def floating_point_speed() -> float:
    """Measure the float32 matmul rate of one CPU core, in FLOP/s: the best of 3,000 tries.

    The matrices are 64 x 64, for which NumPy uses a single thread. From 96 x 96 on it uses several,
    which wait for one another on a busy machine. The tries take about 30 ms in total, longer than a
    virtual CPU usually waits for its turn.
    """
    size = 64
    a = np.ones((size, size), np.float32)

    def seconds() -> float:
        begin = time.perf_counter()
        a @ a
        return time.perf_counter() - begin

    return 2 * size**3 / min(seconds() for _ in range(3000))


def int8_pairs_saturate(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether int8 sums of two products may saturate, as on x86 without VNNI."""
    return not any("vnni" in flag for flag in processor_flags(cpuinfo))
