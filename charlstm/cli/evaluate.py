"""``charlstm evaluate``: the figures of a trained model on a text."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from charlstm.cli.common import (
    GroupedCommand,
    Number,
    complete_checkpoints,
    complete_files,
    group_of,
    note,
    write_json,
    write_text,
)
from charlstm.cli.score import SAME_TOKENIZER
from charlstm.cli.texts import reading_options, running_options, size_of
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.corpus import Corpus
    from charlstm.evaluation import TextFigures, Texts
    from charlstm.keyboard import WordFigures

words = group_of("Words")
adapting = group_of("Dynamic evaluation")
memory = group_of("Memorisation")
output = group_of("Output")

ADAPTING_OPTIONS = ("dynamic_rate", "dynamic_decay", "dynamic_tokens")
DYNAMIC_TOKENS = 50_000
MEMORISATION_SAMPLE = 20_000


@click.command(
    cls=GroupedCommand,
    name="evaluate",
    examples=(
        "charlstm evaluate checkpoints/shakespeare test.txt",
        "charlstm evaluate checkpoints/news new.txt --dynamic",
        "charlstm evaluate checkpoints/names names.txt --sample 0 --against names.txt --json",
    ),
)
@click.argument("checkpoint", type=click.Path(path_type=Path), shell_complete=complete_checkpoints)
@click.argument("files", metavar="FILE...", nargs=-1, shell_complete=complete_files)
@words(
    "--sample",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    metavar="N",
    help="Ask for so many words, drawn at random from the text, for next-word accuracy and "
    "keystrokes saved; 0 leaves these out. Four times as many halve the standard errors.",
)
@words(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    metavar="N",
    help="Draws the words, and the text that is looked for --against another.",
)
@adapting(
    "--dynamic",
    is_flag=True,
    help="Also let the model learn from what it has read as it goes, and tell what that gains. "
    "Loads TensorFlow; some hundred tokens a second.",
)
@adapting(
    "--dynamic-rate",
    type=Number(0, 1000),
    metavar="X",
    help="Learning rate; lower it if the loss gets worse. Default: 0.25 for characters, 1 for "
    "words.",
)
@adapting(
    "--dynamic-decay",
    type=Number(0, 1),
    metavar="X",
    help="How far each step goes back to the trained weights, 0 not at all, 1 all the way. "
    "[default: 0.002]",
)
@adapting(
    "--dynamic-tokens",
    type=click.IntRange(0),
    metavar="N",
    help="Read only so many tokens from the beginning, 0 for all.  [default: 50000]",
)
@memory(
    "--against",
    multiple=True,
    shell_complete=complete_files,
    metavar="FILE",
    help="Tell how much of what the model writes stands word for word in this text, the one it was "
    "trained on; repeatable.",
)
@memory(
    "--against-sample",
    type=click.IntRange(1),
    default=MEMORISATION_SAMPLE,
    show_default=True,
    metavar="N",
    help="Write so many characters for that.",
)
@output("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@reading_options
@running_options
def command(checkpoint: Path, files: tuple[str, ...], **options: Any) -> None:
    """Evaluate CHECKPOINT on the text in FILEs (files, folders, patterns, - for standard input).

    Tells loss, bits per character and perplexity, as training finds them for its validation text;
    how often the next word is among the likeliest 1, 3 and 5; and how many keystrokes a phone's
    keyboard would save with three suggestions. Use a text that was not trained on. Each file is a
    document, for a model of lines each line.
    """
    _check(files, options)

    from charlstm.api import load
    from charlstm.evaluation import texts_of
    from charlstm.spool import spooled_stdin

    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    config = model.checkpoint.config
    with spooled_stdin(files + options["against"]) as stdin:
        corpus = _open(files, config.corpus.lines, options, stdin)
        texts = texts_of(corpus, ends=config.provenance.documents > 1)
        facts = _evaluate(model, corpus, texts, options)
        if options["dynamic"]:
            facts["dynamic"] = _adapt(model, texts, options)
        if options["against"]:
            known = _open(options["against"], config.corpus.lines, options, stdin)
            facts["memorisation"] = _memorised(model, texts, known, options)
    if not options["quiet"]:
        note(SAME_TOKENIZER)
    if options["as_json"]:
        write_json(facts)
    else:
        write_text("".join(f"{name:<24}{value}\n" for name, value in _rows(facts)))


def _check(files: tuple[str, ...], options: dict[str, Any]) -> None:
    """Refuse what is missing or has no use."""
    from charlstm.reading import ADDRESSES

    if not files:
        raise UsageError(f"no text is named to evaluate on: name {ADDRESSES}")
    for name in ADAPTING_OPTIONS:
        if options[name] is not None and not options["dynamic"]:
            raise UsageError(f"--{name.replace('_', '-')} is about --dynamic: give that too")


def _open(
    addresses: tuple[str, ...], lines: bool, options: dict[str, Any], stdin: Path | None
) -> Corpus:
    from charlstm.corpus import open_corpus

    return open_corpus(
        addresses,
        encoding=options["encoding"],
        decode_errors=options["decode_errors"],
        lines=lines,
        stdin=stdin,
    )


# The figures


def _evaluate(
    model: LanguageModel, corpus: Corpus, texts: Texts, options: dict[str, Any]
) -> dict[str, Any]:
    from charlstm.evaluation import evaluate_text, evaluate_words

    engine, tokenizer = model.engine, model.tokenizer
    with _bar("scoring", _size(corpus), "char", options) as advance:
        found = evaluate_text(engine, tokenizer, texts, on_progress=advance)
    facts = _text_facts(found)
    if options["sample"]:
        with _bar("words", options["sample"], "word", options) as advance:
            figures = evaluate_words(
                engine,
                tokenizer,
                texts,
                sample=options["sample"],
                seed=options["seed"],
                on_progress=advance,
            )
        facts |= _word_facts(figures, options["seed"])
    return facts


def _text_facts(found: TextFigures) -> dict[str, Any]:
    """Return the figures of a text; JSON has null where there is no finite number."""
    return {
        "loss": found.loss,
        "bits_per_character": found.bits_per_character,
        "perplexity": found.perplexity,
        "perplexity_known": found.perplexity_known,
        "word_perplexity": found.word_perplexity,
        "tokens": found.tokens,
        "characters": found.characters,
        "words": found.words,
        "unknown": found.unknown,
    }


def _word_facts(figures: WordFigures, seed: int) -> dict[str, Any]:
    accuracy: dict[str, Any] = {str(rank): share for rank, share in figures.accuracy.items()}
    accuracy["standard_error"] = {
        str(rank): error for rank, error in figures.accuracy_errors.items()
    }
    return {
        "next_word_accuracy": accuracy,
        "keystrokes_saved": figures.keystrokes_saved,
        "keystrokes_saved_standard_error": figures.keystrokes_saved_error,
        "sample": figures.sample,
        "seed": seed,
    }


def _adapt(model: LanguageModel, texts: Texts, options: dict[str, Any]) -> dict[str, Any]:
    from charlstm.evaluation import beginning_of, evaluate_text

    tokenizer, given = model.tokenizer, options["dynamic_tokens"]
    limit = DYNAMIC_TOKENS if given is None else given
    read = beginning_of(texts, tokenizer, limit) if limit else texts
    static = evaluate_text(model.engine, tokenizer, read)
    if not options["quiet"]:
        note("loading TensorFlow to let the model learn as it reads")
    # One row at a time gains nothing from a GPU, whose layers can't restart within a segment.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

    from charlstm.adaptation import DEFAULTS, Adapter
    from charlstm.optimization import use_threads
    from charlstm.processor import processor_count

    use_threads(options["threads"] or processor_count(), 1)
    rate, decay = options["dynamic_rate"], options["dynamic_decay"]
    chosen = DEFAULTS[tokenizer.level]
    chosen = replace(
        chosen,
        rate=chosen.rate if rate is None else rate,
        decay=chosen.decay if decay is None else decay,
    )
    adapter = Adapter(model.checkpoint.config.model, model.checkpoint.weights, chosen)
    documents = (map(tokenizer.encode, document) for document in read.documents())
    sums: list[float] = []
    with _bar("learning", static.tokens, "token", options) as advance:
        for tokens, log_probability in adapter.score(documents, ends=read.ends):
            sums.append(log_probability)
            advance(tokens)
    nats = -math.fsum(sums)
    loss = nats / static.tokens
    return {
        "tokens": static.tokens,
        "characters": static.characters,
        "static": {
            "loss": static.loss,
            "bits_per_character": static.bits_per_character,
            "perplexity": static.perplexity,
        },
        "loss": loss,
        "bits_per_character": nats / max(1, static.characters) / math.log(2),
        "perplexity": math.exp(loss) if loss < 700 else math.inf,
        "rate": chosen.rate,
        "decay": chosen.decay,
        "segment": chosen.segment,
    }


def _memorised(
    model: LanguageModel, texts: Texts, known: Corpus, options: dict[str, Any]
) -> dict[str, Any]:
    from charlstm.evaluation import texts_of
    from charlstm.memorisation import WindowSet, share_of_lines, write_sample
    from charlstm.novelty import LineHashes

    characters, seed = options["against_sample"], options["seed"]
    written = write_sample(model.engine, model.tokenizer, characters, seed=seed)
    sides = {
        "generated": WindowSet([text] for text in written),
        "text": WindowSet(texts.documents()),
    }
    for side in sides.values():
        side.look_in(texts_of(known, ends=False).documents())
    facts: dict[str, Any] = {"characters": sum(map(len, written)), "seed": seed}
    for name, side in sides.items():
        shares = side.overlap().shares
        facts[name] = {str(length): share for length, share in shares.items()}
    if known.lines:
        lines = LineHashes.from_lines(chunk.text for chunk in known.chunks())
        facts["generated"]["line"] = share_of_lines(written, lines)
        facts["text"]["line"] = share_of_lines(map("".join, texts.documents()), lines)
    return facts


# What is printed


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "loss", f"{facts['loss']:.4f} nats per token"
    yield "bits per character", f"{facts['bits_per_character']:.4f}"
    yield "perplexity", f"{_number(facts['perplexity'])} per token"
    yield "perplexity, known", f"{_number(facts['perplexity_known'])} without unknown symbols"
    yield "perplexity, words", f"{_number(facts['word_perplexity'])} per white-space word"
    yield "tokens", f"{facts['tokens']:,}"
    yield "characters", f"{facts['characters']:,}"
    yield "unknown", f"{facts['unknown']:,}"
    if "sample" in facts:
        yield from _word_rows(facts)
    if "dynamic" in facts:
        yield from _dynamic_rows(facts["dynamic"])
    if "memorisation" in facts:
        yield from _memorisation_rows(facts["memorisation"])


def _number(value: float) -> str:
    if math.isnan(value):
        return "none"
    return f"{value:,.2f}" if value < 1e6 else f"{value:.1e}"


def _word_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    accuracy = facts["next_word_accuracy"]
    for rank, error in accuracy["standard_error"].items():
        yield f"next word among {rank}", _percent(accuracy[rank], error)
    saved = facts["keystrokes_saved"], facts["keystrokes_saved_standard_error"]
    yield "keystrokes saved", f"{_percent(*saved)} by three suggestions"
    yield "sample", f"{facts['sample']:,} words, seed {facts['seed']}"


def _percent(share: float, error: float) -> str:
    return f"{100 * share:.1f} %" + ("" if math.isnan(error) else f" ± {100 * error:.1f}")


def _dynamic_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    static = facts["static"]
    yield "dynamic loss", f"{facts['loss']:.4f} nats per token, static {static['loss']:.4f}"
    bits = facts["bits_per_character"], static["bits_per_character"]
    yield "dynamic bits", f"{bits[0]:.4f} per character, static {bits[1]:.4f}"
    perplexities = _number(facts["perplexity"]), _number(static["perplexity"])
    yield "dynamic perplexity", f"{perplexities[0]} per token, static {perplexities[1]}"
    yield (
        "dynamic read",
        f"{facts['tokens']:,} tokens, {facts['segment']} a step, rate {facts['rate']:g}, "
        f"decay {facts['decay']:g}",
    )


def _memorisation_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for length, share in facts["generated"].items():
        yield (
            f"verbatim {length}",
            f"{_share(share)} generated, {_share(facts['text'][length])} text",
        )
    yield "generated", f"{facts['characters']:,} characters, seed {facts['seed']}"


def _share(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f} %"


# Progress


class _Advance(Protocol):
    def __call__(self, amount: float, /) -> None: ...


@contextmanager
def _bar(name: str, total: float | None, unit: str, options: dict[str, Any]) -> Iterator[_Advance]:
    """Show a progress bar, if a terminal is there to show it."""
    if options["quiet"] or not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(
        total=total, desc=name, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False
    ) as bar:

        def advance(amount: float) -> None:
            bar.update(amount)

        yield advance


def _size(corpus: Corpus) -> int | None:
    """Return the bytes of all files, about as many as characters, or None if one can't be told."""
    sizes = [size_of(source) for source in corpus.sources]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
