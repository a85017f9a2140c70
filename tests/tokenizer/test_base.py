"""Tests of ``tokenizer.base``: nothing is lost, and the same text has the same ids anywhere."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import TokenizerConfig
from charlstm.errors import CheckpointDamaged, ConfigError
from charlstm.prediction.words import Words
from charlstm.tokenizer import base, vocabulary
from charlstm.tokenizer import word as word_module
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, partial_word, tokens_of
from charlstm.tokenizer.storage import tokenizer_from_json
from charlstm.tokenizer.unknown import describe_unknown
from charlstm.tokenizer.vocabulary import build_tokenizer
from charlstm.tokenizer.word import WordTokenizer

ALPHABET = "abcDE'’  \t\r\n019.,-_=<>/@é\u0301\u094d\u0939中の\u0e01\U0001f600\u00a0\u2028"
anything = st.text(st.characters())  # lone surrogates included
wordy = st.text(st.sampled_from(ALPHABET), max_size=60)
levels = st.sampled_from(["char", "word"])
PROSE = "The cat sat.\nThe cat, the hat; don't sit -- on it !\r\n  In 1999 the cat sat .\n" * 3


def built(level, *texts, **settings):
    return build_tokenizer(texts, TokenizerConfig(level=level, **settings))


# Laws of both levels


@given(levels, st.lists(wordy, max_size=4), st.data())
def test_known_characters_come_back(level, texts, data):
    tokenizer = built(level, *texts)
    characters = sorted(set("".join(texts)))
    text = data.draw(st.text(st.sampled_from(characters)) if characters else st.just(""))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint32
    assert tokenizer.decode(ids) == text
    assert UNKNOWN not in ids


@given(levels, anything, anything)
def test_unknown_characters_become_the_unknown_symbol_and_are_counted(level, known, text):
    tokenizer = built(level, known)
    expected = "".join(c if c in tokenizer.symbols else "\ufffd" for c in text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == expected
    counts = tokenizer.unknown_characters(text)
    assert counts == Counter(c for c in text if c not in tokenizer.symbols)
    assert counts.total() == np.count_nonzero(ids == UNKNOWN)


@given(levels, st.lists(wordy, max_size=4))
def test_ids_pieces_and_sizes_agree(level, texts):
    tokenizer = built(level, *texts, min_count=1)
    reserved = 2 if level == "char" else 4
    assert tokenizer.level == level
    assert tokenizer.vocab_size == reserved + len(tokenizer.symbols) == len(tokenizer.pieces)
    assert tokenizer.pieces[reserved:] == tokenizer.symbols
    assert tokenizer.pieces[:reserved] == ("", "\ufffd", "", "")[:reserved]
    ids = list(range(tokenizer.vocab_size))
    assert tokenizer.decode(ids) == tokenizer.decode(np.array(ids)) == "".join(tokenizer.pieces)
    assert tokenizer.never_generated.tolist() == [UNKNOWN]
    assert tokenizer.spells is (level == "word")
    characters = [i for i in ids[reserved:] if len(tokenizer.pieces[i]) == 1]
    assert tokenizer.character_ids.tolist() == characters


@given(levels, st.lists(anything, max_size=4))
def test_json_brings_the_tokenizer_back(level, texts):
    tokenizer = built(level, *texts, min_count=1)
    data = tokenizer.to_json()
    assert json.loads(data) == {"level": level, "symbols": list(tokenizer.symbols)}
    again = tokenizer_from_json(data)
    assert again == tokenizer
    assert type(again) is type(tokenizer)


@given(levels, wordy, wordy)
def test_extending_keeps_ids_and_adds_symbols(level, old_text, new_text):
    old, new = built(level, old_text, min_count=1), built(level, new_text, min_count=1)
    both = old.extend(new)
    assert both.symbols[: len(old.symbols)] == old.symbols
    assert set(both.symbols) == {*old.symbols, *new.symbols}
    assert len(both.symbols) == len(set(both.symbols))
    assert both.decode(both.encode(old_text + new_text)) == old_text + new_text


def test_extending_needs_the_same_level(sentence):
    with pytest.raises(ConfigError) as caught:
        CharTokenizer(("a",)).extend(WordTokenizer(("a",)))
    sentence(caught.value, "char level", "word level", "--level char")


@given(levels, anything)
def test_splitting_a_prompt_loses_nothing(level, prompt):
    head, prefix = built(level, "").split_prompt(prompt)
    assert head + prefix == prompt
    if level == "char":
        assert prefix == ""
    elif prompt.endswith(" "):
        assert prefix == " "
    else:
        assert prefix in ["", *list(tokens_of(prompt))[-1:]]


@pytest.mark.parametrize(
    ("prompt", "prefix"),
    [("", ""), ("the kin", " kin"), ("kin", "kin"), ("the ", " "), ("the  ", " "), ("in 19", " 19"),
     ("so.", ""), ("a\n", ""), ("don't", "don't"), ("“don’", ""), ("\u4e2d\u6587", ""), ("x_", "")],
)  # fmt: skip
def test_the_last_word_or_number_of_a_prompt_may_go_on(prompt, prefix):
    tokenizer = built("word", "")
    assert tokenizer.split_prompt(prompt) == (prompt[: len(prompt) - len(prefix)], prefix)


# Character level


@given(anything, anything)
def test_characters_are_their_place_among_the_sorted_ones(known, text):
    tokenizer = built("char", known[:3], known[3:])
    symbols = sorted(c for c in set(known) if not "\ud800" <= c <= "\udfff")
    assert tokenizer.symbols == tuple(symbols)
    ids = [symbols.index(c) + 2 if c in symbols else UNKNOWN for c in text]
    assert tokenizer.encode(text).tolist() == ids


# Word level


@given(anything)
def test_tokens_in_a_row_are_the_text(text):
    assert "".join(tokens_of(text)) == text


@given(st.lists(wordy, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_cutting_after_a_newline_changes_no_token(texts, newline):
    parts = [text + newline for text in texts]
    whole = list(tokens_of("".join(parts)))
    assert whole == [token for part in parts for token in tokens_of(part)]


@given(wordy)
def test_newlines_stand_alone(text):
    newlines = [token for token in tokens_of(text) if "\n" in token or "\r" in token]
    assert newlines == re.findall("\r\n|\n|\r", text)


@pytest.mark.parametrize(
    "tokens",
    [
        ["The", " cat", " sat", " .", "\n"],
        ["Don't", " say", " l’été", ",", " it's", " O'Neil's", "'"],
        [" '", "tis", " the", " dogs", "'"],
        [" In", " 1999", ",", " 3", ".", "14", " of", " 2", "nd"],
        [" --", " well", "...", " ?", "!!", " ====", "\n"],
        ["def", " foo", "_", "bar", "(", "x", ")", ":", "\n", "   ", " return", " x"],
        ["\t\t", "x", "\t", " y", "  ", "\n", " ", "\n"],
        ["a", "  ", " b", "\r\n", "\n", "\r", "\r\n", "\r"],
        [" <unk>", " <", " b", "</p>", "<", "a", " href"],
        ["e\u0301te\u0301", " \u0939\u093f\u0928\u094d\u0926\u0940", "\u0964"],
        ["中", "文", "。", " ", "の", "  ", "中"],
        [" 👍👍", "!", "👍"],
        ["\u00a0", "x", "\u00a0", " y"],
    ],
    ids=str,
)
def test_how_text_is_divided(tokens):
    assert list(tokens_of("".join(tokens))) == tokens


@given(wordy, st.integers(1, 3))
def test_encoding_follows_the_vocabulary(text, min_count):
    tokenizer = built("word", text, "xyz", min_count=min_count)
    ids = {symbol: index for index, symbol in enumerate(tokenizer.symbols, 4)}
    expected = []
    for token in tokens_of(text):
        spelled = [BEGIN_SPELLING, *(ids[c] for c in token), END_SPELLING]
        expected += [ids[token]] if token in ids else spelled
    assert tokenizer.encode(text).tolist() == expected


def test_spelling():
    tokenizer = WordTokenizer((" ", "a", "b", " ab"))
    assert tokenizer.encode(" ab ba a?").tolist() == [
        *[7],
        *[BEGIN_SPELLING, 4, 6, 5, END_SPELLING],
        *[BEGIN_SPELLING, 4, 5, END_SPELLING],
        *[UNKNOWN],
    ]
    assert tokenizer.decode([END_OF_DOCUMENT, 7, BEGIN_SPELLING, 4, UNKNOWN]) == " ab \ufffd"


def test_a_full_cache_changes_nothing(monkeypatch):
    expected = built("word", PROSE).encode(PROSE)
    monkeypatch.setattr(word_module, "CACHED_TOKENS", 3)
    tokenizer = built("word", PROSE)
    assert np.array_equal(tokenizer.encode(PROSE), expected)
    assert len(tokenizer._encodings) == 3


@pytest.mark.parametrize(
    "unit", [" ", "a", "\t ", "a'", "-", " -", "é\u0301", "<", "中", "\r", "1"]
)
def test_long_lines_take_linear_time(unit):
    """Quadratic matching would not end here."""
    text = unit * (2**20 // len(unit))
    tokens = list(tokens_of(text))
    assert "".join(tokens) == text
    assert max(map(len, tokens)) < 1200


@given(st.lists(wordy, max_size=6), st.integers(1, 3), st.integers(1, 5))
def test_the_vocabulary_is_the_characters_then_the_most_frequent_words(lines, count, size):
    texts = [line + "\n" for line in lines]
    tokenizer = built("word", *texts, min_count=count, vocab_size=size)
    tokens = Counter(token for token in tokens_of("".join(texts)) if len(token) > 1)
    frequent = [token for token in tokens if tokens[token] >= count]
    ranked = sorted(frequent, key=lambda token: (-tokens[token], token))
    assert tokenizer.symbols == (*sorted(set("".join(texts))), *ranked[:size])


@given(st.lists(wordy, max_size=6))
def test_chunks_do_not_matter_to_the_vocabulary(lines):
    texts = [line + "\n" for line in lines]
    for level in ("char", "word"):
        assert built(level, *texts) == built(level, "".join(texts))


class Watched(Counter):
    """Remembers how many tokens it has held at once."""

    most = 0

    def update(self, *arguments):
        super().update(*arguments)
        Watched.most = max(Watched.most, len(self))


def test_of_countless_words_the_frequent_ones_are_kept_in_bounded_memory(monkeypatch):
    """Hashes, serial numbers, typing errors: most distinct tokens of a huge text occur once."""
    frequent = {" the": 9, " cat": 7, " sat": 5, " hat": 3}
    everyday = "".join(word * times for word, times in frequent.items())
    rare = [" " + "".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]
    texts = [everyday + "".join(rare[n : n + 50]) + "\n" for n in range(0, len(rare), 50)]
    monkeypatch.setattr(vocabulary, "COUNTED_TOKENS", 300)
    monkeypatch.setattr(vocabulary, "Counter", Watched)
    monkeypatch.setattr(Watched, "most", 0)
    symbols = built("word", *texts, min_count=len(texts) * 3).symbols
    assert symbols == (*sorted(set("".join(texts))), *frequent)
    assert 300 < Watched.most <= 300 + len(set(tokens_of(texts[0])))
    assert len(set(tokens_of("".join(texts)))) > 10_000


@given(st.lists(wordy, max_size=6), st.integers(1, 3))
def test_a_text_with_no_more_words_than_are_counted_is_counted_exactly(lines, min_count):
    texts = [line + "\n" for line in lines]
    expected = built("word", *texts, min_count=min_count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "COUNTED_TOKENS", len(set(tokens_of("".join(texts)))))
        assert built("word", *texts, min_count=min_count) == expected


@given(st.lists(wordy, max_size=8), st.integers(1, 12))
def test_counting_in_bounded_memory_forgets_words_but_no_characters(lines, places):
    texts = [line + "\n" for line in lines]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "COUNTED_TOKENS", places)
        tokenizer = built("word", *texts, min_count=1)
    exact = built("word", *texts, min_count=1)
    assert set(tokenizer.symbols) <= set(exact.symbols)
    characters = len(set("".join(texts)))
    assert tokenizer.symbols[:characters] == exact.symbols[:characters]
    assert tokenizer.decode(tokenizer.encode("".join(texts))) == "".join(texts)


def test_lone_surrogates_never_become_symbols():
    text = "a \ud800 \ud800 \ud800a é é\udfff\udfff" * 3
    assert built("char", text).symbols == (" ", "a", "é")
    assert built("word", text).symbols == (" ", "a", "é", " é")


def test_words_of_prose_are_about_one_token_each():
    text = "Homarus gammarus , known as the European <unk> lobster , is a species . \n" * 50
    tokens = list(tokens_of(text))
    assert len(tokens) / len(text.split()) < 1.2


# Stored tokenizers


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected object, got array"),
        (b"{", "Input data was truncated"),
        (b'{"level": "char"}', "Object missing required field symbols"),
        (b'{"level": "byte", "symbols": []}', "Invalid enum value 'byte' - at $.level"),
        (b'{"level": "char", "symbols": [1]}', "Expected str, got int - at $.symbols[0]"),
        (b'{"level": "char", "symbols": "ab"}', "Expected array, got str - at $.symbols"),
        (b'{"level": "char", "symbols": [], "x": 1}', "Object contains unknown field x"),
        (b'{"level": "char", "symbols": [""]}', "Expected str of length >= 1 - at $.symbols[0]"),
        (b'{"level": "char", "symbols": ["a", "a"]}', "a symbol occurs twice"),
        (b'{"level": "word", "symbols": ["ab", "ab"]}', "a symbol occurs twice"),
        (b'{"level": "char", "symbols": ["ab"]}', "a word stands among the characters"),
        (
            b'{"level": "char", "symbols": ["\xff"]}',
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
    ],
)
def test_damaged_tokenizers(data, reason, sentence):
    with pytest.raises(CheckpointDamaged) as caught:
        tokenizer_from_json(data)
    sentence(caught.value, reason, "tokenizer", "damaged", "restore")


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\udfff", rb"\ud800a", b"\xed\xa0\x80"])
def test_stored_surrogates_are_damage(escape):
    with pytest.raises(CheckpointDamaged):
        tokenizer_from_json(b'{"level": "word", "symbols": ["' + escape + b'"]}')


@given(st.sampled_from(["char", "word"]), st.data())
def test_a_truncated_tokenizer_is_damaged(level, data):
    stored = built(level, PROSE).to_json()
    with pytest.raises(CheckpointDamaged):
        tokenizer_from_json(stored[: data.draw(st.integers(0, len(stored) - 1))])


# Reports


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("€→€", "3 unknown characters (2 × '€' U+20AC, 1 × '→' U+2192)"),
        ("é", "1 unknown character (1 × 'é' U+00E9)"),
        (
            "\0\u200b\u0301\ud800",
            "4 unknown characters (1 × U+0000, 1 × U+0301, 1 × U+200B, 1 × U+D800)",
        ),
        (" \u3000", "2 unknown characters (1 × U+0020, 1 × U+3000)"),
        ("😀", "1 unknown character (1 × '😀' U+1F600)"),
        (
            "aabcdefg",
            "8 unknown characters (2 × 'a' U+0061, 1 × 'b' U+0062, 1 × 'c' U+0063, "
            "1 × 'd' U+0064, 1 × 'e' U+0065 and 2 more)",
        ),
    ],
)
def test_describing_unknown_characters(text, expected):
    assert describe_unknown(Counter(text)) == expected


# What is being typed


@given(anything)
def test_a_partial_word_divides_its_prompt(prompt):
    before, typed, space = partial_word(prompt)
    assert before + space + typed == prompt
    assert (before, typed, space) == (prompt[:-1], "", " ") or not prompt.endswith(" ")
    assert space in ("", " ")


@given(wordy)
def test_what_is_typed_goes_on_with_a_letter_or_digit(prompt):
    _, typed, space = partial_word(prompt)
    more = "1" if typed[-1:].isdecimal() else "a"
    last = list(tokens_of(prompt + more))[-1]
    if typed:
        assert last == space + typed + more
    else:
        assert last in ("a", " a")


@given(wordy, st.characters())
def test_the_kind_of_a_character_tells_what_goes_on_with_a_word(prompt, character):
    grown = list(tokens_of(prompt + "a" + character))[-1]
    joins = kind_of(character) in (Kind.LETTER, Kind.MARK)
    assert (len(grown) > 1 and grown[-2:] == "a" + character) == joins
    within = list(tokens_of("a" + character + "a")) == ["a" + character + "a"]
    assert within == (joins or kind_of(character) is Kind.APOSTROPHE)
    digits = next(iter(tokens_of("1" + character)))
    assert (digits == "1" + character) == (kind_of(character) is Kind.DIGIT)
    assert (kind_of(character) is Kind.SPACE) == bool(re.fullmatch(r"\s", character))
    pair = list(tokens_of("." + character * 2))[1:]
    if kind_of(character) is Kind.ALONE:
        assert pair == [character] * 2
    if kind_of(character) in (Kind.OTHER, Kind.APOSTROPHE) and character != ".":
        assert pair == [character * 2]


@pytest.mark.parametrize(
    ("prompt", "token"),
    [
        ("the kin", " kin"), ("kin", "kin"), ("I don'", " don'"), ("I don’", " don’"), ("a ''", ""),
        ("in 19", " 19"), ("19'", ""), ("the ", ""), ("a\n", ""), ("a\nb", "b"), ("a,", ""),
        ("", ""), ("'", ""), (" '", ""), ("中", ""), ("cafe\u0301", "cafe\u0301"), ("a's", "a's"),
    ],
)  # fmt: skip
def test_what_is_typed(prompt, token):
    _, typed, space = partial_word(prompt)
    assert typed == token.removeprefix(" ")
    assert space == (" " if prompt.endswith(" ") else token[: len(token) - len(typed)])


@pytest.mark.parametrize("prompt", ["I don'", "I don’", "don'"])
def test_an_apostrophe_at_the_end_is_typed_but_not_asked_for_again(prompt):
    """A letter may follow, so it is completed; so far it is a token, so it is read as one."""
    word = partial_word(prompt)
    assert (word.typed, word.ends_open) == (prompt.split()[-1], True)
    assert built("word", "").split_prompt(prompt) == (prompt, "")
    assert Words(built("word", prompt)).split(prompt)[1] == word.typed
