"""Tests of ``checkpoint.safetensors``: only tensors that match their description are accepted."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import random

import msgspec
import numpy as np
import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import (
    CONFIG,
    MODEL,
    TOKENIZER,
    expected_shapes,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig
from charlstm.errors import (
    CheckpointDamaged,
    CheckpointError,
)
from tests.checkpoint.helpers import (
    FIGURES,
    NETWORK,
    is_damaged,
    refusal,
    settings,
    sign,
    weights_for,
    with_header,
)


def test_weights_may_have_any_memory_order(folder):
    weights = {name: np.asfortranarray(tensor) for name, tensor in weights_for(NETWORK).items()}
    CheckpointWriter(folder).model(weights, FIGURES)
    for name, tensor in read_checkpoint(folder).weights.items():
        assert np.array_equal(tensor, weights[name])


def test_the_digest_covers_weights_and_metadata_as_it_always_did(folder):
    """Existing checkpoints must stay readable: the digest is part of the format."""
    from safetensors import safe_open

    with safe_open(folder / MODEL, framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    sha256 = metadata.pop("sha256")
    assert sorted(metadata) == ["config.json_sha256", "figures", "tokenizer.json_sha256"]
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode()
    for name in sorted(tensors):
        text += f"\n{name} <f4 {tensors[name].shape}\n".encode() + tensors[name].tobytes()
    assert sha256 == hashlib.sha256(text).hexdigest()
    for name in (CONFIG, TOKENIZER):
        assert (
            metadata[f"{name}_sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        )


def test_weights_that_are_cut_off(folder):
    path = folder / MODEL
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path), length


@pytest.mark.parametrize("surplus", [b"\0", b"\0" * 8, b"{}", b"x" * 100])
def test_weights_with_trailing_bytes(folder, surplus):
    path = folder / MODEL
    path.write_bytes(path.read_bytes() + surplus)
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 5000])
def test_random_bytes_in_place_of_weights(folder, length):
    path = folder / MODEL
    path.write_bytes(random.Random(length).randbytes(length))
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path)


def altered_byte(folder, index):
    path = folder / MODEL
    data = bytearray(path.read_bytes())
    data[index] ^= 1
    path.write_bytes(data)
    return refusal(CheckpointDamaged, read_checkpoint, folder)


def test_altered_weights(folder, sentence):
    sentence(altered_byte(folder, -1), folder / MODEL, folder / MODEL, "sha256", "Restore")


def test_altered_figures(folder, sentence):
    data = (folder / MODEL).read_bytes()
    sentence(altered_byte(folder, data.index(b"1.25")), folder / MODEL, "sha256", "Restore")


def test_weights_without_a_digest(folder, sentence):
    from safetensors.numpy import save_file

    save_file(weights_for(NETWORK), folder / MODEL)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder), folder / MODEL, "sha256", "Restore"
    )


# Weights that don't match, with a correct digest


def rewritten(folder, **tensors):
    """Write the weights again, with some replaced, or left out if ``None``."""
    weights = weights_for(NETWORK) | tensors
    CheckpointWriter(folder).model({n: w for n, w in weights.items() if w is not None}, FIGURES)
    return refusal(CheckpointDamaged, read_checkpoint, folder)


def test_weights_of_another_size(folder, sentence):
    CheckpointWriter(folder).model(weights_for(NETWORK.replace(units=4)), FIGURES)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        folder / MODEL,
        "lstm_0/kernel",
        "[2, 16]",
        "F32",
        "config.json",
        "[2, 12]",
    )


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.float64, "F64"), (np.float16, "F16"), (np.int32, "I32")]
)
def test_weights_of_another_type(folder, dtype, name, sentence):
    sentence(
        rewritten(folder, **{"output/bias": np.zeros(5, dtype)}),
        folder / MODEL,
        name,
        "output/bias",
        "[5]",
        "config.json",
        "F32",
    )


def test_a_transposed_weight(folder, sentence):
    sentence(
        rewritten(folder, **{"output/kernel": np.zeros((5, 3), np.float32)}),
        folder / MODEL,
        "output/kernel",
        "[5, 3]",
        "F32",
        "config.json",
        "[3, 5]",
    )


def test_a_weight_too_many(folder, sentence):
    sentence(
        rewritten(folder, **{"lstm_2/bias": np.zeros(12, np.float32)}),
        folder / MODEL,
        "lstm_2/bias",
        "config.json",
        "Restore",
    )


def test_a_weight_too_few(folder, sentence):
    sentence(
        rewritten(folder, **{"lstm_1/bias": None}),
        folder / MODEL,
        "lstm_1/bias",
        "config.json",
        "Restore",
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(folder, value, sentence):
    kernel = np.zeros((3, 12), np.float32)
    kernel[1, 7] = value
    sentence(
        rewritten(folder, **{"lstm_1/recurrent_kernel": kernel}),
        folder / MODEL,
        "lstm_1/recurrent_kernel",
        "NaN or infinite",
        "train again",
    )


@pytest.mark.parametrize("weight", [1e13, -1e13, 3.4e38])
def test_weights_that_nothing_can_be_computed_with(folder, weight, sentence):
    weights = weights_for(NETWORK)
    weights["lstm_1/bias"][3] = weight
    sign(folder / MODEL, weights)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        folder / MODEL,
        "lstm_1/bias",
        "1e+12",
        "train again",
    )


@pytest.mark.parametrize("weight", [1e12, -1e12, 1e-45, 1.8e-43])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_extreme_weights_can_be_computed_with(folder, weight, precision):
    from charlstm.engine.inference import build_engine

    weights = {name: np.full_like(w, weight) for name, w in weights_for(NETWORK).items()}
    sign(folder / MODEL, weights)
    found = read_checkpoint(folder)
    engine = build_engine(found.config.model, found.weights, precision=precision)
    logits, state = engine.run(np.array([[0, 2, 3, 4, 2]]), engine.initial_state(1))
    assert np.isfinite(logits).all()
    assert np.isfinite(state.parts[0]).all()


@pytest.mark.parametrize(
    ("shape", "offsets"),
    [
        ([2**32, 2**32], [0, 0]),
        ([5, 2], [0, 2**63 - 1]),
        ([5, 2], [4, 44]),
        ([5, 2], [40, 0]),
        ([-5, -2], [0, 40]),
        ([5, 2.0], [0, 40]),
        ([5, 2], [-40, 0]),
        ([5, 2], [0, 40, 40]),
        ([1] * 100_000, [0, 40]),
    ],
)
def test_false_descriptions_of_tensors(folder, shape, offsets):
    def change(header):
        header["embedding/embeddings"] |= {"shape": shape, "data_offsets": offsets}
        return header

    with_header(folder / MODEL, change)
    message = refusal(CheckpointDamaged, read_checkpoint, folder)
    assert str(folder / MODEL) in message
    assert len(message) < len(str(folder)) + 500


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**8, 7])
def test_headers_of_a_false_length(folder, length):
    path = folder / MODEL
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path)


@pytest.mark.parametrize("text", [b'{"a":' * 100_000, b"[" * 100_000, b" " * 10**6 + b"{}"])
def test_headers_that_are_deep_or_huge(folder, text):
    with_header(folder / MODEL, lambda header: text)
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), folder / MODEL)


def test_weights_that_no_machine_can_hold(folder, sentence):
    """The file has the size that the configuration requires, and takes no disk space."""
    network = ModelConfig(vocab_size=5, embedding=16_384, units=16_384, layers=64)
    header, end = {}, 0
    for name, shape in expected_shapes(network).items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path = folder / MODEL
    (folder / CONFIG).write_bytes(msgspec.json.encode(settings(network)))
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + end)
    sentence(refusal(CheckpointError, read_checkpoint, folder), path, "549.8 GB", "memory")


def test_weights_that_were_never_written(folder, monkeypatch, sentence):
    monkeypatch.setattr("charlstm.checkpoint.safetensors._MAY_HAVE_HOLES", 2**16)
    network = ModelConfig(vocab_size=5, embedding=200, units=200, layers=1)
    (folder / CONFIG).write_bytes(msgspec.json.encode(settings(network)))
    path = folder / MODEL
    sign(path, weights_for(network))
    read_checkpoint(folder)
    size = path.stat().st_size
    os.truncate(path, 8192)
    os.truncate(path, size)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        path,
        "damaged",
        "never written",
        "Restore",
    )


def test_a_file_system_that_reports_no_holes(folder, monkeypatch):
    real = os.lseek

    def lseek(descriptor, position, whence):
        if whence in (os.SEEK_DATA, os.SEEK_HOLE):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, position, whence)

    monkeypatch.setattr("charlstm.checkpoint.safetensors._MAY_HAVE_HOLES", 0)
    assert read_checkpoint(folder).figures == FIGURES
    monkeypatch.setattr(os, "lseek", lseek)
    assert read_checkpoint(folder).figures == FIGURES
