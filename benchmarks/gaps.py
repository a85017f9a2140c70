"""Hidden words: how often they are found from both sides and from the left, and the time for each.

python -m benchmarks.gaps CHECKPOINT TEXT... [--words N]

TEXT is text that the model was not trained on, such as the held-out novels. Words are hidden one at
a time in its sentences of eight words or more. A bidirectional model is measured with and without
its backward network.
"""

import argparse
import random
import re
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import charlstm
from benchmarks.timing import processor
from charlstm.corpus.documents import open_corpus

LEAST_WORDS = 8
MOST_CHARACTERS = 400


def sentences_of(text):
    """Return the sentences of paragraphs of a text, each on one line."""
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        for sentence in re.split(r"(?<=[.!?])[\"”']?\s+(?=[A-Z\"“'])", line):
            if len(sentence.split()) >= LEAST_WORDS and len(sentence) < MOST_CHARACTERS:
                yield sentence


def read(path):
    return "".join(chunk.text for chunk in open_corpus([str(path)]).chunks())


def variants(model):
    """Return a model as it is, and without its backward network if it has one."""
    found = {"forward network": replace(model, checkpoint=replace(model.checkpoint, backward=None))}
    return found | ({} if model.checkpoint.backward is None else {"both networks": model})


def milliseconds(model, sentences):
    """Return the time for a gap in the middle of each sentence."""
    filler, taken = model.filler(), []
    for sentence in sentences:
        words = sentence.split(" ")
        words[len(words) // 2] = "___"
        began = time.perf_counter()
        filler.fill_text(" ".join(words))
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--words", type=int, default=1000)
    given = parser.parse_args()
    found = [each for path in given.texts for each in sentences_of(read(path))]
    random.Random(1).shuffle(found)
    print(f"hidden words of {len(found):,} sentences ({processor()})")
    with tempfile.TemporaryDirectory() as folder:
        sentences = Path(folder) / "sentences.txt"
        sentences.write_text("\n".join(found[: 4 * given.words]) + "\n")
        for name, model in variants(charlstm.load(given.checkpoint)).items():
            figures = model.evaluate_gaps(sentences, sample=given.words, seed=1)
            taken = milliseconds(model, found[:200])
            print(f"  {name}, {statistics.median(taken):.0f} ms for each gap, median")
            for rank, share in figures.accuracy.items():
                left = figures.left_accuracy[rank]
                both = f"{share:.1%} ± {figures.accuracy_errors[rank]:.1%}"
                alone = f"{left:.1%} ± {figures.left_accuracy_errors[rank]:.1%}"
                ratio = f", ratio {share / left:.2f}" if left else ""
                print(f"    top {rank}: {both}, from the left {alone}{ratio}")


if __name__ == "__main__":
    main()
