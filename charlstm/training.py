"""The training loop: steps, schedule, validation, early stopping, saving and going on.

Everything random is derived from the seed and the step number, and everything else that a run
depends on is in its resume file, so a run that was stopped ends as one that was not. This module
knows the model and the checkpoint; it does not know texts or terminals: whoever calls it watches
through an ``Observer``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm import checkpoint
from charlstm.backend import keras, tf
from charlstm.checkpoint import Figures, Progress, RunConfig, Weights
from charlstm.config import CorpusConfig
from charlstm.dataset import Streams, TokenStore
from charlstm.distribution import Crew
from charlstm.errors import StorageError, TrainingError
from charlstm.files import identity
from charlstm.metrics import bits_per_character, perplexity
from charlstm.model import set_weights, weight_name, weights_of
from charlstm.optimization import Steps, describe_path, dropout_rate, learning_rate
from charlstm.plan import EVALUATIONS

StopReason = Literal["budget", "early stopping", "interrupted"]

# A run with a budget in minutes evaluates so often, unless that takes more than this share of it.
EVALUATION_SHARE = 0.05

# How many times faster than training an evaluation is taken to be until one has been measured.
EVALUATION_SPEED = 2.0

# From how many nats above the best validation loss a run is said to overfit: seeds differ by less.
OVERFITTING_MARGIN = 0.01

# How often a run saves, in seconds, unless saves would take more than this share of it.
SAVE_SECONDS = 60.0
SAVE_SHARE = 0.02

# A loss so many times that of a uniform guess tells that the weights have exploded.
EXPLODED = 10.0


class Observer(Protocol):
    """Whoever watches a run."""

    def on_start(self, path: str, step: int, steps: int | None) -> None:
        """Training begins or goes on at ``step``; ``steps`` is the end if it is known.

        ``path`` says what training runs on.
        """

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:
        """A step is done; ``done`` is the share of the budget that is used."""

    def on_evaluation(
        self, figures: Figures, is_best: bool, weights: Callable[[], Weights]
    ) -> None:
        """An evaluation is done; ``weights()`` returns the present weights."""

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Validation loss rises while training loss falls; called once a run."""

    def should_stop(self) -> bool:
        """Whether to save and stop now; asked between steps and within evaluations."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; ``best`` is what the checkpoint keeps.

    ``tokens_per_second`` counts the time of training steps only.
    """

    step: int
    epochs: float
    tokens: int
    seconds: float
    tokens_per_second: float
    best: Figures
    stop_reason: StopReason


@dataclass(frozen=True)
class TextLengths:
    """The validation text in numbers, for figures that compare across tokenizers."""

    tokens: int
    characters: int
    words: int


