"""``charlstm info``: a checkpoint's network, settings and figures, and how its run ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.argument_names import as_typed
from charlstm.cli.descriptions import (
    describe_backward,
    describe_dropout,
    describe_layers,
    describe_names,
    describe_parameters,
    describe_validated,
    show_perplexity,
)
from charlstm.cli.options import OptionGroup, checkpoints_argument, grouped_command
from charlstm.cli.output import note, write_json, write_text
from charlstm.errors import UsageError, harmless

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Checkpoint, Figures, Provenance, RunConfig
    from charlstm.cli.outcomes import KnownRun
    from charlstm.config import Division

_SHOWN = 2000  # characters of a row at most

options = OptionGroup()


@grouped_command(
    "info",
    "charlstm info checkpoints/shakespeare --json | python3 -m json.tool",
    "charlstm info checkpoints/names --markdown",
    "charlstm info checkpoints/names checkpoints/logs",
)
@checkpoints_argument()
@options.quiet()
@options.json("Print one JSON object instead of a table.")
@options.flag("--markdown", help="Print a model card in Markdown instead of a table.")
def command(checkpoints: tuple[Path, ...], quiet: bool, as_json: bool, markdown: bool) -> None:
    """Show CHECKPOINT's network, tokenizer, corpus, training settings and validation loss.

    Shows how its run ended, whether the model overfits, and what to try next. Several checkpoints
    are compared, each in a column of its own.

    CHECKPOINT defaults to $CHARLSTM_CHECKPOINT, or to the newest checkpoint in checkpoints/.
    """
    if as_json and markdown:
        raise UsageError("--json can't be combined with --markdown.")
    if markdown and len(checkpoints) > 1:
        raise UsageError("--markdown takes one checkpoint.")

    from charlstm.checkpoint.names import default_checkpoint
    from charlstm.checkpoint.reader import read_checkpoint

    if markdown:
        from charlstm.cli.model_card import model_card

        (folder,) = checkpoints or (default_checkpoint(),)
        write_text(model_card(read_checkpoint(folder)))
        return
    known = [_read(folder) for folder in checkpoints or (default_checkpoint(),)]
    if len(known) > 1:
        _compare(known, quiet=quiet, as_json=as_json)
    elif as_json:
        write_json(_facts(known[0]))
    else:
        write_text(_table(known[0]))


def _compare(known: list[KnownRun], *, quiet: bool, as_json: bool) -> None:
    from charlstm.checkpoint.comparison import comparability
    from charlstm.cli.comparison import comparison_table, comparison_verdict

    found = comparability([each.checkpoint for each in known])
    if as_json:
        comparable = {"loss": found.loss, "bits_per_character": found.bits}
        write_json({"models": [_facts(each) for each in known], "comparable": comparable})
        return
    write_text(comparison_table(known, found))
    if not quiet:
        note(comparison_verdict(known, found))


def _read(folder: Path) -> KnownRun:
    """Read a checkpoint and how its run ended, without weights if the run hasn't stored any yet."""
    from charlstm.checkpoint.reader import read_checkpoint, read_config, read_tokenizer
    from charlstm.checkpoint.schema import MODEL, RESUME, Checkpoint, Figures
    from charlstm.cli.outcomes import KnownRun
    from charlstm.training.advice import advise
    from charlstm.training.outcome import read_outcome

    config = read_config(folder)
    if (folder / RESUME).exists() and not (folder / MODEL).exists():
        none = Figures(step=0, epoch=0.0, tokens=0, seconds=0.0, learning_rate=0.0)
        found = Checkpoint(folder, config, read_tokenizer(folder), {}, none, "")
    else:
        found = read_checkpoint(folder)
    outcome = read_outcome(folder)
    advice = as_typed(advise(outcome, found.config, found.tokenizer, folder))
    return KnownRun(found, outcome, advice)


def _facts(known: KnownRun) -> dict[str, Any]:
    from charlstm.checkpoint.reader import is_finished, read_lines_index
    from charlstm.cli.outcomes import outcome_facts

    checkpoint = known.checkpoint
    config, lines = checkpoint.config, read_lines_index(checkpoint.folder)
    return {
        "checkpoint": str(checkpoint.folder),
        "finished": is_finished(checkpoint.folder),
        "parameters": config.model.parameters,
        "run": outcome_facts(known.outcome, known.advice),
        "figures": _figures(checkpoint),
        "format": config.format,
        "charlstm": config.charlstm,
        "weights": config.weights,
        "model": config.model,
        "tokenizer": {
            "level": config.tokenizer.level,
            "vocab_size": checkpoint.tokenizer.vocab_size,
        },
        "corpus": config.corpus,
        "provenance": config.provenance,
        "line_hashes": None if lines is None else len(lines),
        "validated_tokens": config.train.tokens_validated(config.provenance.valid_tokens),
        "train": config.train,
    }


