"""What workers must agree on before they train: text, settings and the state they begin with.

This module knows what a checkpoint holds; it does not know how a run is prepared.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from charlstm.checkpoint import schema
from charlstm.checkpoint.folder import check_idle
from charlstm.checkpoint.schema import RunConfig
from charlstm.distributed.peers import WorkerGroup, decoded
from charlstm.errors import UsageError

# What workers may differ in: where their texts and processors are, and what follows from these.
# All take over the chief's.
OF_THE_CHIEF = frozenset(
    ("addresses", "valid", "shards", "precision", "patience", "sample_every", "save_every")
)


class Terms(msgspec.Struct, frozen=True):
    """What the chief tells the other workers.

    Attributes:
        config: the run.
        folder: where it is kept.
        began: when it began, by the chief's clock.
        state: a digest of the state that it begins with; ``""`` if the weights are drawn.
    """

    config: RunConfig
    folder: str
    began: float
    state: str = ""


def agreed_terms(own: Terms, group: WorkerGroup) -> Terms:
    """Return the chief's terms, once all workers have compared them with their own.

    Raises:
        UsageError: if one reads another text, was given other settings or has another state.
        TrainingError: if one is lost.
    """
    if group.size == 1:
        return own
    terms = decoded(group.from_chief(msgspec.json.encode(own)), Terms)
    found = difference(own.config, terms.config)
    if not found and own.state != terms.state:
        found = (
            "has read another state of the checkpoint than the chief: let no other process write "
            "to it, and start all workers again"
        )
    if objection := group.agree(found and f"{group.cluster.name(group.cluster.index)} {found}"):
        raise UsageError(objection)
    group.remedy = f"start all workers again with charlstm train --resume {terms.folder}"
    return terms


def difference(own: RunConfig, chiefs: RunConfig) -> str:
    """Say what keeps two workers from training one model; ``""`` if nothing does."""
    if own.charlstm != chiefs.charlstm:
        return f"runs charlstm {own.charlstm} and the chief {chiefs.charlstm}: install the same"
    for part in ("corpus", "tokenizer", "train"):
        ours, theirs = getattr(own, part), getattr(chiefs, part)
        for name in ours.__struct_fields__:
            mine, other = getattr(ours, name), getattr(theirs, name)
            if name not in OF_THE_CHIEF and mine != other:
                return f"has {name} {mine} and the chief {other}: give all workers the same options"
    if own.provenance.corpus_sha256 != chiefs.provenance.corpus_sha256:
        return "reads another text than the chief: give all workers the same text"
    if own.model != chiefs.model:
        return "builds another network than the chief: give all workers the same options"
    return ""


def resumed_state(folder: Path) -> str:
    """Return a digest of the files that an interrupted run goes on from."""
    digest = hashlib.sha256()
    for name in (schema.RESUME, schema.MODEL, schema.HISTORY):
        digest.update(name.encode())
        path = folder / name
        # What is missing or can't be read is told by whoever needs it.
        if path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def fetched(folder: Path, group: WorkerGroup) -> Path:
    """Return the chief's checkpoint: its folder, or on other workers a temporary copy of it.

    Raises:
        CheckpointBusy: if another process still writes what would be sent file by file.
        TrainingError: if the chief is lost, as it is if there is no checkpoint.
    """
    if group.size > 1 and group.is_chief:
        check_idle(folder)
    return group.fetched(folder, schema.FILES)
