"""Suggests a better start for a run, before training.

The function returns text and prints nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlstm.checkpoint.names import find_checkpoint, shipped_checkpoints
from charlstm.training.advice import PARENT, SHORT

if TYPE_CHECKING:
    from charlstm.training.setup import Run


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
        f"--from {PARENT}, a model that comes with charlstm, would learn more from this text in "
        f"the same time."
    )
