"""``charlstm evaluate --models``: several models on one text, in one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.checkpoint.names import shown_name
from charlstm.cli.measuring import dynamic_figures, figures_of_text, open_text
from charlstm.cli.output import note, note_all, notes_of_errors, write_json, write_text
from charlstm.cli.tables import aligned
from charlstm.cli.unicode_form import FormNote
from charlstm.corpus.division import NAMES, given_division
from charlstm.errors import harmless

if TYPE_CHECKING:
    from collections import Counter

    from charlstm.api.model import LanguageModel
    from charlstm.config import Division
    from charlstm.evaluation.text_metrics import Texts

_SHOWN = 60  # characters of a name at most
_FAIR = 0.01  # share of a text that a model may be unable to represent, to be called the best


def compare_models(
    folders: Sequence[Path], files: tuple[str, ...], options: dict[str, Any]
) -> None:
    """Measure models on a text, and print their figures as a table or as JSON."""
    from charlstm.api.model import load
    from charlstm.corpus.spool import spooled_stdin

    # All models are loaded first, so that a damaged one is an error before anything is measured.
    settings = {"precision": options["precision"], "threads": options["threads"]}
    models = [load(folder, **settings) for folder in folders]
    names = [harmless(shown_name(folder), _SHOWN) for folder in folders]
    notes: dict[str, None] = {}  # each once, in order
    measured = []
    with notes_of_errors(), spooled_stdin(files) as stdin:
        for name, model in zip(names, models, strict=True):
            division = given_division(options, model.checkpoint.config.corpus.division)
            corpus = open_text(model, files, options, division, stdin)
            texts = model.texts_of(corpus, division)
            facts = figures_of_text(model, corpus, texts, options, label=f" with {name}")
            if facts["unknown"]:
                _warn_unknown(name, facts, model, texts)
                FormNote(model, quiet=options["quiet"]).check_all(texts)
            if options["dynamic"]:
                facts["dynamic"] = dynamic_figures(model, texts, options)
            measured.append(facts)
            notes |= dict.fromkeys(corpus.notes.untold())
    note_all(notes)
    fair = _fair(measured)
    best = min(fair, key=lambda row: measured[row]["bits_per_character"]) if fair else None
    if options["as_json"]:
        write_json(
            {
                "models": _listed(folders, models, measured),
                "best": None if best is None else str(folders[best]),
            }
        )
        return
    _note_differences(names, models, measured, options)
    write_text(models_table(names, models, measured))


def _listed(
    folders: Sequence[Path], models: Sequence[LanguageModel], measured: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {"checkpoint": str(folder), "level": model.tokenizer.level} | facts
        for folder, model, facts in zip(folders, models, measured, strict=True)
    ]


# Notes


def _warn_unknown(name: str, facts: dict[str, Any], model: LanguageModel, texts: Texts) -> None:
    """Warn that a model can't represent a part of the text."""
    from charlstm.tokenizer.unknown import list_of_unknown

    share = _unknown_share(facts)
    shown = "less than 0.1%" if share < 0.001 else f"{100 * share:.1f}%"
    unfair = "a little unfair" if share < _FAIR else "unfair"
    note(
        f"Warning: {name} can't represent {shown} of the text "
        f"({list_of_unknown(_unknown(model, texts))}), so the comparison with it is {unfair}."
    )


def _unknown_share(facts: dict[str, Any]) -> float:
    return float(facts["unknown"] / max(1, facts["characters"]))


def _fair(measured: Sequence[dict[str, Any]]) -> list[int]:
    """Return the models that can represent almost all of the text.

    An unknown token stands for many characters, so it is easier to predict than each of them.
    """
    return [row for row, facts in enumerate(measured) if _unknown_share(facts) < _FAIR]


def _unknown(model: LanguageModel, texts: Texts) -> Counter[str]:
    from collections import Counter

    counts: Counter[str] = Counter()
    for document in texts.documents():
        for piece in document:
            counts += model.tokenizer.unknown_characters(piece)
    return counts


