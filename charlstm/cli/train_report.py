"""Prints the plan, progress bar, evaluations, samples, warnings and result of a training run.

The result goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from charlstm.cli.argument_names import as_typed
from charlstm.cli.descriptions import (
    describe_evaluation,
    describe_hardware,
    describe_plan,
    describe_steps_taken,
)
from charlstm.cli.output import note, note_all, write_json, write_path
from charlstm.cli.progress_bar import Clock, ReadingBars, Ticker, on_terminal, open_bar
from charlstm.cli.samples import separator_of
from charlstm.cli.train_notes import (
    note_advice,
    note_division,
    note_hazard,
    warn_memory,
    warn_outcome,
    warn_unknown,
)
from charlstm.errors import StorageError
from charlstm.training.advice import after_overfitting, describe_overfitting
from charlstm.training.observer import Hardware, Observer, TrainingResult

if TYPE_CHECKING:
    from charlstm.arrays import Weights
    from charlstm.checkpoint.schema import Figures
    from charlstm.cli.signals import Signals
    from charlstm.distributed.workers import Workers
    from charlstm.training.setup import Run

SAMPLE_TOKENS = {"char": 240, "subword": 100, "word": 60}
SAMPLED_LINES = 3


class TrainReport(Observer):
    """Prints the progress of a run, and stops it after a signal.

    Args:
        signals: the signals received.
        quiet: print nothing but the result.
        as_json: print the result as JSON instead of the checkpoint's path.
    """

    def __init__(self, signals: Signals, *, quiet: bool, as_json: bool) -> None:
        self.signals = signals
        self.quiet, self.as_json = quiet, as_json
        self._stops = False
        self.bar: Any = None
        self.reading = ReadingBars(shown=not quiet)
        self._clock: Clock | Ticker | None = None  # runs until the first step is taken
        self.evaluations = 0

    def close(self) -> None:
        """Close the progress bars."""
        self.reading.close()
        self._stop_clock()
        if self.bar is not None:
            self.bar.close()

    def should_stop(self) -> bool:
        """Whether the run should stop because of a signal."""
        if self.signals.number and not self._stops:
            self._stops = True
            self._say("Saving. Press Ctrl-C again to stop at once.")
        return self._stops

    def on_reading(self, task: str, done: int, total: int | None) -> None:
        """Advance the progress bar of a pass over the text."""
        self.reading.tell(task, done, total)

    def on_plan(self, run: Run) -> None:
        """Print the plan, notes, and warnings about unknown characters and too little memory."""
        self.run = run
        self.reading.close()
        if self.quiet:
            return
        note_all(run.prepared.notes)
        note(describe_plan(run))
        note_division(run)
        note_hazard(run)
        note_advice(run)
        warn_unknown(run)
        warn_memory(run)
        self._clock = Clock("starting")

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.close()
            self._clock = None

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:
        """Print what training runs on, and start the progress bar."""
        self.signals.defer()
        self._stop_clock()
        where = describe_hardware(hardware)
        self._say(f"training on {where}" + (f", from step {step:,}" if step else ""))
        if self.quiet or not on_terminal():
            return
        if steps is None:
            # A budget in minutes has no last step, so the bar shows percent of the time.
            form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self.bar = open_bar(total=100, bar_format=form)
        else:
            train = self.run.config.train
            scale = train.streams * train.sequence_length
            self.bar = open_bar(total=steps, initial=step, unit="tok", unit_scale=scale)
        self._by_time = steps is None
        # The first step compiles, which takes seconds.
        self.bar.set_postfix_str("compiling")
        self._clock = Ticker(self.bar.refresh)

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:
        """Advance the progress bar."""
        if self.bar is None:
            return
        self._stop_clock()
        from charlstm.metrics import bits_per_character

        store, statistics = self.run.prepared.store, self.run.prepared.statistics
        tokens, characters = store.valid_tokens, statistics.valid_characters
        if not self.run.config.corpus.validates:
            tokens, characters = store.train_tokens, statistics.train_characters
        bits = bits_per_character(loss * tokens, max(1, characters))
        text = f"loss {loss:.3f}, {bits:.3f} bits/char"
        if self._by_time:
            self.bar.set_postfix_str(f"{text}, {tokens_per_second:,.0f} tok/s", refresh=False)
            self.bar.update(min(100.0, 100 * done) - self.bar.n)
        else:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(step - self.bar.n)

    def on_evaluation(
        self, figures: Figures, is_best: bool, weights: Callable[[], Weights]
    ) -> None:
        """Print the figures of an evaluation, and a sample every ``sample_every`` evaluations."""
        self._say(describe_evaluation(figures, is_best, self.run.config.tokenizer.level))
        if not figures.step:  # a sample from before training says nothing about the text
            return
        self.evaluations += 1
        every = self.run.config.train.sample_every
        if not self.quiet and every and (self.evaluations - 1) % every == 0:
            self._say(self._sample(weights()))

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Warn of overfitting."""
        moved = describe_overfitting(best, now)
        remedy = as_typed(after_overfitting(self.run.config.train))
        self._say(
            f"Warning: the model is overfitting. {moved[:1].upper()}{moved[1:]}. The best weights "
            f"are kept. {remedy}"
        )

    # The end

    def show_plan(self, run: Run) -> None:
        """Print the plan of a dry run as JSON, if the output is JSON."""
        self._stop_clock()
        if self.as_json:
            write_json(_planned(run))

    def show_result(self, run: Run, result: TrainingResult, workers: Workers) -> None:
        """Print notes and warnings, then the checkpoint's path or the result as JSON."""
        interrupted = result.stop_reason == "interrupted"
        if not self.quiet:
            warn_outcome(run, result)
        if interrupted:
            self._say(f"Interrupted and saved. Continue with: charlstm train --resume {run.folder}")
        elif run.config.train.minutes is not None:
            self._say(describe_steps_taken(run, result.step))
        # After a closed terminal no output is possible, but the exit status must not change.
        closed = (OSError, StorageError) if interrupted else ()
        with contextlib.suppress(*closed):
            if self.as_json:
                write_json(_summary(run, result))
            else:
                write_path(run.folder)
        if workers.missed:
            self._say(
                f"Note: {workers.missed} ended before it reported that it was done. The result "
                f"does not depend on it."
            )
        self._say_who_stopped(result, workers)

    def _say_who_stopped(self, result: TrainingResult, workers: Workers) -> None:
        if result.stop_reason == "interrupted" and workers.count > 1:
            asked = "This worker" if self.signals.number else "Another worker"
            self._say(f"{asked} was asked to stop. The chief has saved.")

    def _sample(self, weights: Weights) -> str:
        from charlstm.config import SampleConfig
        from charlstm.engine.inference import build_engine
        from charlstm.generation.decoder import generate

        config, tokenizer = self.run.config, self.run.prepared.tokenizer
        division = config.corpus.division
        engine = build_engine(config.model, weights)
        samples = generate(
            engine,
            tokenizer,
            [""] * (SAMPLED_LINES if division.within_files else 1),
            SampleConfig(length=SAMPLE_TOKENS[config.tokenizer.level]),
            seed=config.train.seed,
            ends=config.provenance.ends,
        )
        between = separator_of(division).splitlines()
        lines: list[str] = []
        for sample in samples:
            lines += [*(between if lines else ()), *sample.text.splitlines()]
        return "\n".join(f"    | {line}" for line in lines)

    def _say(self, text: str) -> None:
        if self.quiet:
            return
        if self.bar is None:
            note(text)
            return
        with self.bar.get_lock():  # so that the clock doesn't write in between
            self.bar.clear()
            note(text)
            self.bar.refresh()