class Trainer:
    """One run: carries the states, watches the budget, evaluates and saves.

    Args:
        folder: the checkpoint; it must be there when the run starts or resumes.
        config: its content.
        store: the ids to train and validate on.
        lengths: the validation text in numbers.
        rates: how often each id is replaced by the unknown symbol, float64 [vocab_size].
        observer: whoever watches.
        began: ``time.monotonic()`` of the command's start, on the chief's machine, which minutes
            count from.
        crew: the devices that train; all processes go through the same steps, the chief writes.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        store: TokenStore,
        lengths: TextLengths,
        rates: NDArray[np.float64],
        observer: Observer,
        *,
        began: float,
        crew: Crew | None = None,
    ) -> None:
        self.crew = crew or Crew()
        self.folder, self.config, self.observer = folder, config, observer
        self.settings = config.train
        self.valid, self.lengths = store.valid, lengths
        self.streams = Streams(
            store.train,
            self.settings.streams,
            self.settings.sequence_length,
            self.settings.seed,
            rates,
        )
        self.steps = Steps(config.model, self.settings, self.crew)
        self.states = self.steps.zero_states()
        self.progress = Progress(step=0, seconds=0.0, evaluated=0)
        self.history: list[Figures] = []
        self.began = began
        self.hashes: dict[str, str] = {}
        self.identity: tuple[int, int] | None = None
        self.saved_at = self.crew.now()
        self.save_seconds = 0.0
        self.evaluated_at = 0.0
        self.step_seconds = 0.0
        self.steps_taken = 0
        self.compiled = False
        self.warned = False

    # Beginning

    def start(self, weights: Weights | None = None, corpus: CorpusConfig | None = None) -> None:
        """Begin at step 0, from the given weights or from new ones.

        Args:
            weights: to begin with.
            corpus: where the text is found again by whoever resumes the run.
        """
        self.progress = self._advanced(corpus=corpus)
        if weights is not None:
            set_weights(self.steps.model, weights)
        if self.crew.is_chief:
            self.hashes = checkpoint.read_hashes(self.folder)
            self.identity = identity(self.folder)
        self.save()

    def resume(self) -> None:
        """Go on from the checkpoint's resume file.

        Raises:
            CheckpointError: if there is nothing to resume or it can't be read.
        """
        variables = self._resumable()
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        states = self._named_states()
        shapes |= {name: tuple(state.shape) for name, state in states.items()}
        self.hashes = checkpoint.read_hashes(self.folder)
        self.identity = identity(self.folder)
        tensors, self.progress = checkpoint.read_resume(self.folder, shapes)
        for name, variable in variables.items():
            variable.assign(tensors[name])
        self.steps.optimizer.iterations.assign(self.progress.step)
        flat = [tf.constant(tensors[name]) for name in states]
        self.states = self.steps.own_states(list(zip(flat[::2], flat[1::2], strict=True)))
        # What a killed process wrote of an evaluation that this file doesn't know is made again.
        evaluated = self.progress.evaluated
        until = self.progress.step if evaluated is None else evaluated
        known = checkpoint.read_history(self.folder)
        self.history = [figures for figures in known if figures.step <= until]
        checkpoint.remove_leftovers(self.folder)
        if self.progress.best is not None:
            if (self.folder / checkpoint.MODEL).exists():
                self._adopt(checkpoint.read_checkpoint(self.folder).figures)
            else:  # somebody has removed the best weights: the next ones are the best there are
                self.progress = self._advanced(best=None)
        self.began -= self.progress.seconds

    def _adopt(self, kept: Figures) -> None:
        """Take over the figures of the weights that are kept, where they won't be found again.

        A run that was killed between keeping better weights and saving repeats those steps. In
        minutes they need not come out as they did.
        """
        if self.settings.minutes is not None:
            self.progress = self._advanced(best=kept)

    def _resumable(self) -> dict[str, keras.Variable]:
        model = {f"weights/{weight_name(v)}": v for v in self.steps.model.trainable_variables}
        slots = self.steps.optimizer.variables
        # The first two are the iteration count and the learning rate, which follow from the step.
        return model | {f"optimizer/{n}": v for n, v in enumerate(slots[2:])}

    def _named_states(self) -> dict[str, tf.Tensor]:
        return {
            f"states/{kind}_{layer}": state
            for layer, pair in enumerate(self.steps.whole_states(self.states))
            for kind, state in zip("hc", pair, strict=True)
        }

    # The loop

    def run(self) -> Outcome:
        """Train until the budget is used, validation stops improving or the observer says stop.

        Raises:
            TrainingError: if the loss is no longer finite.
            StorageError: if a save fails.
        """
        try:
            return self._run()
        except StorageError as error:
            self._own_folder()
            raise StorageError(
                f"{error}, then go on with charlstm train --resume {self.folder}"
            ) from error

    def _own_folder(self) -> Path:
        """Return the folder, if it is still the one that the run began in and has locked.

        Raises:
            StorageError: if it is not there, or another one is in its place.
        """
        if identity(self.folder) != self.identity:
            raise StorageError(
                f"{self.folder} was moved or removed while the run went on: if you moved it, "
                f"go on with charlstm train --resume and its new place, otherwise train again"
            )
        return self.folder

    def _run(self) -> Outcome:
        self.evaluated_at = self.elapsed()
        path = describe_path(self.settings, self.crew)
        self.observer.on_start(path, self.progress.step, self.last_step)
        if self.progress.step and self._evaluation_due():
            self.evaluate()  # which the run was stopped before or in
        while (reason := self._reason_to_stop()) is None:
            loss = self._step()
            self.observer.on_step(self.progress.step, self.done(), loss, self._speed())
            if self._save_due():
                self.save()
            if self._evaluation_due():
                self.evaluate()
        return self._end(reason)

    @property
    def last_step(self) -> int | None:
        """The step the budget ends at; ``None`` if it is in minutes."""
        if self.settings.steps is not None:
            return self.settings.steps
        if self.settings.epochs is not None:
            return max(1, round(self.settings.epochs * self.streams.steps_per_epoch))
        return None

    def elapsed(self) -> float:
        """Return the seconds since the command began, over all its resumptions."""
        return self.crew.now() - self.began

    def done(self) -> float:
        """Return the share of the budget that is used, 0 to 1.

        Of minutes, those before the first step don't count: nothing was learned in them. The share
        never falls, even if the evaluation at the end is expected to be shorter than before.
        """
        if self.settings.minutes is None:
            return self.progress.step / (self.last_step or 1)
        now, begin = self.elapsed(), self.progress.first_step_at
        end = 60 * self.settings.minutes - self._evaluation_seconds()
        used = (now - begin) / (end - begin) if now < end else 1.0
        return max(self.progress.done, used)

    def _evaluation_seconds(self) -> float:
        """Return how long an evaluation takes: as the last one did, else by the steps' speed.

        Until a step has been timed that did not compile, nothing is known, and 0 is returned.
        """
        if self.progress.evaluation_seconds or not self.compiled:
            return self.progress.evaluation_seconds
        return self.lengths.tokens / (EVALUATION_SPEED * self._speed())

    def _reason_to_stop(self) -> StopReason | None:
        if self.done() >= 1 and self.progress.step:
            return "budget"
        if self.progress.waited >= self.settings.patience:
            return "early stopping"
        return "interrupted" if self._should_stop() else None

    def _should_stop(self) -> bool:
        return self.crew.asked(self.observer.should_stop())

    def _step(self) -> float:
        begin = self.crew.now()
        step = self.progress.step
        batch = self.streams.batch(step)
        if batch.first_of_epoch:
            self.states = self.steps.zero_states()
        done = self.done()
        rate = learning_rate(self.settings, step, done)
        dropout = dropout_rate(self.settings, step / self.streams.steps_per_epoch)
        loss, self.states = self.steps.train(batch, self.states, step, rate, dropout)
        self._check_loss("training", loss, step + 1)
        if not self.compiled:
            self.crew.meet()  # steps tell the time they began at; these took long
        self.progress = self._advanced(
            step=step + 1,
            done=done,
            learning_rate=rate,
            train_loss_sum=self.progress.train_loss_sum + loss,
            train_loss_steps=self.progress.train_loss_steps + 1,
            first_step_at=self.progress.first_step_at if step else self.elapsed(),
        )
        self._count(self.crew.now() - begin)
        return loss

    def _count(self, seconds: float) -> None:
        if self.steps_taken == 1 and not self.compiled:
            self.compiled = True  # the first step, which compiled, tells nothing about the others
            self.step_seconds, self.steps_taken = 0.0, 0
        self.step_seconds += seconds
        self.steps_taken += 1

    def _speed(self) -> float:
        return self.steps_taken * self.streams.tokens_per_step / max(self.step_seconds, 1e-9)

    def _advanced(self, **changes: Any) -> Progress:
        return msgspec.structs.replace(self.progress, **changes)

    # Evaluating and saving

    def _evaluation_due(self) -> bool:
        if self._is_evaluated():
            return False
        if self.settings.eval_every is not None:
            return self.progress.step % self.settings.eval_every == 0
        budget, seconds = 60 * (self.settings.minutes or 0.0), self._evaluation_seconds()
        wait = max(budget / EVALUATIONS, seconds / EVALUATION_SHARE)
        # The evaluation at the end comes anyway, and one before must leave time for it.
        fits = self.compiled and self.elapsed() + 3 * seconds < budget
        return fits and self.elapsed() - self.evaluated_at >= wait

    def _is_evaluated(self) -> bool:
        """Whether the present weights have been."""
        return bool(self.history) and self.history[-1].step == self.progress.step

    def evaluate(self) -> None:
        """Measure the validation loss, keep the weights if they are the best, save.

        If the observer wants to stop meanwhile, nothing has happened.

        Raises:
            TrainingError: if the loss is not finite or has exploded.
            StorageError: if a file can't be written.
        """
        self.crew.meet()
        begin = self.elapsed()
        loss = self.steps.validate(self.valid, self._should_stop)
        if loss is None:
            return
        self.crew.meet()
        self.evaluated_at = self.elapsed()
        self._check_loss("validation", loss, self.progress.step)
        figures = self._figures(loss)
        best = self.progress.best
        is_best = best is None or loss < (best.valid_loss or math.inf)
        self.progress = self._advanced(
            best=figures if is_best else best,
            waited=0 if is_best else self.progress.waited + 1,
            train_loss_sum=0.0,
            train_loss_steps=0,
            evaluated=figures.step,
            evaluation_seconds=self.evaluated_at - begin,
        )
        self.history.append(figures)
        if is_best:
            self._keep(figures)
        if self.crew.is_chief:
            checkpoint.write_history(self._own_folder(), self.history)
        self.save()
        self.observer.on_evaluation(figures, is_best, lambda: weights_of(self.steps.model))
        self._watch_overfitting(figures)

    def _figures(self, valid_loss: float | None) -> Figures:
        progress, lengths = self.progress, self.lengths
        steps = progress.train_loss_steps
        figures = Figures(
            step=progress.step,
            epoch=progress.step / self.streams.steps_per_epoch,
            tokens=progress.step * self.streams.tokens_per_step,
            seconds=self.elapsed(),
            learning_rate=progress.learning_rate,
            train_loss=progress.train_loss_sum / steps if steps else None,
        )
        if valid_loss is None:
            return figures
        nats = valid_loss * lengths.tokens
        return msgspec.structs.replace(
            figures,
            valid_loss=valid_loss,
            valid_bits_per_character=bits_per_character(nats, max(1, lengths.characters)),
            valid_perplexity=perplexity(valid_loss),
            valid_word_perplexity=perplexity(nats, max(1, lengths.words)),
        )

    def _watch_overfitting(self, now: Figures) -> None:
        best = self.progress.best
        if self.warned or best is None or self.progress.waited < 2:
            return
        before, after = best.train_loss or 0.0, now.train_loss or math.inf
        loss, lowest = now.valid_loss or 0.0, best.valid_loss or math.inf
        # Early in a run, or under much dropout, training loss is above validation loss.
        if after < min(before, loss) and loss > lowest + OVERFITTING_MARGIN:
            self.warned = True
            self.observer.on_overfitting(best, now)

    def _save_due(self) -> bool:
        longest = max(SAVE_SECONDS, self.save_seconds / SAVE_SHARE)
        return self.crew.now() - self.saved_at > (self.settings.save_every or longest)

    def _keep(self, figures: Figures) -> None:
        """Let the present weights be those that the checkpoint is used with."""
        weights = weights_of(self.steps.model)
        self._check_finite(weights)
        if self.crew.is_chief:
            checkpoint.write_model(self._own_folder(), weights, figures, self.hashes)

    def save(self) -> None:
        """Write the resume file: all that is needed to go on from this step.

        Raises:
            TrainingError: if a number is not finite; the file is then as it was.
            StorageError: if it can't be written.
        """
        self.crew.meet()
        begin = self.crew.now()
        tensors = {name: v.numpy() for name, v in self._resumable().items()}
        tensors |= {name: state.numpy() for name, state in self._named_states().items()}
        self._check_finite(tensors)
        self.progress = self._advanced(seconds=self.elapsed())
        if self.crew.is_chief:
            checkpoint.write_resume(self._own_folder(), tensors, self.progress, self.hashes)
        self.crew.meet()
        self.saved_at = self.crew.now()
        self.save_seconds = self.saved_at - begin

    def _end(self, reason: StopReason) -> Outcome:
        if reason == "interrupted":
            self.save()
            if self.progress.best is None:
                # So that what was learned can be used, and the folder is a checkpoint like any.
                self._keep(self._figures(None))
        else:
            if not self._is_evaluated():
                self.evaluate()
            if not self._is_evaluated():
                return self._end("interrupted")
            if self.crew.is_chief:
                checkpoint.finish(self._own_folder())
        best = self.progress.best or self._figures(None)
        return Outcome(
            step=self.progress.step,
            epochs=self.progress.step / self.streams.steps_per_epoch,
            tokens=self.progress.step * self.streams.tokens_per_step,
            seconds=self.elapsed(),
            tokens_per_second=self._speed(),
            best=best,
            stop_reason=reason,
        )

    def _check_loss(self, which: str, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise self._diverged(f"the {which} loss is not finite at step {step}")
        guess = math.log(self.config.model.vocab_size)
        if loss > EXPLODED * guess:
            raise self._diverged(
                f"the {which} loss has exploded to {loss:.3g} nats at step {step}, where a "
                f"uniform guess has {guess:.3g}"
            )

    def _check_finite(self, tensors: Weights) -> None:
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise self._diverged(f"the weights are not finite after step {self.progress.step}")

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what}: the last good state is in {self.folder}; train again into another folder "
            f"with a lower --learning-rate than {self.settings.learning_rate:g}"
        )