def _note_differences(
    names: Sequence[str],
    models: Sequence[LanguageModel],
    measured: Sequence[dict[str, Any]],
    options: dict[str, Any],
) -> None:
    """Note what the marks mean, and where models have not read the same text in the same way."""
    note("Note: bits per character compare models of any level. * marks the best of a column.")
    divisions = [
        given_division(options, model.checkpoint.config.corpus.division)
        or model.checkpoint.config.corpus.division
        for model in models
    ]
    if len({division.unit for division in divisions}) > 1:
        each = ", ".join(map(_reading, names, divisions))
        note(f"Note: {each}. No model sees text before the start of a document.")
    if "dynamic" in measured[0] and not _is_same_dynamic_text(measured):
        note(
            "Note: --dynamic-tokens are more characters at a higher level, so the dynamic figures "
            "don't compare. Use --dynamic-tokens 0 to read the whole text."
        )


def _reading(name: str, division: Division) -> str:
    return f"{name} reads each {NAMES[division.unit]} as a document"


def _is_same_dynamic_text(measured: Sequence[dict[str, Any]]) -> bool:
    return len({facts["dynamic"]["characters"] for facts in measured}) == 1


# The table


def models_table(
    names: Sequence[str], models: Sequence[LanguageModel], measured: Sequence[dict[str, Any]]
) -> str:
    """Return a row of figures for each model, with the best one of each column marked."""
    fair = _fair(measured)
    columns = [
        _Column("bits/char", [facts["bits_per_character"] for facts in measured], "{:.4f}", fair),
        _Column("ppl/word", [facts["word_perplexity"] for facts in measured], "{:,.1f}", fair),
    ]
    if "sample" in measured[0]:
        accuracy = [facts["next_word_accuracy"] for facts in measured]
        columns += [
            _Column(f"top {rank}", [-100 * each[rank] for each in accuracy], "{:.1f}%", fair)
            for rank in ("1", "3", "5")
        ]
        saved = [-100 * facts["keystrokes_saved"] for facts in measured]
        columns.append(_Column("keystrokes saved", saved, "{:.1f}%", fair))
    if "gaps" in measured[0]:
        found = [-100 * facts["gaps"]["accuracy"]["1"] for facts in measured]
        columns.append(_Column("hidden, top 1", found, "{:.1f}%", fair))
    if "dynamic" in measured[0]:
        bits = [facts["dynamic"]["bits_per_character"] for facts in measured]
        comparable = fair if _is_same_dynamic_text(measured) else []
        columns.append(_Column("dynamic bits/char", bits, "{:.4f}", comparable))
    unknown = [f"{facts['unknown']:,}" for facts in measured]
    rows = [
        ["model", "level", *(column.heading for column in columns), "unknown"],
        *(
            [name, model.tokenizer.level, *(column.cell(row) for column in columns), unknown[row]]
            for row, (name, model) in enumerate(zip(names, models, strict=True))
        ),
    ]
    return aligned(rows, [False, False, *(True for _ in columns), True])


class _Column:
    """A column of figures, of which the lowest is best. Figures where more is better are negated.

    Args:
        heading: the heading.
        figures: the figure of each model, NaN if it has none.
        form: the format of a figure.
        fair: the rows among which the best one is marked.
    """

    def __init__(
        self, heading: str, figures: Sequence[float], form: str, fair: Sequence[int]
    ) -> None:
        self.heading = f"{heading} "  # above the place for the mark
        self._figures, self._form = figures, form
        known = {row: figures[row] for row in fair if not math.isnan(figures[row])}
        self._best = min(known, key=known.__getitem__) if known else None

    def cell(self, row: int) -> str:
        """Return the figure of a model."""
        figure = self._figures[row]
        if math.isnan(figure):
            return "none "
        shown = "infinite" if math.isinf(figure) else self._form.format(abs(figure))
        return shown + ("*" if row == self._best else " ")
