"""Hostile checkpoints: small complete ones of each kind, altered in many ways.

Many alterations are signed again, as an attacker would, so that the code behind the hash checks is
tested too, up to the engine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from charlstm.api.model import LanguageModel, load
from charlstm.checkpoint import folder as folder_module
from charlstm.checkpoint import reader
from charlstm.checkpoint import resume as resume_module
from charlstm.checkpoint.quantization import quantize_weights, quantized_types
from charlstm.checkpoint.resume import Progress
from charlstm.checkpoint.safetensors import digest_of, floats
from charlstm.checkpoint.schema import (
    CONFIG,
    HISTORY,
    LINES,
    MODEL,
    RESUME,
    STDIN_FILE,
    TOKENIZER,
    RunConfig,
    expected_shapes,
    of_networks,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.engine.graph import build_graph
from charlstm.engine.inference import build_engine
from charlstm.export import describe
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint import helpers
from tests.checkpoint.helpers import weights_for
from tests.reliability.bounded import Case, Finding, check_table, command, judged
from tests.texts import LINES as OF_LINES

TEXT = "It's a tale, told by an idiot: full of sound!\r\nTomorrow, and tomorrow, é 42 \u4e2d.\n"
FILES = (CONFIG, TOKENIZER, MODEL, HISTORY, RESUME, STDIN_FILE, LINES)

# Inserted verbatim into JSON: numbers and other values that nobody expects.
_SHORT = (
    "0 -1 1 2 3 5 7 1.5 -0.0 1e3 1e308 -1e308 1e999 1e-320 255 256 65535 65536 65537 16384 16385 "
    "2097152 2097153 2147483647 2147483648 4294967295 4294967296 9007199254740993 "
    "9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 "
    "-9223372036854775808 -9223372036854775809 NaN Infinity -Infinity null true false {} [] [[]] "
    '"" "0" "1" "-1" "NaN" "char" "subword" "word" "\\u0000" "\\ud800" "\\udfff\\ud800" '
    '"\\u001b[2J" '
    '"\\u009b31m" "a\\nb" "\\u202e" "../../x" "/dev/zero" "/etc/passwd" "-" "python-docs" "**/*" '
    '"utf-16" "punycode" "idna" "undefined" "zlib" "unicode_escape" [1,2,3] ["a"] {"a":1} 0x10 '
    "01 1. .5 + - ' // 1_000"
)
RAW = [
    *_SHORT.split(),
    "9" * 400,
    "9" * 5000,
    "-" + "9" * 400,
    "0." + "0" * 400 + "1",
    '"' + "x" * 5000 + '"',
    '"' + "x" * 300_000 + '"',
    '"' + "\\u001b" * 3000 + '"',
    "[" * 2000 + "]" * 2000,
    "[" * 100_000,
    '{"a":' * 50_000,
    "[" + "0," * 20_000 + "0]",
    "[" + '"a",' * 20_000 + '"b"]',
    '"\xff"',
    '"\x1b[31m"',
]


class Literal(str):
    """Text that is inserted verbatim into JSON."""


class Twice(dict[str, Any]):
    """An object with a duplicate key."""

    def __init__(self, values: dict[str, Any], key: str, other: Any, first: bool) -> None:
        super().__init__(values)
        self.key, self.other, self.first = key, other, first


def encode(value: Any) -> bytes:
    """Return JSON that may be invalid where ``Literal`` and ``Twice`` are used."""
    return _encode(value).encode("utf-8", "surrogatepass")


def _encode(value: Any) -> str:
    match value:
        case Literal():
            return str(value)
        case dict():
            items = list(value.items())
            if isinstance(value, Twice):
                items.insert(0 if value.first else len(items), (value.key, value.other))
            return "{" + ",".join(f"{json.dumps(k)}:{_encode(v)}" for k, v in items) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_encode, value)) + "]"
        case _:
            return json.dumps(value)


# Complete checkpoints


def settings(
    model: ModelConfig, tokenizer: Tokenizer, weights: str = "float32", **corpus: Any
) -> RunConfig:
    return helpers.settings(
        model,
        weights=weights,
        charlstm="0.3.0",
        corpus=CorpusConfig(**{"addresses": ("/texts/a.txt",)} | corpus),
        tokenizer=TokenizerConfig(level=tokenizer.level, min_count=1),
    )


FIGURES = msgspec.structs.replace(helpers.FIGURES, valid_word_perplexity=300.0)


def resume_shapes(model: ModelConfig) -> dict[str, tuple[int, ...]]:
    shapes = of_networks(model, expected_shapes(model))
    slots = {f"optimizer/{name}": shape for name, shape in shapes.items()}
    return shapes | slots | {"state/0": (4, model.units), "optimizer/step": ()}


def write_whole(folder: Path, config: RunConfig, tokenizer: Tokenizer, *, finished: bool) -> None:
    """Write a checkpoint as a run does."""
    lines = None
    if config.corpus.division.are_lines:
        lines = LineHashes.from_lines(TEXT.split())
        origin = msgspec.structs.replace(
            config.provenance,
            indexed=len(lines),
            lines_sha256=reader.lines_digest(lines),
            index_covers="all",
        )
        config = msgspec.structs.replace(config, provenance=origin)
    folder.mkdir(parents=True)
    with folder_module.create_checkpoint(folder, config, tokenizer, lines):
        pass
    weights = weights_for(config.model)
    if config.weights == "int8":
        weights = quantize_weights(config.model, weights)
    CheckpointWriter(folder).model(weights, FIGURES)
    CheckpointWriter(folder).history([FIGURES, FIGURES])
    if not finished:
        tensors = {
            name: np.ones(shape, np.float32) for name, shape in resume_shapes(config.model).items()
        }
        CheckpointWriter(folder).resume(tensors, Progress(step=40, seconds=3.0, best=FIGURES))
        (folder / STDIN_FILE).write_text(TEXT)


def whole_checkpoints(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return the files of checkpoints of each kind."""
    characters = build_tokenizer([TEXT], TokenizerConfig())
    words = build_tokenizer([TEXT * 2], TokenizerConfig(level="word"))
    pieces = build_tokenizer([TEXT * 2], TokenizerConfig(level="subword", vocab_size=30))
    few = CharTokenizer(("a", "b", "\n"))

    def network(tokenizer: Tokenizer, **sizes: Any) -> ModelConfig:
        return ModelConfig(
            vocab_size=tokenizer.vocab_size, **{"embedding": 3, "units": 4, "layers": 1} | sizes
        )

    made: dict[str, tuple[RunConfig, Tokenizer, bool]] = {
        "char": (settings(network(characters, layers=2), characters), characters, True),
        "subword": (settings(network(pieces), pieces), pieces, True),
        "word": (settings(network(words), words), words, True),
        "lines": (settings(network(characters), characters, division=OF_LINES), characters, True),
        "tied": (settings(network(few, embedding=4, tied=True), few), few, True),
        "tied-words": (settings(network(words, embedding=4, tied=True), words), words, True),
        "attention": (settings(network(few, attention=3), few), few, True),
        "small-attention": (settings(network(few, attention=3), few, "int8"), few, True),
        "small": (settings(network(pieces, layers=2), pieces, "int8"), pieces, True),
        "small-tied": (settings(network(few, embedding=4, tied=True), few, "int8"), few, True),
        "both ways": (settings(network(few, bidirectional=True), few), few, True),
        "small, both ways": (settings(network(few, bidirectional=True), few, "int8"), few, True),
        "unfinished": (settings(network(few), few, addresses=("-",)), few, False),
    }
    whole = {}
    for name, (config, tokenizer, finished) in made.items():
        write_whole(folder / name, config, tokenizer, finished=finished)
        whole[name] = {path.name: path.read_bytes() for path in (folder / name).iterdir()}
    shutil.rmtree(folder)
    return whole


