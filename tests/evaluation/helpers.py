"""Texts divided into documents, for tests of figures."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from charlstm.evaluation.text_metrics import Texts
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.models import CHARS, PIECES, WORDS

LEVELS = pytest.mark.parametrize(
    "tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"]
)
documents_given = st.lists(st.text(st.sampled_from("the cat\n .'é1"), max_size=60), max_size=4)


def texts(*documents, lines=False, ends=False):
    """Return a text that consists of these documents."""
    return Texts(
        "it", lambda: iter([[d] for d in documents]), "line" if lines else "file", ends or lines
    )


def ids_of(tokenizer, document, ends):
    """Return the token ids of a document with END_OF_DOCUMENT before it and, if asked, after it."""
    return [END_OF_DOCUMENT, *tokenizer.encode(document).tolist(), *[END_OF_DOCUMENT] * ends]
