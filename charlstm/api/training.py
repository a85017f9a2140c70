"""Training from Python: ``charlstm.train`` does what the command ``charlstm train`` does.

    >>> model = charlstm.train("my.txt", minutes=10)
    >>> model.generate("Once upon a time", length=200)[0].text

Progress is reported to an ``Observer``. The default one shows a progress bar in a notebook or a
terminal. Nothing else is printed.
"""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Unpack

from charlstm.api.arguments import suggesting
from charlstm.api.model import LanguageModel, load
from charlstm.api.user_warnings import warn, warn_of_notes
from charlstm.config import TrainConfig
from charlstm.corpus.documents import Address, addresses_of
from charlstm.corpus.reading import STRINGS
from charlstm.distributed.tf_config import VARIABLE, cluster_of
from charlstm.errors import UsageError
from charlstm.training.advice import after_overfitting, describe_overfitting
from charlstm.training.observer import Observer, TrainingResult
from charlstm.training.options import (
    TrainOptions,
    check_options,
    options_set,
    request_of,
)
from charlstm.training.run import train_run

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Figures
    from charlstm.training.observer import Hardware
    from charlstm.training.setup import Run


@dataclass(frozen=True, repr=False, eq=False)
class TrainedModel(LanguageModel):
    """A model that has just been trained.

    Attributes:
        folder: the folder of its checkpoint.
        training: the result of the run. ``training.stop_reason`` says why the run ended.
    """

    folder: Path
    training: TrainingResult


@suggesting(TrainOptions)
def train(
    corpus: Address | Iterable[Address] = (),
    *,
    texts: Iterable[str] | None = None,
    observer: Observer | None = None,
    quiet: bool = False,
    **options: Unpack[TrainOptions],
) -> TrainedModel:
    """Train a language model on a text, save it as a checkpoint and return it.

        >>> model = charlstm.train("names.txt", lines=True, epochs=20)
        >>> model = charlstm.train(texts=articles, level="subword", minutes=30, output="news")

    Give the text as ``corpus`` or as ``texts``. Options have the names and defaults of
    ``charlstm train``. Equal options and seeds give equal weights. To train on several machines,
    use the command.

    In the main thread, Ctrl-C (or the stop button of a notebook) stops training, saves, and returns
    the model trained so far. A second Ctrl-C raises KeyboardInterrupt. In other threads, signals
    are not handled.

    Args:
        corpus: one or several files, folders, glob patterns or names of corpora, as for
            ``charlstm train``.
        texts: the text itself, as strings. Each is a document, or is divided by ``lines``,
            ``paragraphs`` or ``delimiter`` like a file.
        observer: follows the run instead of the progress bar, and can stop it.
        quiet: whether to hide the progress bar.
        **options: see ``TrainOptions``.

    Returns:
        The model, loaded from its checkpoint.

    Raises:
        UsageError: if options can't be combined.
        ConfigError: if an option is out of range.
        CorpusError: if the text can't be read or is too short.
        CheckpointError: if a checkpoint can't be read, or exists and ``overwrite`` is false.
        TrainingError: if training diverges.
        StorageError: if a file can't be written.
        KeyboardInterrupt: on Ctrl-C before there is anything to save, or on a second Ctrl-C.
        TypeError: if an option does not exist.
    """
    began = time.monotonic()
    addresses, strings = _corpus_of(corpus, texts, options)
    check_options(options, has_corpus=bool(addresses))
    if not addresses and options_set(options).get("resume") is None:
        raise UsageError("one of `corpus` and `texts` is required.")
    if cluster_of().size > 1:
        raise UsageError(
            f"{VARIABLE} names several workers, but charlstm.train supports only one. Run the "
            "command charlstm train on every machine."
        )
    request = request_of(addresses, options, strings)
    watcher = _Watcher(observer or (Observer() if quiet else BarObserver()))
    with watcher.interrupts_caught(), contextlib.closing(watcher):
        run, result = train_run(request, watcher, began=began)
    model = load(run.folder, threads=request.threads)
    return TrainedModel(model.checkpoint, model.engine, run.folder, result)


