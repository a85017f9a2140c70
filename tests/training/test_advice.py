"""What to try after a run."""

import pytest

from charlstm.config import CorpusConfig, Division, TokenizerConfig, TrainConfig
from charlstm.tokenizer.vocabulary import build_tokenizer
from charlstm.training.advice import advise, describe_overfitting, lacks_text
from charlstm.training.outcome import outcome_of
from tests.checkpoint.helpers import CHARACTERS, settings
from tests.messages import assert_names
from tests.training.test_outcome import figures

ENGLISH = build_tokenizer(["the quick brown fox jumps over the lazy dog"], TokenizerConfig())
LONG = {"train_tokens": 1_000_000, "characters": 1_100_000}  # worth 8 epochs
ENOUGH = {"epochs": 8.0}


def advice(history, tokenizer=CHARACTERS, *, state="finished", corpus=None, origin=(), **train):
    known = settings()
    train = {"patience": 5, **(train or {"steps": 100})}
    config = settings(
        corpus=corpus or CorpusConfig(),
        train=TrainConfig(**train),
        provenance=known.provenance.__class__(
            **{name: getattr(known.provenance, name) for name in known.provenance.__struct_fields__}
            | dict(origin)
        ),
    )
    best = min(history, key=lambda each: each.valid_loss or 0.0, default=None)
    outcome = outcome_of(config, history, best, None, state)
    return advise(outcome, config, tokenizer, "my")


def test_a_run_that_has_not_ended():
    assert_names(advice([figures(10, 1.0)], state="training"), "charlstm plot my")
    assert_names(advice([figures(10, 1.0)], state="unfinished"), "--from my")


def test_overfitting():
    history = [figures(10, 1.2, 1.1), figures(100, 1.4, 0.8)]
    found = advice(history)
    assert_names(found, "more text", "`dropout`", "smaller `size`")
    assert "english" not in found
    assert_names(
        advice(history, ENGLISH), "more text", "`from_checkpoint` english", "if the text is"
    )
    found = advice(history, ENGLISH, steps=100, recurrent_dropout=0.2)
    assert "`dropout`" not in found
    assert "english" not in advice(history, ENGLISH, origin={"characters": 6_000_000})
    assert "english" not in advice(history, ENGLISH, origin={"parent": "other"})
    lines = CorpusConfig(division=Division(unit="line"))
    assert "english" not in advice(history, ENGLISH, corpus=lines)


def test_a_model_that_knows_its_training_text_better_needs_more_text():
    history = [figures(100, 1.4, 0.8, epoch=8.0)]
    assert_names(advice(history, origin=LONG), "more text", "training text")
    assert_names(advice(history, ENGLISH, origin=LONG), "`from_checkpoint` english", "more text")


@pytest.mark.parametrize(
    ("budget", "epoch", "part"),
    [
        ({"minutes": 2.0}, 1.0, "`minutes` 15"),
        ({"epochs": 1.0}, 1.0, "`epochs` 8"),
        ({"steps": 100}, 4.0, "`epochs` 8"),
    ],
)
def test_a_run_of_fewer_epochs_than_the_text_is_worth(budget, epoch, part):
    history = [figures(100, 1.2, 1.2, epoch=epoch, seconds=120.0)]
    assert_names(advice(history, origin=LONG, **budget), part, "8 epochs")
    found = advice(history, ENGLISH, origin=LONG, **budget)
    assert_names(found, part, "`from_checkpoint` english", "8 epochs")


def test_a_run_that_was_long_enough_needs_a_larger_network():
    history = [figures(100, 1.2, 1.2, epoch=8.0, seconds=120.0)]
    assert_names(advice(history, origin=LONG, minutes=2.0), "larger `size`", "`minutes`")
    history = [figures(100, 1.2, 1.2, epoch=1.0, seconds=120.0)]
    found = advice(history, origin=LONG | {"parent": "checkpoints/own"}, minutes=2.0)
    assert_names(found, "larger `size`")  # the epochs of its parent are not known


def test_a_parent_that_was_never_beaten():
    history = [figures(0, 1.0), figures(100, 1.2, 1.1)]
    assert_names(
        advice(history, origin={"parent": "english"}), "`learning_rate` below 0.008", "text"
    )


def test_a_model_that_learned_little():
    history = [figures(100, 2.5, 2.5)]
    found = advice(history, origin={"frequency_loss": 2.4})
    assert_names(found, "longer", "`learning_rate` below 0.008")


def test_a_run_without_validation_and_one_without_losses():
    corpus = CorpusConfig(valid_fraction=0.0)
    assert_names(advice([figures(100, None, 1.2)], corpus=corpus), "`valid`", "`valid_fraction`")
    assert_names(advice([]), "longer")


def test_losses_that_moved_apart():
    best, last = figures(1000, 1.2, 1.1), figures(3000, 1.4, 0.8)
    assert_names(describe_overfitting(best, last), "1,000", "1.100 to 0.800", "1.200 to 1.400")
    assert_names(describe_overfitting(figures(0, 1.2), last), "step 0", "fell to 0.800")
    assert not lacks_text(figures(1, 1.0, 0.95))
    assert lacks_text(figures(1, 1.0, 0.85))
    assert not lacks_text(figures(1, None, 0.85))
