"""What ``train`` notes and warns of, besides its plan and its figures.

Prints to stderr. Knows a run, before it begins and when it has ended.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from charlstm.cli.output import note
from charlstm.cli.suggestions import suggest_parent
from charlstm.corpus.notes import what_is_left_out
from charlstm.corpus.short_lines import HINT

if TYPE_CHECKING:
    from charlstm.training.observer import TrainingResult
    from charlstm.training.setup import Run


def note_better_start(run: Run) -> None:
    """Say that a shipped model knows this kind of text, if it does."""
    if suggestion := suggest_parent(run):
        note(f"Note: {suggestion}")


def warn_outcome(run: Run, result: TrainingResult, quiet: bool) -> None:
    """Say what the figures alone don't show: an early stop, or a model that learned little."""
    best = result.best
    loss = best.valid_loss if run.config.corpus.validates else best.train_loss
    if result.stop_reason == "early stopping" and not quiet:
        note(
            f"Stopped early at step {result.step:,}: no evaluation was better than that of step "
            f"{best.step:,} for {run.config.train.patience} evaluations (--patience)"
        )
    dropout = "" if run.config.train.drops_more else ", a higher --dropout"
    if result.best.step == 0 and result.stop_reason != "interrupted" and loss is not None:
        note(
            f"Warning: no evaluation was better than that of {run.config.provenance.parent} before "
            f"it learned from this text, whose weights are kept: try a lower --learning-rate than "
            f"{run.config.train.learning_rate:g}{dropout}, or more text"
        )
    frequencies = run.config.provenance.frequency_loss
    guess = math.log(run.config.model.vocab_size) if frequencies is None else frequencies
    if loss is not None and loss > guess:
        note(
            f"Warning: the model predicts worse than "
            f"{'chance' if frequencies is None else 'plain token frequencies'} "
            f"({loss:.3g} against {guess:.3g} nats): train longer, or with a lower "
            f"--learning-rate than {run.config.train.learning_rate:g}"
        )


def note_hazard(run: Run) -> None:
    """Say what will hurt the model most in the text, if anything will."""
    import numpy as np

    from charlstm.corpus.hazards import LOOKED_AT, copies_hazard, hazards, size_hazard
    from charlstm.tokenizer.base import END_OF_DOCUMENT

    if run.resumes or run.parent is not None:
        return
    prepared, corpus = run.prepared, run.config.corpus
    beginning = np.asarray(prepared.store.train[:LOOKED_AT])
    documents = np.split(beginning, np.flatnonzero(beginning == END_OF_DOCUMENT))
    text = "\n".join(prepared.tokenizer.decode(ids[ids != END_OF_DOCUMENT]) for ids in documents)
    is_plain = corpus.format == "auto" and corpus.division.unit != "record"
    statistics = prepared.statistics
    is_divided = corpus.division.within_files
    found = [
        *hazards(text, is_plain=is_plain, columns=len(corpus.division.columns)),
        copies_hazard(statistics.documents, statistics.documents - statistics.distinct)
        if is_divided
        else None,
        size_hazard(statistics.characters),
    ]
    if worst := next(filter(None, found), None):
        note(f"Note: {worst} (charlstm inspect looks a text over)")


def note_division(run: Run) -> None:
    """Say which lines were left out, that a list is read as one text, that nothing validates."""
    if run.parent and not (run.config.corpus.validates or "valid_fraction" in run.given):
        note(
            f"Note: {run.config.provenance.parent} was trained on all of this text, so nothing "
            f"validates: name another with --valid"
        )
    statistics = run.prepared.statistics
    if blank := statistics.blank:
        note(f"Note: {what_is_left_out(blank, run.config.corpus.division.unit)}")
    if statistics.is_list and not run.resumes:
        note(HINT)


def warn_unknown(run: Run, quiet: bool) -> None:
    """Warn of characters that training does not see, or that another form of Unicode explains."""
    from collections import Counter

    from charlstm.tokenizer.unknown import (
        describe_other_form,
        describe_unknown,
        other_form_of_added,
    )

    if run.parent is not None and not quiet:
        base, own = run.parent.tokenizer, run.prepared.tokenizer
        added = (token for token in own.vocabulary[len(base.vocabulary) :] if len(token) == 1)
        if form := other_form_of_added(base, list(added)):
            note(f"Note: {describe_other_form(form)}")
    if unknown := run.prepared.statistics.valid_unknown:
        found = describe_unknown(Counter(unknown))
        note(f"Warning: the validation text has {found} that the training text lacks")
        form = other_form_of_added(run.prepared.tokenizer, unknown)
        if form and not quiet:
            note(f"Note: {describe_other_form(form)}")


def warn_memory(run: Run) -> None:
    """Warn before the system kills the run for lack of memory, which prints nothing."""
    from charlstm.system.hardware import available_memory

    free = available_memory()
    if free is not None and run.plan.memory > free:
        note(
            f"Warning: the run needs about {run.plan.memory / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free; if it ends without a word, that is why: choose a "
            f"smaller --size, fewer --streams or a shorter --sequence-length"
        )
