"""Hostile corpora: bytes, encodings, archives, folders and names that nobody would choose.

Each is read the way ``charlstm train --dry-run`` reads it, at both levels, with and without
``--lines``. Readable text must be recovered from its ids. Some of it is also passed to the commands
that read text after training.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import json
import lzma
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from backports import zstd

from charlstm.config import CorpusConfig, Division, TokenizerConfig
from charlstm.corpus import documents, reading
from charlstm.dataset.batches import Streams, replacement_rates
from charlstm.dataset.prepare import Prepared, prepare
from charlstm.tokenizer.base import REPLACEMENT
from tests.reliability import bounded
from tests.reliability.bounded import Case, Finding, check_table, command, judged
from tests.reliability.checkpoints import whole_checkpoints, write

_ENCODINGS = (
    "utf-8 utf-8 utf-8 utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 utf-7 latin-1 cp1252 "
    "ascii shift_jis gb18030 big5 euc_jp iso2022_jp hz johab koi8-r unicode_escape "
    "raw_unicode_escape punycode idna undefined zlib rot13 base64 nonsense cp65001 mac_turkish"
)
ENCODINGS = _ENCODINGS.split()

PIECES = [
    "the ",
    "It's ",
    "word\n",
    "\r\n",
    "\n",
    "\r",
    "\t",
    " ",
    "\u00a0",
    "\u2028",
    "\u2029",
    "\u0085",
    "\x0b",
    "\x0c",
    "é",
    "e\u0301",
    "\u0301",
    "\u0301\u0323\u0301",
    "\u200d",
    "\u200c",
    "\u200b",
    "\ufeff",
    "\u202e",
    "\u2066",
    "שלום",
    "مرحبا ",
    "\u0651",
    "नमस्ते",
    "中文",
    "ไทย",
    "日本",
    "👩\u200d👩\u200d👧",
    "🇩🇪",
    "\U0010ffff",
    "\ufffe",
    "\ufdd0",
    "\ufffd",
    "'",
    "’",
    "''’",
    "a'b'c",
    "<p>",
    "</",
    "<>",
    "___",
    "...",
    "!?",
    "0",
    "007",
    "1,000.5",
    "\x1b[2J",
    "\x07",
    "\x7f",
    "\x9b",
    "Ǆ",
    "ß",
    "İ",
    "ﬀ",
    "x" * 70,
    "9" * 70,
    "-" * 70,
    " " * 70,
    "a" + "\u0301" * 20,
    "a" + "'b" * 20,
]


def _pieces(draw: random.Random) -> bytes:
    chosen = draw.choices(PIECES, k=draw.choice((1, 2, 5, 20)))
    return "".join(draw.choices(chosen, k=draw.choice((1, 3, 30, 300)))).encode()


def _random_bytes(draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice((1, 2, 10, 100, 3000)))


def _random_text_bytes(draw: random.Random) -> bytes:
    return _random_bytes(draw).replace(b"\0", b"n")


def _code_points(draw: random.Random) -> bytes:
    top = draw.choice((0x80, 0x250, 0x3000, 0x110000))
    length = draw.choice((3, 50, 500))
    return "".join(chr(draw.randrange(1, top)) for _ in range(length)).encode(
        "utf-8", "surrogatepass" if draw.random() < 0.3 else "replace"
    )


def _broken(draw: random.Random) -> bytes:
    data = bytearray(_pieces(draw))
    bad = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\0")
    for _ in range(draw.choice((1, 1, 5))):
        at = draw.randrange(len(data) + 1)
        data[at:at] = draw.choice(bad)
    return bytes(data)


def _wide(draw: random.Random) -> bytes:
    text = _pieces(draw).decode()
    coded = text.encode(draw.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")))
    return coded[: len(coded) - draw.choice((0, 0, 1, 2, 3))]


def _repeated(draw: random.Random) -> bytes:
    one = draw.choice((*PIECES, "a", "ab ", "\n\n", "\r\r\n", "\n\r"))
    return (one * draw.choice((1, 2, 10, 1000, 20_000))).encode()


def _long_words(draw: random.Random) -> bytes:
    letters = draw.choice(("a", "ab", "é", "a'", "a\u0301", "中", "1", "-", "ab'\u0301", "\u0301"))
    words = ["".join(draw.choices(letters, k=draw.choice((1, 65, 5000)))) for _ in range(5)]
    return draw.choice((" ", "\n", "", "  ")).join(words).encode()


def _huge_line(draw: random.Random) -> bytes:
    one = draw.choice((b"a", b"ab ", b"word ", "é".encode(), b" ", b"\r", b"'", b"a'"))
    return one * (draw.choice((1, 4, 50)) * 10**6 // len(one))


def _empty(draw: random.Random) -> bytes:
    return draw.choice(
        (b"", b"\n", b"\r", b" ", b"a", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3")
    )


CONTENTS: dict[str, tuple[float, Callable[[random.Random], bytes]]] = {
    "odd characters": (12, _pieces),
    "random bytes": (6, _random_bytes),
    "random bytes without NUL": (6, _random_text_bytes),
    "random code points, surrogates": (8, _code_points),
    "broken UTF-8, NUL": (8, _broken),
    "UTF-16, UTF-32, BOMs": (6, _wide),
    "one thing repeated": (8, _repeated),
    "long words": (6, _long_words),
    "lines of 1 to 50 MB": (0.02, _huge_line),
    "empty, one character": (3, _empty),
}


def content(draw: random.Random) -> tuple[str, bytes]:
    kind = draw.choices(list(CONTENTS), [share for share, _ in CONTENTS.values()])[0]
    return kind, CONTENTS[kind][1](draw)


# Archives

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": functools.partial(gzip.compress, compresslevel=1),
    ".bz2": bz2.compress,
    ".xz": functools.partial(lzma.compress, preset=0),
    ".zst": zstd.compress,
}


def archive(draw: random.Random) -> tuple[str, bytes]:
    """Return the end of a name and the data to write under it."""
    suffix = draw.choice(sorted(COMPRESS))
    data = b"one two three\n" * draw.choice((1, 100)) if draw.random() < 0.5 else content(draw)[1]
    if len(data) > 10**6:
        data = data[: 10**6]
    packed = COMPRESS[suffix](data)
    match draw.randrange(12):
        case 0:
            packed = packed[: draw.randrange(len(packed))]
        case 1:
            damaged = bytearray(packed)
            for _ in range(draw.choice((1, 3))):
                damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            packed = bytes(damaged)
        case 2:
            packed += draw.choice((b"\0" * 4, b"\0" * 3, b"x", draw.randbytes(50), packed))
        case 3:
            packed = COMPRESS[suffix](packed)  # only one layer is unpacked
        case 4:
            suffix = draw.choice(sorted(COMPRESS))  # may be the wrong one
        case 5:
            packed = draw.choice((b"", draw.randbytes(40), b"plain text\n" * 20))
        case 6:
            packed = packed * draw.choice((2, 300))  # many streams in a row
        case 7:
            return bomb(draw)
        case 8:
            return greedy(draw)
        case _:
            pass
    return suffix, packed


def bomb(draw: random.Random) -> tuple[str, bytes]:
    """Return a small file that expands to 10 to 30 MB (tested with a limit of 300 kB)."""
    size = draw.choice((10, 30)) * 10**6
    kind = draw.randrange(3)
    if kind == 0:  # blocks of one repeated byte, four bytes each
        frame = b"\x28\xb5\x2f\xfd\x00\x38"
        count = size >> 17
        for number in range(count):
            last = number == count - 1
            frame += (((1 << 17) << 3) | (1 << 1) | last).to_bytes(3, "little") + b"a"
        return ".zst", frame
    suffix = draw.choice(sorted(COMPRESS))
    one = draw.choice((b"a", b"\n", b"\0", b"a b\n"))
    return suffix, COMPRESS[suffix](one * (size // len(one)))


def greedy(draw: random.Random) -> tuple[str, bytes]:
    """Return a file whose header asks for a lot of memory, or is endless."""
    match draw.randrange(4):
        case 0:  # an old .lzma header, with a dictionary of 4 GB
            data = bytearray(lzma.compress(b"text\n" * 50, lzma.FORMAT_ALONE))
            data[1:5] = b"\xff\xff\xff\xff"
            return ".xz", bytes(data)
        case 1:  # an .xz block that asks for 4 GB
            data = bytearray(lzma.compress(b"text\n" * 50, preset=0))
            size = (data[12] + 1) * 4
            place = 12 + data[12 : 12 + size].index(b"\x21\x01") + 2
            data[place] = 40
            data[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(data[12 : 8 + size]))
            return ".xz", bytes(data)
        case 2:  # a window of 2 GB or more
            return ".zst", b"\x28\xb5\x2f\xfd\x00" + bytes([draw.choice((0xA8, 0xF8, 0xFF))]) + (
                b"\x01\x00\x00"
            )
        case _:  # a stored name that doesn't end
            head = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
            return ".gz", head + b"x" * draw.choice((10, 100_000))


# Folders and names

NAMES = [
    b"a.txt",
    b"b\n.txt",
    b"\x1b[2J.txt",
    b"\xff\xfe.txt",
    b"\xed\xa0\x80",
    "\u202egpj.txt".encode(),
    b"-",
    b"--help",
    b"*.txt",
    b"[a].txt",
    b".hidden",
    b" ",
    b"x" * 200,
    b"python-docs",
    b"~",
    b"%s%n",
    b"c.gz",
    "é".encode(),
]


def folder(draw: random.Random, place: Path) -> list[str]:
    """Create a tree of odd files and folders in ``place``; return addresses in it."""
    root = os.fsencode(place / "tree")
    os.mkdir(root)
    folders = [root]
    for _ in range(draw.choice((0, 1, 4, 12))):
        here = draw.choice(folders)
        path = os.path.join(here, draw.choice(NAMES))
        if os.path.lexists(path):
            continue
        match draw.randrange(12):
            case 0:
                os.mkdir(path)
                folders.append(path)
            case 1:
                os.symlink(draw.choice((b".", b"..", root, path, b"nowhere", b"/dev/zero")), path)
            case 2:
                os.mkfifo(path)
            case 3:
                os.symlink(draw.choice(folders), path)
            case 4 if len(folders) < 3:
                deep = here
                for _ in range(draw.choice((10, 300))):
                    deep = os.path.join(deep, b"d")
                    if len(deep) > 3900:
                        break
                    os.makedirs(deep, exist_ok=True)
                folders.append(deep)
            case _:
                with open(path, "wb") as file:
                    file.write(content(draw)[1][:100_000])
    pattern = draw.choice(
        (
            "",
            "",
            "",
            "/*",
            "/**",
            "/**/*.txt",
            "/**/**/**/**/**/**/**/**/x",
            "/[",
            "/*/*",
            "/**/d/**/d",
        )
    )
    return [os.fsdecode(root) + pattern]


ADDRESSES = [
    "",
    ".",
    "nowhere",
    "../nowhere",
    "/dev/zero",
    "/dev/null",
    "/proc/self/mem",
    "x" * 300,
    "x/" * 2000,
    "**",
    "[",
    "a/../a",
    "\x1b[2J",
    "a\nb",
    "\udcff",
    "\u202e",
    "/dev/stdin/x",
    "*" * 200,
    "?*" * 100 + "[",
]


def maker(seed: int, place: Path) -> Case:
    """Return the cases of hostile corpora, which are written into ``place``."""
    whole = whole_checkpoints(place / "whole")
    for name in ("char", "subword", "word", "lines"):
        write(place / name, whole[name])
    del whole
    path = place / "work"
    # A line of 50 MB as a document is kept in memory, with its code points and its ids.
    bounded.MEMORY = bounded.GROWTH = 2 << 30

    def case(number: int) -> tuple[str, str]:
        draw = random.Random(f"corpus {seed} {number}")
        shutil.rmtree(path, ignore_errors=True)
        if number % 8 == 0:
            shutil.rmtree(os.environ["CHARLSTM_CACHE"], ignore_errors=True)
        path.mkdir()
        kind, addresses = _made(draw, path)
        learned = kind == "addresses" or draw.random() < 0.9
        # Enough to show that it is bounded. A model reads more slowly than training divides.
        reading.EXPANDED, reading.EXPANSION = (300_000, 1) if learned else (20_000, 1)
        if learned:
            return kind, learn(draw, addresses)
        return f"{kind}, read by other commands", use(draw, addresses[0], place)

    return case


def _made(draw: random.Random, path: Path) -> tuple[str, list[str]]:
    """Write a corpus; return its kind and its addresses."""
    shape = draw.random()
    if shape < 0.02:
        return "addresses", draw.choices(ADDRESSES, k=draw.choice((1, 2)))
    if shape < 0.1:
        return "folders, links, patterns", folder(draw, path)
    if shape < 0.3:
        suffix, data = archive(draw)
        (path / f"a{suffix}").write_bytes(data)
        return "archives", [str(path / f"a{suffix}")]
    kind, data = content(draw)
    name = draw.choice(NAMES) if draw.random() < 0.05 else b"a.txt"
    file = os.fsencode(path) + b"/" + name
    if name.endswith(b".gz"):
        kind = "archives"
    with open(file, "wb") as stream:
        stream.write(data)
    named = [os.fsdecode(file)]
    if draw.random() < 0.1:
        (path / "more.txt").write_bytes(content(draw)[1][:100_000])
        named.append(str(path / "more.txt"))
    return kind, named


def learn(draw: random.Random, addresses: list[str]) -> str:
    """Read a corpus as training does, and check that it is recovered from its ids."""
    level = draw.choice(("char", "subword", "word"))
    encoding = draw.choice(ENCODINGS) if draw.random() < 0.5 else "utf-8"
    errors = draw.choice(("strict", "replace"))
    lines = draw.random() < 0.4
    options = ["--level", level, "--encoding", encoding, "--decode-errors", errors]
    options += ["--streams", "1", "--sequence-length", "2", "--valid-fraction", "0.3", "--dry-run"]
    options += ["--lines"] if lines else []
    options += draw.choice(([], ["--json"]))
    if level == "word":
        options += ["--min-count", "1"]

    def plan() -> None:
        out, err = command("train", *options, "--", *addresses)
        check_table(err)
        if out:
            json.loads(out)

    outcome = judged(plan)
    if outcome == "ran" and draw.random() < 0.5:
        config = CorpusConfig(
            addresses=tuple(addresses),
            encoding=encoding,
            decode_errors=errors,
            division=Division(unit="line" if lines else "file"),
            valid_fraction=0.3,
        )
        tokenizing = TokenizerConfig(level=level, min_count=1)
        prepared = prepare(config, tokenizing)
        check_prepared(config, prepared)
        if draw.random() < 0.1:
            damage(draw)
            again = prepare(config, tokenizing)
            if not np.array_equal(again.store.train, prepared.store.train):
                raise Finding("a damaged cache has changed the corpus")
    return outcome


def check_prepared(config: CorpusConfig, prepared: Prepared) -> None:
    """Check that ids are in range and that the text is recovered from them."""
    tokenizer, store = prepared.tokenizer, prepared.store
    for ids in (store.train, store.valid):
        if ids.size and int(ids.max()) >= tokenizer.vocab_size:
            raise Finding("an id beyond the vocabulary")
    known = {token for token in tokenizer.vocabulary if len(token) == 1}
    opened = documents.open_corpus(
        config.addresses,
        encoding=config.encoding,
        decode_errors=config.decode_errors,
        division=config.division,
    )
    for text, _ in opened.chunks():
        if len(text) > 10**5:
            text = text[: 10**5]
        expected = text if known.issuperset(text) else _replaced(text, known)
        if tokenizer.decode(tokenizer.encode(text)) != expected:
            raise Finding(f"a text does not come back from its ids: {text[:100]!r}")
    rates = replacement_rates(store.train, tokenizer.character_ids, tokenizer.vocab_size)
    Streams(store.train, 2, 3, 1, rates).batch(7)


def _replaced(text: str, known: set[str]) -> str:
    return "".join(c if c in known else REPLACEMENT for c in text)


def damage(draw: random.Random) -> None:
    """Change, cut or remove a file of the cache entries."""
    entries = Path(os.environ["CHARLSTM_CACHE"])
    newest = max(entries.glob("tokens-*"), key=lambda entry: entry.stat().st_mtime)
    file = draw.choice(sorted(newest.iterdir()))
    data = bytearray(file.read_bytes())
    file.unlink()  # it may be mapped
    match draw.randrange(4):
        case 0 if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case 1:
            del data[len(data) // 2 :]
        case 2:
            data += b"\xff" * 8
        case _:
            return
    file.write_bytes(data)


def use(draw: random.Random, address: str, place: Path) -> str:
    """Run the commands that read text after training on it, with a small model."""
    model = place / draw.choice(("char", "subword", "word", "lines"))
    read = ["--encoding", draw.choice(ENCODINGS), "--decode-errors", "replace"]
    if draw.random() < 0.5:
        read = []
    path = Path(address)
    small = path.is_file() and path.stat().st_size < 20_000
    if not small or path.suffix in COMPRESS:
        if path.is_file() and path.stat().st_size > 10**5 and path.suffix not in COMPRESS:
            os.truncate(path, 20_000)
        return judged(lambda: _shown("score", model, "--threads", "1", *read, "--", address))
    data = path.read_bytes()
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")[:500]
    arguments: list[object]
    match draw.randrange(6):
        case 0:
            arguments = ["score", model, *read, "--json", "--", address]
        case 1:
            arguments = ["score", model, *read]
        case 2:
            arguments = ["rank", model, *read, "--", address]
        case 3:
            arguments = ["predict", model, "--", text]
        case 4:
            arguments = ["generate", model, "--prompt", text, "--length", "3", "--seed", "1"]
        case _:
            path.write_bytes(data[:500])
            arguments = ["generate", model, "--prompts", address, "--length", "2", "--seed", "1"]
    return judged(lambda: _shown(*arguments, stdin=data))


def _shown(*arguments: object, stdin: bytes = b"") -> None:
    _, err = command(*arguments, stdin=stdin)
    check_table(err)


def training_maker(seed: int, place: Path) -> Case:
    """Return cases of hostile corpora that are actually trained on, for three steps."""
    from charlstm.training import trainer

    assert trainer  # TensorFlow is loaded before memory is limited
    # Its threads reserve a lot and use little. Each compiled network stays in memory for a while.
    bounded.MEMORY, bounded.GROWTH = 8 << 30, 1 << 30
    path = place / "work"

    def case(number: int) -> tuple[str, str]:
        draw = random.Random(f"training {seed} {number}")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        kind, addresses = "", []
        while kind not in ("odd characters", "one thing repeated", "long words", "archives"):
            shutil.rmtree(path)
            path.mkdir()
            kind, addresses = _made(draw, path)
        options = ["--level", draw.choice(("char", "subword", "word")), "-o", path / "model", "-q"]
        options += ["--lines"] if draw.random() < 0.4 else []
        options += ["--units", "4", "--layers", "1", "--embedding", "4"]
        options += ["--streams", "2", "--sequence-length", "3"]
        options += ["--steps", "3", "--dropout", "0.1", "--threads", "1"]
        outcome = judged(lambda: command("train", *options, "--", *addresses))
        if outcome == "ran":
            judged_again = judged(
                lambda: command("generate", path / "model", "--length", "5", "--threads", "1")
            )
            if judged_again != "ran":
                raise Finding(f"a model that was trained can't write: {judged_again}")
        return kind, outcome

    return case
