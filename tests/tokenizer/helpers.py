"""Texts and tokenizers for these tests."""

from __future__ import annotations

from hypothesis import strategies as st

from charlstm.config import TokenizerConfig
from charlstm.tokenizer.vocabulary import build_tokenizer

ALPHABET = "abcDE'’  \t\r\n019.,-_=<>/@é\u0301\u094d\u0939中の\u0e01\U0001f600\u00a0\u2028"
anything = st.text(st.characters())  # including lone surrogates
wordy = st.text(st.sampled_from(ALPHABET), max_size=60)
levels = st.sampled_from(["char", "subword", "word"])
PROSE = "The cat sat.\nThe cat, the hat; don't sit -- on it !\r\n  In 1999 the cat sat .\n" * 3


def built(level, *texts, base=None, **settings):
    return build_tokenizer(texts, TokenizerConfig(level=level, **settings), base)