def _figures(checkpoint: Checkpoint) -> Figures:
    """Return the figures, without word perplexity if the text has too few words for it."""
    if _has_words(checkpoint.config):
        return checkpoint.figures
    from msgspec.structs import replace

    return replace(checkpoint.figures, valid_word_perplexity=None)


def _table(known: KnownRun) -> str:
    from charlstm.checkpoint.names import shown_name
    from charlstm.cli.outcomes import describe_fit, describe_length, describe_state

    checkpoint, outcome = known.checkpoint, known.outcome
    config, figures = checkpoint.config, checkpoint.figures
    model, train, origin = config.model, config.train, config.provenance
    rows: dict[str, str | None] = {
        "checkpoint": f"{shown_name(checkpoint.folder)} (format {config.format}, "
        f"charlstm {config.charlstm})",
        "network": f"{describe_layers(model)}, embedding {model.embedding}"
        f"{', tied output' * model.tied}, "
        f"{describe_parameters(model, ' of 8 bits' * (config.weights == 'int8'))}",
        "tokenizer": f"{config.tokenizer.level} level, "
        f"vocabulary {checkpoint.tokenizer.vocab_size:,}",
        "corpus": f"{describe_names(config.corpus.addresses)}"
        f"{'; validates on ' + describe_names(config.corpus.valid) if config.corpus.valid else ''}"
        f"{_describe_division(config.corpus.division)}",
        "text": f"{origin.characters:,} characters in {origin.documents:,} "
        f"{'document' if origin.documents == 1 else 'documents'}; "
        f"{origin.train_tokens:,} training tokens, "
        f"{describe_validated(train, origin.valid_tokens)} validation tokens",
        "samples": _describe_samples(origin),
        "started": origin.created,
        "state": describe_state(outcome, config, checkpoint.folder),
        "run": describe_length(outcome),
        "last" if figures.valid_loss is None else "best": _describe_best(checkpoint),
        **_loss_rows(config, figures),
        "backward": describe_backward(figures),
        "overfits": describe_fit(outcome),
        "training": f"{train.optimizer}, rate {train.learning_rate:g}, {train.streams} streams x "
        f"{train.sequence_length} tokens, dropout {describe_dropout(train)}, weight decay "
        f"{train.weight_decay:g}, seed {train.seed}",
    }
    if config.corpus.division.within_files:
        rows["lines"] = _line_index(checkpoint)
    if origin.parent:
        rows["fine-tuned"] = f"from {origin.parent}"
    rows["advice"] = known.advice
    # A checkpoint may come from anybody, so its texts are escaped.
    return "".join(
        f"{name:<12}{harmless(value, _SHOWN)}\n" for name, value in rows.items() if value
    )


def _describe_best(checkpoint: Checkpoint) -> str | None:
    figures, loss = checkpoint.figures, checkpoint.loss
    if not checkpoint.weights:
        return None
    shown = "" if loss is None else f", loss {loss:.4f}"
    return (
        f"step {figures.step:,}, epoch {figures.epoch:.2f}, after {figures.seconds:,.0f} s{shown}"
    )


def _describe_samples(origin: Provenance) -> str:
    ends = "end where the model ends the document"
    if not origin.ends:
        ends = "end only by --length, --until or --stop"
    return f"start like a {origin.beginnings}, {ends}"


def _describe_division(division: Division) -> str:
    if division.delimiter is not None:
        return f" (documents separated by lines {division.delimiter!r})"
    columns = f": {', '.join(division.columns)}" if division.columns else ""
    return f" (each {division.unit} a document{columns})" if division.within_files else ""


def _line_index(checkpoint: Checkpoint) -> str:
    from charlstm.corpus.division import NAMES

    name = NAMES[checkpoint.config.corpus.division.unit]
    from charlstm.checkpoint.reader import read_lines_index
    from charlstm.checkpoint.schema import LINES

    lines = read_lines_index(checkpoint.folder)
    if lines is None:
        return f"no hashes of the {name}s"
    part = "training " if checkpoint.config.provenance.index_covers == "training" else ""
    return f"hashes of {len(lines):,} distinct {part}{name}s ({LINES})"


def _loss_rows(config: RunConfig, figures: Figures) -> dict[str, str]:
    if not config.corpus.validates:
        loss = figures.train_loss
        return {
            "validation": "none, trained on all of the text",
            "loss": "none yet" if loss is None else f"{loss:.4f} nats per token in training",
        }
    if figures.valid_loss is None or figures.valid_bits_per_character is None:
        return {"validation": "none yet"}
    words = ""
    if _has_words(config):
        words = f", {show_perplexity(figures.valid_word_perplexity)} per whitespace-separated word"
    return {
        "validation": f"{figures.valid_loss:.4f} nats per token, "
        f"{figures.valid_bits_per_character:.4f} bits per character",
        "perplexity": f"{show_perplexity(figures.valid_perplexity)} per token (comparable only "
        f"with the same tokenizer){words}",
    }


def _has_words(config: RunConfig) -> bool:
    from charlstm.metrics import has_words

    return has_words(config.provenance.valid_characters, config.provenance.valid_words)
