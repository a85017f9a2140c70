"""Scores the lines or other documents of texts as they arrive, for ``charlstm score``."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charlstm.cli.line_ends import line_rules
from charlstm.cli.scores import ScoredLine
from charlstm.cli.texts import Line, limited, line_groups
from charlstm.cli.unicode_form import FormNote

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.cli.progress_bar import ProgressBar
    from charlstm.config import Division
    from charlstm.corpus.division import Document
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.reading import Source
    from charlstm.evaluation.scoring import Score, StatefulScorer


class LineReader:
    """Scores the lines or other documents of texts, in groups that are ready at the same time.

    Args:
        model: the model.
        options: the options of the command.
        division: how to divide texts into documents, if the user chose it.
        notes: collects notes on the texts.
        progress: the bar to advance.
        several: whether to store the name of its file with each line.
    """

    def __init__(
        self,
        model: LanguageModel,
        options: dict[str, Any],
        division: Division | None,
        notes: Notes,
        progress: ProgressBar,
        *,
        several: bool,
    ) -> None:
        self._model = model
        self._options = options
        self._is_given = division is not None
        self._division = division or model.checkpoint.config.corpus.division
        self._notes = notes
        self._progress = progress
        self._several = several
        self._form = FormNote(model, quiet=options["quiet"])

    def groups(self, source: Source) -> Iterator[list[ScoredLine]]:
        """Yield the scored lines or documents of a text in order."""
        from charlstm.corpus.division import is_blank
        from charlstm.corpus.table_source import TableSource

        if isinstance(source, TableSource):
            encoding, errors = self._options["encoding"], self._options["decode_errors"]
            records = source.records(self._division, encoding, errors, self._notes)
            return self._scored(source, (each for each in records if not is_blank(each.text)))
        if self._division.unit in ("paragraph", "delimited"):
            return self._documents(source)
        return self._lines(source)

    def _lines(self, source: Source) -> Iterator[list[ScoredLine]]:
        numbers = itertools.count(1)
        encoding, rules = self._options["encoding"], line_rules(self._model)
        for blocks in self._read(source):
            score = _Scorer(self._model, self._options, self._form)
            for lines in line_groups(blocks, rules=rules):
                for scores in score(lines):
                    name = self._name_of(source)
                    yield [ScoredLine(name, next(numbers), each) for each in scores]
                self._progress.advance_over((line.text + line.end for line in lines), encoding)

    def _documents(self, source: Source) -> Iterator[list[ScoredLine]]:
        from charlstm.corpus.division import Divider

        divider, encoding = Divider(self._division), self._options["encoding"]
        for blocks in self._read(source):
            for found in divider.groups(_told(blocks, self._progress, encoding), source.name):
                yield from self._scored(source, found)
        delimiter = self._division.delimiter
        if self._is_given and delimiter is not None and not divider.delimiters:
            self._notes.undivided(source.name, delimiter)

    def _scored(self, source: Source, documents: Iterable[Document]) -> Iterator[list[ScoredLine]]:
        for group in limited(documents, lambda document: len(document.text)):
            texts = [document.text for document in group]
            scores = self._model.score(*texts, per_token=self._options["per_token"])
            _check_form(self._form, scores)
            yield [
                ScoredLine(self._name_of(source), document.line, score, is_line=False)
                for document, score in zip(group, scores, strict=True)
            ]

    def _read(self, source: Source) -> Iterator[Iterable[str]]:
        encoding, errors = self._options["encoding"], self._options["decode_errors"]
        return source.documents(encoding, errors, notes=self._notes)

    def _name_of(self, source: Source) -> str | None:
        return source.name if self._several else None


def _check_form(form: FormNote, scores: list[Score]) -> None:
    """Check the texts that have unknown characters."""
    form.check("\n".join(score.text for score in scores if score.unknown))


def _told(blocks: Iterable[str], progress: ProgressBar, encoding: str) -> Iterator[str]:
    """Yield blocks, and advance a bar by their size."""
    for block in blocks:
        yield block
        progress.advance_over((block,), encoding)


class _Scorer:
    """Scores the lines of one text in groups."""

    def __init__(self, model: LanguageModel, options: dict[str, Any], form: FormNote) -> None:
        self._model = model
        self._per_token = options["per_token"]
        self._form = form
        division = model.checkpoint.config.corpus.division
        self._carries = options["carry"] and not division.within_files

    def __call__(self, lines: list[Line]) -> Iterator[list[Score]]:
        """Yield the scores of lines as they are computed."""
        if not self._carries:
            texts = [line.text for line in lines]
            scores = self._model.score(*texts, per_token=self._per_token)
            _check_form(self._form, scores)
            yield scores
            return
        for line in lines:
            read = self._model.normalized(line.text + line.end)
            score = self._stateful_scorer.score(read, per_token=self._per_token)
            if score.unknown:
                self._form.check(line.text)
            yield [replace(score, text=line.text)]

    @functools.cached_property
    def _stateful_scorer(self) -> StatefulScorer:
        from charlstm.evaluation.scoring import StatefulScorer

        return StatefulScorer(self._model.engine, self._model.tokenizer)
