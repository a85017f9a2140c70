"""Tests of ``checkpoint.reader``: what was written is read back, or refused with a clear error."""

from __future__ import annotations

import hashlib
import json
import os
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.folder import (
    create_checkpoint,
    lock_folder,
)
from charlstm.checkpoint.reader import (
    lines_digest,
    read_checkpoint,
    read_config,
    read_hashes,
    read_history,
    read_lines_index,
    read_tokenizer,
)
from charlstm.checkpoint.resume import Addresses, Progress, read_resume
from charlstm.checkpoint.safetensors import write_tensors
from charlstm.checkpoint.schema import (
    CONFIG,
    FORMAT,
    HISTORY,
    LINES,
    MODEL,
    RESUME,
    TOKENIZER,
    expected_shapes,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import (
    CheckpointDamaged,
    CheckpointMissing,
    CheckpointTooNew,
)
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import (
    CHARACTERS,
    FIGURES,
    NETWORK,
    begin,
    is_damaged,
    refusal,
    settings,
    sign,
    weights_for,
)

# Round trips


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_checkpoint_round_trips(tmp_path_factory, units, layers, tied, seed):
    network = ModelConfig(
        vocab_size=5, embedding=units if tied else 3, units=units, layers=layers, tied=tied
    )
    config, weights = settings(network), weights_for(network, seed)
    folder = tmp_path_factory.mktemp("run")
    begin(folder, config)
    CheckpointWriter(folder).model(weights, FIGURES)
    read = read_checkpoint(folder)
    assert (read.folder, read.config, read.figures) == (folder, config, FIGURES)
    assert read.tokenizer == CHARACTERS
    assert read.weights.keys() == weights.keys()
    for name, tensor in weights.items():
        assert read.weights[name].dtype == np.float32
        assert read.weights[name].tobytes() == tensor.tobytes()


# Missing files


def test_a_folder_that_is_not_there(tmp_path, sentence):
    path = tmp_path / "none"
    for read in (read_checkpoint, read_config):
        sentence(refusal(CheckpointMissing, read, path), path)


def test_a_place_that_is_no_checkpoint(tmp_path, sentence):
    parts = ["config.json is missing", "charlstm train"]
    sentence(refusal(CheckpointMissing, read_checkpoint, tmp_path), tmp_path, *parts)
    (tmp_path / "file").write_text("text")
    path = tmp_path / "file"
    sentence(refusal(CheckpointMissing, read_checkpoint, path), path, *parts)


def test_missing_weights(folder, sentence):
    (folder / MODEL).unlink()
    sentence(
        refusal(CheckpointMissing, read_checkpoint, folder),
        folder,
        "model.safetensors is missing",
        "Restore",
        f"`output` {folder} and `overwrite`",
    )


def test_a_missing_tokenizer(folder, sentence):
    (folder / TOKENIZER).unlink()
    sentence(
        refusal(CheckpointMissing, read_checkpoint, folder),
        folder / TOKENIZER,
        "no such file",
        "Restore",
    )


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER])
def test_json_that_is_cut_off(folder, name):
    path = folder / name
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 7):
        path.write_bytes(data[:length])
        message = refusal(CheckpointDamaged, read_checkpoint, folder)
        assert message.startswith(str(path)), length
        assert " again" in message


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, MODEL])
def test_flipped_bits(folder, name):
    path = folder / name
    data = path.read_bytes()
    generator = random.Random(1)
    for bit in generator.sample(range(8 * len(data)), 200):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises((CheckpointDamaged, CheckpointTooNew)) as caught:
            read_checkpoint(folder)
        # The digit of the format is the only place where a larger number means something else.
        assert type(caught.value) is CheckpointDamaged or (
            name == CONFIG and flipped[: bit // 8].endswith(b'"format": ')
        )
        assert str(folder) in str(caught.value)


def test_an_altered_config(folder, sentence):
    path = folder / CONFIG
    path.write_text(path.read_text().replace('"streams": 48', '"streams": 31'))
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "Restore")


