"""Notes and warnings of ``train`` on stderr, before a run starts and after it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlstm.cli.argument_names import as_typed
from charlstm.cli.descriptions import describe_waiting
from charlstm.cli.output import note, note_all
from charlstm.cli.suggestions import advice_on
from charlstm.corpus.notes import what_is_left_out
from charlstm.corpus.short_lines import HINT
from charlstm.training.advice import (
    after_kept_parent,
    after_little_learned,
    has_kept_parent,
    has_learned_little,
    loss_of_a_guess,
)

if TYPE_CHECKING:
    from charlstm.training.observer import TrainingResult
    from charlstm.training.setup import Run


def note_advice(run: Run) -> None:
    """Note how the run would learn more, if there is such advice."""
    if advice := advice_on(run):
        note_all([advice])


def warn_outcome(run: Run, result: TrainingResult) -> None:
    """Note an early stop; warn of a model that learned little or only got worse."""
    config, best = run.config, result.best
    loss = best.valid_loss if config.corpus.validates else best.train_loss
    if result.stop_reason == "early stopping":
        waited = describe_waiting(config.train)
        note(
            f"Stopped early at step {result.step:,}: no improvement on step {best.step:,} {waited}."
        )
    if loss is None:
        return
    if has_kept_parent(config, best.step) and result.stop_reason != "interrupted":
        remedy = as_typed(after_kept_parent(config))
        note(
            f"Warning: no evaluation was better than {config.provenance.parent} itself, so its "
            f"weights are kept. {remedy}"
        )
    if has_learned_little(config, loss):
        recorded = config.provenance.frequency_loss is not None
        note(
            f"Warning: the model predicts worse than "
            f"{'token frequencies alone' if recorded else 'chance'} "
            f"({loss:.3g} against {loss_of_a_guess(config):.3g} nats per token). "
            f"{as_typed(after_little_learned(config.train))}"
        )


def note_hazard(run: Run) -> None:
    """Note the worst problem of the text for training, if it has any."""
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
        note_all([f"{worst} (see charlstm inspect)"])


def note_division(run: Run) -> None:
    """Note lines that were left out, a list read as one text, and a lack of validation text."""
    if run.parent and not (run.config.corpus.validates or "valid_fraction" in run.given):
        note(
            f"Note: {run.config.provenance.parent} was trained on all of this text, so there is no "
            f"validation text. Name one with --valid."
        )
    statistics = run.prepared.statistics
    if blank := statistics.blank:
        note_all([what_is_left_out(blank, run.config.corpus.division.unit)])
    if statistics.is_list and not run.resumes:
        note_all([HINT])


def warn_unknown(run: Run) -> None:
    """Warn of validation characters that the training text lacks; note another Unicode form."""
    from collections import Counter

    from charlstm.tokenizer.unknown import (
        describe_other_form,
        list_of_unknown,
        other_form_of_added,
    )

    if run.parent is not None:
        base, own = run.parent.tokenizer, run.prepared.tokenizer
        added = (token for token in own.vocabulary[len(base.vocabulary) :] if len(token) == 1)
        if form := other_form_of_added(base, list(added)):
            note_all([f"Note: {describe_other_form(form)}"])
    if unknown := run.prepared.statistics.valid_unknown:
        counts = Counter(unknown)
        plural = "" if counts.total() == 1 else "s"
        note(
            f"Warning: the validation text has {counts.total():,} character{plural} that the "
            f"training text lacks ({list_of_unknown(counts)})."
        )
        if form := other_form_of_added(run.prepared.tokenizer, unknown):
            note_all([f"Note: {describe_other_form(form, validates=True)}"])


def warn_memory(run: Run) -> None:
    """Warn of too little memory: when the system kills a run for it, nothing is printed."""
    from charlstm.system.hardware import available_memory

    free = available_memory()
    if free is not None and run.plan.memory > free:
        note(
            f"Warning: the run needs about {run.plan.memory / 1e9:.1f} GB of memory, but only "
            f"{free / 1e9:.1f} GB are free, so the system may kill it. Lower --size, --streams or "
            f"--sequence-length."
        )
