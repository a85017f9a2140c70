"""What a user could do better, found out from the text before training begins.

Returns text and prints nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlstm.checkpoint.names import find_checkpoint, shipped_checkpoints

if TYPE_CHECKING:
    from charlstm.training.setup import Run

# The model that is suggested, and the most characters of a text that it is suggested for: trying it
# takes a second, and a long text teaches as much by itself.
PARENT, SHORT = "english", 5_000_000


def suggest_parent(run: Run) -> str | None:
    """Return a note that ``--from english`` would learn more, if it would.

    Args:
        run: one of which the user has chosen neither network nor tokenizer, or there is no note.
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
    except CheckpointError:  # whoever names the model will read what is wrong with it
        return None
    if not known.helps:
        return None
    return (
        f"{PARENT}, which comes with charlstm, knows the language of this text: --from {PARENT} "
        f"learns more in the same time"
    )
