"""A training run from what was asked to a checkpoint: new, fine-tuned or resumed.

Here the stages come together: corpus and tokenizer become ids, the plan is made, the folder is
created, and the trainer is set going. TensorFlow is loaded only when training begins, so that a
wrong request fails at once. This module knows no options and no terminal.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from charlstm import __version__, checkpoint
from charlstm.addresses import display_name
from charlstm.checkpoint import Checkpoint, Progress, Provenance, RunConfig, Weights
from charlstm.cluster import Party, decoded
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.dataset import replacement_rates
from charlstm.errors import CheckpointMissing, CorpusChanged, CorpusError, UsageError
from charlstm.files import replaced_atomically
from charlstm.memory import is_out_of_memory
from charlstm.novelty import LineHashes
from charlstm.plan import MIN_ROWS, Plan, TextFacts, make_plan
from charlstm.preparation import Prepared, prepare
from charlstm.processor import floating_point_speed, processor_count, product_type
from charlstm.reading import STDIN

if TYPE_CHECKING:
    from charlstm.distribution import Crew
    from charlstm.training import Observer, Outcome, Trainer

# Fine-tuning starts from weights that are already good: a quarter of the usual peak rate.
FINE_TUNING_RATE = 0.25


# What workers may differ in: where their texts and processors are, and what follows from these.
# All take over the chief's.
OF_THE_CHIEF = frozenset(
    ("addresses", "valid", "chains", "precision", "patience", "sample_every", "save_every")
)


@dataclass(frozen=True)
class Request:
    """What the user asked for; ``choices`` holds settings by field name, ``None`` if left open."""

    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    size: str
    choices: dict[str, Any]
    output: Path | None = None
    overwrite: bool = False
    parent: Path | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Run:
    """A run that is ready to start; ``resumes`` if its folder holds an interrupted one.

    ``parent_sha256`` is that of the weights it starts from, ``""`` if they are drawn or resumed.
    ``corpus`` has the full addresses of the text, which ``config`` has not.
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
    corpus: CorpusConfig | None = None


def new_run(request: Request, stdin: Path | None, workers: int = 1) -> Run:
    """Read the corpus and decide everything; write nothing but the cache.

    Args:
        request: what the user asked for.
        stdin: the text that came through standard input.
        workers: how many processes train, on as many processors each.

    Raises:
        CharlstmError: if the corpus, the parent or the choices don't allow a run.
    """
    parent = checkpoint.read_checkpoint(request.parent) if request.parent else None
    _check_output(request)
    tokenizing = parent.config.tokenizer if parent else request.tokenizer
    base = parent.tokenizer if parent else None
    prepared = prepare(request.corpus, tokenizing, stdin=stdin, base=base)
    model = None
    if parent:
        model = parent.config.model.replace(vocab_size=prepared.tokenizer.vocab_size)
    plan = _plan(
        prepared,
        tokenizing,
        request.size,
        request.choices,
        model=model,
        processors=workers * (request.threads or processor_count()),
        rate_scale=FINE_TUNING_RATE if parent else 1.0,
    )
    lines = _lines_to_keep(request.corpus, prepared, parent)
    folder = request.output or checkpoint.free_folder(checkpoint.CHECKPOINTS, prepared.name)
    config = RunConfig(
        format=checkpoint.FORMAT,
        charlstm=__version__,
        corpus=_renamed(request.corpus, display_name),
        tokenizer=tokenizing,
        model=plan.model,
        train=plan.train,
        provenance=_provenance(prepared, parent, lines),
    )
    weights = _grown(parent, plan.model.vocab_size, plan.train.seed) if parent else None
    sha256 = parent.sha256 if parent else ""
    corpus = _renamed(request.corpus, _absolute)
    return Run(
        folder, config, prepared, plan, weights, sha256, stdin=stdin, lines=lines, corpus=corpus
    )


