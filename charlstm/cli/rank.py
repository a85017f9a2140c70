"""``charlstm rank``: put alternatives in order, the most probable first."""

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
    check_utf8,
    checkpoint_argument,
    files_argument,
    grouped_command,
)
from charlstm.cli.output import json_of, note, tell, write_text
from charlstm.cli.progress_bar import bar_over_files
from charlstm.cli.prompts import note_long
from charlstm.cli.scores import score_facts
from charlstm.cli.texts import line_groups, open_texts, text_options
from charlstm.cli.unicode_form import FormNote
from charlstm.corpus.encodings import without_mark

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.evaluation.scoring import Score

what = OptionGroup("What to rank")
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
    help="Each line is a group, its alternatives between tabs; or a block of lines is, up to an "
    "empty line; auto takes a line with a tab between other text for a group and other lines for "
    "blocks.",
)
@what(
    "--context",
    default="",
    metavar="TEXT",
    help="Read this before each alternative, without scoring it. Models of words and of pieces do "
    "score its last word, which may go on. Default: begin a document.",
)
@what.flag(
    "--per-character",
    help="Rank by bits per character. Choose it where lengths differ much: the total makes the "
    "shorter one win.",
)
@output.flag("--best", help="Only the winner of each group, one a line.")
@output.json("One JSON object a group.")
@text_options
def command(checkpoint: Path, files: tuple[str, ...], **options: Any) -> None:
    """Rank the alternatives of each group in the FILEs (default: standard input, -).

    They come back in the layout they were given in, the most probable first, by log-probability
    with CHECKPOINT; equal ones keep their order. A model of lines scores the end of each too. A
    group is ranked as soon as it is there.
    """
    check_utf8("--context", options["context"])
    options["context"] = without_mark(options["context"])

    from charlstm.api import load
    from charlstm.corpus.notes import Notes
    from charlstm.tokenizer.unknown import describe_unknown

    encoding = options["encoding"]
    notes = Notes()
    sources = open_texts(files, encoding, notes, "text")
    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    form = FormNote(model, quiet=options["quiet"])
    if unknown := model.tokenizer.unknown_characters(model.normalized(options["context"])):
        meant = remedy("--context", options["context"]) if "\\" in unknown else ""
        hint = f"; did you mean {meant}?" if meant else ""
        note(f"Warning: the context has {describe_unknown(unknown)} that the model never saw{hint}")
        form.check(options["context"])
    writer = _Writer(options, form)
    if not options["quiet"]:
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
    if not options["quiet"]:
        tell(notes)


class _Group(NamedTuple):
    """Alternatives, and whether they were given on one line."""

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
        """Return the group that the end of the text completes, if there is one."""
        texts, self._block = self._block, []
        return [_Group(texts, on_one_line=False)] if texts else []

    def _take(self, text: str) -> Iterator[_Group]:
        # Tabs around a text do not part alternatives: they indent it, or end it.
        if self._layout == "tabs" or (self._layout == "auto" and "\t" in text.strip()):
            yield from self.rest()
            yield _Group(text.split("\t"), on_one_line=True)
        elif text in ("", "\r"):
            yield from self.rest()
        else:
            self._block.append(text)


class _Writer:
    """Ranks groups and prints them, numbered from 1 over all texts."""

    def __init__(self, options: dict[str, Any], form: FormNote) -> None:
        self._options = options
        self._form = form
        self._written = 0
        self._was_block = False

    def write(self, model: LanguageModel, groups: list[_Group]) -> None:
        """Score all alternatives of the groups as one batch; print each group, best first."""
        texts = [text for group in groups for text in group.texts]
        found = model.score(*texts, context=self._options["context"])
        self._form.check("\n".join(score.text for score in found if score.unknown))
        scores = iter(found)
        shown = []
        for group in groups:
            ranked = sorted(itertools.islice(scores, len(group.texts)), key=self._cost)
            kept = ranked[:1] if self._options["best"] else ranked
            shown.append(self._show(group, kept))
        if shown:
            write_text("".join(shown))

    def _cost(self, score: Score) -> tuple[bool, float]:
        """Return the sort key; an alternative without tokens comes last."""
        if not score.tokens:
            return True, 0.0
        by_character = self._options["per_character"]
        return False, score.bits_per_character if by_character else -score.log_probability

    def _show(self, group: _Group, scores: list[Score]) -> str:
        self._written += 1
        if self._options["as_json"]:
            alternatives = [{"text": score.text} | score_facts(score) for score in scores]
            return json_of({"group": self._written, "alternatives": alternatives}) + "\n"
        texts = [score.text for score in scores]
        if self._options["best"]:
            return texts[0] + "\n"
        if group.on_one_line:
            between, self._was_block = "\n" * self._was_block, False
            return between + "\t".join(texts) + "\n"
        between, self._was_block = "\n" * (self._written > 1), True
        return between + "".join(text + "\n" for text in texts)