def _corpus_of(
    corpus: Address | Iterable[Address], texts: Iterable[str] | None, options: TrainOptions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the addresses of the text, and the strings if it is given as such.

    Raises:
        UsageError: if both ``corpus`` and ``texts`` are given, or ``texts`` is not a list of
            strings.
    """
    addresses = addresses_of(corpus)
    if texts is None:
        return addresses, ()
    if addresses:
        raise UsageError("`corpus` can't be combined with `texts`.")
    if isinstance(texts, str):
        raise UsageError("`texts` is a string: expected a list of strings, such as [text].")
    strings = tuple(texts)
    for text in strings:
        if not isinstance(text, str):
            raise UsageError(f"`texts` contains {type(text).__name__}: expected strings.")
    for name in ("encoding", "decode_errors"):
        if name in options_set(options):
            raise UsageError(f"`{name}` can't be combined with `texts`, which are decoded already.")
    if not any(strings):
        raise UsageError("`texts` is empty.")
    return (STRINGS,), strings


class BarObserver(Observer):
    """Shows a progress bar in a notebook or a terminal, and warns about overfitting."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._losses = {"loss": math.nan}
        self._train: TrainConfig | None = None

    def on_plan(self, run: Run) -> None:
        """Issue warnings about the text, and record what can be suggested later."""
        self._train = run.config.train
        warn_of_notes(run.prepared.notes)

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:  # noqa: ARG002
        """Show the bar. It counts steps, or percent if the budget is in minutes."""
        if not (_in_notebook() or (sys.stderr is not None and sys.stderr.isatty())):
            return
        from tqdm.auto import tqdm

        if steps is None:
            form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=100, bar_format=form)
        else:
            self._bar = tqdm(total=steps, initial=step)
        self._by_time = steps is None

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:  # noqa: ARG002
        """Move the bar."""
        if self._bar is not None:
            self._losses["loss"] = loss
            self._bar.set_postfix(self._losses, refresh=False)
            self._bar.update((min(100.0, 100 * done) if self._by_time else step) - self._bar.n)

    def on_evaluation(self, figures: Figures, is_best: bool, weights: Any) -> None:  # noqa: ARG002
        """Show the validation loss next to the bar."""
        if self._bar is not None and figures.valid_loss is not None:
            self._losses["valid"] = figures.valid_loss
            self._bar.set_postfix(self._losses)

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Issue a Python warning, because the user should act on it."""
        advice = after_overfitting(self._train) if self._train else ""
        warn(
            f"the model is overfitting: {describe_overfitting(best, now)}. {advice} The best "
            "weights are saved."
        )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def _in_notebook() -> bool:
    """Return whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _Watcher(Observer):
    """Forwards every call to an observer, and stops the run on Ctrl-C."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._has_started = self._is_interrupted = False

    @contextlib.contextmanager
    def interrupts_caught(self) -> Iterator[None]:
        """Stop the run on Ctrl-C. Do nothing outside the main thread or if SIGINT is ignored."""
        before = signal.getsignal(signal.SIGINT)
        in_main = threading.current_thread() is threading.main_thread()
        if not in_main or before in (signal.SIG_IGN, None):
            yield
            return
        signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._is_interrupted or not self._has_started:
            raise KeyboardInterrupt
        self._is_interrupted = True

    @contextlib.contextmanager
    def _interrupt_noted(self) -> Iterator[None]:
        """Treat the first interrupt as a request to stop even if an observer raises it."""
        try:
            yield
        except KeyboardInterrupt:
            if self._is_interrupted:
                raise
            self._is_interrupted = True

    def close(self) -> None:
        """Close the observer if it has a ``close`` method."""
        close = getattr(self._observer, "close", None)
        if close is not None:
            close()

    def on_reading(self, task: str, done: int, total: int | None) -> None:
        """Forward the call."""
        self._observer.on_reading(task, done, total)

    def on_plan(self, run: Run) -> None:
        """Forward the call."""
        self._observer.on_plan(run)

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:
        """Forward the call. From here on there is something to save."""
        self._has_started = True
        self._observer.on_start(hardware, step, steps)

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:
        """Forward the call."""
        with self._interrupt_noted():
            self._observer.on_step(step, done, loss, tokens_per_second)

    def on_evaluation(self, figures: Figures, is_best: bool, weights: Any) -> None:
        """Forward the call."""
        with self._interrupt_noted():
            self._observer.on_evaluation(figures, is_best, weights)

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Forward the call."""
        with self._interrupt_noted():
            self._observer.on_overfitting(best, now)

    def should_stop(self) -> bool:
        """Return whether Ctrl-C or the observer asks to stop."""
        return self._is_interrupted or self._observer.should_stop()
