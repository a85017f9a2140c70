"""``charlstm score``: log-probability, bits per character and perplexity of lines or texts."""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.line_ends import line_rules
from charlstm.cli.options import (
    OptionGroup,
    checkpoint_argument,
    files_argument,
    grouped_command,
)
from charlstm.cli.output import json_of, note, tell, write_text
from charlstm.cli.progress_bar import ProgressBar, bar_over_files, bytes_of
from charlstm.cli.scores import (
    COLUMNS,
    SAME_TOKENIZER,
    ScoredLine,
    score_facts,
    show_columns,
    show_json,
    show_table,
    tokens_of,
)
from charlstm.cli.texts import (
    Line,
    dividing_options,
    given_division,
    limited,
    line_groups,
    open_texts,
    text_options,
)
from charlstm.cli.unicode_form import FormNote
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.config import Division
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.reading import Source
    from charlstm.evaluation.scoring import Score, StatefulScorer
    from charlstm.evaluation.text_metrics import Texts

what = OptionGroup("What to score")
output = OptionGroup("Output")


@grouped_command(
    "score",
    "charlstm score checkpoints/logs today.log --top 20",
    "tail -n 100 app.log | charlstm score checkpoints/logs -q | awk '$1 > 0.1'",
    "charlstm score checkpoints/shakespeare --whole test.txt",
    "charlstm score checkpoints/names names.txt --json | head -1",
)
@checkpoint_argument()
@files_argument("[FILE]...")
@what.flag(
    "--carry",
    help="Read on from line to line, line ends included, instead of beginning anew with each: for "
    "the lines of one text. One line after the other, so slower.",
)
@what.flag("--whole", help="Score each file as one text, not line by line.")
@output.flag("--per-token", help="Give the log-probability of each symbol too.")
@output.flag(
    "--sort",
    help="Most surprising lines first, by bits per character; waits for the end of the text and "
    "holds it.",
)
@output.count("--top", help="Only the N most surprising lines; holds no more than these.")
@output.json("One JSON object a line, or a file with --whole.")
@dividing_options
@text_options
def command(checkpoint: Path, files: tuple[str, ...], **options: Any) -> None:
    """Score each line of the FILEs (default: standard input, -) with CHECKPOINT.

    Prints bits per character, log-probability in nats, perplexity per token, unknown symbols, line
    number (with several files FILE:NUMBER) and line, separated by tabs. Each line is scored as the
    beginning of a document, without its line end; a model of lines scores the end too. For a model
    of paragraphs or delimited documents, each of these takes the place of a line. Files may be
    compressed; of a pipe, each line is scored as soon as it is there.
    """
    _check(options)
    division = given_division(options)

    from charlstm.api import load
    from charlstm.corpus.notes import Notes

    notes = Notes()
    sources = open_texts(files, options["encoding"], notes)
    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    if not options["quiet"]:
        _note_columns(model, options)
        tell(notes)
    if options["whole"]:
        _score_whole(model, sources, options, division, notes)
    else:
        _score_lines(model, sources, options, division, notes)
    if not options["quiet"]:
        tell(notes)


def _check(options: dict[str, Any]) -> None:
    """Refuse options that contradict each other."""
    for name in ("paragraphs", "delimiter"):
        if options["carry"] and options[name]:
            raise UsageError(f"--carry reads on from line to line: leave --{name} out")
    if not options["whole"]:
        return
    for name in ("carry", "sort", "top"):
        if options[name]:
            raise UsageError(f"--{name} is about lines and --whole about files: give one of them")


def _note_columns(model: LanguageModel, options: dict[str, Any]) -> None:
    in_columns = not options["as_json"] and not options["whole"]
    note(f"{COLUMNS} {SAME_TOKENIZER}" if in_columns else SAME_TOKENIZER)
    if options["carry"] and model.checkpoint.config.corpus.division.within_files:
        note(
            "A model of lines or other parts of files begins each anew, whatever stands before: "
            "--carry has no use"
        )


# Lines


def _score_lines(
    model: LanguageModel,
    sources: list[Source],
    options: dict[str, Any],
    division: Division | None,
    notes: Notes,
) -> None:
    learned = model.checkpoint.config.corpus.division
    divided = division or learned
    by_line = divided.unit in ("file", "line")
    waits = options["sort"] or options["top"]
    show = show_json if options["as_json"] else show_columns
    shown = not options["quiet"] and bool(waits or not sys.stdout.isatty())
    with bar_over_files(sources, shown=shown) as progress:
        if by_line:
            groups = _groups(model, sources, options, notes, progress)
        else:
            groups = _document_groups(
                model, sources, options, notes, progress, divided, is_given=division is not None
            )
        if waits:
            scored = itertools.chain.from_iterable(groups)
            groups = iter([_most_surprising(scored, options["top"])])
        for group in groups:
            write_text("".join(map(show, group)))


