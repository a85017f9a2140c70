"""What a person sees of a training run: plan, progress bar, evaluations, samples, warnings.

All of it goes to stderr.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from charlstm.cli.common import dropout_of
from charlstm.cli.output import note

if TYPE_CHECKING:
    from charlstm.checkpoint import Figures, Weights
    from charlstm.cli.signals import Signals
    from charlstm.run import Run

SAMPLE_TOKENS = {"char": 240, "word": 60}
SAMPLED_LINES = 3


def describe_plan(run: Run) -> str:
    """Return the plan line: size, parameters, steps and expected minutes."""
    from charlstm.plan import SIZES

    plan, train = run.plan, run.config.train
    model = run.config.model
    if train.minutes is not None:
        length = f"{train.minutes:g} min, about {plan.steps:,} steps"
    else:
        length = f"{plan.steps:,} steps ({plan.steps / plan.steps_per_epoch:.1f} epochs)"
    size = f"{plan.size}, " if plan.size in SIZES else ""
    batch = f"{train.streams} x {train.sequence_length} tokens"
    expected = "" if train.minutes is not None else f", about {_minutes(plan.minutes)}"
    return (
        f"{run.folder}: {size}{model.layers} x {model.units} LSTM, "
        f"{model.parameters:,} parameters; {length} of {batch}{expected}; "
        f"{run.prepared.store.train_tokens:,} tokens to train and "
        f"{run.prepared.store.valid_tokens:,} to validate, {model.vocab_size:,} symbols; "
        f"dropout {dropout_of(train)}, seed {train.seed}"
    )


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{max(1, round(60 * minutes))} s"
    return f"{minutes:.1f} minutes" if minutes < 10 else f"{minutes:,.0f} minutes"


def perplexity(value: float | None) -> str:
    """Return a perplexity for people; an infinite one is read from a file as null."""
    if value is None or math.isinf(value):
        return "infinite"
    return f"{value:,.1f}" if value < 1e6 else f"{value:.1e}"


class Watcher:
    """Shows a run on stderr and tells it to stop when a signal asks for it.

    Args:
        run: what is watched.
        signals: what may ask it to stop.
        quiet: show warnings only.
        silent: show nothing, because another worker does.
    """

    def __init__(self, run: Run, signals: Signals, *, quiet: bool, silent: bool = False) -> None:
        self.silent = silent
        self.run = run
        self.signals = signals
        self.quiet = quiet
        self._stops = False
        self.bar: Any = None
        self.evaluations = 0
        origin = run.config.provenance
        self._tokens_per_character = origin.valid_tokens / max(1, origin.valid_characters)
        self._tokens_per_step = run.config.train.streams * run.config.train.sequence_length

    def close(self) -> None:
        """End the progress bar."""
        if self.bar is not None:
            self.bar.close()

    def should_stop(self) -> bool:
        """Whether a signal has asked the run to stop."""
        if self.signals.number and not self._stops:
            self._stops = True
            self._say("Saving; Ctrl-C to stop at once.")
        return self._stops

    def on_start(self, path: str, step: int, steps: int | None) -> None:
        """Say what training runs on, and begin the progress bar."""
        self.signals.defer()
        self._say(f"training on {path}" + (f", from step {step:,}" if step else ""))
        if self.quiet or not sys.stderr.isatty():
            return
        from tqdm import tqdm

        if steps is None:
            # A budget in minutes has no last step: the bar shows its hundredths instead.
            self.bar = tqdm(
                total=100, bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            )
        else:
            scale = self._tokens_per_step
            self.bar = tqdm(
                total=steps, initial=step, dynamic_ncols=True, unit="tok", unit_scale=scale
            )
        self._by_time = steps is None

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:
        """Move the progress bar."""
        if self.bar is None:
            return
        from charlstm.metrics import bits_per_character

        bits = bits_per_character(loss * self._tokens_per_character, 1)
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
        """Print the figures, and now and then a sample."""
        self.evaluations += 1
        train = "" if figures.train_loss is None else f"train {figures.train_loss:.4f}  "
        words = ""
        if self.run.config.tokenizer.level == "word":
            words = f"  perplexity {perplexity(figures.valid_perplexity)} per token, "
            words += f"{perplexity(figures.valid_word_perplexity)} per word"
        self._say(
            f"step {figures.step:>6,}  epoch {figures.epoch:6.2f}  {train}"
            f"valid {figures.valid_loss:.4f} nats  {figures.valid_bits_per_character:.4f} bits/char"
            f"{words}  {figures.seconds:,.0f} s{'  best' if is_best else ''}"
        )
        every = self.run.config.train.sample_every
        if not self.quiet and every and self.evaluations % every == 0:
            self._say(self._sample(weights()))

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Warn, whether quiet or not: it is what a person should act on."""
        self._say(
            f"Warning: the model is overfitting: since step {best.step:,} training loss fell from "
            f"{best.train_loss:.3f} to {now.train_loss:.3f} while validation loss rose from "
            f"{best.valid_loss:.3f} to {now.valid_loss:.3f}; the best weights are kept; try more "
            f"text, a higher --dropout or a smaller --size",
            always=True,
        )

    def _sample(self, weights: Weights) -> str:
        from charlstm.config import SampleConfig
        from charlstm.engine import build_engine
        from charlstm.generation import generate

        config, tokenizer = self.run.config, self.run.prepared.tokenizer
        engine = build_engine(config.model, weights)
        drawn = generate(
            engine,
            tokenizer,
            [""] * (SAMPLED_LINES if config.corpus.lines else 1),
            SampleConfig(length=SAMPLE_TOKENS[config.tokenizer.level]),
            seed=config.train.seed,
        )
        lines = [line for sample in drawn for line in sample.text.splitlines()]
        return "\n".join(f"    | {line}" for line in lines)

    def _say(self, text: str, *, always: bool = False) -> None:
        if self.silent or (self.quiet and not always):
            return
        if self.bar is not None:
            self.bar.clear()
        note(text)
        if self.bar is not None:
            self.bar.refresh()
