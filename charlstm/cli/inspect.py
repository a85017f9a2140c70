"""``charlstm inspect``: check a text and show how training on it would go."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.argument_names import as_typed
from charlstm.cli.corpus_options import (
    check_given,
    dividing_options,
    given_options,
    level_option,
    normalization_option,
)
from charlstm.cli.fetching import fetch_named
from charlstm.cli.options import OptionGroup, files_argument, grouped_command
from charlstm.cli.output import note_all, notes_of_errors, write_json, write_text
from charlstm.cli.progress_bar import ProgressBar, ReadingBars
from charlstm.errors import CorpusError, UsageError, harmless

if TYPE_CHECKING:
    from charlstm.corpus.documents import Corpus
    from charlstm.corpus.inspection import Inspection
    from charlstm.dataset.prepare import OnReading
    from charlstm.training.request import Request
    from charlstm.training.setup import Run

text = OptionGroup("Text")
output = OptionGroup("Output")

_WIDTH = 14  # of the names of rows
_SHOWN = 8  # characters
_LINE_ENDS = {"\n": "Unix", "\r\n": "Windows", "\r": "old Mac"}


@grouped_command(
    "inspect",
    "charlstm inspect my.txt",
    "charlstm inspect posts/ --include '*.md' --dedupe",
    "charlstm inspect reviews.csv --columns label,text --json",
)
@files_argument("CORPUS...", name="corpus")
@level_option(text)
@dividing_options(text)
@text.decoding
@normalization_option(text)
@output.quiet()
@output.json("Print one JSON object instead of a table.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Check CORPUS before you train on it: what it consists of, and what will hurt training.

    Takes the options of charlstm train for how to read a text. Also prints the plan that
    charlstm train would choose.
    """
    from charlstm.training.options import request_of

    chosen = given_options(ctx, besides=("corpus", "quiet", "as_json"))
    check_given(ctx, options["corpus"], chosen)

    from charlstm.corpus.documents import empty_error
    from charlstm.corpus.inspection import inspect_corpus
    from charlstm.corpus.reading import total_size
    from charlstm.corpus.spool import spooled_stdin
    from charlstm.dataset.prepare import training_corpus
    from charlstm.training.request import Request

    fetch_named(options["corpus"], quiet=options["quiet"])
    request = request_of(options["corpus"], chosen)
    assert isinstance(request, Request)
    with notes_of_errors(), spooled_stdin(request.corpus.addresses) as stdin:
        corpus = training_corpus(request.corpus, stdin)
        shown = not options["quiet"]
        size = total_size(corpus.sources)
        with ProgressBar(size, "B", name="checking", shown=shown) as bar:
            found = inspect_corpus(
                corpus, lambda text: bar.advance_over((text,), request.corpus.encoding)
            )
        if not found.characters:
            raise empty_error(corpus.addresses)
        with contextlib.closing(ReadingBars(shown=shown)) as bars:
            run, problem = _plan(request, stdin, bars.tell)
    note_all(corpus.notes.sentences)
    if options["as_json"]:
        write_json(_facts(corpus, found, run, problem))
    else:
        rows = _rows(corpus, found, run, problem)
        write_text("".join(f"{name:<{_WIDTH}}{harmless(value, 2000)}\n" for name, value in rows))


def _plan(request: Request, stdin: Any, on_reading: OnReading) -> tuple[Run | None, str]:
    """Return the run that training on a text would start, or why it can't."""
    from charlstm.training.setup import new_run

    try:
        return new_run(request, stdin, on_reading=on_reading), ""
    except (CorpusError, UsageError) as error:
        return None, as_typed(str(error))


def _facts(corpus: Corpus, found: Inspection, run: Run | None, problem: str) -> dict[str, Any]:
    import msgspec

    training = None
    if run is not None:
        training = {
            "level": run.config.tokenizer.level,
            "size": run.plan.size,
            "layers": run.plan.model.layers,
            "units": run.plan.model.units,
            "parameters": run.plan.model.parameters,
            "vocab_size": run.plan.model.vocab_size,
            "steps": run.plan.steps,
            "epochs": run.plan.steps / run.plan.steps_per_epoch,
            "minutes": run.plan.minutes,
            "train_tokens": run.prepared.store.train_tokens,
            "valid_tokens": run.prepared.store.valid_tokens,
        }
    return {
        **msgspec.structs.asdict(found),
        "hazards": [as_typed(hazard) for hazard in found.hazards],
        "encodings": corpus.notes.encodings,
        "division": corpus.division,
        "training": training,
        "problem": problem or None,
    }


def _rows(
    corpus: Corpus, found: Inspection, run: Run | None, problem: str
) -> list[tuple[str, str]]:
    from charlstm.cli.descriptions import describe_training
    from charlstm.cli.suggestions import advice_on

    counts = list(found.character_counts.items())
    return [
        ("files", f"{found.files:,}{_encodings(corpus)}"),
        ("documents", _documents(corpus, found)),
        ("characters", f"{found.characters:,}, {len(counts):,} distinct"),
        ("frequent", _counts(counts[:_SHOWN])),
        ("rarest", _counts(counts[: -_SHOWN - 1 : -1])),
        ("words", f"{found.words:,}"),
        ("lines", f"{found.lines:,}, longest {_counted(found.longest_line, 'character')}"),
        ("line ends", _ends(found.line_ends)),
        *(("will hurt", as_typed(hazard)) for hazard in [*found.hazards, *_list(run)]),
        ("training", describe_training(run) if run else f"not possible: {problem}"),
        *([("advice", advice)] if run and (advice := advice_on(run, shipped=False)) else []),
    ]


def _list(run: Run | None) -> list[str]:
    from charlstm.corpus.short_lines import IS_LIST

    return [IS_LIST] if run and run.prepared.statistics.is_list else []


def _encodings(corpus: Corpus) -> str:
    """Return the encodings of the files with their counts, the most frequent first."""
    from collections import Counter

    found = Counter(corpus.notes.encodings.values()).most_common()
    if len(found) < 2:
        return "".join(f", {encoding}" for encoding, _ in found)
    return "".join(f", {count:,} in {encoding}" for encoding, count in found)


def _documents(corpus: Corpus, found: Inspection) -> str:
    from charlstm.corpus.division import NAMES
    from charlstm.corpus.table_source import TableSource

    division = corpus.division
    if corpus.notes.lacks_delimiter:
        return f"{_counted(found.documents, 'document')} (no line equals the delimiter)"
    each = f"each a {NAMES[division.unit]}"
    if division.unit == "file" and any(isinstance(s, TableSource) for s in corpus.sources):
        each = "each a file, or a record of a table"
    columns = f" (columns: {', '.join(division.columns)})" if division.columns else ""
    copies = f"; {found.copies:,} identical to an earlier one" if found.copies else ""
    return f"{found.documents:,}, {each}{columns}{copies}"


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _counts(counts: list[tuple[str, int]]) -> str:
    return ", ".join(f"{character!r} {count:,}" for character, count in counts)


def _ends(ends: dict[str, int]) -> str:
    found = [f"{count:,} {_LINE_ENDS[end]} ({end!r})" for end, count in ends.items()]
    return ", ".join(found) or "none within documents"
