"""The training loop: steps, schedule, validation, early stopping, saving and resuming.

All randomness depends on the seed and the step number, and the resume file contains everything else
that a run depends on. A run that is stopped and resumed therefore ends with the same bits as an
uninterrupted one. The ``Budget`` decides what is due, the ``Writer`` writes files, and the
``Observer`` gets reports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Weights
from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.folder import remove_leftovers
from charlstm.checkpoint.resume import Addresses, Progress, read_resume
from charlstm.checkpoint.schema import BACKWARD, Figures, RunConfig, by_network
from charlstm.checkpoint.writer import NullWriter, Writer
from charlstm.dataset.store import TokenStore
from charlstm.distributed.replicas import ReplicaGroup
from charlstm.errors import StorageError
from charlstm.metrics import bits_per_character, has_words, perplexity
from charlstm.system.hardware import product_type
from charlstm.training.budget import Budget, Workload
from charlstm.training.divergence import DivergenceCheck
from charlstm.training.evaluations import evaluation_cost
from charlstm.training.learner import Learner, learners_of, named
from charlstm.training.observer import Observer, StopReason, TrainingResult
from charlstm.training.outcome import is_overfitting
from charlstm.training.presets import EVALUATION_SPEEDS
from charlstm.training.schedule import dropout_rate, learning_rate
from charlstm.training.step import hardware_of


@dataclass(frozen=True)
class TextLengths:
    """The length of the text that evaluations count, to compare figures across tokenizers."""

    tokens: int
    characters: int
    words: int


class Trainer:
    """One run: takes steps, evaluates and saves.

    Args:
        folder: the checkpoint; it must exist when the run starts or resumes.
        config: network and settings.
        store: ids of the training and the validation text.
        lengths: length of the part of the validation text that evaluations count.
        rates: probability that each id is replaced by the unknown token, float64 [vocab_size].
        ends: positions where a text that is read from its end may begin, for the backward network
            (see ``starts_from_the_end``), int64 [ends]; by default none.
        observer: gets reports and may stop the run.
        began: ``time.monotonic()`` at the start of the command on the chief's machine; minutes
            count from it.
        replicas: the devices that train; all processes take the same steps.

    Attributes:
        learners: the networks in training, by the prefix of their tensors in files: ``""`` for the
            forward network, whose loss decides which weights are best and when to stop early, and
            ``BACKWARD``.
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
        ends: NDArray[np.int64] | None = None,
        replicas: ReplicaGroup | None = None,
    ) -> None:
        self.replicas = replicas or ReplicaGroup()
        self.folder, self.config, self.observer = folder, config, observer
        self.settings = train = config.train
        self.lengths, self.validates = lengths, config.corpus.validates
        self.learners = learners_of(config, store, rates, ends, self.replicas)
        self.streams = self.learners[""].streams
        self.progress = Progress(step=0, seconds=0.0, evaluated=0)
        self.history: list[Figures] = []
        workload = Workload(
            self.streams.tokens_per_step,
            self.streams.steps_per_epoch,
            evaluation_cost(
                store.valid_tokens,
                train.validated,
                EVALUATION_SPEEDS[product_type(train.precision)],
            ),
        )
        self.budget = Budget(train, workload, began=began, now=self.replicas.now)
        self.check = DivergenceCheck(folder, config.model.vocab_size, train.learning_rate)
        self.writer: Writer = NullWriter()
        self._has_warned = False

    # Starting

    def start(
        self, writer: Writer, weights: Weights | None = None, corpus: Addresses | None = None
    ) -> None:
        """Start at step 0 and save.

        Args:
            writer: writes the checkpoint.
            weights: initial weights, named as in the checkpoint (see ``Learner.start``).
            corpus: full addresses of the text, for resuming.
        """
        self._advance(corpus=corpus)
        forward, backward = by_network(weights or {})
        for learner, own in zip(self.learners.values(), (forward, backward), strict=False):
            learner.start(own if weights else None)
        self.writer = writer
        self.save()

    def resume(self, writer: Writer) -> None:
        """Continue from the resume file of the checkpoint.

        Raises:
            CheckpointError: if there is nothing to resume, or it can't be read.
        """
        self.writer = writer
        shapes = named(self.learners, lambda learner: learner.state.shapes())
        tensors, self.progress = read_resume(self.folder, shapes)
        for prefix, learner in self.learners.items():
            own = {name: tensors[prefix + name] for name in learner.state.shapes()}
            learner.state.restore(own, self.progress.step)
        # A process that was killed during an evaluation may have written a part of it: repeat it.
        evaluated = self.progress.evaluated
        until = self.progress.step if evaluated is None else evaluated
        known = reader.read_history(self.folder)
        self.history = [figures for figures in known if figures.step <= until]
        remove_leftovers(self.folder)
        if self.progress.best is not None:
            if (self.folder / schema.MODEL).exists():
                self._adopt(reader.read_checkpoint(self.folder).figures)
            else:  # the best weights were removed: the next evaluation becomes the best
                self._advance(best=None)
        self.budget.resume(self.progress.seconds)

    def _adopt(self, kept: Figures) -> None:
        """Take over the figures of the stored weights if the run can't reproduce them.

        A run that was killed between storing better weights and saving repeats those steps. With a
        budget in minutes, the repeated steps can give other results.
        """
        if self.settings.minutes is not None:
            self._advance(best=kept)

    # The loop

    def run(self) -> TrainingResult:
        """Train until the budget is used, early stopping, or the observer asks to stop.

        Raises:
            TrainingError: if the loss is not finite or has exploded.
            StorageError: if a file can't be written.
        """
        try:
            return self._run()
        except StorageError as error:
            self.writer.check_folder()
            raise StorageError(
                f"{str(error).removesuffix('.')}. Then continue with charlstm train --resume "
                f"{self.folder}."
            ) from error

    def _run(self) -> TrainingResult:
        self.budget.start()
        hardware = hardware_of(self.settings, self.replicas)
        self.observer.on_start(hardware, self.progress.step, self.budget.last_step)
        if self.progress.step and self._evaluation_due():
            self.evaluate()  # the run was stopped before or during this evaluation
        if self._starts_from_parent():
            self.history = []
            self.evaluate()  # so that the best weights are never worse than the parent's
        while (reason := self._reason_to_stop()) is None:
            loss = self._step()
            self.observer.on_step(
                self.progress.step, self._used(), loss, self.budget.tokens_per_second()
            )
            if self.budget.save_due():
                self.save()
            if self._evaluation_due():
                self.evaluate()
        return self._end(reason)

    def _starts_from_parent(self) -> bool:
        is_tuned = self.config.provenance.parent is not None and self.validates
        return is_tuned and self.progress.step == 0 and self.progress.best is None

    def _reason_to_stop(self) -> StopReason | None:
        if self._used() >= 1 and self.progress.step:
            return "budget"
        if self.progress.waited >= self.settings.patience:
            return "early stopping"
        return "interrupted" if self._should_stop() else None

    def _should_stop(self) -> bool:
        return self.replicas.asked(self.observer.should_stop())

    def _used(self) -> float:
        return self.budget.used(self.progress)

    def _step(self) -> float:
        begin = self.budget.now()
        step = self.progress.step
        used = self._used()
        rate = learning_rate(self.settings, step, used)
        dropout = dropout_rate(self.settings, step / self.streams.steps_per_epoch)
        losses = {"": 0.0, BACKWARD: 0.0}
        for prefix, learner in self.learners.items():
            losses[prefix] = learner.step(step, rate, dropout)
            self.check.loss(f"{learner.kind}training", losses[prefix], step + 1)
        if not self.budget.is_compiled:
            self.replicas.sync()  # compiling took long, and the shared clock would be stale
        self._advance(
            step=step + 1,
            done=used,
            learning_rate=rate,
            train_loss_sum=self.progress.train_loss_sum + losses[""],
            train_loss_steps=self.progress.train_loss_steps + 1,
            backward_loss_sum=self.progress.backward_loss_sum + losses[BACKWARD],
            first_step_at=self.progress.first_step_at if step else self.budget.elapsed(),
        )
        self.budget.step_taken(self.budget.now() - begin)
        return losses[""]

    def _advance(self, **changes: Any) -> None:
        self.progress = msgspec.structs.replace(self.progress, **changes)

    # Evaluating and saving

    def _evaluation_due(self) -> bool:
        return not self._is_evaluated() and self.budget.evaluation_due(self.progress)

    def _is_evaluated(self) -> bool:
        """Return whether the current weights have been evaluated."""
        return bool(self.history) and self.history[-1].step == self.progress.step

    def evaluate(self) -> None:
        """Measure the validation loss of the averaged weights, store the best weights, and save.

        The weights of the backward network are stored with the best ones of the forward network.
        Without a validation text, the latest weights are stored. If the observer asks to stop
        during the evaluation, nothing changes.

        Raises:
            TrainingError: if the loss is not finite or has exploded.
            StorageError: if a file can't be written.
        """
        self.replicas.sync()
        begin = self.budget.elapsed()
        losses: dict[str, float] = {}
        if self.validates:
            for prefix, learner in self.learners.items():
                found = learner.validate(self._should_stop)
                if found is None:
                    return
                losses[prefix] = found
        loss, weights = losses.get(""), named(self.learners, Learner.weights)
        self.replicas.sync()
        seconds = self.budget.evaluated(begin, self.progress.evaluation_seconds)
        for prefix, found in losses.items():
            self.check.loss(f"{self.learners[prefix].kind}validation", found, self.progress.step)
        figures = self._figures(loss, losses.get(BACKWARD))
        best = self.progress.best
        is_best = best is None or loss is None or loss < (best.valid_loss or math.inf)
        is_better = is_best or (loss is not None and loss < self._lowest_since_start())
        self._advance(
            best=figures if is_best else best,
            waited=0 if is_better else self.progress.waited + 1,
            train_loss_sum=0.0,
            train_loss_steps=0,
            backward_loss_sum=0.0,
            evaluated=figures.step,
            # An evaluation before the first step also compiles, and no step time can correct it.
            evaluation_seconds=seconds if self.progress.step else 0.0,
        )
        self.history.append(figures)
        if is_best:
            self._store(weights, figures)
        self.writer.history(self.history)
        self.save()
        self.observer.on_evaluation(figures, is_best, lambda: by_network(weights)[0])
        self._check_overfitting(figures)

    def _lowest_since_start(self) -> float:
        """Return the lowest validation loss since training started, without the parent's own.

        The parent's loss is hard to beat before the learning rate has decayed, so early stopping
        doesn't count it.
        """
        losses = (figures.valid_loss for figures in self.history if figures.step)
        return min((loss for loss in losses if loss is not None), default=math.inf)

    def _figures(
        self, valid_loss: float | None = None, backward_loss: float | None = None
    ) -> Figures:
        progress, lengths = self.progress, self.lengths
        steps, has_backward = progress.train_loss_steps, BACKWARD in self.learners
        figures = Figures(
            step=progress.step,
            epoch=progress.step / self.streams.steps_per_epoch,
            tokens=progress.step * self.streams.tokens_per_step,
            seconds=self.budget.elapsed(),
            learning_rate=progress.learning_rate,
            train_loss=progress.train_loss_sum / steps if steps else None,
            backward_train_loss=(
                progress.backward_loss_sum / steps if steps and has_backward else None
            ),
            backward_valid_loss=backward_loss,
        )
        if valid_loss is None:
            return figures
        nats = valid_loss * lengths.tokens
        return msgspec.structs.replace(
            figures,
            valid_loss=valid_loss,
            valid_bits_per_character=bits_per_character(nats, max(1, lengths.characters)),
            valid_perplexity=perplexity(valid_loss),
            valid_word_perplexity=(
                perplexity(nats, lengths.words)
                if has_words(lengths.characters, lengths.words)
                else None
            ),
        )

    def _check_overfitting(self, now: Figures) -> None:
        best = self.progress.best
        if self._has_warned or best is None or self.progress.waited < 2:
            return
        if is_overfitting(self.history, best):
            self._has_warned = True
            self.observer.on_overfitting(best, now)

    def _store(self, weights: Weights, figures: Figures) -> None:
        """Write the weights of all networks to the checkpoint."""
        self.check.tensors(weights, self.progress.step)
        self.writer.model(weights, figures)

    def save(self) -> None:
        """Write the resume file with everything that is needed to continue from this step.

        Raises:
            TrainingError: if a number is not finite; the file is then unchanged.
            StorageError: if the file can't be written.
        """
        self.replicas.sync()
        begin = self.budget.now()
        tensors = named(self.learners, lambda learner: learner.state.tensors())
        self.check.tensors(tensors, self.progress.step)
        self._advance(seconds=self.budget.elapsed())
        self.writer.resume(tensors, self.progress)
        self.replicas.sync()
        self.budget.saved(begin)

    def _end(self, reason: StopReason) -> TrainingResult:
        kept = None
        if reason == "interrupted":
            self.save()
            if self.progress.best is None or not (self.validates or self._is_evaluated()):
                # Store the weights anyway, so that the folder is a usable checkpoint.
                kept = self._figures()
                self._store(named(self.learners, Learner.weights), kept)
        else:
            if not self._is_evaluated():
                self.evaluate()
            if not self._is_evaluated():
                return self._end("interrupted")
            self.writer.finish()
        figures = self._figures()
        return TrainingResult(
            step=figures.step,
            epochs=figures.epoch,
            tokens=figures.tokens,
            seconds=figures.seconds,
            tokens_per_second=self.budget.tokens_per_second(),
            best=kept or self.progress.best or figures,
            stop_reason=reason,
        )
