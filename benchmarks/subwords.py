"""Byte-pair pieces as characters: how a subword model would do, without a change to charlstm.

python -m benchmarks.subwords learn PIECES OUT TEXT...   learn pieces; write OUT/pieces.json
python -m benchmarks.subwords encode OUT TEXT...         encode further texts
python -m benchmarks.subwords decode OUT <FILE           print what pieces stand for
python -m benchmarks.subwords score MODEL OUT TEXT...    nats per character of encoded texts

``learn`` and ``encode`` write each text as OUT/NAME.txt, with one private-use character for each
piece: ``charlstm train`` trains on that as on any text. ``learn`` also writes the two parts into
which ``charlstm train TEXT...`` would divide the texts themselves, so that models of characters and
of pieces are validated on the same text: charlstm train OUT/train --valid OUT/valid

TEXT is UTF-8, or .xz of it. Pieces don't cross the border of a word, and carry the space before it.
They are learned from the training part. Characters that it lacks stay as they are, so decoding is
always exact. ``learn`` and ``encode`` need ``tokenizers``: .venv/bin/pip install --editable
'.[bench]'.
"""

import itertools
import json
import lzma
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

TRAINED = 0.9  # the part that charlstm train trains on
# Words with the apostrophes in them, numbers, other signs, white space.
WORD = re.compile(r" ?[^\W\d_]+(?:['’][^\W\d_]+)*| ?\d+| ?(?:[^\w\s]|_)+|\s+(?= \S)|\s+")
# The private-use characters: of the first plane of Unicode, then of the 15th.
FIRST, FIRST_COUNT, SECOND = 0xE000, 0x1900, 0xF0000
PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd]")
MOST = FIRST_COUNT + 0xFFFE


def symbol_of(number):
    return chr(FIRST + number if number < FIRST_COUNT else SECOND + number - FIRST_COUNT)


def read(path):
    opened = lzma.open if path.endswith(".xz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return file.read()


def learn(count, text):
    """Return a tokenizer with ``count`` pieces learned from a text, its characters included."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    alphabet = sorted(set(text))
    if not len(alphabet) < count <= MOST:
        raise SystemExit(
            f"{count} pieces: give more than {len(alphabet)}, the characters, up to {MOST}"
        )
    tokenizer = Tokenizer(BPE())
    trainer = BpeTrainer(vocab_size=count, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator((match[0] for match in WORD.finditer(text)), trainer)
    return tokenizer


def encoder(tokenizer):
    """Return the function that encodes a text."""
    symbols = {piece: symbol_of(number) for piece, number in tokenizer.get_vocab().items()}

    @cache
    def encode_word(word):
        parts = []
        # The tokenizer would drop the characters that it does not know.
        for known, run in itertools.groupby(word, symbols.__contains__):
            part = "".join(run)
            if known:
                part = "".join(symbols[piece] for piece in tokenizer.encode(part).tokens)
            elif PRIVATE.search(part):
                raise SystemExit("the text has private-use characters that the learned one lacks")
            parts.append(part)
        return "".join(parts)

    return lambda text: "".join(encode_word(match[0]) for match in WORD.finditer(text))


def decoder(vocabulary):
    """Return the function that decodes a text, from the numbers of the pieces."""
    table = {ord(symbol_of(number)): piece for piece, number in vocabulary.items()}
    return lambda text: text.translate(table)


def saved_decoder(out):
    model = json.loads((Path(out) / "pieces.json").read_text("utf-8"))["model"]
    return decoder(model["vocab"])


def place_of(out, path):
    return Path(out) / f"{Path(path).name.removesuffix('.xz').removesuffix('.txt')}.txt"


def write(tokenizer, texts, out):
    """Encode texts, {path: text}, into a folder; return the characters and pieces of all."""
    places = [place_of(out, path) for path in texts]
    if len(set(places)) < len(places):
        raise SystemExit("two of the texts have the same name")
    if clash := {place.resolve() for place in places} & {Path(path).resolve() for path in texts}:
        raise SystemExit(f"{min(clash)}: this would overwrite the text. Choose another folder")
    encode, decode = encoder(tokenizer), decoder(tokenizer.get_vocab())
    Path(out).mkdir(parents=True, exist_ok=True)
    counts = []
    for (path, text), place in zip(texts.items(), places, strict=True):
        encoded = encode(text)
        if decode(encoded) != text:
            raise SystemExit(f"{path}: decoding does not give back the text")
        place.write_text(encoded, "utf-8", newline="")
        counts.append((len(text), len(encoded)))
    return [sum(of) for of in zip(*counts, strict=True)]


def divided(texts):
    """Return the training and the validation part of texts, {path: text} each, none empty."""
    left, parts = int(TRAINED * sum(map(len, texts.values()))), ({}, {})
    for path, text in texts.items():
        for part, piece in zip(parts, (text[:left], text[left:]), strict=True):
            if piece:
                part[path] = piece
        left = max(0, left - len(text))
    return parts


def learn_and_write(count, out, texts):
    """Learn pieces from the training part; encode the texts, and the parts, each to its folder."""
    train, valid = divided(texts)
    for folder in ("train", "valid"):
        if any((Path(out) / folder).glob("*")):
            raise SystemExit(f"{out}/{folder}: not empty. Choose another folder")
    tokenizer = learn(count, "".join(train.values()))
    whole = write(tokenizer, texts, out)
    tokenizer.save(str(Path(out) / "pieces.json"))
    tell("all", *whole)
    tell("train", *write(tokenizer, train, Path(out) / "train"))
    characters, pieces = write(tokenizer, valid, Path(out) / "valid")
    tell("valid", characters, pieces)
    print(
        f"charlstm train {out}/train --valid {out}/valid: nats per character = "
        f"valid_loss / {characters / pieces:.4f}"
    )


def tell(what, characters, pieces):
    rate = characters / max(1, pieces)
    print(f"{what}: {characters:,} characters, {pieces:,} pieces, {rate:.4f} characters per piece")


def score(model, out, *texts):
    """Print the loss on encoded texts in nats per character of the original."""
    decode = saved_decoder(out)
    for path in texts:
        place, text = place_of(out, path), read(path)
        if not place.is_file() or decode(read(str(place))) != text:
            raise SystemExit(f"{place}: not the text of {path} in these pieces. Encode it first")
        command = [sys.executable, "-m", "charlstm", "evaluate", model, str(place)]
        done = subprocess.run(
            [*command, "--sample", "0", "-q", "--json"], check=True, stdout=subprocess.PIPE
        )
        told = json.loads(done.stdout)
        nats = told["loss"] * told["tokens"] / len(text)
        tell(path, len(text), told["tokens"])
        print(f"  {told['loss']:.4f} nats per piece, {nats:.4f} nats per character", flush=True)
        if told.get("unknown"):
            print(f"  {told['unknown']:,} pieces unknown to the model")


def main(command="", *arguments):
    match command, arguments:
        case "learn", (count, out, *paths) if paths:
            learn_and_write(int(count), out, {path: read(path) for path in paths})
        case "encode", (out, *paths) if paths:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(Path(out) / "pieces.json"))
            for path in paths:
                tell(path, *write(tokenizer, {path: read(path)}, out))
        case "decode", (out,):
            decode = saved_decoder(out)
            for line in sys.stdin:
                sys.stdout.write(decode(line))
        case "score", (_, _, _, *_):
            score(*arguments)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
