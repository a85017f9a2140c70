"""``charlstm score``: log-probability, bits per character and perplexity of lines or texts."""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.line_scores import LineReader
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
    show_columns,
    show_json,
    show_table,
)
from charlstm.cli.texts import (
    dividing_options,
    format_for,
    open_texts,
    text_options,
)
from charlstm.cli.unicode_form import FormNote
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.config import Division
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.reading import Source
    from charlstm.evaluation.scoring import Score
    from charlstm.evaluation.text_metrics import Texts

what = OptionGroup("Scoring")
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
    help="Carry the model's state from line to line instead of resetting it, for the lines of one "
    "text. Line ends are read too. Slower, because lines are scored one by one.",
)
@what.flag("--whole", help="Score each file as one text instead of line by line.")
@output.flag("--per-token", help="Also print the log-probability of each token.")
@output.flag(
    "--sort",
    help="Print the lines with the most bits per character first. Keeps the whole text in memory.",
)
@output.count("--top", help="Print only the N lines with the most bits per character.")
@output.json("Print one JSON object per line, or per file with --whole.")
@dividing_options
@text_options
def command(checkpoint: Path, files: tuple[str, ...], **options: Any) -> None:
    """Score each line of FILE (default: stdin) with CHECKPOINT.

    The columns, separated by tabs, are bits per character, log-probability in nats, perplexity per
    token, number of unknown tokens, line number (FILE:NUMBER for several files) and line.

    Each line is scored as the start of a document, without its line end. Models trained with
    --lines also score the end. If the model was trained with --paragraphs or --delimiter, each
    document is scored instead of each line, and so is each record of a table. Files may be
    compressed. Lines from a pipe are scored as they arrive.
    """
    _check(options)

    from charlstm.api.model import load
    from charlstm.corpus.division import given_division
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.table_source import check_tables

    notes = Notes()
    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    sources = open_texts(files, options["encoding"], notes, format_for(model, options))
    division = given_division(options, model.checkpoint.config.corpus.division)
    tell(notes)
    check_tables(sources, division, options)
    _check_carry(sources, options)
    _note_columns(model, options)
    if options["whole"]:
        _score_whole(model, sources, options, division, notes)
    else:
        _score_lines(model, sources, options, division, notes)
    tell(notes)


def _check(options: dict[str, Any]) -> None:
    """Check that options don't contradict each other."""
    for name in ("paragraphs", "delimiter", "columns"):
        if options["carry"] and options[name]:
            raise UsageError(f"--carry can't be combined with --{name}.")
    if not options["whole"]:
        return
    for name in ("carry", "sort", "top"):
        if options[name]:
            raise UsageError(f"--whole can't be combined with --{name}.")


def _check_carry(sources: list[Source], options: dict[str, Any]) -> None:
    from charlstm.corpus.table_source import TableSource

    table = next((each.name for each in sources if isinstance(each, TableSource)), None)
    if options["carry"] and table:
        raise UsageError(
            f"--carry can't be combined with a table: the records of {table} are scored one by one."
        )


def _note_columns(model: LanguageModel, options: dict[str, Any]) -> None:
    in_columns = not options["as_json"] and not options["whole"]
    if in_columns:
        note(COLUMNS)
    if not options["as_json"]:
        note(SAME_TOKENIZER)
    if options["carry"] and model.checkpoint.config.corpus.division.within_files:
        note("Note: --carry has no effect, because this model was trained on separate documents.")


# Lines


def _score_lines(
    model: LanguageModel,
    sources: list[Source],
    options: dict[str, Any],
    division: Division | None,
    notes: Notes,
) -> None:
    waits = options["sort"] or options["top"]
    show = show_json if options["as_json"] else show_columns
    shown = not options["quiet"] and bool(waits or not sys.stdout.isatty())
    with bar_over_files(sources, shown=shown) as progress:
        reader = LineReader(model, options, division, notes, progress, several=len(sources) > 1)
        groups: Iterable[list[ScoredLine]] = (
            group for source in sources for group in reader.groups(source)
        )
        if waits:
            scored = itertools.chain.from_iterable(groups)
            groups = [_most_surprising(scored, options["top"])]
        for group in groups:
            write_text("".join(map(show, group)))


def _most_surprising(lines: Iterable[ScoredLine], count: int | None) -> list[ScoredLine]:
    """Return lines by bits per character, highest first, ties in order and empty lines last."""
    if count is None:
        return sorted(lines, key=_surprise, reverse=True)
    return heapq.nlargest(count, lines, key=_surprise)


def _surprise(line: ScoredLine) -> float:
    bits = line.score.bits_per_character
    return -math.inf if math.isnan(bits) else bits


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
                facts = score.to_dict()
                del facts["text"]  # which was read as a stream
                write_text(json_of(named | facts) + "\n")
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
