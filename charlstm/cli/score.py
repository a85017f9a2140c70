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
    score_facts,
    show_columns,
    show_json,
    show_table,
    tokens_of,
)
from charlstm.cli.texts import (
    check_tables,
    dividing_options,
    format_for,
    given_division,
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
    from charlstm.evaluation.scoring import Score
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
    of paragraphs or delimited documents, each of these takes the place of a line, and so does each
    record of a table. Files may be compressed; of a pipe, each line is scored when it is there.
    """
    _check(options)

    from charlstm.api import load
    from charlstm.corpus.notes import Notes

    notes = Notes()
    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    sources = open_texts(files, options["encoding"], notes, format_for(model, options))
    division = given_division(options, model.checkpoint.config.corpus.division)
    check_tables(sources, division, options)
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
    for name in ("paragraphs", "delimiter", "columns"):
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
    """Return lines by falling bits per character; ties keep their order, empty lines come last."""
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
