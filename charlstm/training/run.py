"""Carries out a training run: prepares it, creates or resumes its checkpoint, and trains.

TensorFlow is loaded here, after the request has been checked.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.folder import check_free, create_checkpoint, lock_folder
from charlstm.dataset.batches import replacement_rates
from charlstm.dataset.beginnings import starts_from_the_end
from charlstm.dataset.excerpts import excerpts_of, lengths_of
from charlstm.distributed.agreement import Terms, resumed_state
from charlstm.distributed.workers import Workers
from charlstm.system.files import check_writable, replaced_atomically
from charlstm.system.hardware import processor_count
from charlstm.system.out_of_memory import is_out_of_memory
from charlstm.training.observer import Observer, TrainingResult
from charlstm.training.presets import MIN_ROWS
from charlstm.training.request import Request, Resumption
from charlstm.training.setup import Run, prepared_run

if TYPE_CHECKING:
    from charlstm.distributed.replicas import ReplicaGroup
    from charlstm.training.trainer import TextLengths, Trainer


def train_run(
    request: Request | Resumption,
    observer: Observer,
    *,
    began: float,
    workers: Workers | None = None,
) -> tuple[Run, TrainingResult]:
    """Prepare a run, report the plan, and train.

    Args:
        request: the run that the user asked for.
        observer: watches the run and may stop it.
        began: ``time.monotonic()`` at the start of the command; minutes count from it.
        workers: all connected worker processes; by default only this one.

    Returns:
        The run, and how it ended.

    Raises:
        CharlstmError: if the request can't be carried out, or training fails.
    """
    workers = workers or Workers()
    overwrite = isinstance(request, Request) and request.overwrite
    with prepared_run(request, workers, observer.on_reading) as run:
        observer.on_plan(run)
        return run, execute(
            run,
            observer,
            began=began,
            overwrite=overwrite,
            threads=request.threads,
            workers=workers,
        )


def rehearse_run(
    request: Request | Resumption, observer: Observer, *, began: float, workers: Workers
) -> Run:
    """Prepare a run, report the plan, and check everything that ``train_run`` checks.

    Only the cache is written to, and TensorFlow is not loaded. Arguments and errors are those of
    ``train_run``.
    """
    overwrite = isinstance(request, Request) and request.overwrite
    with prepared_run(request, workers, observer.on_reading) as run:
        observer.on_plan(run)
        with (
            _agreed(run, began, workers, keeps=False) as (agreed, _),
            workers.once(_checked(agreed, overwrite)),
        ):
            pass
    workers.barrier_and_leave()
    return agreed


def execute(
    run: Run,
    observer: Observer,
    *,
    began: float,
    overwrite: bool = False,
    threads: int | None = None,
    workers: Workers | None = None,
) -> TrainingResult:
    """Create or resume the checkpoint, and train, together with all workers.

    Args:
        run: the return value of ``new_run`` or ``resumed_run``.
        observer: watches the run and may stop it.
        began: ``time.monotonic()`` at the start of the command; minutes count from it.
        overwrite: whether to replace a checkpoint in the folder.
        threads: number of CPU threads; by default all.
        workers: all worker processes; by default only this one.

    Raises:
        CharlstmError: if the folder can't be created, a file can't be written or training fails.
    """
    workers = workers or Workers()
    with _agreed(run, began, workers) as (run, terms):
        replicas = _replicas(run, threads, workers)
        with replicas.lost_worker_named():
            # The network is built before anything is written or replaced, because that can fail.
            trainer = _trainer(run, observer, terms.began, replicas)
            if run.resumes:
                trainer.resume(workers.writer(run.folder))
            else:
                with workers.once(_created(run, overwrite)):
                    trainer.start(workers.writer(run.folder), run.weights, run.corpus)
            result = trainer.run()
    workers.barrier_and_leave()
    return result


@contextlib.contextmanager
def _agreed(
    run: Run, began: float, workers: Workers, *, keeps: bool = True
) -> Iterator[tuple[Run, Terms]]:
    """Lock the folder and agree with all workers; yield the run as agreed.

    The folder is locked first, so that no other process changes the files that workers compare.
    """
    with workers.once(lock_folder(run.folder, keeps=keeps)), _memory_errors():
        terms = workers.agreed(Terms(run.config, str(run.folder), began, _state(run)))
        yield replace(run, config=terms.config), terms


@contextlib.contextmanager
def _checked(run: Run, overwrite: bool) -> Iterator[None]:
    """Check that the checkpoint can be created, or resumed."""
    if run.resumes:
        reader.read_history(run.folder)
    else:
        check_free(run.folder, overwrite=overwrite)
    check_writable(run.folder, schema.RESUME if run.resumes else schema.TOKENIZER)
    yield


def _state(run: Run) -> str:
    """Return a digest of the initial state; ``""`` if the weights are random."""
    return resumed_state(run.folder) if run.resumes else run.parent_sha256


@contextlib.contextmanager
def _created(run: Run, overwrite: bool) -> Iterator[None]:
    """Create the checkpoint; remove it again if the body fails."""
    tokenizer = run.prepared.tokenizer
    with create_checkpoint(run.folder, run.config, tokenizer, run.lines, overwrite=overwrite):
        _keep_stdin(run)
        yield


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise ``MemoryError`` in place of a library's own error for lack of memory."""
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
        with replaced_atomically(run.folder / schema.STDIN_FILE) as temporary:
            shutil.copyfile(run.stdin, temporary)


def _replicas(run: Run, threads: int | None, workers: Workers) -> ReplicaGroup:
    from charlstm.training.step import use_threads

    use_threads(threads or processor_count(), math.ceil(run.config.train.shards / workers.count))
    return workers.replicas(_devices(run.config.train.streams, workers.count))


def _devices(streams: int, workers: int) -> int:
    """Return the number of devices per worker for which there are enough rows."""
    return max(1, streams // MIN_ROWS // workers)


def _trainer(run: Run, observer: Observer, began: float, replicas: ReplicaGroup) -> Trainer:
    from charlstm.training.trainer import Trainer

    store, tokenizer = run.prepared.store, run.prepared.tokenizer
    return Trainer(
        run.folder,
        run.config,
        store,
        _validated_lengths(run),
        replacement_rates(store.train, tokenizer.character_ids, tokenizer.vocab_size),
        observer,
        began=began,
        ends=starts_from_the_end(store, tokenizer) if run.config.model.bidirectional else None,
        replicas=replicas,
    )


def _validated_lengths(run: Run) -> TextLengths:
    """Return the length of the part of the validation text that evaluations count."""
    from charlstm.training.trainer import TextLengths

    store, statistics = run.prepared.store, run.prepared.statistics
    tokens = run.config.train.tokens_validated(store.valid_tokens)
    if tokens == store.valid_tokens:
        return TextLengths(tokens, statistics.valid_characters, statistics.valid_words)
    lengths = lengths_of(
        store.valid,
        excerpts_of(store.valid_tokens, tokens),
        run.prepared.tokenizer,
        ends_count=run.config.corpus.division.within_files,
    )
    return TextLengths(tokens, *lengths)
