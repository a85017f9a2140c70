"""Tests of ``charlstm.export``: other programs open the files and get the engine's results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.engine.inference import build_engine
from charlstm.engine.onnx_runtime import onnxruntime
from charlstm.errors import CheckpointExists, ConfigError, StorageError
from charlstm.export import check_free, describe, export_keras, export_onnx
from charlstm.system.hardware import int8_pairs_saturate
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES
from tests.checkpoint.helpers import settings as settings_for
from tests.messages import raises_naming
from tests.models import random_weights

TEXT = "the cat sat on the mat, naïvely 😀.\r\n" * 3
PRECISIONS = ("float32", "int8")

# Keras reads variables in a way that TensorFlow and NumPy have not agreed on yet.
ignores_keras = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def checkpoint_of(level, tied=False, layers=2, attention=0, shifted_keys=True):
    tokenizer = build_tokenizer([TEXT], TokenizerConfig(level=level))
    network = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        embedding=9 if tied else 6,
        units=9,
        layers=layers,
        tied=tied,
        attention=attention,
        shifted_keys=shifted_keys,
    )
    config = settings_for(network, tokenizer=TokenizerConfig(level=level))
    return Checkpoint(Path("run"), config, tokenizer, random_weights(network), FIGURES, "")


MODELS = {
    "characters": checkpoint_of("char"),
    "pieces": checkpoint_of("subword"),
    "words": checkpoint_of("word", tied=True),
    "one layer": checkpoint_of("char", layers=1),
    "attention": checkpoint_of("char", attention=5),
    "attention of format 10": checkpoint_of("char", attention=5, shifted_keys=False),
}


def session_of(path):
    """Open a file as any program would, but ask for exact products if the CPU needs it."""
    options = onnxruntime.SessionOptions()
    if int8_pairs_saturate():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder, sessions = tmp_path_factory.mktemp("onnx"), {}
    for name, found in MODELS.items():
        for precision in PRECISIONS:
            path = folder / f"{name}-{precision}.onnx"
            export_onnx(found, path, precision=precision)
            sessions[name, precision] = session_of(path)
    return folder, sessions


# ONNX


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=20)
@given(data=st.data())
def test_plain_onnxruntime_agrees_with_the_engine(exported, name, precision, data):
    found, session = MODELS[name], exported[1][name, precision]
    engine = build_engine(found.config.model, found.weights, precision=precision, threads=1)
    batch, time = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))
    seed = data.draw(st.integers(0, 99))
    ids = np.random.default_rng(seed).integers(engine.vocab_size, size=(batch, time))
    expected, after = engine.run(ids, engine.initial_state(batch))
    logits, states = run_as_described(session, ids)
    assert np.array_equal(logits, expected)
    for ours, theirs in zip(states.values(), after.parts, strict=True):
        assert np.array_equal(ours, theirs)


def run_as_described(session, ids):
    """Read ids [B, T] as a program does that knows only the description in the file.

    Returns logits [B, T, V] and the states by name.
    """
    inputs, outputs = session.get_modelmeta().description.split("\nOutputs: ")
    states = {}
    for name, kind, sizes in re.findall(r"(\w+) (int64|float32|uint8) \[([^]]*)\]", inputs):
        shape = [size if size in ("time", "batch") else int(size) for size in sizes.split(", ")]
        if name == "ids":
            at_once = ids.shape[1] if shape[0] == "time" else shape[0]
        else:
            sizes = [len(ids) if size == "batch" else size for size in shape]
            states[name] = np.zeros(sizes, kind)
    new = re.findall(r"new_\w+", outputs)
    assert new == [f"new_{name}" for name in states]
    logits = []
    for start in range(0, ids.shape[1], at_once):
        columns = ids[:, start : start + at_once].T
        found, *after = session.run(["logits", *new], {"ids": columns, **states})
        states = dict(zip(states, after, strict=True))
        logits += list(found)
    return np.stack(logits, axis=1), states


def shape_of(session, name):
    return next(value.shape for value in session.get_inputs() if value.name == name)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
def test_the_files_are_valid_and_describe_themselves(exported, name, precision):
    folder, sessions = exported
    path, session = folder / f"{name}-{precision}.onnx", sessions[name, precision]
    onnx.checker.check_model(path, full_check=True)
    meta = session.get_modelmeta()
    assert meta.producer_name == "charlstm"
    network = MODELS[name].config.model
    kinds = {"tensor(int64)": "int64", "tensor(float)": "float32", "tensor(uint8)": "uint8"}
    for value in session.get_inputs():
        described = f"{value.name} {kinds[value.type]} [{', '.join(map(str, value.shape))}]"
        assert described in meta.description
    assert ("attention" in meta.description) == bool(network.attention)
    assert shape_of(session, "ids") == ["time" if precision == "float32" else 1, "batch"]


@pytest.mark.parametrize("name", MODELS)
def test_the_description_suffices_to_encode_a_text(exported, name):
    """By hand, from the file alone, as a program in another language would."""
    facts = json.loads(exported[1][name, "float32"].get_modelmeta().custom_metadata_map["charlstm"])
    vocabulary, reserved = facts["vocabulary"], facts["reserved"]
    ids = {text: index for index, text in enumerate(vocabulary) if index >= len(reserved)}
    unknown = reserved["unknown"]

    def encoded(text):
        if facts["level"] == "char":
            return [ids.get(character, unknown) for character in text]
        found = []
        for match in re.finditer(facts["token_pattern"], text, re.DOTALL):
            token = match[0]
            if facts["level"] == "subword":
                part = [ids.get(character, unknown) for character in token]
                for first, second in facts["merges"]:
                    joined, at = ids[vocabulary[first] + vocabulary[second]], 0
                    while at < len(part) - 1:
                        if part[at : at + 2] == [first, second]:
                            part[at : at + 2] = [joined]
                        at += 1
                found += part
            elif token in ids or len(token) == 1:
                found.append(ids.get(token, unknown))
            else:
                spelled = [ids.get(character, unknown) for character in token]
                found += [reserved["begin_spelling"], *spelled, reserved["end_spelling"]]
        return found

    tokenizer = MODELS[name].tokenizer
    for text in (TEXT, "a tame Ω ham\n", "ท\u0e35\u0e48 👩\u200d👧 🇩🇪🇫🇷", ""):
        assert encoded(text) == tokenizer.encode(text).tolist()
    assert vocabulary == list(tokenizer.pieces)
    assert reserved["end_of_document"] == 0
    assert facts["format"] == 4


def test_the_files_do_not_say_where_the_text_came_from(exported):
    for path in exported[0].iterdir():
        data = path.read_bytes()
        for private in (b"/texts", b"a.txt", b"ab" * 32, b"2026-01-02"):
            assert private not in data
    assert msgspec.json.encode(MODELS["characters"].config).count(b"/texts/a.txt") == 2


def test_a_network_too_large_for_the_format_is_refused(tmp_path, sentence):
    network = ModelConfig(vocab_size=60_000, embedding=4096, units=4096, layers=2)
    found = MODELS["characters"]
    large = Checkpoint(Path("run"), settings_for(network), found.tokenizer, {}, FIGURES, "")
    with pytest.raises(ConfigError) as caught:
        export_onnx(large, tmp_path / "model.onnx")
    sentence(
        caught.value,
        f"{network.parameters:,}",
        "2 GiB",
        "int8",
        "keras",
    )
    assert list(tmp_path.iterdir()) == []


# Keras


@ignores_keras
@pytest.mark.parametrize("name", MODELS)
def test_plain_keras_agrees_with_the_engine(tmp_path, name):
    from charlstm.network.backend import keras

    found, path = MODELS[name], tmp_path / "model.keras"
    export_keras(found, path)
    network = keras.models.load_model(path)
    config = found.config.model
    engine = build_engine(config, found.weights, precision="float32")
    ids = np.random.default_rng(1).integers(engine.vocab_size, size=(3, 50))
    expected, state = engine.run(ids, engine.initial_state(3))
    cells = state.parts[0]
    zeros = np.zeros((3, config.units), np.float32)
    logits, *after = network.predict_on_batch([ids.astype(np.int32), *[zeros] * 2 * config.layers])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose([*after[::2], *after[1::2]], cells, rtol=1e-5, atol=1e-4)
    kinds = {type(layer).__module__.split(".")[0] for layer in network.layers}
    assert kinds == {"keras"}
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        facts = json.loads(archive.read("charlstm.json"))
    assert facts == json.loads(msgspec.json.encode(describe(found)))


@ignores_keras
def test_keras_attention_runs_where_charlstm_is_not_installed(tmp_path):
    found, path = MODELS["attention"], tmp_path / "model.keras"
    export_keras(found, path)
    ids = np.random.default_rng(1).integers(1, found.config.model.vocab_size, size=(2, 12))
    program = f"""
