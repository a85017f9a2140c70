"""Predictions by enumeration of all continuations of a small random chain, in float64.

The tokenizer determines the word that each continuation begins with.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache

import numpy as np

from charlstm.engine.state import State
from charlstm.prediction.predictor import Predictor
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.subword import SubwordTokenizer
from charlstm.tokenizer.word import WordTokenizer

CHARS = CharTokenizer(tuple("ab'1. \n中"))
WORDS = WordTokenizer((*"ab'1. \n", " ab", "ab", " a", " ab'a", "aba", " .", " 1"))
SUBWORDS = SubwordTokenizer(
    (*"ab'1. \n", "ab", " a", " ab", "'a", "aba", "11"),
    merges=((2, 3), (7, 2), (10, 3), (4, 2), (9, 2), (5, 5)),
)
TYPED = re.compile(r"(?:[ab](?:'?[ab])*'?|1+)\Z")
LEGAL = [END_OF_DOCUMENT, BEGIN_SPELLING, *range(4, WORDS.vocab_size)]
CUT = 3e-6  # less likely continuations are not enumerated


class Chain:
    """An engine whose logits depend only on the last token: table [V, V]."""

    def __init__(self, vocab_size, seed, rare=()):
        rng = np.random.default_rng(seed)
        self.vocab_size = vocab_size
        self.table = (2 * rng.normal(size=(vocab_size, vocab_size))).astype(np.float32)
        self.table[:, list(rare)] -= 3
        np.fill_diagonal(self.table, -3)

    def initial_state(self, batch):
        return State(np.zeros((1, batch, 1), np.float32))

    def step(self, ids, state):
        return self.table[ids], State(np.asarray(ids, np.float32)[np.newaxis, :, np.newaxis])

    def run(self, ids, state):
        return self.table[ids], self.step(ids[:, -1], state)[1]

    def row(self, last, allowed):
        """Return the probabilities after an id, in float64: {id: probability} of allowed ids."""
        values = np.exp(self.table[last, allowed].astype(np.float64))
        return dict(zip(allowed, values / values.sum(), strict=True))


@cache
def chain(level, seed):
    # Words are short, so that the enumeration covers almost all of the probability.
    if level == "char":
        return Chain(CHARS.vocab_size, seed, CHARS.encode("ab1'"))
    if level == "subword":
        return Chain(SUBWORDS.vocab_size, seed, [2, 3, 4, 5, 9, 12, 13, 14])
    engine = Chain(WORDS.vocab_size, seed, [*WORDS.encode("ab'1\n "), BEGIN_SPELLING])
    engine.table[:, END_SPELLING] += 2
    return engine


class Outcomes:
    """The probability of each candidate, by the text that it appends, and of the rest.

    A text may have several sequences of tokens. If only one is searched for, the most likely
    counts.
    """

    def __init__(self):
        self.paths = defaultdict(lambda: defaultdict(float))
        self.sequences = defaultdict(lambda: defaultdict(float))
        self.undecided = 0.0

    def add(self, completes, text, append, probability, sequence=None):
        self.paths[completes, text][append] += probability
        self.sequences[completes, text][sequence or append] += probability

    def likeliest(self, completes, text):
        return max(self.sequences.get((completes, text), {"": 0.0}).values())

    def sums(self):
        return {key: sum(paths.values()) for key, paths in self.paths.items()}


def outcome(typed, string):
    """Return the candidate that a continuation begins with, and its written part; or None."""
    tokens = list(tokens_of(typed + string))
    completes = bool(typed) and len(tokens[0]) > len(typed)
    at = 0
    if completes:
        at, text = len(tokens[0]) - len(typed), tokens[0]
    else:
        for text in tokens_of(string):
            at += len(text)
            if text.strip():
                break
        else:
            return None
    rest = string[at:]
    if rest and (rest[0] != "'" or len(rest) > 1):  # an apostrophe alone may be a part of it
        return completes, text.removeprefix(" "), string[:at]
    return None


@cache
def characters_oracle(seed, prompt):
    engine, found = chain("char", seed), Outcomes()
    found_typed = TYPED.search(prompt)
    typed = found_typed[0] if found_typed else ""
    allowed = [END_OF_DOCUMENT, *range(2, CHARS.vocab_size)]
    paths = [("", int(CHARS.encode(prompt)[-1]) if prompt else END_OF_DOCUMENT, 1.0)]
    while paths:
        string, last, probability = paths.pop()
        for token_id, share in engine.row(last, allowed).items():
            after, longer = probability * share, string + CHARS.pieces[token_id]
            if token_id == END_OF_DOCUMENT:  # ends any word
                decided = outcome(typed, string + "\n\n") or (False, "", string)
            else:
                decided = outcome(typed, longer)
            if decided:
                found.add(*decided, after)
            elif after < CUT:
                found.undecided += after
            else:
                paths.append((longer, token_id, after))
    return found


@cache
def pieces_oracle(seed, prompt):
    engine, found = chain("subword", seed), Outcomes()
    found_typed = TYPED.search(prompt)
    typed = found_typed[0] if found_typed else ""
    read, unread = SUBWORDS.split_prompt(prompt)
    allowed = [END_OF_DOCUMENT, *range(2, SUBWORDS.vocab_size)]
    before = int(SUBWORDS.encode(read)[-1]) if read else END_OF_DOCUMENT

    def text_of(ids):
        return "".join(SUBWORDS.pieces[token_id] for token_id in ids)

    def add(decided, ids, probability):
        """Add a path. Its sequence ends with the token that ends the appended text."""
        length = len(unread) + len(decided[2])
        count = next((n for n in range(len(ids)) if len(text_of(ids[:n])) >= length), len(ids))
        found.add(*decided, probability, ids[:count])

    covering, waiting = [((), 1.0)], []
    while covering:
        ids, probability = covering.pop()
        if text_of(ids).startswith(unread):
            waiting.append((ids, probability))
        elif unread.startswith(text_of(ids)):
            row = engine.row(ids[-1] if ids else before, allowed)
            del row[END_OF_DOCUMENT]
            covering += [((*ids, token_id), probability * share) for token_id, share in row.items()]
    total = sum(probability for _, probability in waiting)
    waiting = [(ids, probability / total) for ids, probability in waiting]
    while waiting:
        ids, probability = waiting.pop()
        string = text_of(ids)[len(unread) :]
        if decided := outcome(typed, string):
            add(decided, ids, probability)
            continue
        for token_id, share in engine.row(ids[-1] if ids else before, allowed).items():
            after = probability * share
            if token_id == END_OF_DOCUMENT:
                decided = outcome(typed, string + "\n\n") or (False, "", string)
                add(decided, ids, after)
            elif after < CUT and not outcome(typed, string + SUBWORDS.pieces[token_id]):
                found.undecided += after
            else:
                waiting.append(((*ids, token_id), after))
    return found


def next_tokens(engine, last, before, unread=""):
    """Yield (is whole, text, last id, probability) for the tokens that may follow."""
    merges = [
        token_id
        for token_id in range(4, WORDS.vocab_size)
        if before.strip()
        and len(list(tokens_of(before + WORDS.pieces[token_id]))) <= len(list(tokens_of(before)))
    ]
    first = engine.row(last, [token_id for token_id in LEGAL if token_id not in merges])
    for token_id, mass in first.items():
        if token_id != BEGIN_SPELLING:
            yield True, WORDS.pieces[token_id], token_id, mass
    letters = WORDS.character_ids.tolist()
    going = [("", BEGIN_SPELLING, first[BEGIN_SPELLING])]
    while going:
        text, last, mass = going.pop()
        row = engine.row(last, [*letters, END_SPELLING] if text else letters)
        if text:
            yield True, text, END_SPELLING, mass * row[END_SPELLING]
        for token_id in letters:
            longer, here = text + WORDS.pieces[token_id], mass * row[token_id]
            if here < CUT and not unread.startswith(longer):
                yield False, longer, token_id, here
            else:
                going.append((longer, token_id, here))


@cache
def words_oracle(seed, prompt):
    engine, found = chain("word", seed), Outcomes()
    found_typed = TYPED.search(prompt)
    typed = found_typed[0] if found_typed else ""
    start = len(prompt) - len(typed)
    unread = " " if prompt.endswith(" ") else typed
    if typed and prompt[start - 1 : start] == " ":
        unread = " " + typed
    read = WORDS.encode(prompt.removesuffix(unread)) if unread else WORDS.encode(prompt)
    last = int(read[-1]) if len(read) else END_OF_DOCUMENT
    going = []  # (written after the prompt, last token, last id, mass)
    for whole, text, token_id, mass in next_tokens(engine, last, "", unread):
        if text.startswith(unread):
            if whole:
                going.append((text[len(unread) :], text, token_id, mass))
            else:
                found.undecided += mass
        elif whole and text == unread[:-1] and unread[-1] == "'" and token_id != END_SPELLING:
            apostrophe = int(WORDS.encode("'")[0])
            row = engine.row(token_id, LEGAL)
            going.append(("", unread, apostrophe, mass * row[apostrophe]))
    total = sum(mass for *_, mass in going) + found.undecided
    found.undecided /= total
    going = [(*rest, mass / total) for *rest, mass in going]
    first = True
    while going:
        ahead, going = going, []
        for written, token, token_id, mass in ahead:
            if token_id == END_OF_DOCUMENT:
                found.add(False, "", "", mass)
            elif token.strip() and (written or not first):
                text = token.removeprefix(" ")
                found.add(bool(typed) and first, text, written, mass)
            elif mass < CUT:
                found.undecided += mass
            else:
                for whole, text, after, share in next_tokens(engine, token_id, token):
                    if whole:
                        going.append((written + text, text, after, mass * share))
                    else:
                        found.undecided += mass * share
        first = False
    return found


ORACLES = {"char": characters_oracle, "subword": pieces_oracle, "word": words_oracle}
TOKENIZERS = {"char": CHARS, "subword": SUBWORDS, "word": WORDS}


def predictor(level, seed):
    """Return a predictor that uses a chain as its model."""
    return Predictor(chain(level, seed), TOKENIZERS[level])
