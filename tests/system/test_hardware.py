"""Tests of ``system.hardware``: flags and number of CPUs, and the available memory."""

from __future__ import annotations

import math

import pytest

from charlstm.system.hardware import (
    available_memory,
    floating_point_speed,
    int8_pairs_saturate,
    processor_count,
    product_type,
)

X86 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R45
flags\t\t: {flags}
bugs\t\t: sysret_ss_attrs spectre_v1 {bugs}

processor\t: 1
flags\t\t: {flags}
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes bf16 i8mm
"""


@pytest.fixture
def cpuinfo(tmp_path):
    def write(text):
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu vme sse2 avx2", "float32"),
        ("fpu avx512f avx512_bf16 avx512_vnni", "bfloat16"),
        ("avx512_bf16", "bfloat16"),
        ("fpu amx_bf16 amx_tile", "bfloat16"),
        ("fpu amx_tile amx_int8 avx512_fp16", "float32"),
        ("fpu avx512_bf16_emulated xamx_bf16", "float32"),
        ("", "float32"),
    ],
)
def test_auto_follows_the_flags_of_the_cpu(cpuinfo, flags, expected):
    assert product_type("auto", cpuinfo(X86.format(flags=flags, bugs=""))) == expected


def test_only_the_line_of_flags_counts(cpuinfo):
    assert product_type("auto", cpuinfo(X86.format(flags="fpu sse2", bugs="amx_bf16"))) == "float32"


@pytest.mark.parametrize("text", ["", "\n", ARM, "processor\t: 0\n"])
def test_auto_is_float32_without_flags(cpuinfo, text):
    assert product_type("auto", cpuinfo(text)) == "float32"


def test_auto_is_float32_without_a_description(tmp_path):
    assert product_type("auto", tmp_path / "missing") == "float32"
    assert product_type("auto", tmp_path) == "float32"


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
@pytest.mark.parametrize("flags", ["fpu", "fpu avx512_bf16"])
def test_the_choice_of_the_user_has_precedence(cpuinfo, wanted, flags):
    assert product_type(wanted, cpuinfo(X86.format(flags=flags, bugs=""))) == wanted


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        ("fpu avx2 avx512f avx512_vnni", False),
        ("fpu avx2 avx_vnni", False),
        ("fpu avx2", True),
        ("", True),
    ],
)
def test_vnni_multiplies_int8_exactly(cpuinfo, flags, saturates):
    assert int8_pairs_saturate(cpuinfo(X86.format(flags=flags, bugs="vnni"))) is saturates


def test_an_unknown_cpu_is_assumed_to_lack_vnni(tmp_path):
    assert int8_pairs_saturate(tmp_path / "none")


def test_only_the_cpus_that_the_process_may_use_count(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert processor_count() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert processor_count() == 1


MEMINFO = "MemTotal:       24689852 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n"


def test_memory_is_limited_by_the_system_and_the_container(tmp_path):
    meminfo, limit, none = tmp_path / "meminfo", tmp_path / "memory.max", tmp_path / "nothing"
    meminfo.write_text(MEMINFO)
    limit.write_text("max\n")
    assert available_memory(meminfo, (limit, none)) == 20_000_000 * 1024
    limit.write_text("1073741824\n")
    assert available_memory(meminfo, (limit, none)) == 1 << 30
    assert available_memory(none, (limit, none)) == 1 << 30
    limit.write_text(f"{1 << 62}\n")  # control groups version 1 report no limit in this way
    assert available_memory(meminfo, (none, limit)) == 20_000_000 * 1024


@pytest.mark.parametrize(
    "text", ["", "MemAvailable:\n", "MemAvailable: many kB\n", "MemTotal: 3 kB\n"]
)
def test_memory_that_is_not_reported_is_unknown(tmp_path, text):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(text)
    assert available_memory(meminfo, ()) is None
    assert available_memory(tmp_path / "nothing", (tmp_path / "nothing",)) is None


def test_the_address_space_limit_limits_memory(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO)
    monkeypatch.setattr("resource.getrlimit", lambda kind: (1 << 30, 1 << 31))
    assert available_memory(meminfo, ()) == 1 << 30


def test_the_measured_speed_is_plausible():
    assert 0 < floating_point_speed() < math.inf