# Taking safetensors apart and putting them together, and setting hashes as an attacker would


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def pack(header: Any, body: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else encode(header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length % 2**64) + text + body


_DTYPES = {"F32": "<f4", "I8": "i1", "U64": "<u8"}


def sign_tensors(header: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Set the sha256 in a header, if it can be computed."""
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict):
        return header
    rest = {k: v for k, v in metadata.items() if k != "sha256"}
    tensors = {}
    try:
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                dtype = _DTYPES[entry["dtype"]]
                tensors[name] = np.frombuffer(body[begin:end], dtype).reshape(entry["shape"])
        digest = digest_of(tensors, rest)
    except (KeyError, ValueError, TypeError, AttributeError):
        return header
    header["__metadata__"] = rest | {"sha256": digest}
    return header


def resign(files: dict[str, bytes]) -> None:
    """Make all hashes match the files, if the files can still be read."""
    hashes = {
        f"{name}_sha256": hashlib.sha256(files[name]).hexdigest()
        for name in (CONFIG, TOKENIZER)
        if name in files
    }
    for name in (MODEL, RESUME):
        if name not in files:
            continue
        try:
            header, body = unpack(files[name])
            header["__metadata__"] |= hashes
        except (ValueError, KeyError, struct.error, TypeError, RecursionError):
            continue
        files[name] = pack(sign_tensors(header, body), body)


def sign_lines(files: dict[str, bytes]) -> None:
    """Set the hash of the lines in the configuration to that of the existing file."""
    header, body = unpack(files[LINES])
    hashes = np.frombuffer(body, "<u8")
    files[LINES] = pack(sign_tensors(header, body), body)
    config = json.loads(files[CONFIG])
    config["provenance"]["indexed"] = len(hashes)
    config["provenance"]["lines_sha256"] = digest_of({"hashes": hashes}, {})
    files[CONFIG] = encode(config)


# Alterations. Each changes files. Changes that are not file contents are made when writing them.

Files = dict[str, bytes]
Deed = Callable[[Path], None]


def _bytes_of(draw: random.Random, files: Files) -> str:
    return draw.choice(sorted(files))


def flip_bits(draw: random.Random, files: Files) -> None:
    name = _bytes_of(draw, files)
    data = bytearray(files[name])
    for _ in range(draw.choice((1, 1, 2, 8))):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    files[name] = bytes(data)


def change_bytes(draw: random.Random, files: Files) -> None:
    """Overwrite a stretch of a file with other bytes, or insert them."""
    name = _bytes_of(draw, files)
    data = files[name]
    at, length = draw.randrange(len(data) + 1), draw.choice((1, 2, 4, 8, 64))
    put = draw.choice((b"\0" * length, b"\xff" * length, draw.randbytes(length), data[:length]))
    keep = draw.choice((0, len(put)))
    files[name] = data[:at] + put + data[at + keep :]


def truncate(draw: random.Random, files: Files) -> None:
    name = _bytes_of(draw, files)
    size = len(files[name])
    left = draw.choice((0, 1, 7, 8, 9, size // 2, max(0, size - 1), draw.randrange(size + 1)))
    files[name] = files[name][:left]


def extend(draw: random.Random, files: Files) -> None:
    name = _bytes_of(draw, files)
    more = draw.choice((b"\0", b" ", b"\n", b"}", draw.randbytes(100), b"\0" * 100_000))
    files[name] += more * draw.choice((1, 1, 4))


def swap_files(draw: random.Random, files: Files, whole: dict[str, Files]) -> None:
    """Replace a file by another one, from the same checkpoint or from another."""
    source = draw.choice([files, *whole.values()])
    for _ in range(draw.choice((1, 2, 3))):
        name = draw.choice(FILES)
        other = name if draw.random() < 0.6 else draw.choice(sorted(source))
        if other in source:
            files[name] = source[other]


def remove_files(draw: random.Random, files: Files) -> None:
    for _ in range(draw.choice((1, 1, 2))):
        files.pop(draw.choice(sorted(files)), None)
        if not files:
            break


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """List every place in a JSON document as container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        found.append((value, key))
        if isinstance(inner, dict | list):
            _places(inner, found)
    return found


def _odd(draw: random.Random) -> Any:
    return Literal(draw.choice(RAW))


def change_json(draw: random.Random, document: Any) -> Any:
    """Change a JSON document in one or a few places."""
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        places = _places(document, [])
        if not places:
            return _odd(draw)
        container, key = draw.choice(places)
        value = container[key]
        match draw.randrange(8):
            case 0 if isinstance(container, dict):
                del container[key]
            case 1 if isinstance(container, dict):
                container[draw.choice(("x", "", key + "x", "\x1b[2J", "x" * 10_000, "\u202e"))] = 1
            case 2 if isinstance(value, dict):
                inner = draw.choice(sorted(value) or ["x"])
                container[key] = Twice(value, inner, _odd(draw), draw.random() < 0.5)
            case 3 if isinstance(value, int) and not isinstance(value, bool):
                container[key] = value + draw.choice((-1, 1, 2**32, -(2**32), 2**63, -2 * value))
            case 4:
                other, place = draw.choice(places)
                if place in (other if isinstance(other, dict) else range(len(other))):
                    chosen = other[place]
                    if not isinstance(chosen, dict | list):  # or it might contain itself
                        container[key] = chosen
            case _:
                container[key] = _odd(draw)
    return document


def change_config(draw: random.Random, files: Files) -> None:
    files[CONFIG] = encode(change_json(draw, json.loads(files[CONFIG])))


def change_sizes(draw: random.Random, files: Files) -> None:
    """Change the sizes of the network in the configuration, with or without matching weights."""
    config = json.loads(files[CONFIG])
    model = config["model"]
    asked = draw.choice(
        (
            {"units": 16_384, "layers": 64, "embedding": 16_384},
            {"vocab_size": 2**21},
            {"units": 16_384},
            {"layers": 64},
            {"embedding": draw.choice((0, 1, 16_384, 2**31, 2**62, -1))},
            {"units": draw.choice((0, 1, 5, 2**31, 2**62, -4))},
            {"layers": draw.choice((0, 2, 3, 65, 2**40))},
            {"tied": not model["tied"]},
            {"vocab_size": draw.choice((0, 1, 2, 3, model["vocab_size"] + 1, 2**63))},
        )
    )
    model |= asked
    files[CONFIG] = encode(config)


def rebuild(draw: random.Random, files: Files) -> None:
    """Build another network, with matching weights and tokenizer."""
    level = draw.choice(("char", "subword", "word"))
    alphabet = draw.choice(
        (
            "ab \n",
            TEXT,
            "\x1b\x9b[2J\x00\x07",
            "\u202e\u200d\u0301\ufeff",
            "",
            "\U0010ffff\ufdd0\ufffd",
            "'’a",
            "0123 ",
            "\r\n\u2028",
        )
    )
    tokens, merges = sorted(set(alphabet)), []
    if level == "subword":
        for _ in range(draw.randrange(30) if tokens else 0):
            pair = [draw.randrange(len(tokens)) for _ in "12"]
            joined = tokens[pair[0]] + tokens[pair[1]]
            if joined not in tokens or draw.random() < 0.1:
                tokens.append(joined)
                merges.append([number + 2 for number in pair])
    if level == "word":
        extra = [
            "".join(draw.choices(alphabet or "x", k=draw.choice((2, 3, 65, 200))))
            for _ in range(draw.randrange(20))
        ]
        tokens += sorted(set(extra) - set(tokens))
        if draw.random() < 0.3:
            draw.shuffle(tokens)
        if draw.random() < 0.2:
            tokens = tokens[draw.randrange(len(tokens) + 1) :]
    reserved = 4 if level == "word" else 2
    tied = draw.random() < 0.3
    width = draw.choice((1, 2, 5, 33))
    model = {
        "vocab_size": reserved + len(tokens),
        "embedding": width,
        "units": width if tied else draw.choice((1, 3, 40)),
        "layers": draw.choice((1, 1, 2, 7)),
        "tied": tied,
        "attention": draw.choice((0, 0, 1, 3, 256)),
        "shifted_keys": draw.random() < 0.7,
        "bidirectional": draw.random() < 0.3,
    }
    config = json.loads(files[CONFIG])
    config["model"] = model
    config["tokenizer"]["level"] = level if draw.random() < 0.95 else "char"
    config["corpus"]["lines"] = draw.random() < 0.5
    config["provenance"]["lines_sha256"] = None
    files[CONFIG] = encode(config)
    stored_tokenizer = {"level": level, "symbols": tokens}
    files[TOKENIZER] = encode(stored_tokenizer | ({"merges": merges} if merges else {}))
    weights = weights_for(ModelConfig(**model), draw.randrange(2**32))
    for array in weights.values():
        array *= draw.choice((0.0, 1e-30, 1.0, 1.0, 1.0, 30.0, 1e12))
    if config.get("weights") == "int8":
        weights = quantize_weights(ModelConfig(**model), weights)
    header, body = _header_of(weights)
    header["__metadata__"] = unpack(files[MODEL])[0]["__metadata__"]
    files[MODEL] = pack(header, body)


def _header_of(weights: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    header: dict[str, Any] = {}
    body = b""
    for name, array in weights.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": "I8" if array.dtype == np.int8 else "F32",
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    return header, body


def change_tokenizer(draw: random.Random, files: Files) -> None:
    stored_tokenizer = json.loads(files[TOKENIZER])
    tokens = stored_tokenizer["symbols"]
    at = draw.randrange(len(tokens))
    if "merges" in stored_tokenizer and draw.random() < 0.5:
        change_merges(draw, stored_tokenizer["merges"], len(tokens) + 2)
        files[TOKENIZER] = encode(stored_tokenizer)
        return
    match draw.randrange(12):
        case 0:
            tokens[at] = tokens[at - 1]
        case 1:
            tokens[at] = ""
        case 2:
            tokens[at] = "x" * draw.choice((2, 65, 1217, 1218, 5000, 10**6))
        case 3:
            tokens[at] = Literal(draw.choice(('"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"')))
        case 4:
            tokens[at] = draw.choice(("\0", "\x1b", "\x9b", "\u202e", "\ufeff", "\x7f", "\u2028"))
        case 5:
            draw.shuffle(tokens)
        case 6:
            stored_tokenizer["level"] = draw.choice(("char", "subword", "word", "x", ""))
        case 7:
            del tokens[at]
        case 8:
            tokens += draw.choice((["zz"], list("klm"), ["é"] * 2, [str(n) for n in range(9999)]))
        case 9:
            tokens[at] = draw.choice((" ", "  ", " ab", "a b", "\r\n", "ab\n", "e\u0301", "\u0301"))
        case 10:
            files[TOKENIZER] = (
                b'{"level":"word","symbols":[' + b'"ab",' * draw.choice((10, 200_000)) + b'"z"]}'
            )
            return
        case _:
            files[TOKENIZER] = encode(change_json(draw, stored_tokenizer))
            return
    files[TOKENIZER] = encode(stored_tokenizer)


def change_merges(draw: random.Random, merges: list[Any], ids: int) -> None:
    """Make a merge join other tokens, or none, occur twice, too early, or not at all."""
    at = draw.randrange(len(merges))
    match draw.randrange(8):
        case 0:
            merges[at][draw.randrange(2)] = draw.choice((0, 1, 2, ids - 1, ids, 2**31, 2**63, -1))
        case 1:
            merges[at] = [draw.randrange(ids), draw.randrange(ids)]
        case 2:
            merges.insert(draw.randrange(len(merges)), merges[at])
        case 3:
            draw.shuffle(merges)
        case 4:
            del merges[at]
        case 5:
            merges[at] = draw.choice((None, [], [2], [2, 3, 4], "ab", ["a", "b"], [2.5, 3], 7))
        case 6:
            merges += [[2, 2]] * draw.choice((1, 200_000))
        case _:
            merges[:] = draw.choice(([], [[at, at]], [merges[at]], merges[::-1]))


def change_header(draw: random.Random, files: Files) -> None:
    """Falsify the description of tensors: sizes, offsets, types, names, header length."""
    name = draw.choice([name for name in (MODEL, MODEL, RESUME, LINES) if name in files])
    header, body = unpack(files[name])
    tensors = [key for key in header if key != "__metadata__"]
    entry = header[draw.choice(tensors)]
    length = None
    match draw.randrange(12):
        case 0:
            entry["shape"] = draw.choice(
                (
                    [],
                    [0],
                    [2**32, 2**32],
                    [2**63],
                    [-1],
                    [1] * 100,
                    [2**21, 2**14],
                    [0, 2**60],
                    [1] * 50_000,
                    [*entry["shape"], 1],
                    entry["shape"][::-1],
                )
            )
        case 1:
            begin, end = entry["data_offsets"]
            entry["data_offsets"] = draw.choice(
                (
                    [end, begin],
                    [begin, begin],
                    [0, 2**63],
                    [2**63, 2**64 - 1],
                    [begin - 4, end - 4],
                    [begin + 4, end + 4],
                    [-4, end],
                    [0, end - begin],
                    [begin],
                    [begin, end, end],
                    [len(body), len(body) + end - begin],
                    [begin + 1, end + 1],
                )
            )
        case 2:
            entry["dtype"] = draw.choice(
                (
                    "F64",
                    "F16",
                    "I32",
                    "I8",
                    "U8",
                    "BOOL",
                    "BF16",
                    "F4",
                    "F32 ",
                    "",
                    "U64",
                    "C64",
                    "f32",
                )
            )
        case 3:
            other = draw.choice(("../../x", "/etc/passwd", "\0", "x" * 5000, "\x1b[2J", "", "a\nb"))
            header[other] = dict(entry)
        case 4:
            del header[draw.choice(tensors)]
        case 5:
            length = draw.choice((0, 1, 7, 2**31, 2**32, 2**63, 2**64 - 1, 100_000_000, len(body)))
        case 6:
            text = encode(header)
            length = len(text) + draw.choice((-8, -1, 1, 8, 9))
        case 7:
            header["__metadata__"]["x" * draw.choice((1, 100, 100_000))] = draw.choice(("", "\x1b"))
        case 8:
            header |= {
                f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for n in range(draw.choice((1, 100, 5000)))
            }
        case 9:
            key = draw.choice(list(header))
            header = Twice(header, key, draw.choice((entry, _odd(draw))), draw.random() < 0.5)
        case 10:
            files[name] = pack(encode(header) + b" " * draw.choice((8, 10**5, 10**6)), body)
            return
        case _:
            header = change_json(draw, header)
    if not isinstance(header, Twice | str) and isinstance(header, dict) and draw.random() < 0.7:
        header = sign_tensors(header, body)
    files[name] = pack(header, body, length)


ODD_FLOATS = np.array(
    [
        np.nan,
        np.inf,
        -np.inf,
        3.4028235e38,
        -3.4028235e38,
        1e30,
        -1e20,
        1e12,
        1e15,
        1e14,
        1e-45,
        -1e-45,
        1e-38,
        1.8e-43,
        0.0,
        -0.0,
        1e6,
    ],
    np.float32,
)


def change_weights(draw: random.Random, files: Files) -> None:
    """Put odd numbers into the weights: one, a whole tensor, or all."""
    name = draw.choice([name for name in (MODEL, MODEL, MODEL, RESUME) if name in files])
    header, body = unpack(files[name])
    data = bytearray(body)
    tensors = [
        _values(data, entry)
        for key, entry in header.items()
        if key != "__metadata__" and entry["data_offsets"][0] < entry["data_offsets"][1]
    ]
    of_floats = [values for values in tensors if values.dtype == np.float32]
    odd = ODD_FLOATS[draw.randrange(len(ODD_FLOATS))]
    kind = draw.randrange(5)
    for values in tensors if kind > 1 else [draw.choice(tensors)]:
        put = odd if values.dtype == np.float32 else draw.choice((-128, -127, -1, 0, 127))
        if kind == 0:
            values[draw.randrange(len(values))] = put
        elif kind in (1, 2):
            values[:] = put
    if kind == 3:
        with np.errstate(all="ignore"):
            factor = np.float32(draw.choice((1e38, 1e20, 1e14, 1e10, 1e-40, 0.0, -1e14)))
            for values in of_floats:
                values *= factor
    elif kind == 4:
        data[:] = draw.randbytes(len(data))
        if draw.random() < 0.8:
            for values in of_floats:
                values[~np.isfinite(values)] = 0
    files[name] = pack(header, bytes(data))


def _values(data: bytearray, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return the numbers of a tensor as a view; changing them changes the data."""
    begin, end = entry["data_offsets"]
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    return np.frombuffer(data, dtype, (end - begin) // dtype.itemsize, begin)


def change_figures(draw: random.Random, files: Files) -> None:
    """Change the figures and the progress stored with tensors, and the history."""
    name = draw.choice([name for name in (MODEL, RESUME, HISTORY) if name in files])
    if name == HISTORY:
        lines = files[HISTORY].split(b"\n")
        lines[draw.randrange(len(lines))] = encode(change_json(draw, json.loads(lines[0])))
        files[HISTORY] = b"\n".join(lines) * draw.choice((1, 1, 100))
        return
    header, body = unpack(files[name])
    key = "figures" if name == MODEL else "progress"
    text = encode(change_json(draw, json.loads(header["__metadata__"][key])))
    header["__metadata__"][key] = text.decode("utf-8", "replace")
    files[name] = pack(header, body)


def change_lines(draw: random.Random, files: Files) -> None:
    header, body = unpack(files[LINES])
    hashes = np.frombuffer(body, "<u8").copy()
    match draw.randrange(5):
        case 0:
            hashes = hashes[::-1].copy()
        case 1:
            hashes[draw.randrange(len(hashes))] = draw.choice((0, 2**64 - 1))
        case 2:
            hashes = np.repeat(hashes, 2)
        case 3:
            hashes = hashes[: draw.randrange(len(hashes) + 1)]
        case _:
            hashes = np.sort(np.frombuffer(draw.randbytes(8 * 1000), "<u8"))
    header["hashes"] |= {"shape": [len(hashes)], "data_offsets": [0, hashes.nbytes]}
    files[LINES] = pack(header, hashes.tobytes())
    sign_lines(files)


def special_files(draw: random.Random, files: Files) -> Deed:
    """Replace a file by something that is not a regular file, or by another file."""
    name = draw.choice(sorted(files))
    kind = draw.randrange(13)

    def deed(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes()
        path.unlink()
        match kind:
            case 0:
                path.symlink_to(name)
            case 1:
                path.symlink_to("/dev/zero")
            case 2:
                path.symlink_to("/dev/null")
            case 3:
                path.symlink_to("nowhere")
            case 4:
                path.symlink_to(os.path.abspath(__file__))
            case 5:
                path.mkdir()
            case 6:
                os.mkfifo(path)
            case 7:
                path.write_bytes(content)
                os.truncate(path, draw.choice((2**33, 2**40, 2**30)))
            case 8:
                path.symlink_to("x" * 250)
                (folder / ("x" * 250)).symlink_to(path.name)
            case 9:
                path.symlink_to("/dev/urandom")
            case 10:
                other = folder.parent / "outside"
                other.write_bytes(content)
                path.symlink_to("../outside")
            case 11:
                path.symlink_to("/proc/self/mem")
            case _:
                path.symlink_to(".")

    return deed


def sparse_weights(draw: random.Random, files: Files) -> Deed:
    """Describe a huge network, with a sparse file of weights of the right size."""
    config = json.loads(files[CONFIG])
    model = draw.choice(
        (
            {"units": 16_384, "layers": 64, "embedding": 16_384},
            {"units": 16_384, "layers": 2, "embedding": 16},
            {"units": 4, "layers": 1, "embedding": 16_384, "vocab_size": 2**21},
        )
    )
    config["model"] |= model | {"tied": False}
    files[CONFIG] = encode(config)
    asked = ModelConfig(**config["model"])
    types = floats(of_networks(asked, expected_shapes(asked)))
    if config.get("weights") == "int8":
        types = quantized_types(asked)
    header: dict[str, Any] = {}
    end = 0
    for name, (shape, dtype) in types.items():
        begin, end = end, end + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        kind = "I8" if dtype == np.int8 else "F32"
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    header["__metadata__"] = unpack(files[MODEL])[0]["__metadata__"]
    files[MODEL] = pack(header, b"")
    size = len(files[MODEL]) + end

    def deed(folder: Path) -> None:
        os.truncate(folder / MODEL, size)

    return deed


# Alterations that may create a file larger than memory.
ODD, SPARSE = "odd files (links, devices, pipes)", "huge network, sparse file"

# By name: how often, the alteration, and whether it is signed again.
PLAIN: dict[str, tuple[int, Callable[[random.Random, Files], Deed | None]]] = {
    "bits flipped": (10, flip_bits),
    "bytes changed": (8, change_bytes),
    "truncated": (6, truncate),
    "extended": (4, extend),
    "files removed": (2, remove_files),
    ODD: (4, special_files),
    "configuration": (16, change_config),
    "sizes of the network": (6, change_sizes),
    "tokenizer": (14, change_tokenizer),
    "description of tensors": (14, change_header),
    "odd weights": (8, change_weights),
    "figures, progress, history": (8, change_figures),
    "hashes of lines": (3, change_lines),
    "another network, consistent": (6, rebuild),
    SPARSE: (1, sparse_weights),
}
SWAP = "files swapped"
WHOLE = "none"
KINDS = [*PLAIN, SWAP, WHOLE]
SHARES = [share for share, _ in PLAIN.values()] + [6, 1]


def maker(seed: int, folder: Path) -> Case:
    """Return the cases of hostile checkpoints, which are written into ``folder``."""
    whole = whole_checkpoints(folder / "whole")
    place = folder / "model"
    read_outside = (folder / "outside").exists

    def case(number: int) -> tuple[str, str]:
        draw = random.Random(f"{seed} {number}")
        base = draw.choice(sorted(whole))
        files = dict(whole[base])
        kind = draw.choices(KINDS, SHARES)[0]
        if kind == "hashes of lines":
            files = dict(whole["lines"])
        deed = None
        if kind == SWAP:
            swap_files(draw, files, whole)
        elif kind != WHOLE:
            deed = PLAIN[kind][1](draw, files)
            if draw.random() < 0.1:  # and another alteration
                other = draw.choice([flip_bits, truncate, swap_files, change_bytes])
                if files and other is swap_files:
                    swap_files(draw, files, whole)
                elif files:
                    other(draw, files)  # type: ignore[operator]
        signed = draw.random() < 0.75
        if signed:
            resign(files)
        altered = any(
            files.get(name) != data
            for name, data in whole[base].items()
            if name in (CONFIG, TOKENIZER, MODEL)
        )
        write(place, files)
        if deed:
            deed(place)
        outcome = use(place, draw, huge=kind in (ODD, SPARSE))
        if outcome == "ran" and altered and not signed and not consistent(files):
            raise Finding(f"altered files were not noticed ({kind})")
        if read_outside():
            (folder / "outside").unlink()
        return f"{kind}{', signed again' if signed else ''}", outcome

    return case


def consistent(files: Files) -> bool:
    """Return whether files that were altered and not signed are intact, by chance or exchange."""
    before = dict(files)
    after = dict(files)
    resign(after)
    return {k: unpack(v) if k == MODEL else v for k, v in before.items() if k != RESUME} == {
        k: unpack(v) if k == MODEL else v for k, v in after.items() if k != RESUME
    }


def write(place: Path, files: Files) -> None:
    """Write the files of a checkpoint in place of the existing ones."""
    if place.is_dir():
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    else:
        place.mkdir(parents=True)
    for name, data in files.items():
        (place / name).write_bytes(data)


def use(place: Path, draw: random.Random, *, huge: bool = False) -> str:
    """Do what users do with a checkpoint; return how it ended.

    It counts as having run if the model could be used, whatever happened to its resume file, its
    history and its line hashes.
    """
    judge = functools.partial(judged, named=str(place), huge=huge)

    def show() -> None:
        out, err = command("info", place, *draw.choice(((), (), ("--json",))))
        if err:
            raise Finding(f"info wrote to stderr: {err[:300]!r}")
        if not out.startswith("{"):
            check_table(out)
        elif json.loads(out)["parameters"] < 1:
            raise Finding("no parameters")

    def resume() -> None:
        config = reader.read_config(place)
        if config.model.parameters < 10**6:
            resume_module.read_resume(place, resume_shapes(config.model))

    shown = judge(show)
    if os.path.lexists(place / LINES) or draw.random() < 0.1:
        judge(lambda: reader.read_lines_index(place))
    if os.path.lexists(place / RESUME) or draw.random() < 0.1:
        judge(resume)
    judge(lambda: reader.read_history(place))
    ran = judge(lambda: run(place, draw))
    # ``info`` also shows a run that has not stored any weights yet.
    has_no_weights = ran == "CheckpointMissing" and os.path.lexists(place / RESUME)
    refused = ran == "ran" and shown in ("CheckpointDamaged", "CheckpointMissing")
    if shown != ran and not (refused or (shown == "ran" and has_no_weights)):
        raise Finding(f"info ended with {shown}, the model with {ran}")
    return ran


def run(place: Path, draw: random.Random) -> None:
    """Generate, score and predict a few tokens, and describe the model for other programs."""
    precision = draw.choice(("int8", "float32"))
    if draw.random() < 0.02:
        shutil.rmtree(os.environ["CHARLSTM_CACHE"], ignore_errors=True)
        model = load(place, precision=precision, threads=1)
    else:
        found = reader.read_checkpoint(place)
        built = build_engine(found.config.model, found.weights, precision=precision, threads=1)
        model = LanguageModel(found, built)
    prompt = draw.choice(("", "a", "It's a", "\ud800", "\x1b\0é", "tomorrow "))
    for sample in model.generate(prompt, count=2, length=6, seed=1):
        if len(sample.text) > 6 * 1300:
            raise Finding(f"six tokens are {len(sample.text)} characters")
    for score in model.score("ab", prompt, "It's a tale"):
        if not score.log_probability <= 1e-3 * score.tokens:
            raise Finding(f"log-probability {score.log_probability}")
    for prediction in model.predict(prompt, top=3):
        if not -1e-6 <= prediction.probability <= 1.001:
            raise Finding(f"probability {prediction.probability}")
    if model.checkpoint.backward is not None:
        for filling in model.filler().fill(prompt, " tale"):
            if not 0 < filling.probability <= 1.001:
                raise Finding(f"share {filling.probability}")
    if draw.random() < 0.1:
        config = model.checkpoint.config.model
        build_graph(config, model.checkpoint.weights, precision, description="x")
        json.dumps(describe(model.checkpoint)["vocabulary"])