import sys
import keras
import numpy as np
network = keras.models.load_model({str(path)!r})
inputs = [np.array({ids.tolist()}, np.int32)]
for state in network.inputs[1:]:
    inputs.append(np.zeros((2, state.shape[1]), np.float32))
np.save({str(tmp_path / "logits.npy")!r}, network.predict_on_batch(inputs)[0])
assert "charlstm" not in sys.modules
"""
    subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True)
    engine = build_engine(found.config.model, found.weights, precision="float32")
    expected, _ = engine.run(ids, engine.initial_state(2))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-4)


def test_a_name_that_keras_does_not_open_is_refused(tmp_path):
    with raises_naming(ConfigError, "model.h5", ".keras"):
        export_keras(MODELS["characters"], tmp_path / "model.h5")
    assert list(tmp_path.iterdir()) == []


# Both

EXPORTS = pytest.mark.parametrize("export", [export_onnx, export_keras])


@ignores_keras
@EXPORTS
def test_an_existing_file_is_kept_or_replaced_as_asked(tmp_path, export, sentence):
    path = tmp_path / "model.keras"
    path.write_bytes(b"somebody's")
    with pytest.raises(CheckpointExists) as caught:
        export(MODELS["characters"], path)
    sentence(caught.value, path, "`output`", "`overwrite`")
    assert path.read_bytes() == b"somebody's"
    export(MODELS["characters"], path, overwrite=True)
    assert path.stat().st_size > 1000
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]


@ignores_keras
@EXPORTS
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch, export, sentence):
    def fail(*args):
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.keras"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(StorageError) as caught:
        export(MODELS["characters"], path, overwrite=True)
    sentence(caught.value, path, "full")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"model.keras": b"old"}


@pytest.mark.parametrize("name", ["-", "pipe"])
def test_only_a_regular_file_is_written(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(CheckpointExists) as caught:
        check_free(Path(name), overwrite=True)
    sentence(caught.value, name, "regular file", "`output`")