def resumed_run(folder: Path) -> Run:
    """Read an interrupted run and its corpus again.

    Raises:
        CheckpointError: if there is nothing to resume or another process goes on with it.
        CorpusError: if the corpus is gone or no longer the same.
    """
    config = checkpoint.read_config(folder)
    checkpoint.check_idle(folder)
    corpus = _located(config.corpus, checkpoint.check_resumable(folder, config))
    tokenizer = checkpoint.read_tokenizer(folder)
    stdin = folder / checkpoint.STDIN
    if STDIN in corpus.addresses + corpus.valid and not stdin.exists():
        raise CheckpointMissing(
            f"{stdin} is missing, the text that came through the pipe: restore it, or train again"
        )
    try:
        prepared = prepare(
            corpus,
            config.tokenizer,
            stdin=stdin,
            fixed=tokenizer,
            sha256=config.provenance.corpus_sha256,
        )
    except CorpusChanged:
        raise
    except (CorpusError, UsageError) as error:
        raise CorpusError(
            f"the text that {folder} was begun with can't be read any more: put it back where it "
            f"was, or train on another with --from {folder} (what is wrong: {error})"
        ) from error
    chosen = {name: getattr(config.train, name) for name in config.train.__struct_fields__}
    plan = _plan(
        prepared, config.tokenizer, "auto", chosen, model=config.model, processors=processor_count()
    )
    return Run(folder, config, prepared, plan, resumes=True)


def fetched(folder: Path, party: Party) -> Path:
    """Return the chief's checkpoint: its folder, or on other workers a temporary copy of it.

    Raises:
        CheckpointBusy: if another process still writes what would be sent file by file.
        TrainingError: if the chief is lost, as it is if there is no checkpoint.
    """
    if party.size > 1 and party.is_chief:
        checkpoint.check_idle(folder)
    return party.fetched(folder, checkpoint.FILES)


class _Terms(msgspec.Struct, frozen=True):
    """What the chief tells the other workers.

    The run, where it is kept, when it began, and of which state it begins.
    """

    config: RunConfig
    folder: str
    began: float
    state: str


def _agreed(run: Run, began: float, party: Party) -> tuple[Run, float]:
    """Let all workers do what the chief does.

    Raises:
        UsageError: if one reads another text, was given other settings or has another state.
        TrainingError: if one is lost.
    """
    if party.size == 1:
        return run, began
    own = _Terms(run.config, str(run.folder), began, _state(run))
    terms = decoded(party.from_chief(msgspec.json.encode(own)), _Terms)
    found = _difference(own.config, terms.config)
    if not found and own.state != terms.state:
        found = (
            "has read another state of the checkpoint than the chief: let no other process write "
            "to it, and start all workers again"
        )
    if objection := party.agree(found and f"{party.cluster.name(party.cluster.index)} {found}"):
        raise UsageError(objection)
    party.remedy = f"start all workers again with charlstm train --resume {terms.folder}"
    return replace(run, config=terms.config), terms.began


def _state(run: Run) -> str:
    """Return a digest of what the first step depends on, besides the configuration."""
    if not run.resumes:
        return run.parent_sha256
    digest = hashlib.sha256()
    for name in (checkpoint.RESUME, checkpoint.MODEL, checkpoint.HISTORY):
        digest.update(name.encode())
        path = run.folder / name
        # What is missing or can't be read is told by whoever needs it.
        if path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _difference(own: RunConfig, chiefs: RunConfig) -> str:
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


def execute(
    run: Run,
    observer: Observer,
    *,
    began: float,
    overwrite: bool = False,
    threads: int | None = None,
    party: Party | None = None,
) -> Outcome:
    """Create the folder unless it is there, and train, together with all of ``party``.

    Raises:
        CharlstmError: if the folder can't be made, a file can't be written or training fails.
    """
    party = party or Party()
    # From here on nothing changes what the workers compare.
    claim = checkpoint.claimed(run.folder) if party.is_chief else contextlib.nullcontext()
    with claim, _memory_errors():
        run, began = _agreed(run, began, party)
        crew = _crew(run, threads, party)
        with crew.losses_told():
            # TensorFlow is loaded and the network built before anything is written or replaced.
            trainer = _trainer(run, observer, began, crew)
            if run.resumes:
                trainer.resume()
            else:
                with _created(run, overwrite) if crew.is_chief else contextlib.nullcontext():
                    trainer.start(run.weights, run.corpus)
            outcome = trainer.run()
    party.part(finished=True)
    return outcome


@contextlib.contextmanager
def _created(run: Run, overwrite: bool) -> Iterator[None]:
    """Begin the checkpoint; it is gone again if the body fails."""
    tokenizer = run.prepared.tokenizer
    with checkpoint.created(run.folder, run.config, tokenizer, run.lines, overwrite=overwrite):
        _keep_stdin(run)
        yield


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Let a library's own error for memory that is not there be Python's."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if is_out_of_memory(error) and not isinstance(error, MemoryError):
            raise MemoryError(str(error)) from error
        raise


def _keep_stdin(run: Run) -> None:
    if run.stdin is not None:
        with replaced_atomically(run.folder / checkpoint.STDIN) as temporary:
            shutil.copyfile(run.stdin, temporary)


