"""A loaded checkpoint with the engine that runs it, and how it reads a text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypedDict

from charlstm.api.arguments import check_text, list_of_texts
from charlstm.api.user_warnings import warn_of_notes, warn_of_unknown
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import TextFormat
from charlstm.corpus.normalization import normalized
from charlstm.engine.inference import Engine
from charlstm.errors import UsageError
from charlstm.tokenizer.base import Tokenizer
from charlstm.validation import checked

if TYPE_CHECKING:
    from charlstm.config import Division
    from charlstm.corpus.documents import Corpus, TextInput
    from charlstm.evaluation.text_metrics import Texts
    from charlstm.prediction.filler import Filler
    from charlstm.prediction.grammar import Grammar
    from charlstm.prediction.predictor import Predictor


class TextOptions(TypedDict, total=False):
    """How a text is read, with the names and defaults of the command line.

    By default a text is divided into documents as the training text was.

    Attributes:
        paragraphs: whether each paragraph is a document.
        delimiter: the line between two documents.
        columns: the columns of a table that make up a document: ``"title,body"``, or ``"2,3"`` for
            a table without a header row.
        keep_breaks: whether line breaks and tabs in the cells of a table are kept.
        format: ``"auto"`` (by file name), ``"text"``, ``"csv"``, ``"tsv"``, ``"jsonl"`` or
            ``"json"``.
        encoding: the encoding of the files, or ``"auto"`` to detect it. By default ``"utf-8"``.
        decode_errors: ``"strict"``, or ``"replace"`` for U+FFFD in place of undecodable bytes.
    """

    paragraphs: bool
    delimiter: str | None
    columns: str | Iterable[str] | None
    keep_breaks: bool
    format: TextFormat
    encoding: str
    decode_errors: Literal["strict", "replace"]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A checkpoint and the engine that runs it. Threads can share it.

    Attributes:
        checkpoint: the configuration, tokenizer, weights and figures that were loaded.
        engine: runs the network on token ids.
    """

    checkpoint: Checkpoint
    engine: Engine

    def __repr__(self) -> str:
        return f"<LanguageModel {self.checkpoint.summary}>"

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the model was trained with."""
        return self.checkpoint.tokenizer

    def normalized(self, text: str) -> str:
        """Return a text in the Unicode form that the model was trained on."""
        return normalized(text, self.checkpoint.config.corpus.normalize)

    def filler(self) -> Filler:
        """Return what fills gaps, and caches recent texts. Use it in one thread only."""
        from charlstm.prediction.filler import Filler

        return Filler(
            self.engine,
            self.tokenizer,
            self.predictor(),
            self.normalized,
            ends=self.checkpoint.config.corpus.division.within_files,
            backward=self._backward_engine,
        )

    def predictor(self) -> Predictor:
        """Return a predictor, which caches recent prompts. Use it in one thread only."""
        from charlstm.prediction.predictor import Predictor

        return Predictor(self.engine, self.tokenizer, self._grammar, self.normalized)

    def _prompts(self, prompt: str | Iterable[str]) -> list[str]:
        """Return one or several prompts as a list, and warn of unknown characters in them."""
        prompts = list_of_texts("prompt", prompt)
        warn_of_unknown(self.tokenizer, [self.normalized(each) for each in prompts], "prompt")
        return prompts

    def texts_of(self, corpus: Corpus, division: Division | None = None) -> Texts:
        """Return a corpus as documents. Their ends are scored if the model has learned them.

        Args:
            corpus: the text.
            division: what a document is. ``None`` is the division of the training text.
        """
        from charlstm.evaluation.text_metrics import texts_of

        own = self.checkpoint.config
        learned = own.corpus.division
        corpus = replace(corpus, division=division or learned, normalize=own.corpus.normalize)
        ends = own.provenance.documents > 1
        if corpus.division.within_files:  # a model trained on files can't end parts of them
            ends = learned.within_files
        return texts_of(corpus, ends=ends, is_given=division is not None)

    @cached_property
    def _backward_engine(self) -> Engine | None:
        """Runs the network that reads text from its end; ``None`` if the model has none."""
        if self.checkpoint.backward is None:
            return None
        from charlstm.engine.graph_cache import load_or_build_graph

        precision, sizes = self.engine.precision, self.checkpoint.config.model
        graph = load_or_build_graph(self.checkpoint, precision, backward=True)
        return Engine(graph, sizes, precision, self.engine.threads)

    @cached_property
    def _grammar(self) -> Grammar:
        from charlstm.prediction.predictor import grammar_of

        return grammar_of(self.tokenizer, ends=self.checkpoint.config.provenance.ends)

    @contextmanager
    def _read(
        self, text: TextInput | None, texts: Sequence[str] | None, options: TextOptions
    ) -> Iterator[Texts]:
        """Read a text that the caller names, and afterwards issue warnings about it."""
        from charlstm.corpus.division import given_division
        from charlstm.corpus.documents import corpus_of
        from charlstm.corpus.reading import DecodeErrors
        from charlstm.corpus.table_source import check_tables

        is_decoded = texts is not None or not isinstance(text, str | os.PathLike | Sequence)
        for name in ("format", "encoding", "decode_errors"):
            if is_decoded and name in options:
                raise UsageError(f"`{name}` can't be combined with `texts` or a corpus.")
        check_text("encoding", options.get("encoding", ""))
        for name in ("paragraphs", "keep_breaks"):
            checked(name, options.get(name, False), bool)
        learned = self.checkpoint.config.corpus
        division = given_division(options, learned.division)
        # A model trained on tables as plain text reads other tables as plain text too.
        text_format = checked("format", options.get("format", "auto"), TextFormat)
        if text_format == "auto" and learned.format == "text":
            text_format = "text"
        corpus = corpus_of(
            text,
            texts,
            text_format,
            encoding=options.get("encoding", "utf-8"),
            decode_errors=checked(
                "decode_errors", options.get("decode_errors", "strict"), DecodeErrors
            ),
        )
        check_tables(corpus.sources, division, options)
        yield self.texts_of(corpus, division)
        warn_of_notes(corpus.notes.untold())
