"""Compares checkpoints side by side: a table with a column for each, and what its figures mean."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from charlstm.checkpoint.names import shown_name
from charlstm.cli.descriptions import (
    describe_dropout,
    describe_names,
    describe_window,
    show_perplexity,
)
from charlstm.cli.outcomes import describe_end
from charlstm.cli.tables import aligned
from charlstm.errors import harmless
from charlstm.metrics import has_words

if TYPE_CHECKING:
    from charlstm.checkpoint.comparison import Comparability
    from charlstm.cli.outcomes import KnownRun

_SHOWN = 40  # characters of a cell at most
_BEST = "*"


def comparison_table(known: Sequence[KnownRun], found: Comparability) -> str:
    """Return the main figures of checkpoints, and the settings in which they differ.

    The lowest loss and the fewest bits per character are marked, if they compare.
    """
    rows = [(name, [show(each) for each in known]) for name, show in _FIGURES.items()]
    settings = [(name, [show(each) for each in known]) for name, show in _SETTINGS.items()]
    rows += [(name, cells) for name, cells in settings if len(set(cells)) > 1]
    if found.loss:
        _mark(rows, "loss", known)
    if found.bits:
        _mark(rows, "bits/char", known)
    shown = [[name, *map(_shortened, cells)] for name, cells in rows]
    return aligned(shown, [False] * (1 + len(known)))


def _shortened(cell: str) -> str:
    """Return a cell that fits; a checkpoint may come from anybody, so its texts are escaped."""
    return harmless(cell, _SHOWN)


def comparison_verdict(known: Sequence[KnownRun], found: Comparability) -> str:
    """Return which figures compare, and what to do if none do."""
    if found.loss:
        return "Note: the losses compare: same validation text, same tokens. * marks the best."
    if found.bits:
        return (
            "Note: the losses don't compare, because the tokens differ. Bits per character do: "
            "same validation text. * marks the best."
        )
    names = " ".join(shlex.quote(harmless(shown_name(each.checkpoint.folder))) for each in known)
    reason = "the validation texts differ" if found.validated else "not all have one"
    return (
        f"Note: the validation losses don't compare, because {reason}. Measure them on one text: "
        f"charlstm evaluate --models {names} -- FILE"
    )


def _mark(rows: list[tuple[str, list[str]]], name: str, known: Sequence[KnownRun]) -> None:
    """Mark the checkpoints with the best figures in a row."""
    bits = [each.checkpoint.figures.valid_bits_per_character for each in known]
    best = min(value for value in bits if value is not None)
    cells = dict(rows)[name]
    for index, value in enumerate(bits):
        cells[index] += _BEST * (value == best)


def _name(run: KnownRun) -> str:
    """Return the name of a checkpoint, or the end of its path if that is long."""
    name = harmless(shown_name(run.checkpoint.folder))
    return name if len(name) <= _SHOWN else f"…{name[1 - _SHOWN :]}"


def _epochs(run: KnownRun) -> str:
    return "not recorded" if run.outcome.epochs is None else f"{run.outcome.epochs:.2f}"


def _end(run: KnownRun) -> str:
    return describe_end(run.outcome, run.checkpoint.config).partition(":")[0]


def _loss(run: KnownRun) -> str:
    loss = run.checkpoint.figures.valid_loss
    if loss is not None:
        return f"{loss:.4f}"
    return "none" if run.checkpoint.loss is None else f"{run.checkpoint.loss:.4f} in training"


def _bits(run: KnownRun) -> str:
    bits = run.checkpoint.figures.valid_bits_per_character
    return "none" if bits is None else f"{bits:.4f}"


def _per_word(run: KnownRun) -> str:
    origin, figures = run.checkpoint.config.provenance, run.checkpoint.figures
    is_known = has_words(origin.valid_characters, origin.valid_words)
    if figures.valid_loss is None or not is_known:
        return "none"
    return show_perplexity(figures.valid_word_perplexity)


def _network(run: KnownRun) -> str:
    model = run.checkpoint.config.model
    return f"{model.layers} x {model.units}"


def _attention(run: KnownRun) -> str:
    model = run.checkpoint.config.model
    return describe_window(model) if model.attention else "no"


def _steps(run: KnownRun) -> str:
    step, planned = run.outcome.step, run.outcome.planned_steps
    if step is None:
        return "not recorded"
    return f"{step:,}" + ("" if planned in (None, step) else f" of {planned:,}")


def _text(run: KnownRun) -> str:
    return describe_names(run.checkpoint.config.provenance.sources) or "not recorded"


def _minutes(run: KnownRun) -> str:
    seconds = run.outcome.seconds
    return "not recorded" if seconds is None else f"{seconds / 60:,.1f}"


def _overfits(run: KnownRun) -> str:
    return {True: "yes", False: "no", None: "unknown"}[run.outcome.overfits]


def _budget(run: KnownRun) -> str:
    train = run.checkpoint.config.train
    budgets = {"epochs": train.epochs, "steps": train.steps, "minutes": train.minutes}
    return next(f"--{name} {value:g}" for name, value in budgets.items() if value is not None)


# The figures to compare, in the order of the rows.
_FIGURES: dict[str, Callable[[KnownRun], str]] = {
    "checkpoint": _name,
    "level": lambda run: run.checkpoint.config.tokenizer.level,
    "network": _network,
    "parameters": lambda run: f"{run.checkpoint.config.model.parameters:,}",
    "vocabulary": lambda run: f"{run.checkpoint.tokenizer.vocab_size:,}",
    "text": _text,
    "characters": lambda run: f"{run.checkpoint.config.provenance.characters:,}",
    "validation": lambda run: f"{run.checkpoint.config.provenance.valid_characters:,}",
    "steps": _steps,
    "epochs": _epochs,
    "minutes": _minutes,
    "ended": _end,
    "overfits": _overfits,
    "best step": lambda run: f"{run.checkpoint.figures.step:,}",
    "loss": _loss,
    "bits/char": _bits,
    "ppl/word": _per_word,
}

# The settings to show where they differ.
_SETTINGS: dict[str, Callable[[KnownRun], str]] = {
    "documents": lambda run: run.checkpoint.config.corpus.division.unit,
    "embedding": lambda run: f"{run.checkpoint.config.model.embedding}",
    "attention": _attention,
    "directions": lambda run: "both" if run.checkpoint.config.model.bidirectional else "forward",
    "weights": lambda run: run.checkpoint.config.weights,
    "fine-tuned": lambda run: run.checkpoint.config.provenance.parent or "no",
    "budget": _budget,
    "optimizer": lambda run: run.checkpoint.config.train.optimizer,
    "rate": lambda run: f"{run.checkpoint.config.train.learning_rate:g}",
    "streams": lambda run: f"{run.checkpoint.config.train.streams}",
    "sequence": lambda run: f"{run.checkpoint.config.train.sequence_length}",
    "dropout": lambda run: describe_dropout(run.checkpoint.config.train),
    "decay": lambda run: f"{run.checkpoint.config.train.weight_decay:g}",
    "seed": lambda run: f"{run.checkpoint.config.train.seed}",
    "format": lambda run: f"{run.checkpoint.config.format}",
    "started": lambda run: run.checkpoint.config.provenance.created,
}
