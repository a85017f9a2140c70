"""Turns a request into a run that is ready to start: reads the text and makes the plan.

Only the cache is written to. TensorFlow is not loaded, so that an invalid request fails at once.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charlstm.arrays import Weights
from charlstm.checkpoint import reader, resume, schema
from charlstm.checkpoint.folder import check_free, check_idle, free_folder
from charlstm.checkpoint.names import CHECKPOINTS
from charlstm.checkpoint.resume import Addresses, Progress
from charlstm.checkpoint.schema import Checkpoint, IndexCovers, Provenance, RunConfig
from charlstm.config import CorpusConfig, Division, TokenizerConfig
from charlstm.corpus.division import NAMES
from charlstm.corpus.line_hashes import LineHashes
from charlstm.corpus.reading import EMBEDDED, STDIN, STRINGS
from charlstm.corpus.short_lines import HINT
from charlstm.corpus.sources import display_name
from charlstm.corpus.spool import spooled_stdin, spooled_strings
from charlstm.dataset.frequencies import log_frequencies
from charlstm.dataset.prepare import (
    OnReading,
    Prepared,
    prepare,
    unwatched,
)
from charlstm.distributed.workers import Workers
from charlstm.errors import (
    CheckpointMissing,
    CorpusChanged,
    CorpusError,
    UsageError,
    harmless,
)
from charlstm.system.hardware import floating_point_speed, processor_count, product_type
from charlstm.training.familiarity import Familiarity, familiarity
from charlstm.training.fine_tuning import (
    grown_weights,
    rate_share,
)
from charlstm.training.plan import Plan, Start, make_plan
from charlstm.training.request import Request, Resumption
from charlstm.training.text_facts import TextFacts
from charlstm.training.text_reading import read_text
from charlstm.version import __version__


@dataclass(frozen=True)
class Run:
    """A run that is ready to start.

    Attributes:
        folder: folder of the checkpoint.
        config: the content of ``config.json``.
        prepared: the text as ids, and its tokenizer.
        plan: sizes, settings and estimates.
        weights: initial weights by name, for fine-tuning; those of the backward network are named
            as in the checkpoint.
        parent_sha256: digest of the weights to fine-tune; ``""`` if there are none.
        resumes: whether the folder contains an interrupted run to continue.
        stdin: file with the text that came through stdin.
        lines: hashes of the lines to store in the checkpoint.
        corpus: full addresses of the text, which are not in ``config``.
        parent: the checkpoint to fine-tune.
        familiarity: how well the parent knows the kind of the text, if it was not trained on it.
        given: names of the options that the user gave.
    """

    folder: Path
    config: RunConfig
    prepared: Prepared
    plan: Plan
    weights: Weights | None = None
    parent_sha256: str = ""
    resumes: bool = False
    stdin: Path | None = None
    lines: LineHashes | None = None
    corpus: Addresses | None = None
    parent: Checkpoint | None = None
    familiarity: Familiarity | None = None
    given: frozenset[str] = frozenset()


@contextlib.contextmanager
def prepared_run(
    request: Request | Resumption, workers: Workers, on_reading: OnReading = unwatched
) -> Iterator[Run]:
    """Read the text and plan the run; yield the run, and remove its temporary files afterwards.

    Args:
        request: the run that the user asked for.
        workers: all worker processes.
        on_reading: called with the progress of reading the text.

    Raises:
        CharlstmError: if the request can't be carried out.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(request, Resumption):
            yield resumed_run(workers.fetched(request.folder), on_reading)
            return
        addresses = request.corpus.addresses + request.corpus.valid
        spool = stack.enter_context(
            spooled_strings(request.strings, addresses)
            if request.strings
            else spooled_stdin(addresses)
        )
        parent = workers.fetched(request.parent) if request.parent else None
        request = replace(request, output=workers.output(request.output), parent=parent)
        yield new_run(request, spool, workers.count, on_reading)


