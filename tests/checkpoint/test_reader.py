"""Tests of ``charlstm.checkpoint.reader``: what is read is what was written, or a clear refusal."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import random
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint import folder as folder_module
from charlstm.checkpoint import reader
from charlstm.checkpoint.folder import check_idle, claimed, created, free_folder, holds_checkpoint
from charlstm.checkpoint.reader import (
    CONFIG,
    is_finished,
    lines_digest,
    read_checkpoint,
    read_config,
    read_hashes,
    read_history,
    read_lines_index,
    read_resume,
    read_tokenizer,
)
from charlstm.checkpoint.safetensors import digest_of, write_tensors
from charlstm.checkpoint.schema import (
    FORMAT,
    HISTORY,
    LINES,
    MODEL,
    RESUME,
    STDIN,
    TOKENIZER,
    Figures,
    Progress,
    Provenance,
    RunConfig,
    expected_shapes,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import (
    CharlstmError,
    CheckpointBusy,
    CheckpointDamaged,
    CheckpointError,
    CheckpointExists,
    CheckpointMissing,
    CheckpointTooNew,
    StorageError,
)
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.messages import assert_names, names

FILES = (CONFIG, TOKENIZER, MODEL, HISTORY, RESUME, STDIN, LINES)
CHARACTERS = build_tokenizer(["abc"], TokenizerConfig())  # five ids with the reserved ones
NETWORK = ModelConfig(vocab_size=5, embedding=2, units=3, layers=2)
FIGURES = Figures(
    step=30,
    epoch=1.5,
    tokens=300,
    seconds=2.25,
    learning_rate=0.001,
    train_loss=1.5,
    valid_loss=1.25,
    valid_bits_per_character=1.8,
    valid_perplexity=3.49,
)


def settings(network=NETWORK, **changes):
    values = {
        "format": FORMAT,
        "charlstm": "0.1.0",
        "corpus": CorpusConfig(addresses=("/texts/a.txt",)),
        "tokenizer": TokenizerConfig(),
        "model": network,
        "train": TrainConfig(steps=100),
        "provenance": Provenance(
            corpus_sha256="ab" * 32,
            sources=("/texts/a.txt",),
            documents=1,
            characters=1000,
            train_tokens=901,
            valid_tokens=102,
            valid_characters=100,
            valid_words=20,
            created="2026-01-02T03:04:05+00:00",
        ),
    }
    return RunConfig(**values | changes)


def weights_for(network, seed=0):
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=shape).astype(np.float32)
        for name, shape in expected_shapes(network).items()
    }


def begun(folder, config=None, tokenizer=CHARACTERS, **options):
    with claimed(folder), created(folder, config or settings(), tokenizer, **options):
        pass


@pytest.fixture
def folder(tmp_path):
    """A whole checkpoint."""
    path = tmp_path / "run"
    begun(path)
    CheckpointWriter(path).model(weights_for(NETWORK), FIGURES)
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(kind, function, *args):
    with pytest.raises(CharlstmError) as caught:
        function(*args)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    return message


def fail_with_a_full_disk(*args, **kwargs):
    raise OSError(28, "No space left on device")


# Shapes


@given(st.integers(2, 99), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_every_weight_has_the_shape_of_stock_keras(vocab_size, embedding, units, layers, tied):
    embedding = units if tied else embedding
    network = ModelConfig(
        vocab_size=vocab_size, embedding=embedding, units=units, layers=layers, tied=tied
    )
    shapes = expected_shapes(network)
    assert shapes.pop("embedding/embeddings") == (vocab_size, embedding)
    for layer in range(layers):
        width = units if layer else embedding
        assert shapes.pop(f"lstm_{layer}/kernel") == (width, 4 * units)
        assert shapes.pop(f"lstm_{layer}/recurrent_kernel") == (units, 4 * units)
        assert shapes.pop(f"lstm_{layer}/bias") == (4 * units,)
    assert shapes.pop("output/bias") == (vocab_size,)
    assert shapes == ({} if tied else {"output/kernel": (units, vocab_size)})


# What is written comes back


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_checkpoint_comes_back(tmp_path_factory, units, layers, tied, seed):
    network = ModelConfig(
        vocab_size=5, embedding=units if tied else 3, units=units, layers=layers, tied=tied
    )
    config, weights = settings(network), weights_for(network, seed)
    folder = tmp_path_factory.mktemp("run")
    begun(folder, config)
    CheckpointWriter(folder).model(weights, FIGURES)
    read = read_checkpoint(folder)
    assert (read.folder, read.config, read.figures) == (folder, config, FIGURES)
    assert read.tokenizer == CHARACTERS
    assert read.weights.keys() == weights.keys()
    for name, tensor in weights.items():
        assert read.weights[name].dtype == np.float32
        assert read.weights[name].tobytes() == tensor.tobytes()


def test_the_files_are_what_the_module_says(folder):
    assert sorted(contents(folder)) == [CONFIG, MODEL, TOKENIZER]
    CheckpointWriter(folder).history([FIGURES])
    CheckpointWriter(folder).resume({"w": np.ones(1, np.float32)}, Progress(step=1, seconds=1.0))
    assert {CONFIG, MODEL, TOKENIZER, HISTORY, RESUME} == set(contents(folder))
    for name in FILES:
        assert f"    {name} " in schema.__doc__


def test_weights_may_lie_in_memory_in_any_order(folder):
    weights = {name: np.asfortranarray(tensor) for name, tensor in weights_for(NETWORK).items()}
    CheckpointWriter(folder).model(weights, FIGURES)
    for name, tensor in read_checkpoint(folder).weights.items():
        assert np.array_equal(tensor, weights[name])


def test_better_weights_replace_the_others(folder):
    better = weights_for(NETWORK, seed=1)
    CheckpointWriter(folder).model(better, msgspec.structs.replace(FIGURES, step=60))
    read = read_checkpoint(folder)
    assert read.figures.step == 60
    assert all(np.array_equal(read.weights[name], better[name]) for name in better)


def test_the_config_is_json_that_people_can_read(folder):
    text = (folder / CONFIG).read_text()
    assert text.count("\n") > 30
    assert text.endswith("}\n")
    assert json.loads(text)["format"] == FORMAT
    assert json.loads(text)["model"]["units"] == 3


def test_the_digest_covers_weights_and_metadata_as_it_always_did(folder):
    """Checkpoints that are out there must stay readable: the digest is part of the format."""
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


# Missing


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
        "restore",
        f"-o {folder} --overwrite",
    )


def test_a_missing_tokenizer(folder, sentence):
    (folder / TOKENIZER).unlink()
    sentence(
        refusal(CheckpointMissing, read_checkpoint, folder),
        folder / TOKENIZER,
        "missing",
        "restore",
    )


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, MODEL])
def test_what_is_no_regular_file_is_refused_not_waited_for(folder, name, make, sentence):
    (folder / name).unlink()
    make(folder / name)
    sentence(refusal(CheckpointMissing, read_checkpoint, folder), folder / name, "regular file")


# Damaged


def is_damaged(message, path):
    """Whether a message says which file is damaged and, in parentheses, how."""
    parts = (path, "damaged", "restore the original")
    return all(names(message, part) for part in parts) and re.search(r"\([^()].+\)", message)


def test_weights_that_are_cut_off(folder):
    path = folder / MODEL
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path), length


@pytest.mark.parametrize("surplus", [b"\0", b"\0" * 8, b"{}", b"x" * 100])
def test_weights_with_something_behind_them(folder, surplus):
    path = folder / MODEL
    path.write_bytes(path.read_bytes() + surplus)
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path)


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
        # The one digit of the format is the only place where a greater number means more.
        assert type(caught.value) is CheckpointDamaged or (
            name == CONFIG and flipped[: bit // 8].endswith(b'"format": ')
        )
        assert str(folder) in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 5000])
def test_noise_in_the_place_of_weights(folder, length):
    path = folder / MODEL
    path.write_bytes(random.Random(length).randbytes(length))
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), path)


def altered_byte(folder, place):
    path = folder / MODEL
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    return refusal(CheckpointDamaged, read_checkpoint, folder)


def test_altered_weights(folder, sentence):
    sentence(altered_byte(folder, -1), folder / MODEL, folder / MODEL, "sha256", "restore")


def test_altered_figures(folder, sentence):
    data = (folder / MODEL).read_bytes()
    sentence(altered_byte(folder, data.index(b"1.25")), folder / MODEL, "sha256", "restore")


def test_weights_without_a_digest(folder, sentence):
    from safetensors.numpy import save_file

    save_file(weights_for(NETWORK), folder / MODEL)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder), folder / MODEL, "sha256", "restore"
    )


def test_an_altered_config(folder, sentence):
    path = folder / CONFIG
    path.write_text(path.read_text().replace('"streams": 48', '"streams": 31'))
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "restore")


def test_a_config_in_another_layout(folder, sentence):
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text())))
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "restore")


def test_an_altered_tokenizer(folder, sentence):
    path = folder / TOKENIZER
    path.write_bytes(build_tokenizer(["abd"], TokenizerConfig()).to_json())
    sentence(refusal(CheckpointDamaged, read_checkpoint, folder), path, "restore")


def test_a_tokenizer_that_is_no_tokenizer(folder, sentence):
    path = folder / TOKENIZER
    path.write_bytes(b'{"level":"char","symbols":["a","a"]}')
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        path,
        "tokenizer",
        "a symbol occurs twice",
        "restore",
    )
    sentence(refusal(CheckpointDamaged, read_tokenizer, folder), path)


def test_a_tokenizer_that_does_not_fit_the_model(tmp_path, sentence):
    network = NETWORK.replace(vocab_size=6)
    begun(tmp_path, settings(network))
    CheckpointWriter(tmp_path).model(weights_for(network), FIGURES)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, tmp_path),
        tmp_path / TOKENIZER,
        "5 symbols",
        6,
        "restore",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "1"}, "Expected 'int', got 'str' - at '$.format'"),
        ({"color": "red"}, "Object contains unknown field 'color'"),
        ({"model": {"vocab_size": 5, "units": 0}}, "Expected 'int' >= 1 - at '$.model.units'"),
        ({"model": {}}, "Object missing required field 'vocab_size' - at '$.model'"),
        (
            {"train": {"steps": 1, "epochs": 1.0}},
            "epochs and steps",
        ),
        (
            {"model": {"vocab_size": 5, "tied": True}},
            "embedding 128 and units 256",
        ),
    ],
)
def test_a_config_that_is_no_config(folder, sentence, change, reason):
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for read in (read_checkpoint, read_config):
        sentence(refusal(CheckpointDamaged, read, folder), path, "damaged", reason, "restore")


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
        sentence(message, folder, f"format {version}", FORMAT, "upgrade charlstm")


# Weights that don't fit, with a right digest


def rewritten(folder, **tensors):
    """Write the weights anew with some replaced, or left out if ``None``."""
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
        "restore",
    )


def test_a_weight_too_few(folder, sentence):
    sentence(
        rewritten(folder, **{"lstm_1/bias": None}),
        folder / MODEL,
        "lstm_1/bias",
        "config.json",
        "restore",
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


# Beginning


def test_a_new_checkpoint_makes_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "run"
    with claimed(path), created(path, settings(), CHARACTERS):
        assert sorted(contents(path)) == [CONFIG, TOKENIZER]
        assert read_config(path) == settings()
        assert read_tokenizer(path) == CHARACTERS
    assert sorted(contents(path)) == [CONFIG, TOKENIZER]


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_a_file_of_a_checkpoint_is_taken(tmp_path, name, sentence):
    """Each of these would be removed or replaced."""
    (tmp_path / name).write_text("somebody's")
    assert holds_checkpoint(tmp_path)
    sentence(
        refusal(CheckpointExists, begun, tmp_path),
        tmp_path,
        "-o",
        f"--resume {tmp_path}",
        "--overwrite",
    )
    assert contents(tmp_path) == {name: b"somebody's"}


def test_a_folder_with_other_files_is_not_taken(tmp_path):
    (tmp_path / "corpus.txt").write_text("somebody's")
    assert not holds_checkpoint(tmp_path)
    begun(tmp_path)
    assert sorted(contents(tmp_path)) == [CONFIG, "corpus.txt", TOKENIZER]
    assert (tmp_path / "corpus.txt").read_text() == "somebody's"


def test_overwriting_leaves_nothing_of_the_old_checkpoint(folder):
    for name in (HISTORY, RESUME, STDIN, "corpus.txt"):
        (folder / name).write_text("old")
    begun(folder, settings(train=TrainConfig(steps=7)), overwrite=True)
    assert sorted(contents(folder)) == [CONFIG, "corpus.txt", TOKENIZER]
    assert read_config(folder).train.steps == 7


def snapshot(root):
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


FAILURES = [(function, n) for function in ("replace", "fsync") for n in (1, 2)]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(("function", "number"), FAILURES)
def test_a_beginning_that_fails_leaves_nothing_behind(
    tmp_path, monkeypatch, function, number, exists
):
    """The folders that were there, and what is in them, stay as they were."""
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "notes.txt").write_text("somebody's")
    path = tmp_path / "parent" / "a" / "run"
    if exists:
        path.mkdir(parents=True)
        (path / "corpus.txt").write_text("somebody's")
    before = snapshot(tmp_path)
    real, calls = getattr(os, function), []

    def fail_at_last(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            fail_with_a_full_disk()
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail_at_last)
        message = refusal(StorageError, begun, path)
    assert re.search(rf"{path}/\w+\.json: ", message)
    assert_names(message, "disk is full")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("error", [StorageError("full"), KeyboardInterrupt(), ValueError("x")])
@pytest.mark.parametrize("exists", [True, False])
def test_when_what_follows_fails_nothing_is_left(tmp_path, exists, error):
    (tmp_path / "notes.txt").write_text("somebody's")
    path = tmp_path / "a" / "run"
    if exists:
        path.mkdir(parents=True)
        (path / "corpus.txt").write_text("somebody's")
    before = snapshot(tmp_path)

    def begin_and_fail():
        with claimed(path), created(path, settings(), CHARACTERS):
            CheckpointWriter(path).resume({}, Progress(step=0, seconds=0.0))
            (path / STDIN).write_text("piped")
            raise error

    with pytest.raises(type(error)) as caught:
        begin_and_fail()
    assert caught.value is error
    assert snapshot(tmp_path) == before


def test_a_foreign_file_put_into_a_new_folder_meanwhile_is_kept(tmp_path):
    path = tmp_path / "run"

    def begin_and_fail():
        with claimed(path), created(path, settings(), CHARACTERS):
            (path / "notes.txt").write_text("somebody's")
            raise ValueError("x")

    with pytest.raises(ValueError, match=r"^x$"):
        begin_and_fail()
    assert contents(path) == {"notes.txt": b"somebody's"}


def test_a_file_in_the_place_of_the_folder(tmp_path, sentence):
    (tmp_path / "file").write_text("somebody's")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        sentence(refusal(StorageError, begun, path), path)
    assert contents(tmp_path) == {"file": b"somebody's"}


@pytest.mark.parametrize("number", range(6))
def test_overwriting_that_stops_midway_leaves_no_half_of_a_checkpoint(folder, monkeypatch, number):
    """At any moment a reader finds the whole old checkpoint, or that there are no weights."""
    unlink, replace, calls = Path.unlink, Path.replace, []

    def look(path):
        if len(calls) == number:
            check()
        calls.append(path)

    def look_and_unlink(path, missing_ok=False):
        look(path)
        unlink(path, missing_ok=missing_ok)

    def look_and_replace(path, target):
        look(path)
        replace(path, target)

    def check():
        try:
            assert read_checkpoint(folder).figures == FIGURES
        except CheckpointMissing:
            assert not (folder / MODEL).exists()

    monkeypatch.setattr(Path, "unlink", look_and_unlink)
    monkeypatch.setattr(Path, "replace", look_and_replace)
    begun(folder, overwrite=True)
    check()
    assert len(calls) > number


@pytest.mark.parametrize("error", [StorageError("full"), KeyboardInterrupt(), MemoryError()])
def test_overwriting_that_fails_leaves_the_old_checkpoint(folder, error):
    (folder / "corpus.txt").write_text("somebody's")
    (folder / HISTORY).write_text("")
    before = snapshot(folder)

    def begin_and_fail():
        other = settings(train=TrainConfig(steps=7))
        with claimed(folder), created(folder, other, CHARACTERS, overwrite=True):
            assert read_config(folder).train.steps == 7
            raise error

    with pytest.raises(type(error)):
        begin_and_fail()
    assert snapshot(folder) == before


def test_what_a_killed_overwriting_had_set_aside_comes_back(folder):
    """It was killed before the new run could be resumed, and the next one fails, too."""
    before = snapshot(folder)
    aside = folder / folder_module.REPLACED
    aside.mkdir()
    for name in (MODEL, CONFIG, TOKENIZER):
        (folder / name).rename(aside / name)
    (folder / CONFIG).write_text("of the run that was killed")
    with (
        pytest.raises(StorageError),
        claimed(folder),
        created(folder, settings(), CHARACTERS, overwrite=True),
    ):
        raise StorageError("full")
    assert snapshot(folder) == before
    begun(folder, overwrite=True)
    assert sorted(contents(folder)) == [CONFIG, TOKENIZER]
    assert not aside.exists()


def test_a_checkpoint_that_has_only_begun_is_not_finished(tmp_path):
    """A run that is killed before its first save has not ended by itself."""
    begun(tmp_path)
    assert not is_finished(tmp_path)


def test_a_config_that_can_not_be_encoded_is_an_error_of_ours(tmp_path):
    """A file name that is not UTF-8 reaches Python as lone surrogates."""
    path = tmp_path / "run"
    try:
        begun(path, settings(corpus=CorpusConfig(addresses=("caf\udce9.txt",))))
    except CharlstmError:
        assert not path.exists()
    else:
        assert read_config(path).corpus.addresses == ("caf\udce9.txt",)


def test_free_folder_counts_on(tmp_path):
    names = []
    for _ in range(4):
        path = free_folder(tmp_path, "plays")
        assert path.parent == tmp_path
        names.append(path.name)
        path.mkdir()
    assert names == ["plays", "plays-2", "plays-3", "plays-4"]
    (tmp_path / "poems").write_text("a file")
    assert free_folder(tmp_path, "poems") == tmp_path / "poems-2"
    assert free_folder(tmp_path / "none", "plays") == tmp_path / "none" / "plays"


# Saving


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_save_that_fails_leaves_the_last_one(folder, monkeypatch, function, sentence):
    tensors = {"weights/w": np.ones((2, 3), np.float32)}
    CheckpointWriter(folder).resume(tensors, Progress(step=1, seconds=1.0))
    CheckpointWriter(folder).history([FIGURES])
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail_with_a_full_disk)
        for name, save in (
            (MODEL, lambda: CheckpointWriter(folder).model(weights_for(NETWORK, 1), FIGURES)),
            (
                RESUME,
                lambda: CheckpointWriter(folder).resume(tensors, Progress(step=2, seconds=2.0)),
            ),
            (HISTORY, lambda: CheckpointWriter(folder).history([])),
        ):
            sentence(refusal(StorageError, save), folder / name, "disk is full")
    assert contents(folder) == before


finite = st.floats(-1e300, 1e300)
figures = st.builds(
    Figures,
    step=st.integers(0, 2**53),
    epoch=finite,
    tokens=st.integers(0, 2**53),
    seconds=finite,
    learning_rate=finite,
    **dict.fromkeys(Figures.__struct_fields__[5:], st.none() | finite),
)


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=4),
    st.builds(
        Progress,
        step=st.integers(0, 2**53),
        seconds=finite,
        train_loss_sum=finite,
        train_loss_steps=st.integers(0, 2**53),
        best=st.none() | figures,
        waited=st.integers(0, 100),
    ),
)
def test_what_a_run_needs_to_go_on_comes_back(tmp_path_factory, shapes, progress):
    generator = np.random.default_rng(0)
    tensors = {
        f"weights/{number}": generator.normal(size=shape).astype(np.float32)
        for number, shape in enumerate(shapes)
    }
    folder = tmp_path_factory.mktemp("run")
    begun(folder)
    CheckpointWriter(folder).resume(tensors, progress)
    read, again = read_resume(folder, {name: tensor.shape for name, tensor in tensors.items()})
    assert again == progress
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == np.float32
        assert read[name].tobytes() == tensor.tobytes()


def test_addresses_of_very_many_files_come_back(folder):
    """As many as one command line holds, which is more than other metadata may."""
    addresses = tuple(
        f"/home/somebody/a folder/of texts/{number:06}.txt" for number in range(40_000)
    )
    progress = Progress(step=1, seconds=1.0, corpus=CorpusConfig(addresses=addresses))
    CheckpointWriter(folder).resume({}, progress)
    assert read_resume(folder, {}) == ({}, progress)


def test_addresses_that_can_be_none_are_damage(folder):
    progress = Progress(step=1, seconds=1.0, corpus=CorpusConfig(addresses=("a.txt",)))
    changed = msgspec.json.encode(progress).replace(b"a.txt", b"a\\u0000b")
    metadata = {"progress": changed.decode(), **read_hashes(folder)}
    write_tensors(folder / RESUME, {}, metadata)
    assert is_damaged(refusal(CheckpointDamaged, read_resume, folder, {}), folder / RESUME)


def test_a_checkpoint_is_shown_in_one_line(folder):
    bits = f"{FIGURES.valid_bits_per_character:.4f}"
    shown = repr(read_checkpoint(folder))
    assert shown == f"<Checkpoint {folder}: char, 2x3, {bits} bits per character>"
    none = Figures(step=0, epoch=0.0, tokens=0, seconds=0.0, learning_rate=0.0)
    found = replace(read_checkpoint(folder), figures=none)
    assert repr(found) == f"<Checkpoint {folder}: char, 2x3, not validated>"


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
    sentence(refusal(CheckpointDamaged, read_resume, folder, shapes), path, "sha256", "restore")
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
        "restore",
    )


def test_a_resume_file_is_tied_to_what_is_written_once(folder, sentence):
    """Another optimizer, another text or another alphabet would make it another run."""
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
            refusal(CheckpointDamaged, read_resume, folder, {"states/h_0": (2, 3)}), path, "restore"
        )
        path.write_bytes(data)
    assert read_resume(folder, {"states/h_0": (2, 3)})[1].step == 1


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER])
def test_a_resume_file_without_what_is_written_once(folder, name, sentence):
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    (folder / name).unlink()
    sentence(
        refusal(CheckpointMissing, read_resume, folder, {}), folder / name, "missing", "restore"
    )


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, HISTORY, MODEL, RESUME])
def test_files_that_may_not_be_read(folder, monkeypatch, name, sentence):
    """Not damaged: there is nothing to restore, only a permission to give."""
    CheckpointWriter(folder).history([FIGURES])
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    real = os.open

    def refuse(path, *args, **kwargs):
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    read = {HISTORY: read_history, RESUME: lambda folder: read_resume(folder, {})}
    sentence(
        refusal(CheckpointMissing, read.get(name, read_checkpoint), folder),
        folder / name,
        "Permission denied",
        "readable",
    )


def test_weights_do_not_serve_as_a_resume_file(folder):
    (folder / MODEL).rename(folder / RESUME)
    assert is_damaged(
        refusal(CheckpointDamaged, read_resume, folder, expected_shapes(NETWORK)), folder / RESUME
    )


@given(st.lists(figures, max_size=5))
def test_a_history_comes_back(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("run")
    begun(folder)
    CheckpointWriter(folder).history(history)
    assert read_history(folder) == history
    text = (folder / HISTORY).read_text()
    assert text.count("\n") == len(history)
    assert [json.loads(line)["step"] for line in text.splitlines()] == [h.step for h in history]


def test_a_history_is_replaced_by_a_shorter_one(tmp_path):
    begun(tmp_path)
    assert read_history(tmp_path) == []
    CheckpointWriter(tmp_path).history([FIGURES] * 3)
    CheckpointWriter(tmp_path).history([FIGURES])
    assert read_history(tmp_path) == [FIGURES]


@pytest.mark.parametrize("line", ["{", "[]", '{"step":1}', "\n"])
def test_a_damaged_history(tmp_path, line):
    begun(tmp_path)
    CheckpointWriter(tmp_path).history([FIGURES])
    with (tmp_path / HISTORY).open("a") as file:
        file.write(line)
    message = refusal(CheckpointDamaged, read_history, tmp_path)
    assert is_damaged(message, tmp_path / HISTORY)


def test_a_finished_run_keeps_what_is_used_and_shown(folder):
    CheckpointWriter(folder).history([FIGURES])
    before = contents(folder)
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    (folder / STDIN).write_text("piped")
    assert not is_finished(folder)
    CheckpointWriter(folder).finish()
    assert is_finished(folder)
    assert contents(folder) == before
    CheckpointWriter(folder).finish()
    assert contents(folder) == before
    assert math.isclose(read_checkpoint(folder).figures.epoch, 1.5)


# The hashes of the training lines


def settings_with(lines):
    origin = settings().provenance
    tied = msgspec.structs.replace(origin, train_lines=len(lines), lines_sha256=lines_digest(lines))
    return settings(provenance=tied)


def with_lines(folder, lines):
    """A whole checkpoint of a model of lines."""
    config = settings_with(lines)
    with claimed(folder), created(folder, config, CHARACTERS, lines, overwrite=True):
        CheckpointWriter(folder).model(weights_for(NETWORK), FIGURES)
    return folder


@pytest.fixture
def lined(tmp_path):
    return with_lines(tmp_path / "lined", LineHashes.from_lines(["one", "two", "three"]))


@given(st.sets(st.text(max_size=5), max_size=20))
def test_the_hashes_of_lines_come_back(tmp_path_factory, texts):
    lines = LineHashes.from_lines(texts)
    folder = with_lines(tmp_path_factory.mktemp("run"), lines)
    read = read_lines_index(folder)
    assert read.hashes.dtype == np.uint64
    assert np.array_equal(read.hashes, lines.hashes)
    assert read_checkpoint(folder).config.provenance.train_lines == len(lines)


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


def test_a_checkpoint_that_knows_nothing_of_hashes_loads(folder):
    """As those that were written before there were any."""
    config = json.loads((folder / CONFIG).read_text())
    for part, name in (
        ("corpus", "index"),
        ("provenance", "train_lines"),
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
        (["one", "two", "four"], ["restore"]),
        (["one", "two"], ["hashes", "[2]", "U64", "config.json", "[3]", "restore"]),
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


def test_hashes_that_no_configuration_asks_for_are_not_read(folder, lined):
    (folder / LINES).write_bytes(b"whatever")
    assert read_lines_index(folder) is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_of_hashes_is_not_waited_for(lined, make, sentence):
    (lined / LINES).unlink()
    make(lined / LINES)
    sentence(refusal(CheckpointMissing, read_lines_index, lined), lined / LINES, "regular file")


# What a killed process has left


LEFTOVERS = [f".{name}.x1y2_z.tmp" for name in FILES]
SIMILAR = [".notes.txt.x.tmp", f".{MODEL}.tmp", f"{MODEL}.x.tmp", f".{RESUME}.x", "x.tmp"]


def with_leftovers(folder):
    for name in (*LEFTOVERS, *SIMILAR):
        (folder / name).write_text("half a file")
    return folder


def end_of_a_run(folder):
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    CheckpointWriter(with_leftovers(folder)).finish()


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: folder_module.remove_leftovers(with_leftovers(folder)),
        end_of_a_run,
        lambda folder: begun(with_leftovers(folder), overwrite=True),
    ],
    ids=["remove_leftovers", "finish", "created"],
)
def test_half_written_files_are_removed_and_no_others(folder, act):
    act(folder)
    hidden = {path.name for path in folder.iterdir()} - set(FILES)
    assert hidden == set(SIMILAR)


def test_a_folder_with_nothing_but_half_written_files_is_not_taken(tmp_path):
    """A run was killed in its very first save."""
    with_leftovers(tmp_path)
    assert not holds_checkpoint(tmp_path)
    begun(tmp_path)
    assert set(contents(tmp_path)) == {CONFIG, TOKENIZER, *SIMILAR}


def test_leftovers_that_can_not_be_removed_are_told(folder, monkeypatch, sentence):
    def refuse(path, missing_ok=False):
        raise OSError(30, "Read-only file system")

    with_leftovers(folder)
    monkeypatch.setattr(Path, "unlink", refuse)
    sentence(refusal(StorageError, folder_module.remove_leftovers, folder), folder, "read-only")


# From strangers


def sign(path, tensors, **metadata):
    """Write tensors as somebody would who can work out hashes."""
    from safetensors.numpy import save

    metadata |= {
        f"{name}_sha256": hashlib.sha256((path.parent / name).read_bytes()).hexdigest()
        for name in (CONFIG, TOKENIZER)
    }
    metadata = {"figures": msgspec.json.encode(FIGURES).decode()} | metadata
    path.write_bytes(save(tensors, {**metadata, "sha256": digest_of(tensors, metadata)}))


def with_header(path, change):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = change(json.loads(data[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize("weight", [1e16, -1e16, 3.4e38])
def test_weights_that_nothing_can_be_computed_with(folder, weight, sentence):
    weights = weights_for(NETWORK)
    weights["lstm_1/bias"][3] = weight
    sign(folder / MODEL, weights)
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        folder / MODEL,
        "lstm_1/bias",
        "1e+15",
        "train again",
    )


@pytest.mark.parametrize("weight", [1e15, -1e15, 1e-45, 1.8e-43])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_extreme_weights_can_be_computed_with(folder, weight, precision):
    from charlstm.engine.session import build_engine

    weights = {name: np.full_like(w, weight) for name, w in weights_for(NETWORK).items()}
    sign(folder / MODEL, weights)
    found = read_checkpoint(folder)
    engine = build_engine(found.config.model, found.weights, precision=precision)
    logits, state = engine.run(np.array([[0, 2, 3, 4, 2]]), engine.initial_state(1))
    assert np.isfinite(logits).all()
    assert np.isfinite(state).all()


@pytest.mark.parametrize("name", ["x" * 10_000, "\x1b[2J", "\u202e", "a\nb"])
@pytest.mark.parametrize("place", ["config", "tensor", "history"])
def test_messages_quote_little_of_what_strangers_wrote(folder, name, place):
    match place:
        case "config":
            config = json.loads((folder / CONFIG).read_bytes())
            (folder / CONFIG).write_text(json.dumps(config | {name: 1}))
        case "tensor":
            with_header(
                folder / MODEL,
                lambda header: (
                    header | {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
                ),
            )
        case _:
            (folder / HISTORY).write_text(json.dumps({name: 1}))
    read = read_history if place == "history" else read_checkpoint
    message = refusal(CheckpointDamaged, read, folder)
    assert message.isprintable()
    assert len(message) < len(str(folder)) + 400


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
def test_descriptions_of_tensors_that_lie(folder, shape, offsets):
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


def test_files_that_are_too_large_are_not_read(folder, sentence):
    for name in (CONFIG, TOKENIZER, HISTORY):
        path = folder / name
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(before)
        os.truncate(path, 2**40)
        read = read_history if name == HISTORY else read_checkpoint
        message = refusal(CheckpointDamaged, read, folder)
        sentence(message, path, "damaged", "1,099,511,627,776 bytes")
        path.write_bytes(before)


def test_weights_that_no_machine_can_hold(folder, sentence):
    """The file is as long as the configuration asks for, and takes no room."""
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
        "restore",
    )


def test_a_file_that_becomes_a_pipe_after_the_check(folder, monkeypatch, sentence):
    path = folder / CONFIG
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    sentence(refusal(CheckpointMissing, read_checkpoint, folder), path, "regular file")


def test_a_tokenizer_of_another_level(folder, sentence):
    tokenizer = json.loads((folder / TOKENIZER).read_bytes())
    symbols = tokenizer["symbols"][:1]
    (folder / TOKENIZER).write_text(json.dumps({"level": "word", "symbols": symbols}))
    sign(folder / MODEL, weights_for(NETWORK))
    sentence(
        refusal(CheckpointDamaged, read_checkpoint, folder),
        folder / TOKENIZER,
        "word level",
        "config.json",
        "char level",
        "restore",
    )


def test_more_symbols_than_the_model_has_are_not_decoded(folder, sentence):
    (folder / TOKENIZER).write_text(
        json.dumps({"level": "word", "symbols": [f"w{n}" for n in range(9000)]})
    )
    message = refusal(CheckpointDamaged, read_checkpoint, folder)
    sentence(message, folder / TOKENIZER, "more symbols than the model")


@pytest.mark.parametrize("version", [0, -1])
def test_formats_that_never_were(folder, version):
    config = json.loads((folder / CONFIG).read_bytes())
    (folder / CONFIG).write_text(json.dumps(config | {"format": version}))
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), folder / CONFIG)


# One process at a time


def test_a_folder_is_claimed_by_one(tmp_path, sentence):
    path = tmp_path / "a" / "run"
    check_idle(path)
    with claimed(path):
        for function in (check_idle, begun):
            sentence(refusal(CheckpointBusy, function, path), path, "another process")
        assert contents(path) == {}
    check_idle(path)
    begun(path)
    assert sorted(contents(path)) == [CONFIG, TOKENIZER]


def test_the_one_that_is_refused_removes_nothing(tmp_path, monkeypatch):
    """Both find no folder; the first makes it, and has written nothing when the other comes."""
    path, mkdir = tmp_path / "run", Path.mkdir
    with contextlib.ExitStack() as first:

        def make_as_second(self, *arguments, **options):
            monkeypatch.undo()
            first.enter_context(claimed(path))
            mkdir(self, *arguments, **options)

        monkeypatch.setattr(Path, "mkdir", make_as_second)
        refusal(CheckpointBusy, begun, path)
        assert path.is_dir()


def test_looking_whether_a_folder_is_idle_refuses_nobody_who_looks_too(tmp_path, monkeypatch):
    real, looked = folder_module.locked, []

    @contextlib.contextmanager
    def look_again(folder, *, shared=False):
        with real(folder, shared=shared) as is_idle:
            if not looked:
                looked.append(folder)
                check_idle(folder)
            yield is_idle

    monkeypatch.setattr(folder_module, "locked", look_again)
    check_idle(tmp_path)
    assert looked == [tmp_path]


def test_a_file_system_that_tells_no_holes_is_believed(folder, monkeypatch):
    real = os.lseek

    def lseek(descriptor, place, whence):
        if whence in (os.SEEK_DATA, os.SEEK_HOLE):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, place, whence)

    monkeypatch.setattr("charlstm.checkpoint.safetensors._MAY_HAVE_HOLES", 0)
    assert read_checkpoint(folder).figures == FIGURES
    monkeypatch.setattr(os, "lseek", lseek)
    assert read_checkpoint(folder).figures == FIGURES