def test_a_config_in_another_layout(folder, sentence):
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text())))
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "Restore")


def test_an_altered_tokenizer(folder, sentence):
    path = folder / TOKENIZER
    path.write_bytes(build_tokenizer(["abd"], TokenizerConfig()).to_json())
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "Restore")


def test_a_tokenizer_that_is_no_tokenizer(folder, sentence):
    path = folder / TOKENIZER
    path.write_bytes(b'{"level":"char","symbols":["a","a"]}')
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "damaged", "twice")
    sentence(refusal(CheckpointDamaged, read_tokenizer, folder), path)


def test_a_tokenizer_that_does_not_fit_the_model(tmp_path, sentence):
    network = NETWORK.replace(vocab_size=6)
    begin(tmp_path, settings(network))
    CheckpointWriter(tmp_path).model(weights_for(network), FIGURES)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, tmp_path),
        tmp_path / TOKENIZER,
        "5 tokens",
        6,
        "Restore",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "1"}, "format: expected int, got str"),
        ({"color": "red"}, "unknown field color"),
        ({"model": {"vocab_size": 5, "units": 0}}, "model.units: expected int >= 1"),
        ({"model": {}}, "model.vocab_size is missing"),
        (
            {"train": {"steps": 1, "epochs": 1.0}},
            "'epochs' and 'steps'",
        ),
        (
            {"model": {"vocab_size": 5, "tied": True}},
            "'embedding' is 128 and 'units' is 256",
        ),
    ],
)
def test_a_config_that_is_no_config(folder, sentence, change, reason):
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for read in (read_checkpoint, read_config):
        sentence(refusal(CheckpointDamaged, read, folder), path, "damaged", reason, "Restore")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"format": 1, "charlstm": "\xff"}',
        b'{"format":' + b"[" * 100_000,
        b'{"format": 1, "corpus":' + b'{"a":' * 100_000,
        b'{"format": 1e999}',
        b"{}" * 2,
    ],
)
def test_a_config_that_is_something_else(folder, data):
    (folder / CONFIG).write_bytes(data)
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), folder / CONFIG)


@pytest.mark.parametrize("version", [FORMAT + 1, 10**30])
@pytest.mark.parametrize("more", [{}, {"architecture": ["unknown"], "model": 3}])
def test_a_later_format(folder, sentence, version, more):
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version} | more))
    for read in (read_checkpoint, read_config):
        message = refusal(CheckpointTooNew, read, folder)
        sentence(message, folder, f"format {version}", FORMAT, "Upgrade charlstm")


def test_impossible_addresses_are_damage(folder):
    progress = Progress(step=1, seconds=1.0, corpus=Addresses(addresses=("a.txt",)))
    changed = msgspec.json.encode(progress).replace(b"a.txt", b"a\\u0000b")
    metadata = {"progress": changed.decode(), **read_hashes(folder)}
    write_tensors(folder / RESUME, {}, metadata)
    assert is_damaged(refusal(CheckpointDamaged, read_resume, folder, {}), folder / RESUME)


def test_nothing_to_resume(folder, sentence):
    sentence(
        refusal(CheckpointMissing, read_resume, folder, {}),
        folder,
        "finished",
        f"charlstm train CORPUS --from {folder}",
    )


def test_a_damaged_resume_file(folder, sentence):
    path = folder / RESUME
    CheckpointWriter(folder).resume(
        {"states/h_0": np.ones((2, 3), np.float32)}, Progress(step=1, seconds=1.0)
    )
    data = path.read_bytes()
    shapes = {"states/h_0": (2, 3)}
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert is_damaged(refusal(CheckpointDamaged, read_resume, folder, shapes), path)
    path.write_bytes(data[:-1] + b"\x01")
    sentence(refusal(CheckpointDamaged, read_resume, folder, shapes), path, "sha256", "Restore")
    path.write_bytes(data)
    sentence(
        refusal(CheckpointDamaged, read_resume, folder, {"states/h_0": (2, 4)}),
        path,
        "states/h_0",
        "[2, 3]",
        "[2, 4]",
        "F32",
        "config.json",
    )
    sentence(
        refusal(CheckpointDamaged, read_resume, folder, {}),
        path,
        "states/h_0",
        "config.json",
        "Restore",
    )


