"""The texts that samples must not repeat: lines of the training text and of other files."""

from __future__ import annotations

from collections.abc import Sequence

from charlstm.checkpoint.names import shown_name
from charlstm.checkpoint.reader import read_lines_index
from charlstm.checkpoint.schema import Checkpoint
from charlstm.corpus.known_lines import hashes_of_files
from charlstm.corpus.line_hashes import LineHashes
from charlstm.corpus.notes import Notes
from charlstm.errors import UsageError


def known_texts(
    checkpoint: Checkpoint, *, novel: bool, against: Sequence[str], notes: Notes
) -> LineHashes | None:
    """Return the hashes of the texts to reject, ``None`` if nothing is rejected.

    Args:
        checkpoint: the model.
        novel: whether to reject the lines or documents of its training text.
        against: the addresses of other texts whose lines or documents are rejected.
        notes: collects notes for the user.

    Raises:
        CheckpointError: if the index of the training text can't be read.
        CorpusError: if another text can't be read.
        UsageError: if the checkpoint has no index of its training text.
    """
    known = _training_lines(checkpoint) if novel else None
    if not against:
        if novel and checkpoint.config.provenance.index_covers == "training":
            notes.add(
                "`novel` can't reject documents held out for validation, because "
                f"{shown_name(checkpoint.folder)} or its parent checkpoint is from an older "
                "charlstm. Add `against`"
            )
        return known
    corpus = checkpoint.config.corpus
    others = hashes_of_files(
        against,
        division=corpus.division if corpus.division.within_files else None,
        normalize=corpus.normalize,
        text_format="text" if corpus.format == "text" else "auto",
        notes=notes,
    )
    return others if known is None else others.union(known)


def _training_lines(checkpoint: Checkpoint) -> LineHashes:
    folder, known = shown_name(checkpoint.folder), read_lines_index(checkpoint.folder)
    if known is None:
        raise UsageError(
            f"{folder} has no hashes of its training documents: it was trained on whole files or "
            "with `no_index`, or lines.safetensors was removed. Use `against` instead of `novel`."
        )
    return known
