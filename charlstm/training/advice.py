"""What to try after a run, as sentences for its notes and for ``charlstm info``.

The sentences name arguments in backticks, as errors do.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.checkpoint.names import SHIPPED
from charlstm.checkpoint.schema import Figures, RunConfig
from charlstm.config import TrainConfig
from charlstm.training.plan import default_epochs
from charlstm.training.presets import START_SECONDS

if TYPE_CHECKING:
    from charlstm.tokenizer.base import Tokenizer
    from charlstm.training.outcome import Outcome

# The parent to suggest, and the longest text in characters to suggest it for. From a longer text, a
# new model learns as much.
PARENT, SHORT = "english", 5_000_000

# A run of less than this share of the default epochs is worth repeating for longer.
_ENOUGH_EPOCHS = 0.8
# A training loss below this share of the validation loss shows that the model lacks text.
_LACKS_TEXT = 0.9
_ENGLISH_LETTERS = "etaoinshrdlucmfwypvbgk"


def advise(outcome: Outcome, config: RunConfig, tokenizer: Tokenizer, folder: Path | str) -> str:
    """Return one sentence on what to try with a run, or after it.

    Args:
        outcome: how the run ended.
        config: the configuration of the run.
        tokenizer: its tokenizer.
        folder: the checkpoint, as the sentence names it.
    """
    if outcome.state == "training":
        return f"Wait for it to end, or watch it with charlstm plot {folder}."
    if outcome.can_resume:
        return f"Continue it with charlstm train --resume {folder}."
    if outcome.state == "unfinished":
        return f"Continue from its weights with charlstm train CORPUS --from {folder}."
    best, validates = outcome.best, config.corpus.validates
    loss = None if best is None else best.valid_loss if validates else best.train_loss
    if best is None or loss is None:
        return "Train it longer."
    if has_kept_parent(config, best.step):
        return after_kept_parent(config)
    if has_learned_little(config, loss):
        return after_little_learned(config.train)
    if not validates:
        return "Hold out a validation text with `valid` or `valid_fraction` to see if it overfits."
    may_know = _may_know_english(config, tokenizer)
    if outcome.overfits:
        return after_overfitting(config.train, may_know_english=may_know)
    if lacks_text(best):
        parent = f"`from_checkpoint` {PARENT} if the text is English, or " if may_know else ""
        return f"Try {parent}more text: it predicts its training text better than new text."
    return _longer(outcome, config, may_know_english=may_know) or (
        "Try a larger `size` with more `minutes`: it predicts new text about as well as its "
        "training text."
    )


def has_kept_parent(config: RunConfig, best_step: int) -> bool:
    """Return whether no evaluation of a fine-tuning run was better than its parent."""
    return config.provenance.parent is not None and best_step == 0


def after_kept_parent(config: RunConfig) -> str:
    """Return what to try if no evaluation was better than the parent checkpoint."""
    train = config.train
    return f"Try a `learning_rate` below {train.learning_rate:g}{_dropout(train)}, or more text."


def loss_of_a_guess(config: RunConfig) -> float:
    """Return the loss of token frequencies alone or, if it is not recorded, of chance, in nats."""
    frequencies = config.provenance.frequency_loss
    return math.log(config.model.vocab_size) if frequencies is None else frequencies


def has_learned_little(config: RunConfig, loss: float) -> bool:
    """Return whether token frequencies alone, or chance, would predict the text better."""
    return loss > loss_of_a_guess(config)


def after_little_learned(train: TrainConfig) -> str:
    """Return what to try if a guess would predict the text better."""
    return f"Train it longer, or with a `learning_rate` below {train.learning_rate:g}."


def describe_overfitting(best: Figures, last: Figures) -> str:
    """Return how the losses of an overfitting model moved apart, as a clause.

    A parent, evaluated at step 0, has no training loss.
    """
    fell = f"fell from {best.train_loss:.3f}" if best.train_loss is not None else "fell"
    return (
        f"since step {best.step:,} the training loss {fell} to {last.train_loss:.3f} while the "
        f"validation loss rose from {best.valid_loss:.3f} to {last.valid_loss:.3f}"
    )


def after_overfitting(train: TrainConfig, *, may_know_english: bool = False) -> str:
    """Return what to try against overfitting.

    Args:
        train: the settings of the run.
        may_know_english: whether to suggest the shipped model of English.
    """
    parent = f", `from_checkpoint` {PARENT} if the text is English" if may_know_english else ""
    return f"Try more text{parent}{_dropout(train)} or a smaller `size`."


def lacks_text(best: Figures) -> bool:
    """Return whether a model predicts its training text much better than new text."""
    train, valid = best.train_loss, best.valid_loss
    return train is not None and valid is not None and train < _LACKS_TEXT * valid


def _dropout(train: TrainConfig) -> str:
    """Return a higher dropout as a further suggestion, if there is an option that sets it."""
    return "" if train.drops_more else ", a higher `dropout`"


def _longer(outcome: Outcome, config: RunConfig, *, may_know_english: bool) -> str | None:
    """Return the advice to train longer, if a text of this length is worth more epochs."""
    origin, level = config.provenance, config.tokenizer.level
    # A run from a parent of the same text continues the parent's epochs, which are not recorded.
    is_short = outcome.epochs is not None and outcome.stop_reason == "budget"
    if not is_short or origin.parent not in (None, *SHIPPED) or not origin.train_tokens:
        return None
    length = float(origin.train_tokens)
    if level == "subword":
        length = origin.characters * length / (origin.train_tokens + origin.valid_tokens)
    epochs = default_epochs(max(1.0, length), level)
    if (taken := outcome.epochs or 0.0) >= _ENOUGH_EPOCHS * epochs:
        return None
    budget = f"`epochs` {epochs:g}"
    if outcome.planned_minutes and outcome.seconds and taken:
        start = min(START_SECONDS, outcome.seconds)
        minutes = (start + (outcome.seconds - start) * epochs / taken) / 60
        budget = f"`minutes` {float(f'{minutes:.2g}'):g}"
    parent = f", or `from_checkpoint` {PARENT} if the text is English" if may_know_english else ""
    return (
        f"Train longer, with {budget}{parent}: a text of this length is worth about "
        f"{epochs:.2g} epochs."
    )


def _may_know_english(config: RunConfig, tokenizer: Tokenizer) -> bool:
    """Return whether a text may be English prose, so that the shipped model knows its language."""
    origin, unit = config.provenance, config.corpus.division.unit
    is_short_prose = unit not in ("line", "record") and origin.characters <= SHORT
    is_new = origin.parent is None
    return is_new and is_short_prose and not tokenizer.unknown_characters(_ENGLISH_LETTERS)
