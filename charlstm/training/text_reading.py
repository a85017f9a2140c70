"""Reads the text of a request, the way the parent model's text was read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import CorpusConfig
from charlstm.corpus.notes import Notes
from charlstm.corpus.sources import display_name
from charlstm.dataset.prepare import OnReading, Prepared, hash_of_text, prepare, training_corpus
from charlstm.errors import ConfigError, CorpusError, UsageError
from charlstm.training.fine_tuning import (
    corpus_as_trained,
    corpus_for,
    divided_as_then,
    knows_text,
    with_tables_of,
)
from charlstm.training.request import Request
from charlstm.unicode_text import has_surrogates


def read_text(
    request: Request, parent: Checkpoint | None, stdin: Path | None, on_reading: OnReading
) -> tuple[Request, Prepared, bool]:
    """Read the text.

    Args:
        request: the run that the user asked for.
        parent: the checkpoint to fine-tune.
        stdin: file with the text that came through stdin.
        on_reading: called with the progress of each pass over the text.

    Returns:
        The request, completed with the parent's settings; the text; whether the parent was trained
        on it.

    Raises:
        CorpusError: if the text can't be read, or can't be divided as asked.
        UsageError: if an option doesn't fit the text, or the parent has seen the validation text.
    """
    asked = request.corpus
    if parent is not None:
        if has_surrogates(display_name(str(parent.folder))):  # which the checkpoint records
            raise UsageError(f"{parent.folder} is not valid UTF-8. Rename the checkpoint.")
        asked = with_tables_of(asked, parent, request.given)
    opened = training_corpus(asked, stdin)
    found, notes = asked.replace(division=opened.division), opened.notes
    request = replace(request, corpus=found)
    if "no_index" in request.given and not found.division.within_files:
        raise UsageError(
            "`no_index` has no effect if each file is one document. Leave it out, or add `lines`."
        )
    if parent is None:
        prepared = prepare(found, request.tokenizer, stdin=stdin, on_reading=on_reading)
        return request, _with_notes(prepared, notes), False
    corpus = corpus_for(found, parent)
    knows = _knows(parent, corpus, stdin, on_reading)
    if knows:
        if "valid_fraction" in request.given:  # which corpus_for may have lowered
            corpus = corpus.replace(valid_fraction=found.valid_fraction)
        corpus = corpus_as_trained(corpus, parent, request.given)
    validating = corpus.replace(addresses=corpus.valid, valid=())
    if corpus.valid and _knows(parent, validating, stdin, on_reading):
        raise UsageError(
            f"`valid` is a text that {display_name(str(parent.folder))} was trained on. Name one "
            f"that it has not seen."
        )
    tokenizing = parent.config.tokenizer
    prepared = prepare(
        corpus, tokenizing, stdin=stdin, base=parent.tokenizer, on_reading=on_reading
    )
    request = replace(request, corpus=corpus, tokenizer=tokenizing)
    return request, _with_notes(prepared, notes), knows


def _with_notes(prepared: Prepared, notes: Notes) -> Prepared:
    return replace(prepared, notes=tuple(dict.fromkeys((*notes.added, *prepared.notes))))


def _knows(
    parent: Checkpoint, corpus: CorpusConfig, stdin: Path | None, on_reading: OnReading
) -> bool:
    """Return whether a model was trained on a text."""
    try:
        sha256 = hash_of_text(divided_as_then(corpus, parent), stdin, on_reading)
    except (CorpusError, ConfigError):  # it can't be read the way the model's text was
        return False
    return knows_text(parent, sha256)