def test_a_resume_file_is_tied_to_what_is_written_once(folder, sentence):
    """Another optimizer, text or vocabulary would make it another run."""
    tensors = {"states/h_0": np.ones((2, 3), np.float32)}
    CheckpointWriter(folder).resume(tensors, Progress(step=1, seconds=1.0))
    for name, change in (
        (CONFIG, lambda data: data.replace(b'"streams": 48', b'"streams": 31')),
        (CONFIG, lambda data: json.dumps(json.loads(data)).encode()),
        (TOKENIZER, lambda _: build_tokenizer(["abd"], TokenizerConfig()).to_json()),
    ):
        path = folder / name
        data = path.read_bytes()
        assert change(data) != data
        path.write_bytes(change(data))
        sentence(
            refusal(CheckpointDamaged, read_resume, folder, {"states/h_0": (2, 3)}), path, "Restore"
        )
        path.write_bytes(data)
    assert read_resume(folder, {"states/h_0": (2, 3)})[1].step == 1


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER])
def test_a_resume_file_without_what_is_written_once(folder, name, sentence):
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    (folder / name).unlink()
    sentence(
        refusal(CheckpointMissing, read_resume, folder, {}),
        folder / name,
        "no such file",
        "Restore",
    )


def test_weights_do_not_serve_as_a_resume_file(folder):
    (folder / MODEL).rename(folder / RESUME)
    assert is_damaged(
        refusal(CheckpointDamaged, read_resume, folder, expected_shapes(NETWORK)), folder / RESUME
    )


@pytest.mark.parametrize("line", ["{", "[]", '{"step":1}', "\n"])
def test_a_damaged_history(tmp_path, line):
    begin(tmp_path)
    CheckpointWriter(tmp_path).history([FIGURES])
    with (tmp_path / HISTORY).open("a") as file:
        file.write(line)
    message = refusal(CheckpointDamaged, read_history, tmp_path)
    assert is_damaged(message, tmp_path / HISTORY)


# Hashes of lines


def settings_with(lines):
    origin = settings().provenance
    tied = msgspec.structs.replace(origin, indexed=len(lines), lines_sha256=lines_digest(lines))
    return settings(provenance=tied)


def with_lines(folder, lines):
    """A complete checkpoint of a model of lines."""
    config = settings_with(lines)
    with lock_folder(folder), create_checkpoint(folder, config, CHARACTERS, lines, overwrite=True):
        CheckpointWriter(folder).model(weights_for(NETWORK), FIGURES)
    return folder


@pytest.fixture
def lined(tmp_path):
    return with_lines(tmp_path / "lined", LineHashes.from_lines(["one", "two", "three"]))


@given(st.sets(st.text(max_size=5), max_size=20))
def test_the_hashes_of_lines_round_trip(tmp_path_factory, texts):
    lines = LineHashes.from_lines(texts)
    folder = with_lines(tmp_path_factory.mktemp("run"), lines)
    read = read_lines_index(folder)
    assert read.hashes.dtype == np.uint64
    assert np.array_equal(read.hashes, lines.hashes)
    assert read_checkpoint(folder).config.provenance.indexed == len(lines)


def test_the_file_of_hashes_is_safetensors(lined):
    from safetensors import safe_open

    expected = LineHashes.from_lines(["one", "two", "three"])
    with safe_open(lined / LINES, framework="numpy") as file:
        assert list(file.keys()) == ["hashes"]
        assert np.array_equal(file.get_tensor("hashes"), expected.hashes)
        assert file.metadata() == {"sha256": lines_digest(expected)}
    digest = hashlib.sha256(b"{}\nhashes <u8 (3,)\n" + expected.hashes.tobytes()).hexdigest()
    assert lines_digest(expected) == digest


