"""Checks that all workers have the same text, settings and initial state before they train."""

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

# Settings that may differ between workers, because they depend on machines and paths. All workers
# use the chief's.
OF_THE_CHIEF = frozenset(
    ("addresses", "valid", "shards", "precision", "patience", "sample_every", "save_every")
)


class Terms(msgspec.Struct, frozen=True):
    """The chief's version of a run, which it sends to the other workers.

    Attributes:
        config: the configuration of the run.
        folder: its checkpoint.
        began: time at which the command started, on the chief's clock.
        state: digest of the initial state; ``""`` if the weights are random.
    """

    config: RunConfig
    folder: str
    began: float
    state: str = ""


def agreed_terms(own: Terms, group: WorkerGroup) -> Terms:
    """Return the chief's terms after all workers have compared them with their own.

    Raises:
        UsageError: if a worker has another text, other settings or another initial state.
        TrainingError: if a worker is lost.
    """
    if group.size == 1:
        return own
    terms = decoded(group.from_chief(msgspec.json.encode(own)), Terms)
    objection = difference(own.config, terms.config)
    if not objection and own.state != terms.state:
        objection = (
            "starts from another state of the checkpoint than the chief. Make sure that no other "
            "process writes to it, and start all workers again."
        )
    name = group.cluster.name(group.cluster.index)
    if refusal := group.agree(objection and f"{name} {objection}"):
        raise UsageError(refusal)
    group.remedy = f"start all workers again with charlstm train --resume {terms.folder}"
    return terms


def difference(own: RunConfig, chiefs: RunConfig) -> str:
    """Return why two workers can't train one model; ``""`` if they can."""
    if own.charlstm != chiefs.charlstm:
        return (
            f"runs charlstm {own.charlstm}, but the chief runs {chiefs.charlstm}. Install the same "
            f"version."
        )
    if found := _other_setting(own, chiefs, "corpus", "tokenizer"):
        return found
    if own.provenance.corpus_sha256 != chiefs.provenance.corpus_sha256:
        return "reads another text than the chief. Give all workers the same text."
    if own.model != chiefs.model:
        return "builds another network than the chief. Give all workers the same options."
    return _other_setting(own, chiefs, "train")  # these depend on the text and the network


def _other_setting(own: RunConfig, chiefs: RunConfig, *parts: str) -> str:
    """Return the difference between settings in these parts; ``""`` if there is none."""
    for part in parts:
        ours, theirs = getattr(own, part), getattr(chiefs, part)
        for name in ours.__struct_fields__:
            mine, other = getattr(ours, name), getattr(theirs, name)
            if name not in OF_THE_CHIEF and mine != other:
                return (
                    f"has {name} {mine}, but the chief has {other}. Give all workers the same "
                    f"options."
                )
    return ""


def resumed_state(folder: Path) -> str:
    """Return a digest of the files from which an interrupted run continues."""
    digest = hashlib.sha256()
    for name in (schema.RESUME, schema.MODEL, schema.HISTORY):
        digest.update(name.encode())
        path = folder / name
        # Missing or unreadable files are reported later, by the code that needs them.
        if path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def fetched(folder: Path, group: WorkerGroup) -> Path:
    """Return the chief's checkpoint: its folder, or a temporary copy on the other workers.

    Raises:
        CheckpointBusy: on the chief, if another process is writing to the checkpoint.
        TrainingError: if the chief is lost, or has no checkpoint.
    """
    if group.size > 1 and group.is_chief:
        check_idle(folder)
    return group.fetched(folder, schema.FILES)
