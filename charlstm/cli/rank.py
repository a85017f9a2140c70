"""``charlstm rank``: rank alternatives by probability."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charlstm.cli.escapes import remedy
from charlstm.cli.line_ends import line_rules
from charlstm.cli.options import (
    OptionGroup,
    checkpoint_argument,
    files_argument,
    grouped_command,
)
from charlstm.cli.output import json_of, note, tell, write_text
from charlstm.cli.progress_bar import bar_over_files
from charlstm.cli.prompts import note_long
from charlstm.cli.texts import line_groups, open_texts, text_options
from charlstm.cli.unicode_form import FormNote
from charlstm.corpus.encodings import without_mark
from charlstm.evaluation.ranking import ranked

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.evaluation.scoring import Score

what = OptionGroup("Ranking")
output = OptionGroup("Output")

LAYOUTS = ("auto", "tabs", "blocks")


@grouped_command(
    "rank",
    "printf 'their\\tthere\\n' | charlstm rank checkpoints/news --context 'it is over ' --best",
    "charlstm rank checkpoints/shakespeare nbest.txt --per-character | head",
)
@checkpoint_argument()
@files_argument("[FILE]...")
@what.choice(
    "--layout",
    among=LAYOUTS,
    default="auto",
    help="Layout of the groups. tabs: each line is a group, with alternatives separated by tabs. "
    "blocks: each block of lines is a group, ended by an empty line. auto: tabs for lines with a "
    "tab inside, blocks for the others.",
)
@what.text(
    "--context",
    default="",
    show_default="start a document",
    help="Text before each alternative, which is not scored. Word-level and subword-level models "
    "do score its last word, because an alternative may continue it.",
)
@what.flag(
    "--per-character",
    help="Rank by bits per character instead of the total log-probability, which favors short "
    "alternatives.",
)
@output.flag("--best", help="Print only the best alternative of each group, one per line.")
@output.json("Print one JSON object per group.")
@text_options
def command(checkpoint: Path, files: tuple[str, ...], **options: Any) -> None:
    """Rank the alternatives of each group in FILE (default: stdin) by probability.

    They are printed in the layout of the input, the one with the highest log-probability under
    CHECKPOINT first. Ties keep their order. Models trained with --lines also score the end of each
    alternative. Each group is ranked as soon as it has been read.
    """
    options["context"] = without_mark(options["context"])

    from charlstm.api.model import load
    from charlstm.corpus.notes import Notes
    from charlstm.tokenizer.unknown import describe_unknown

    encoding = options["encoding"]
    notes = Notes()
    sources = open_texts(files, encoding, notes, "text")
    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    form = FormNote(model, quiet=options["quiet"])
    if unknown := model.tokenizer.unknown_characters(model.normalized(options["context"])):
        meant = remedy("--context", options["context"]) if "\\" in unknown else ""
        hint = f" Did you mean {meant}?" if meant else ""
        note(f"Warning: the context has {describe_unknown(unknown)}.{hint}")
        form.check(options["context"])
    writer = _Writer(options, form)
    note_long(model, [options["context"]], "the context")
    tell(notes)
    shown = not options["quiet"] and not sys.stdout.isatty()
    with bar_over_files(sources, shown=shown) as progress:
        for source in sources:
            for blocks in source.documents(encoding, options["decode_errors"], notes=notes):
                gathered = _Gatherer(options["layout"])
                for lines in line_groups(blocks, rules=line_rules(model)):
                    writer.write(model, gathered.take(line.text for line in lines))
                    progress.advance_over((line.text + line.end for line in lines), encoding)
                writer.write(model, gathered.rest())
    tell(notes)


class _Group(NamedTuple):
    """Alternatives, and whether they were on one line."""

    texts: list[str]
    on_one_line: bool


class _Gatherer:
    """Gathers the groups of one text from its lines."""

    def __init__(self, layout: str) -> None:
        self._layout = layout
        self._block: list[str] = []

    def take(self, lines: Iterable[str]) -> list[_Group]:
        """Return the groups that these lines complete."""
        return list(itertools.chain.from_iterable(map(self._take, lines)))

    def rest(self) -> list[_Group]:
        """Return the group that the end of the text completes, if any."""
        texts, self._block = self._block, []
        return [_Group(texts, on_one_line=False)] if texts else []

    def _take(self, text: str) -> Iterator[_Group]:
        # Tabs before or after a text don't separate alternatives.
        if self._layout == "tabs" or (self._layout == "auto" and "\t" in text.strip()):
            yield from self.rest()
            yield _Group(text.split("\t"), on_one_line=True)
        elif text in ("", "\r"):
            yield from self.rest()
        else:
            self._block.append(text)


class _Writer:
    """Ranks groups and prints them, numbered from 1 across all texts."""

    def __init__(self, options: dict[str, Any], form: FormNote) -> None:
        self._options = options
        self._form = form
        self._written = 0
        self._was_block = False

    def write(self, model: LanguageModel, groups: list[_Group]) -> None:
        """Score all alternatives of the groups in one batch; print each group, best first."""
        texts = [text for group in groups for text in group.texts]
        found = model.score(*texts, context=self._options["context"])
        self._form.check("\n".join(score.text for score in found if score.unknown))
        scores = iter(found)
        shown = []
        for group in groups:
            own = itertools.islice(scores, len(group.texts))
            best_first = ranked(own, per_character=self._options["per_character"])
            kept = best_first[:1] if self._options["best"] else best_first
            shown.append(self._show(group, kept))
        if shown:
            write_text("".join(shown))

    def _show(self, group: _Group, scores: list[Score]) -> str:
        self._written += 1
        if self._options["as_json"]:
            alternatives = [score.to_dict() for score in scores]
            return json_of({"group": self._written, "alternatives": alternatives}) + "\n"
        texts = [score.text for score in scores]
        if self._options["best"]:
            return texts[0] + "\n"
        if group.on_one_line:
            between, self._was_block = "\n" * self._was_block, False
            return between + "\t".join(texts) + "\n"
        between, self._was_block = "\n" * (self._written > 1), True
        return between + "".join(text + "\n" for text in texts)
