"""Formats the figures of ``charlstm evaluate`` as rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def rows_of(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each row of the table of figures."""
    yield "loss", f"{facts['loss']:.4f} nats per token"
    yield "bits per character", f"{facts['bits_per_character']:.4f}"
    yield "perplexity", f"{_number(facts['perplexity'])} per token"
    yield "perplexity, known", f"{_number(facts['perplexity_known'])} for known tokens only"
    words = facts["word_perplexity"]
    per_word = (
        "none, too little white space"
        if math.isnan(words)
        else f"{_number(words)} per whitespace-separated word"
    )
    yield "perplexity, words", per_word
    yield "tokens", f"{facts['tokens']:,}"
    yield "characters", f"{facts['characters']:,}"
    yield "unknown", f"{facts['unknown']:,}"
    if "sample" in facts:
        yield from _word_rows(facts)
    if "gaps" in facts:
        yield from _gap_rows(facts["gaps"])
    if "dynamic" in facts:
        yield from _dynamic_rows(facts["dynamic"])
    if "memorization" in facts:
        yield from _memorization_rows(facts["memorization"])


def _number(value: float) -> str:
    if math.isnan(value):
        return "none"
    return f"{value:,.2f}" if value < 1e6 else f"{value:.1e}"


def _word_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    accuracy = facts["next_word_accuracy"]
    for rank, error in accuracy["standard_error"].items():
        yield f"next word, top {rank}", _percent(accuracy[rank], error)
    saved = facts["keystrokes_saved"], facts["keystrokes_saved_standard_error"]
    yield "keystrokes saved", f"{_percent(*saved)} by three suggestions"
    yield "sample", f"{_words(facts['sample'])}, seed {facts['seed']}"


def _gap_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    accuracy, alone = facts["accuracy"], facts["left_accuracy"]
    for rank, error in accuracy["standard_error"].items():
        found = _percent(accuracy[rank], error)
        from_left = _percent(alone[rank], alone["standard_error"][rank])
        yield f"hidden word, top {rank}", f"{found}, from the left alone {from_left}"
    yield "hidden", _words(facts["sample"])


def _words(count: int) -> str:
    return f"{count:,} word{'s' * (count != 1)}"


def _percent(share: float, error: float) -> str:
    return f"{100 * share:.1f}%" + ("" if math.isnan(error) else f" ± {100 * error:.1f}")


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


def _memorization_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for length, share in facts["generated"].items():
        yield (
            f"verbatim {length}",
            f"{_share(share)} generated, {_share(facts['text'][length])} text",
        )
    yield "generated", f"{facts['characters']:,} characters, seed {facts['seed']}"


def _share(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f}%"
