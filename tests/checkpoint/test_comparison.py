"""Whether the validation figures of models compare."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from charlstm.checkpoint.comparison import comparability
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import CorpusConfig, Division, TokenizerConfig, TrainConfig
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import CHARACTERS, FIGURES, settings

MODEL = Checkpoint(Path("model"), settings(), CHARACTERS, {}, FIGURES, "")
OTHER_TOKENS = build_tokenizer(["abcd"], TokenizerConfig())


def changed(*, origin=None, tokenizer=CHARACTERS, figures=FIGURES, **changes):
    config = settings(**changes)
    provenance = msgspec.structs.replace(config.provenance, **origin or {})
    config = msgspec.structs.replace(config, provenance=provenance)
    return replace(MODEL, config=config, tokenizer=tokenizer, figures=figures)


def verdict(*models):
    found = comparability([MODEL, *models])
    return found.loss, found.bits


def test_models_of_one_text_compare():
    assert verdict() == (True, True)
    assert verdict(changed(train=TrainConfig(steps=7))) == (True, True)
    # A validation text of whole words is a little shorter.
    assert verdict(changed(origin={"valid_characters": 99})) == (True, True)


def test_only_bits_per_character_compare_with_other_tokens():
    assert verdict(changed(tokenizer=OTHER_TOKENS)) == (False, True)


@pytest.mark.parametrize("other", [
    changed(origin={"corpus_sha256": "cd" * 32}),
    changed(origin={"valid_characters": 90}),
    changed(corpus=CorpusConfig(valid_fraction=0.2)),
    changed(corpus=CorpusConfig(normalize="nfc")),
    changed(corpus=CorpusConfig(division=Division(unit="line"))),
    changed(figures=msgspec.structs.replace(FIGURES, valid_loss=None)),
])  # fmt: skip
def test_models_of_other_texts_do_not_compare(other):
    assert verdict(other) == (False, False)


def test_the_seed_matters_where_it_chooses_documents():
    assert verdict(changed(corpus=CorpusConfig(seed=2))) == (True, True)
    lines = [changed(corpus=CorpusConfig(seed=n, division=Division(unit="line"))) for n in (1, 2)]
    assert comparability(lines[:1] * 2).loss
    assert not comparability(lines).bits


def test_a_validation_text_of_its_own_may_go_with_several_training_texts():
    models = [
        changed(corpus=CorpusConfig(valid=("v.txt",)), origin={"corpus_sha256": f"{text}+v"})
        for text in "ab"
    ]
    assert comparability(models).loss


def test_samples_of_a_validation_text_are_the_same_with_the_same_tokens():
    sampled = TrainConfig(steps=7, validated=50)
    some, other = changed(train=sampled), changed(train=sampled, tokenizer=OTHER_TOKENS)
    assert comparability([some, some]).loss
    assert not comparability([some, MODEL]).bits
    assert not comparability([some, other]).bits
