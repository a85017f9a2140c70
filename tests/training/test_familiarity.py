"""How strange a text is to a trained model."""

import dataclasses
import math

import msgspec
import numpy as np
import pytest

import charlstm
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import Figures
from charlstm.config import FILES, CorpusConfig, Division, TokenizerConfig
from charlstm.dataset.prepare import prepare
from charlstm.training import familiarity
from charlstm.training.familiarity import Familiarity
from charlstm.training.fine_tuning import LEAST_RATE, MOST_RATE, USUAL_RATE, rate_share
from tests.cli.helpers import NAMES, TEXT


def known(parent, tokenizer, ids, *, ends=False):
    return familiarity.familiarity(parent, tokenizer, ids, ends=ends)


def nats_per_character(parent, tokenizer, ids, *, ends=False):
    own = math.log(2) * parent.figures.valid_bits_per_character
    return own * known(parent, tokenizer, ids, ends=ends).strangeness


def prepared(tmp_path, text, division, base=None):
    (tmp_path / "text.txt").write_text(text)
    corpus = CorpusConfig(
        addresses=(str(tmp_path / "text.txt"),), division=division, valid_fraction=0.0
    )
    return prepare(corpus, TokenizerConfig(), base=base)


@pytest.mark.parametrize("model", ["prose", "pieces", "words"])
@pytest.mark.parametrize("own", [False, True])
def test_the_loss_is_that_of_evaluate(request, tmp_path, model, own):
    folder = request.getfixturevalue(model)
    parent = read_checkpoint(folder)
    text = TEXT[:3000] + NAMES[:3000]
    if own and model != "prose":
        pytest.skip("the helper builds character-level tokenizers")
    store = prepared(tmp_path, text, FILES, parent.tokenizer if own else None)
    found = nats_per_character(parent, store.tokenizer, store.store.train, ends=False)
    expected = charlstm.load(folder).evaluate(texts=[text]).bits_per_character * math.log(2)
    # Each part of a text is scored as if it were the start, which costs a little.
    assert found == pytest.approx(expected, rel=0.05)


def test_the_ends_of_lines_count(names, tmp_path):
    parent = read_checkpoint(names)
    store = prepared(tmp_path, NAMES, Division(unit="line"))
    found = nats_per_character(parent, store.tokenizer, store.store.train, ends=True)
    model = charlstm.load(names)
    expected = model.evaluate(tmp_path / "text.txt").bits_per_character * math.log(2)
    assert found == pytest.approx(expected, rel=0.02)


def test_only_the_start_is_scored(prose, tmp_path, monkeypatch):
    monkeypatch.setattr(familiarity, "SCORED", 500)
    parent = read_checkpoint(prose)
    losses = []
    for text in (TEXT[:500], TEXT[:500] + "XYZ" * 1000):
        store = prepared(tmp_path, text, FILES)
        losses.append(nats_per_character(parent, store.tokenizer, store.store.train, ends=False))
    assert losses[0] == losses[1]


def test_an_empty_text_has_no_familiarity(prose):
    parent = read_checkpoint(prose)
    ids = np.zeros(1, np.uint32)
    assert known(parent, parent.tokenizer, ids) == Familiarity(None, 0.0)


def test_its_own_text_is_not_strange_and_another_is(prose, tmp_path):
    parent = read_checkpoint(prose)
    for text, is_strange in ((TEXT, False), ("QWERTZ UIOP! " * 300, True)):
        store = prepared(tmp_path, text, FILES)
        found = known(parent, store.tokenizer, store.store.train)
        assert found.helps is not is_strange
        assert (found.strangeness > 2.5) is is_strange
        assert found.fit == 0  # characters fit any text


def test_a_model_without_validation_has_no_strangeness(prose):
    parent = read_checkpoint(prose)
    unvalidated = type(parent)(
        **vars(parent)
        | {"figures": Figures(step=1, epoch=1.0, tokens=1, seconds=1.0, learning_rate=0.1)}
    )
    ids = parent.tokenizer.encode(TEXT)
    assert known(unvalidated, parent.tokenizer, ids) == Familiarity(None, 0.0)
    assert not Familiarity(None, 0.0).helps
    assert not Familiarity(None, 0.0).hinders
    assert rate_share(Familiarity(None, 0.0)) == LEAST_RATE


def test_stranger_texts_get_a_higher_learning_rate():
    for fit, most in ((0.0, USUAL_RATE), (0.9, USUAL_RATE), (0.5, MOST_RATE)):
        grades = (0.5, 1.0, 1.15, 1.5, 2.0, 2.7, 5.0, math.inf)
        shares = [rate_share(Familiarity(strange, fit)) for strange in grades]
        assert shares == sorted(shares)
        assert shares[0] == shares[2] == LEAST_RATE < shares[3]
        assert shares[-1] == most


def test_pieces_that_fit_help_with_a_strange_text(pieces, tmp_path):
    parent = read_checkpoint(pieces)
    words = " ".join(reversed(TEXT.split(" ")))
    fits = []
    for text in (words, "qzxv" * 1000):
        store = prepared(tmp_path, text, FILES)
        found = known(parent, store.tokenizer, store.store.train)
        tokens = len(parent.tokenizer.encode(text[: familiarity.SCORED]))
        origin = parent.config.provenance
        length = origin.characters / (origin.train_tokens + origin.valid_tokens)
        expected = min(len(text), familiarity.SCORED) / tokens / length
        assert found.fit == pytest.approx(expected, rel=0.05)
        fits.append(found)
    assert fits[0].helps
    assert not fits[1].helps
    assert Familiarity(9.0, 0.7).helps
    assert Familiarity(9.0, 0.5).hinders
    assert Familiarity(9.0, 0.5).may_hinder
    for strange, may in ((2.4, False), (2.9, True)):
        assert Familiarity(strange, 0.5).may_hinder is may
        assert not Familiarity(strange, 0.5).hinders
        assert not Familiarity(strange, 0.7).may_hinder
    assert not Familiarity(2.2, 0.0).helps
    assert not Familiarity(2.2, 0.0).hinders


@pytest.mark.parametrize(
    ("part", "changes", "measured"),
    [
        ("figures", {"valid_bits_per_character": -1.0}, False),
        ("figures", {"valid_bits_per_character": 0.0}, False),
        ("figures", {"valid_bits_per_character": 1e-300}, True),
        ("provenance", {"characters": 0}, False),
        ("provenance", {"train_tokens": 0, "valid_tokens": 0}, True),
    ],
)
def test_hostile_figures_do_no_harm(pieces, part, changes, measured):
    """A checkpoint may claim anything about itself."""
    parent = read_checkpoint(pieces)
    config, figures = parent.config, parent.figures
    if part == "figures":
        figures = msgspec.structs.replace(figures, **changes)
    else:
        origin = msgspec.structs.replace(config.provenance, **changes)
        config = msgspec.structs.replace(config, provenance=origin)
    claims = dataclasses.replace(parent, config=config, figures=figures)
    found = known(claims, parent.tokenizer, parent.tokenizer.encode(TEXT))
    assert (found.strangeness is not None) is measured
    assert found.fit >= 0
    assert LEAST_RATE <= rate_share(found) <= MOST_RATE