def _crew(run: Run, threads: int | None, party: Party) -> Crew:
    from charlstm.distribution import crew_of
    from charlstm.optimization import use_threads

    use_threads(threads or processor_count(), math.ceil(run.config.train.chains / party.size))
    return crew_of(party, _devices(run.config.train.streams, party.size))


def _devices(streams: int, workers: int) -> int:
    """Return how many devices of each worker's machine have enough to do."""
    return max(1, streams // MIN_ROWS // workers)


def _trainer(run: Run, observer: Observer, began: float, crew: Crew) -> Trainer:
    from charlstm.training import TextLengths, Trainer

    store, statistics = run.prepared.store, run.prepared.statistics
    tokenizer = run.prepared.tokenizer
    return Trainer(
        run.folder,
        run.config,
        store,
        TextLengths(store.valid_tokens, statistics.valid_characters, statistics.valid_words),
        replacement_rates(store.train, tokenizer.character_ids, tokenizer.vocab_size),
        observer,
        began=began,
        crew=crew,
    )


def _check_output(request: Request) -> None:
    """Refuse a taken folder before the corpus is read."""
    if request.output:
        checkpoint.check_idle(request.output)
    if request.output and not request.overwrite and checkpoint.holds_checkpoint(request.output):
        raise checkpoint.taken(request.output)


def _plan(
    prepared: Prepared,
    tokenizing: TokenizerConfig,
    size: str,
    choices: dict[str, Any],
    **given: Any,
) -> Plan:
    store, statistics = prepared.store, prepared.statistics
    text = TextFacts(
        level=tokenizing.level,
        vocab_size=prepared.tokenizer.vocab_size,
        train_tokens=store.train_tokens,
        valid_tokens=store.valid_tokens,
        characters_per_token=statistics.train_characters / max(1, store.train_tokens),
    )
    return make_plan(
        text,
        speed=floating_point_speed(),
        size=size,
        product_type=product_type(choices.get("precision") or "auto"),
        choices=choices,
        **given,
    )


def _absolute(address: str) -> str:
    """Make the address of a file absolute, so that a run can be resumed from anywhere."""
    path = Path(address)
    is_file = path.exists() or any(mark in address for mark in "*?[")
    return str(path.absolute()) if is_file and address != STDIN else address


def _renamed(corpus: CorpusConfig, rename: Callable[[str], str]) -> CorpusConfig:
    """Return a corpus with every address renamed."""
    return corpus.replace(
        addresses=tuple(map(rename, corpus.addresses)), valid=tuple(map(rename, corpus.valid))
    )


def _located(corpus: CorpusConfig, progress: Progress) -> CorpusConfig:
    """Return a recorded corpus with the addresses that its text is found by."""
    found = progress.corpus or corpus  # in format 1 there is one only
    return corpus.replace(addresses=found.addresses, valid=found.valid)


def _lines_to_keep(
    corpus: CorpusConfig, prepared: Prepared, parent: Checkpoint | None
) -> LineHashes | None:
    """Return the lines that the model will have been trained on, those of its parent included."""
    if prepared.lines is None or not corpus.index:
        return None
    before = checkpoint.read_lines_index(parent.folder) if parent else None
    return prepared.lines if before is None else prepared.lines.union(before)


def _provenance(
    prepared: Prepared, parent: Checkpoint | None, lines: LineHashes | None
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
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=None if parent is None else display_name(str(parent.folder)),
        train_lines=0 if lines is None else len(lines),
        lines_sha256=None if lines is None else checkpoint.lines_digest(lines),
    )


def _grown(parent: Checkpoint, vocab_size: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the parent's weights with room for new symbols, which start near the average."""
    generator = np.random.default_rng(seed)
    weights = dict(parent.weights)
    added = vocab_size - parent.config.model.vocab_size
    table = weights["embedding/embeddings"]
    noise = generator.normal(0.0, table.std(), (added, table.shape[1]))
    weights["embedding/embeddings"] = np.concatenate(
        [table, (table.mean(0) + noise).astype(np.float32)]
    )
    if "output/kernel" in weights:
        kernel = weights["output/kernel"]
        columns = np.repeat(kernel.mean(1, keepdims=True), added, axis=1)
        weights["output/kernel"] = np.concatenate([kernel, columns], axis=1)
    bias = weights["output/bias"]
    weights["output/bias"] = np.concatenate([bias, np.full(added, bias.min(), np.float32)])
    return weights
