"""Measures a model on a text for ``charlstm evaluate``, with progress bars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.output import note
from charlstm.cli.progress_bar import ProgressBar
from charlstm.cli.texts import format_for

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.config import Division
    from charlstm.corpus.documents import Corpus
    from charlstm.evaluation.text_metrics import Texts


def open_text(
    model: LanguageModel,
    addresses: tuple[str, ...],
    options: dict[str, Any],
    division: Division | None,
    stdin: Path | None,
) -> Corpus:
    """Return texts, after a check that they can be divided as asked."""
    from charlstm.corpus.documents import open_corpus
    from charlstm.corpus.sources import FileChoice
    from charlstm.corpus.table_source import check_tables

    corpus = open_corpus(
        addresses,
        encoding=options["encoding"],
        decode_errors=options["decode_errors"],
        choice=FileChoice(format_for(model, options)),
        stdin=stdin,
    )
    with corpus.notes.kept_by_errors():
        check_tables(corpus.sources, division, options)
    return corpus


def figures_of_text(
    model: LanguageModel,
    corpus: Corpus,
    texts: Texts,
    options: dict[str, Any],
    *,
    label: str = "",
) -> dict[str, Any]:
    """Return the figures of a text by their JSON names; ``label`` ends the names of the bars."""
    from charlstm.corpus.reading import total_size
    from charlstm.evaluation.text_metrics import evaluate_text
    from charlstm.evaluation.word_metrics import evaluate_words

    engine, tokenizer = model.engine, model.tokenizer
    shown = not options["quiet"]
    with ProgressBar(
        total_size(corpus.sources), "char", name=f"scoring{label}", shown=shown
    ) as bar:
        found = evaluate_text(engine, tokenizer, texts, on_progress=bar.advance)
    facts = found.to_dict()
    if options["sample"]:
        with ProgressBar(options["sample"], "word", name=f"words{label}", shown=shown) as bar:
            figures = evaluate_words(
                engine,
                tokenizer,
                texts,
                sample=options["sample"],
                seed=options["seed"],
                on_progress=bar.advance,
            )
        facts |= figures.to_dict() | {"seed": options["seed"]}
    if options["gaps"]:
        facts["gaps"] = _gap_figures(model, texts, options, label)
    return facts


def _gap_figures(
    model: LanguageModel, texts: Texts, options: dict[str, Any], label: str
) -> dict[str, Any]:
    from charlstm.evaluation.gap_metrics import HIDDEN_WORDS, evaluate_gaps

    shown, sample = not options["quiet"], options.get("hidden", HIDDEN_WORDS)
    with ProgressBar(sample, "word", name=f"gaps{label}", shown=shown) as bar:
        found = evaluate_gaps(
            model.tokenizer,
            model.predictor(),
            model.filler(),
            texts,
            sample=sample,
            seed=options["seed"],
            on_progress=bar.advance,
        )
    return found.to_dict()


def dynamic_figures(model: LanguageModel, texts: Texts, options: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of dynamic evaluation by their JSON names."""
    from charlstm.evaluation.dynamic import evaluate_dynamic

    given = {"rate": options["dynamic_rate"], "decay": options["dynamic_decay"]}
    if options["dynamic_tokens"] is not None:
        given["tokens"] = options["dynamic_tokens"]
    note("Loading TensorFlow for dynamic evaluation.")
    with ProgressBar(None, "token", name="learning", shown=not options["quiet"]) as bar:
        found = evaluate_dynamic(
            model.engine,
            model.checkpoint,
            texts,
            threads=options["threads"],
            on_progress=bar.advance,
            **given,
        )
    if found.loss > found.static.loss:
        note("Warning: the dynamic loss is worse than the static loss. Lower --dynamic-rate.")
    return found.to_dict()


def memorization_figures(
    model: LanguageModel, texts: Texts, training: Texts, options: dict[str, Any]
) -> dict[str, Any]:
    """Return how much of a model's samples, and of a text, is in its training text."""
    from charlstm.evaluation.memorization import measure_memorization

    found = measure_memorization(
        model.engine,
        model.tokenizer,
        training,
        texts,
        characters=options["against_sample"],
        ends=model.checkpoint.config.provenance.ends,
        seed=options["seed"],
    )
    return found.to_dict()