def new_run(
    request: Request,
    stdin: Path | None,
    workers: int = 1,
    on_reading: OnReading = unwatched,
) -> Run:
    """Read the corpus and plan the run; write only to the cache.

    Args:
        request: the run that the user asked for.
        stdin: file with the text that came through stdin.
        workers: number of worker processes, each with as many cores as this machine.
        on_reading: called with the progress of reading the text.

    Raises:
        CharlstmError: if the corpus, the parent or the options don't allow a run.
    """
    parent = reader.read_checkpoint(request.parent) if request.parent else None
    _check_output(request)
    request, prepared, knows = read_text(request, parent, stdin, on_reading)
    tokenizing = request.tokenizer
    familiar = None if parent is None or knows else _familiarity(parent, prepared, request.corpus)
    with _notes_attached(prepared):
        plan = _plan(
            prepared,
            request.corpus,
            tokenizing,
            request.size,
            request.choices,
            processors=workers * (request.threads or processor_count()),
            is_shared=workers > 1,
            start=_start(parent, prepared, familiar) if parent else None,
        )
    lines, covers = _index_to_keep(request.corpus, prepared, parent)
    folder = request.output or free_folder(CHECKPOINTS, prepared.name)
    config = RunConfig(
        format=schema.FORMAT,
        charlstm=__version__,
        corpus=_shown(request.corpus),
        tokenizer=tokenizing,
        model=plan.model,
        train=plan.train,
        provenance=_provenance(prepared, parent, lines, covers),
    )
    weights = _grown(parent, prepared, plan) if parent else None
    sha256 = parent.sha256 if parent else ""
    return Run(
        folder,
        config,
        prepared,
        plan,
        weights,
        sha256,
        stdin=stdin,
        lines=lines,
        corpus=_full_addresses(request.corpus),
        parent=parent,
        familiarity=familiar,
        given=request.given,
    )


def _familiarity(parent: Checkpoint, prepared: Prepared, corpus: CorpusConfig) -> Familiarity:
    ends = corpus.division.within_files
    return familiarity(parent, prepared.tokenizer, prepared.store.train, ends=ends)


def _start(parent: Checkpoint, prepared: Prepared, familiar: Familiarity | None) -> Start:
    """Return what a run that starts from a trained model starts with.

    Args:
        parent: the trained model.
        prepared: the text.
        familiar: how well the model knows the kind of the text; ``None`` if it was trained on it.
    """
    model = parent.config.model.replace(vocab_size=prepared.tokenizer.vocab_size)
    if familiar is None:
        return Start(model, epochs=max(0.0, parent.figures.epoch), continues=True)
    return Start(model, rate_share(familiar))


@contextlib.contextmanager
def _notes_attached(prepared: Prepared) -> Iterator[None]:
    """Add the notes on the text to an error about it."""
    try:
        yield
    except CorpusError as error:
        hint = (HINT,) if prepared.statistics.may_be_list else ()
        for sentence in (*prepared.notes, *hint):
            error.add_note(sentence)
        raise


def _grown(parent: Checkpoint, prepared: Prepared, plan: Plan) -> Weights:
    shares, seed = log_frequencies(prepared.store.train, plan.model.vocab_size), plan.train.seed
    backward = parent.backward
    return schema.joined(
        grown_weights(parent.weights, shares, seed),
        None if backward is None else grown_weights(backward, shares, seed),
    )


def resumed_run(folder: Path, on_reading: OnReading = unwatched) -> Run:
    """Read an interrupted run, and its corpus again.

    Raises:
        CheckpointError: if there is nothing to resume, or another process is training it.
        CorpusError: if the corpus is missing or has changed.
    """
    config = reader.read_config(folder)
    check_idle(folder)
    corpus = _located(config.corpus, resume.check_resumable(folder, config))
    tokenizer = reader.read_tokenizer(folder)
    stdin = folder / schema.STDIN_FILE
    if {STDIN, STRINGS} & {*corpus.addresses, *corpus.valid} and not stdin.exists():
        raise CheckpointMissing(
            f"{stdin}: no such file. It contains the text that was piped to the run. Restore it, "
            f"or train again."
        )
    _check_text_is_there(folder, corpus)
    try:
        prepared = prepare(
            corpus,
            config.tokenizer,
            stdin=stdin,
            fixed=tokenizer,
            sha256=config.provenance.corpus_sha256,
            on_reading=on_reading,
        )
    except CorpusChanged:
        raise
    except (CorpusError, UsageError) as error:
        reason = _first_sentence(str(error))
        raise CorpusError(
            f"{folder}: the text of this run can't be read ({reason}). Restore it, or train on "
            f"another text with `from_checkpoint` {folder}."
        ) from error
    chosen = {name: getattr(config.train, name) for name in config.train.__struct_fields__}
    # A run started by an earlier version evaluates on all of a long validation text.
    chosen["validated"] = chosen["validated"] or prepared.store.valid_tokens or None
    plan = _plan(
        prepared,
        corpus,
        config.tokenizer,
        "auto",
        chosen,
        start=Start(config.model),
        processors=processor_count(),
    )
    return Run(folder, config, prepared, plan, resumes=True)


def _first_sentence(message: str) -> str:
    """Return the first sentence of a message, whose remedy fits another command."""
    return re.split(r"\. (?=[A-Z])", message.rstrip("."), maxsplit=1)[0]


