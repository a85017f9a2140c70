"""Tests of ``prediction.preceding_words``: the words that a backward network expects."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest

import charlstm
from charlstm.prediction.preceding_words import PrecedingWords
from charlstm.prediction.prompt_cache import PromptCache
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING
from charlstm.tokenizer.segmentation import tokens_of
from tests.prediction.oracles import CHARS, SUBWORDS, WORDS, chain

LEVELS = ["prose_both_ways", "words_both_ways", "pieces_both_ways", "names_both_ways"]
TOKENIZERS = {"char": CHARS, "subword": SUBWORDS, "word": WORDS}
CUT = 1e-7


def finder(engine, tokenizer):
    return PrecedingWords(engine, tokenizer, PromptCache(engine, spells=False))


def enumerated(level, last, before):
    """Return the probability of each word with the space before it, by enumeration."""
    engine, tokenizer = chain(level, 1), TOKENIZERS[level]
    pieces, found = tokenizer.pieces, defaultdict(float)
    closing = {int(tokenizer.encode(before)[-1])} if before else set()

    def row(token_id):
        values = np.exp(engine.table[token_id].astype(np.float64))
        return values / values.sum()

    paths = [("", last, 1.0, False)]
    while paths:
        text, token_id, probability, spelled = paths.pop()
        if probability < CUT:
            continue
        shares = probability * row(token_id)
        if spelled:
            found[text] += shares[BEGIN_SPELLING]
        elif text and not before.endswith(" "):
            found[text] += sum(shares[each] for each in closing)
        if text.startswith(" ") or (text and level == "word" and not spelled):
            continue
        for following in range(len(tokenizer.reserved), len(pieces)):
            piece = pieces[following]
            longer = piece + text
            if not re.fullmatch(r" ?[ab1'中]*", piece) or (spelled and len(piece) > 1):
                continue
            if piece.startswith(" ") and not spelled:
                found[longer] += shares[following]
            else:
                paths.append((longer, following, shares[following], spelled))
        if level == "word" and not text and not spelled:
            paths.append(("", END_SPELLING, shares[END_SPELLING], True))
    return found


@pytest.mark.parametrize("level", list(TOKENIZERS))
@pytest.mark.parametrize(("left", "right"), [("b ", " a"), ("ab.", "."), (". ", ""), ("b a", ".")])
def test_the_most_likely_words_are_found(level, left, right):
    engine, tokenizer = chain(level, 1), TOKENIZERS[level]
    known = re.search(r" ?[ab]*$", left)[0] if left != "ab." else ""
    encoded = tokenizer.encode(right)
    last = int(encoded[0]) if len(encoded) else END_OF_DOCUMENT
    before = left.removesuffix(known) + (" " if known.startswith(" ") else "")
    words = {
        text: probability
        for text, probability in enumerated(level, last, before).items()
        if len(text) > len(known) and text.startswith(known)
        and text.strip()[:1].isalnum() and [*tokens_of(text.removeprefix(" "))] == [text.strip()]
        and not (level == "word" and " " in text[1:])
    }  # fmt: skip
    found = finder(engine, tokenizer).find(left, right, 20)
    best = sorted((text for text in words if words[text] > 1e-4), key=lambda text: -words[text])
    assert set(best[:3]) <= {known + insert for insert in found}
    for insert, word in found.items():
        assert (known + insert).removeprefix(" ") == word


@pytest.mark.parametrize("level", LEVELS)
def test_proposals_are_whole_words_that_fit_the_left_side(request, level):
    model = charlstm.load(request.getfixturevalue(level), threads=1)
    words = finder(model._backward_engine, model.tokenizer)
    for left, right in [("the ", " fox"), ("the qu", " brown"), ("dog;", " lazy"), ("", " b")]:
        found = words.find(left, right, 10)
        assert len(found) <= 10
        typed = re.search(r"\w*$", left)[0]
        for insert, word in found.items():
            assert word.startswith(typed)
            assert (typed + insert).removeprefix(" ") == word
            assert word in tokens_of(word + right) or f" {word}" in tokens_of(left + insert + right)
            assert insert.startswith(" ") <= (left == "dog;")


def test_nothing_is_proposed_before_the_rest_of_a_word(prose_both_ways):
    model = charlstm.load(prose_both_ways, threads=1)
    assert finder(model._backward_engine, model.tokenizer).find("the ", "own fox", 9) == {}


def test_the_word_before_a_text_is_found(prose_both_ways):
    model = charlstm.load(prose_both_ways, threads=1)
    words = finder(model._backward_engine, model.tokenizer)
    assert next(iter(words.find("xx ", " fox jumps over the lazy dog", 9))) == "brown"
    assert next(iter(words.find("xx br", " fox jumps over the lazy dog", 9))) == "own"
