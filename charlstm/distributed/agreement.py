"""What workers must agree on before they train: text, settings and initial state.

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
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.transport import decoded
from charlstm.errors import UsageError

# Settings that may differ between workers, because they follow from their machines and paths. All
# workers take over the chief's.
OF_THE_CHIEF = frozenset(
    ("addresses", "valid", "shards", "precision", "patience", "sample_every", "save_every")
)


class Terms(msgspec.Struct, frozen=True):
    """The chief's view of a run, which it sends to the other workers.

    Attributes:
        config: the run.
        folder: its checkpoint.
        began: when the command began, by the chief's clock.
        state: a digest of the state the run starts from; ``""`` if the weights are new.
    """

    config: RunConfig
    folder: str
    began: float
    state: str = ""


def agreed_terms(own: Terms, group: WorkerGroup) -> Terms:
    """Return the chief's terms, once all workers have compared them with their own.

    Raises:
        UsageError: if a worker reads another text, has other settings or another state.
        TrainingError: if a worker is lost.
    """
    if group.size == 1:
        return own
    terms = decoded(group.from_chief(msgspec.json.encode(own)), Terms)
    objection = difference(own.config, terms.config)
    if not objection and own.state != terms.state:
        objection = (
            "has read another state of the checkpoint than the chief: let no other process write "
            "to it, and start all workers again"
        )
    name = group.cluster.name(group.cluster.index)
    if refusal := group.agree(objection and f"{name} {objection}"):
        raise UsageError(refusal)
    group.remedy = f"start all workers again with charlstm train --resume {terms.folder}"
    return terms


def difference(own: RunConfig, chiefs: RunConfig) -> str:
    """Return why two workers can't train one model; ``""`` if they can."""
    if own.charlstm != chiefs.charlstm:
        return f"runs charlstm {own.charlstm} and the chief {chiefs.charlstm}: install the same"
    if found := _other_setting(own, chiefs, "corpus", "tokenizer"):
        return found
    if own.provenance.corpus_sha256 != chiefs.provenance.corpus_sha256:
        return "reads another text than the chief: give all workers the same text"
    if own.model != chiefs.model:
        return "builds another network than the chief: give all workers the same options"
    return _other_setting(own, chiefs, "train")  # these follow from the text and the network


def _other_setting(own: RunConfig, chiefs: RunConfig, *parts: str) -> str:
    """Return which setting differs in these parts of a configuration; ``""`` if none does."""
    for part in parts:
        ours, theirs = getattr(own, part), getattr(chiefs, part)
        for name in ours.__struct_fields__:
            mine, other = getattr(ours, name), getattr(theirs, name)
            if name not in OF_THE_CHIEF and mine != other:
                return f"has {name} {mine} and the chief {other}: give all workers the same options"
    return ""


def resumed_state(folder: Path) -> str:
    """Return a digest of the files that an interrupted run continues from."""
    digest = hashlib.sha256()
    for name in (schema.RESUME, schema.MODEL, schema.HISTORY):
        digest.update(name.encode())
        path = folder / name
        # A file that is missing or unreadable is reported later, by whoever needs it.
        if path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def fetched(folder: Path, group: WorkerGroup) -> Path:
    """Return the chief's checkpoint: its folder, or on other workers a temporary copy of it.

    Raises:
        CheckpointBusy: on the chief, if another process is writing to the checkpoint.
        TrainingError: if the chief is lost, or has no checkpoint.
    """
    if group.size > 1 and group.is_chief:
        check_idle(folder)
    return group.fetched(folder, schema.FILES)
