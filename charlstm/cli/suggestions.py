"""Suggests how a run would learn more, before training: at most one suggestion per run.

The functions return text and print nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlstm.checkpoint.names import find_checkpoint, shipped_checkpoints
from charlstm.cli.descriptions import show_minutes
from charlstm.training.advice import PARENT, SHORT

if TYPE_CHECKING:
    from charlstm.training.setup import Run

WORTH_MENTIONING = 1.25  # a run must be this many times as long to be suggested


def advice_on(run: Run, *, shipped: bool = True) -> str | None:
    """Return the most useful suggestion for a run, or ``None`` if there is none.

    Args:
        run: the run.
        shipped: whether to check if a shipped model is a better start, which takes a second.
    """
    checks = (without_parent, suggest_parent, _other_level, _longer)
    asked = (check for check in checks if shipped or check is not suggest_parent)
    return next(filter(None, (check(run) for check in asked)), None)


def without_parent(run: Run) -> str | None:
    """Return a warning if the text is too unlike the parent's text to fine-tune from it."""
    if run.parent is None or run.familiarity is None or not run.familiarity.may_hinder:
        return None
    parent, strangeness = run.config.provenance.parent, run.familiarity.strangeness
    more = "would learn more" if run.familiarity.hinders else "may learn as much or more"
    return (
        f"{parent} predicts this text {strangeness:.1f} times as badly as its own validation text. "
        f"Without --from, the run {more} in the same time"
    )


def suggest_parent(run: Run) -> str | None:
    """Return a suggestion to train with ``--from english``, if that would learn more.

    Args:
        run: a run. If the user chose its network or tokenizer, there is no suggestion.
    """
    from charlstm.checkpoint.reader import read_checkpoint
    from charlstm.errors import CheckpointError
    from charlstm.training.familiarity import familiarity
    from charlstm.training.options import OF_THE_PARENT

    folder = find_checkpoint(PARENT)
    is_short = run.config.provenance.characters <= SHORT
    is_open = run.given.isdisjoint(OF_THE_PARENT)
    if run.parent or run.resumes or not (is_short and is_open):
        return None
    if folder not in shipped_checkpoints():
        return None
    store, tokenizer = run.prepared.store, run.prepared.tokenizer
    ends = run.config.corpus.division.within_files
    try:
        known = familiarity(read_checkpoint(folder), tokenizer, store.train, ends=ends)
    except CheckpointError:  # a user who names the checkpoint gets the error
        return None
    if not known.helps:
        return None
    return (
        f"with --from {PARENT}, a model that comes with charlstm, this run would learn more in the "
        f"same time"
    )


def _other_level(run: Run) -> str | None:
    """Return a suggestion if another level is better for a text of this length."""
    from charlstm.metrics import has_words
    from charlstm.training.presets import better_level

    origin, level = run.config.provenance, run.config.tokenizer.level
    better = better_level(level, origin.characters)
    is_spaced = has_words(origin.valid_characters, origin.valid_words)
    is_chosen = run.resumes or origin.parent is not None
    if better is None or is_chosen or not is_spaced or run.config.corpus.division.within_files:
        return None
    return f"--level {better} learns more from a text of this length"


def _longer(run: Run) -> str | None:
    """Return a suggestion for a longer run if the text is worth one."""
    from charlstm.training.presets import START_SECONDS

    plan, epochs = run.plan, run.config.train.epochs
    whole = plan.unbounded_epochs or 0.0
    if epochs is None or whole < WORTH_MENTIONING * epochs:
        return None
    start = START_SECONDS / 60
    longer = start + (plan.minutes - start) * whole / epochs
    times = "once" if epochs == 1 else f"{epochs:g} times"
    read = f"{100 * epochs:.2g}% of the text" if epochs < 1 else f"the text {times}"
    return (
        f"this run reads {read}. --epochs {whole:g} would learn more and take about "
        f"{show_minutes(longer)}"
    )