class OtherReport(TrainReport):
    """The report of a worker other than the chief, which leaves printing to the chief."""

    def on_reading(self, task: str, done: int, total: int | None) -> None:
        """Print nothing."""

    def on_plan(self, run: Run) -> None:
        """Print nothing."""

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:
        """Print nothing, but from here on remember a signal, so that the run saves and stops."""
        self.signals.defer()

    def on_evaluation(
        self, figures: Figures, is_best: bool, weights: Callable[[], Weights]
    ) -> None:
        """Print nothing."""

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Print nothing."""

    def should_stop(self) -> bool:
        """Whether this worker should stop because of a signal."""
        return self.signals.number != 0

    def show_plan(self, run: Run) -> None:
        """Print nothing."""

    def show_result(self, run: Run, result: TrainingResult, workers: Workers) -> None:
        """Print only which worker was asked to stop."""
        self._say_who_stopped(result, workers)


def _planned(run: Run) -> dict[str, Any]:
    return {
        "checkpoint": str(run.folder),
        "size": run.plan.size,
        "parameters": run.config.model.parameters,
        "steps": run.plan.steps,
        "train_tokens": run.prepared.store.train_tokens,
        "valid_tokens": run.prepared.store.valid_tokens,
        "validated_tokens": _validated_tokens(run),
        "minutes": run.plan.minutes,
        "memory_mb": run.plan.memory / 1e6,
        "model": run.config.model,
        "train": run.config.train,
    }


def _validated_tokens(run: Run) -> int:
    """Return how many tokens evaluations use."""
    return run.config.train.tokens_validated(run.prepared.store.valid_tokens)


def _summary(run: Run, result: TrainingResult) -> dict[str, Any]:
    import resource

    return {
        "checkpoint": str(run.folder),
        "seed": run.config.train.seed,
        "parameters": run.config.model.parameters,
        "steps": result.step,
        "epochs": result.epochs,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "tokens_per_second": result.tokens_per_second,
        "train_loss": result.best.train_loss,
        "validated_tokens": _validated_tokens(run),
        "valid_loss": result.best.valid_loss,
        "valid_bits_per_character": result.best.valid_bits_per_character,
        "valid_perplexity": result.best.valid_perplexity,
        "valid_word_perplexity": result.best.valid_word_perplexity,
        "backward_train_loss": result.best.backward_train_loss,
        "backward_valid_loss": result.best.backward_valid_loss,
        "best_step": result.best.step,
        "stop_reason": result.stop_reason,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