def _most_surprising(lines: Iterable[ScoredLine], count: int | None) -> list[ScoredLine]:
    """Return lines by falling bits per character; ties keep their order, empty lines come last."""
    if count is None:
        return sorted(lines, key=_surprise, reverse=True)
    return heapq.nlargest(count, lines, key=_surprise)


def _surprise(line: ScoredLine) -> float:
    bits = line.score.bits_per_character
    return -math.inf if math.isnan(bits) else bits


def _groups(
    model: LanguageModel,
    sources: list[Source],
    options: dict[str, Any],
    notes: Notes,
    progress: ProgressBar,
) -> Iterator[list[ScoredLine]]:
    """Yield scored lines in order, in groups that become ready together."""
    encoding, decode_errors = options["encoding"], options["decode_errors"]
    form = FormNote(model, quiet=options["quiet"])
    for source in sources:
        file = source.name if len(sources) > 1 else None
        numbers = itertools.count(1)
        for blocks in source.documents(encoding, decode_errors, notes=notes):
            score = _Scorer(model, options, form)
            for lines in line_groups(blocks, rules=line_rules(model)):
                for scores in score(lines):
                    yield [ScoredLine(file, next(numbers), score) for score in scores]
                progress.advance_over((line.text + line.end for line in lines), encoding)


def _document_groups(
    model: LanguageModel,
    sources: list[Source],
    options: dict[str, Any],
    notes: Notes,
    progress: ProgressBar,
    division: Division,
    *,
    is_given: bool,
) -> Iterator[list[ScoredLine]]:
    """Yield scored documents in order, in groups that become ready together."""
    from charlstm.corpus.division import Divider

    encoding, decode_errors = options["encoding"], options["decode_errors"]
    form = FormNote(model, quiet=options["quiet"])
    for source in sources:
        file = source.name if len(sources) > 1 else None
        divider = Divider(division)
        for blocks in source.documents(encoding, decode_errors, notes=notes):
            for found in divider.groups(_told(blocks, progress, encoding), source.name):
                for documents in limited(found, lambda document: len(document.text)):
                    texts = [document.text for document in documents]
                    scores = model.score(*texts, per_token=options["per_token"])
                    _check_form(form, scores)
                    yield [
                        ScoredLine(file, document.line, score, is_line=False)
                        for document, score in zip(documents, scores, strict=True)
                    ]
        if is_given and division.delimiter is not None and not divider.delimiters:
            notes.undivided(source.name, division.delimiter)


def _check_form(form: FormNote, scores: list[Score]) -> None:
    """Check the texts that have unknown characters."""
    form.check("\n".join(score.text for score in scores if score.unknown))


def _told(blocks: Iterable[str], progress: ProgressBar, encoding: str) -> Iterator[str]:
    """Yield blocks, and tell a bar their size."""
    for block in blocks:
        yield block
        progress.advance_over((block,), encoding)


class _Scorer:
    """Scores the lines of one text, group by group."""

    def __init__(self, model: LanguageModel, options: dict[str, Any], form: FormNote) -> None:
        self._model = model
        self._per_token = options["per_token"]
        self._form = form
        division = model.checkpoint.config.corpus.division
        self._carries = options["carry"] and not division.within_files

    def __call__(self, lines: list[Line]) -> Iterator[list[Score]]:
        """Yield the scores of lines as soon as they are computed."""
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


# Whole texts


def _score_whole(
    model: LanguageModel,
    sources: list[Source],
    options: dict[str, Any],
    division: Division | None,
    notes: Notes,
) -> None:
    several = len(sources) > 1
    alone = not several or not sys.stdout.isatty()
    with bar_over_files(sources, shown=not options["quiet"] and alone) as progress:
        form = FormNote(model, quiet=options["quiet"])
        for index, source in enumerate(sources):
            texts = form.watched(_texts(model, source, options, division, notes))
            score = _whole(model, texts, options, progress)
            if options["as_json"]:
                named = {"file": source.name} if several else {}
                nats = {"nats_per_token": score.nats_per_token}
                facts = named | score_facts(score) | nats | tokens_of(score)
                write_text(json_of(facts) + "\n")
            else:
                write_text("\n" * bool(index) + show_table(score, source.name if several else None))


def _whole(
    model: LanguageModel, texts: Texts, options: dict[str, Any], progress: ProgressBar
) -> Score:
    from charlstm.evaluation.text_metrics import score_documents

    return score_documents(
        model.engine,
        model.tokenizer,
        texts,
        per_token=options["per_token"],
        on_progress=progress.advance if progress.shown else None,
        measure=lambda text: bytes_of(text, options["encoding"]),
    )


def _texts(
    model: LanguageModel,
    source: Source,
    options: dict[str, Any],
    division: Division | None,
    notes: Notes,
) -> Texts:
    from charlstm.corpus.documents import Corpus

    encoding, decode_errors = options["encoding"], options["decode_errors"]
    corpus = Corpus((source,), encoding, decode_errors, notes=notes)
    return model.texts_of(corpus, division)