def test_a_model_need_not_have_hashes(folder, lined):
    assert read_lines_index(folder) is None
    (lined / LINES).unlink()
    assert read_lines_index(lined) is None
    assert read_checkpoint(lined).figures == FIGURES
    assert refusal(CheckpointMissing, read_lines_index, folder / "none")


def test_a_checkpoint_without_any_mention_of_hashes_loads(folder):
    """Checkpoints written before there were hashes are like this."""
    config = json.loads((folder / CONFIG).read_text())
    for part, name in (
        ("corpus", "index"),
        ("provenance", "indexed"),
        ("provenance", "index_covers"),
        ("provenance", "lines_sha256"),
    ):
        del config[part][name]
    (folder / CONFIG).write_text(json.dumps(config))
    CheckpointWriter(folder).model(weights_for(NETWORK), FIGURES)
    assert read_checkpoint(folder).config == settings()
    assert read_lines_index(folder) is None


def test_damaged_hashes(lined):
    path = lined / LINES
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert is_damaged(refusal(CheckpointDamaged, read_lines_index, lined), path), length
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert refusal(CheckpointDamaged, read_lines_index, lined).startswith(str(path)), bit
    assert read_checkpoint(lined).figures == FIGURES


def test_the_hashes_of_another_model(tmp_path, sentence, lined):
    path = lined / LINES
    for texts, parts in (
        (["one", "two", "four"], ["Restore"]),
        (["one", "two"], ["hashes", "[2]", "U64", "config.json", "[3]", "Restore"]),
    ):
        other = with_lines(tmp_path / "other", LineHashes.from_lines(texts))
        path.write_bytes((other / LINES).read_bytes())
        sentence(refusal(CheckpointDamaged, read_lines_index, lined), path, *parts)


@pytest.mark.parametrize("hashes", [[3, 2, 5], [1, 1, 2]])
def test_hashes_that_can_not_be_searched(tmp_path, hashes, sentence):
    folder = with_lines(tmp_path, LineHashes(np.array(hashes, np.uint64)))
    sentence(
        refusal(CheckpointDamaged, read_lines_index, folder),
        folder / LINES,
        "hashes",
        "order",
        "train again",
    )


@pytest.mark.parametrize("tensor", [np.zeros(3), np.zeros(3, np.int64), np.zeros((3, 1), "u8")])
def test_hashes_of_another_type(lined, tensor, sentence):
    from safetensors.numpy import save_file

    save_file({"hashes": tensor}, lined / LINES)
    message = refusal(CheckpointDamaged, read_lines_index, lined)
    sentence(message, "[3]", "U64", "config.json")


def test_hashes_that_are_not_in_the_configuration_are_not_read(folder, lined):
    (folder / LINES).write_bytes(b"whatever")
    assert read_lines_index(folder) is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_of_hashes_is_not_waited_for(lined, make, sentence):
    (lined / LINES).unlink()
    make(lined / LINES)
    sentence(refusal(CheckpointMissing, read_lines_index, lined), lined / LINES, "regular file")


def test_a_tokenizer_of_another_level(folder, sentence):
    tokenizer = json.loads((folder / TOKENIZER).read_bytes())
    tokens = tokenizer["symbols"][:1]
    (folder / TOKENIZER).write_text(json.dumps({"level": "word", "symbols": tokens}))
    sign(folder / MODEL, weights_for(NETWORK))
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        folder / TOKENIZER,
        "level word",
        "config.json",
        "level char",
        "Restore",
    )


def test_more_tokens_than_the_model_has_are_not_decoded(folder, sentence):
    (folder / TOKENIZER).write_text(
        json.dumps({"level": "word", "symbols": [f"w{n}" for n in range(9000)]})
    )
    message = refusal(CheckpointDamaged, read_checkpoint, folder)
    sentence(message, folder / TOKENIZER, "more")


@pytest.mark.parametrize("version", [0, -1])
def test_impossible_format_numbers(folder, version):
    config = json.loads((folder / CONFIG).read_bytes())
    (folder / CONFIG).write_text(json.dumps(config | {"format": version}))
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), folder / CONFIG)