def _check_text_is_there(folder: Path, corpus: CorpusConfig) -> None:
    """Raise ``CorpusError`` if a text is missing, as on another machine than the run started on."""
    for address in (*corpus.addresses, *corpus.valid):
        is_path = os.path.isabs(address) and not any(mark in address for mark in "*?[")
        if is_path and not os.path.lexists(address):
            raise CorpusError(
                f"{folder}: the text of this run is not at {harmless(address)}. Put it there, or "
                f"train on a text with `from_checkpoint` {folder}."
            )


def _check_output(request: Request) -> None:
    """Raise ``CheckpointError`` if the output folder is in use, before the corpus is read."""
    if request.output:
        check_idle(request.output)
        check_free(request.output, overwrite=request.overwrite)


def _plan(
    prepared: Prepared,
    corpus: CorpusConfig,
    tokenizing: TokenizerConfig,
    size: str,
    choices: dict[str, Any],
    **known: Any,
) -> Plan:
    store, statistics = prepared.store, prepared.statistics
    text = TextFacts(
        level=tokenizing.level,
        vocab_size=prepared.tokenizer.vocab_size,
        train_tokens=store.train_tokens,
        valid_tokens=store.valid_tokens,
        characters_per_token=statistics.train_characters / max(1, store.train_tokens),
        valid_fraction=None if corpus.valid else corpus.valid_fraction,
        documents=_distinct(corpus.division, statistics.distinct),
    )
    return make_plan(
        text,
        speed=floating_point_speed(),
        size=size,
        product_type=product_type(choices.get("precision") or "auto"),
        choices=choices,
        **known,
    )


def _distinct(division: Division, count: int) -> str | None:
    """Return the number of distinct documents as a phrase; ``None`` if they are files."""
    name = NAMES[division.unit]
    return f"{count:,} distinct {name}{'s' * (count != 1)}" if division.within_files else None


def _absolute(address: str) -> str:
    """Make the path of a file absolute, so that the run can be resumed from any folder."""
    if address in (STDIN, STRINGS):
        return address
    path = Path(address)
    # "python-docs" means a file of this name, else the built-in corpus, else a folder.
    exists = path.is_file() if address == EMBEDDED else path.exists()
    is_found = exists or any(mark in address for mark in "*?[")
    return str(path.absolute()) if is_found else address


def _shown(corpus: CorpusConfig) -> CorpusConfig:
    """Return a corpus with addresses shortened to names for display."""
    return corpus.replace(
        addresses=tuple(map(display_name, corpus.addresses)),
        valid=tuple(map(display_name, corpus.valid)),
    )


def _full_addresses(corpus: CorpusConfig) -> Addresses:
    return Addresses(
        addresses=tuple(map(_absolute, corpus.addresses)), valid=tuple(map(_absolute, corpus.valid))
    )


def _located(corpus: CorpusConfig, progress: Progress) -> CorpusConfig:
    """Return a recorded corpus with the full addresses of its text."""
    full = progress.corpus or corpus  # format 1 stores full addresses in its configuration
    return corpus.replace(addresses=full.addresses, valid=full.valid)


def _index_to_keep(
    corpus: CorpusConfig, prepared: Prepared, parent: Checkpoint | None
) -> tuple[LineHashes | None, IndexCovers | None]:
    """Return the line hashes to store, with those of the parent, and what they cover."""
    if prepared.lines is None or not corpus.index:
        return None, None
    before = reader.read_lines_index(parent.folder) if parent else None
    if parent is None or before is None:
        return prepared.lines, "all"
    return prepared.lines.union(before), parent.config.provenance.index_covers


def _provenance(
    prepared: Prepared,
    parent: Checkpoint | None,
    lines: LineHashes | None,
    covers: IndexCovers | None,
) -> Provenance:
    statistics = prepared.statistics
    return Provenance(
        corpus_sha256=statistics.sha256,
        sources=tuple(map(display_name, prepared.sources)),
        documents=statistics.documents,
        characters=statistics.characters,
        train_tokens=prepared.store.train_tokens,
        valid_tokens=prepared.store.valid_tokens,
        valid_characters=statistics.valid_characters,
        valid_words=statistics.valid_words,
        beginnings=statistics.beginnings,
        ends=statistics.ends,
        frequency_loss=statistics.frequency_loss,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=None if parent is None else display_name(str(parent.folder)),
        indexed=0 if lines is None else len(lines),
        lines_sha256=None if lines is None else reader.lines_digest(lines),
        index_covers=covers,
    )
