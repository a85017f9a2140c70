"""A checkpoint as a model card in Markdown: its model, training text, settings and figures.

The function returns text and prints nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charlstm.cli.descriptions import (
    describe_backward,
    describe_dropout,
    describe_names,
    describe_validated,
    show_perplexity,
)
from charlstm.errors import harmless

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Checkpoint

_TOKENS = {"char": "characters", "subword": "pieces of words", "word": "words"}
_SHOWN = 300  # characters of a value at most


def model_card(checkpoint: Checkpoint) -> str:
    """Return the model card of a checkpoint, with a newline at the end."""
    config = checkpoint.config
    name = checkpoint.folder.resolve().name
    shown = shlex.quote(harmless(name, _SHOWN))
    lines = [
        f"# {_text(name)}",
        "",
        f"A language model that reads and writes {_TOKENS[config.tokenizer.level]}: an LSTM "
        f"network, trained with charlstm {_text(config.charlstm)}.",
    ]
    for heading, rows in card_sections(checkpoint):
        listed = _table(rows) if isinstance(rows, dict) else [f"- {row}" for row in rows]
        lines += ["", f"## {heading}", "", *listed]
    lines += [
        "",
        "## Use",
        "",
        "```sh",
        f"charlstm generate {shown}",
        f"charlstm train my.txt --from {shown}",
        "```",
    ]
    return "\n".join(lines) + "\n"


def card_sections(checkpoint: Checkpoint) -> Sequence[tuple[str, dict[str, str] | list[str]]]:
    """Return the sections of a model card: the heading of each, and its rows or sentences."""
    config = checkpoint.config
    model, origin = config.model, config.provenance
    each = " in each direction" if model.bidirectional else ""
    return [
        (
            "Model",
            {
                "layers x units": f"{model.layers} x {model.units}{each}",
                "embedding": f"{model.embedding}{', tied to the output' if model.tied else ''}",
                **({"attention": f"{model.attention} outputs"} if model.attention else {}),
                "parameters": f"{model.parameters:,}{each}, stored as {config.weights}",
                "vocabulary": f"{model.vocab_size:,}",
            },
        ),
        (
            "Text",
            {
                "source": describe_names(origin.sources) or "not recorded",
                "documents": f"{origin.documents:,}",
                "characters": f"{origin.characters:,}",
                "training tokens": f"{origin.train_tokens:,}",
                "validation tokens": describe_validated(config.train, origin.valid_tokens)
                if config.corpus.validates
                else "none",
                "sha256": origin.corpus_sha256,
                **({"fine-tuned from": origin.parent} if origin.parent else {}),
            },
        ),
        ("Training", _training(checkpoint)),
        ("Figures", _figures(checkpoint)),
        ("Limits", _limits(checkpoint)),
    ]


def _training(checkpoint: Checkpoint) -> dict[str, str]:
    from charlstm.cli.outcomes import describe_end
    from charlstm.training.outcome import read_outcome

    train, figures = checkpoint.config.train, checkpoint.figures
    return {
        "steps": f"{figures.step:,} x {train.streams} streams x {train.sequence_length} tokens, "
        f"epoch {figures.epoch:.2f}",
        "optimizer": f"{train.optimizer}, peak learning rate {train.learning_rate:g}, weight decay "
        f"{train.weight_decay:g}",
        "dropout": describe_dropout(train),
        "seed": str(train.seed),
        "time": f"{figures.seconds / 60:,.1f} minutes",
        "started": checkpoint.config.provenance.created,
        "ended": describe_end(read_outcome(checkpoint.folder), checkpoint.config),
    }


def _figures(checkpoint: Checkpoint) -> dict[str, str]:
    figures = checkpoint.figures
    shown = describe_backward(figures)
    backward = {"backward network": f"{shown} per token"} if shown else {}
    if figures.valid_loss is None or figures.valid_bits_per_character is None:
        loss = figures.train_loss
        rows = {"training loss": "none yet" if loss is None else f"{loss:.4f} nats per token"}
        return rows | backward
    return {
        "bits per character": f"{figures.valid_bits_per_character:.4f}",
        "nats per token": f"{figures.valid_loss:.4f}",
        "perplexity per token": show_perplexity(figures.valid_perplexity),
        **backward,
    }


def _limits(checkpoint: Checkpoint) -> list[str]:
    origin = checkpoint.config.provenance
    limits = [
        "It imitates its training text. What it writes need not be true.",
        "Bits per character compare models only on the same text.",
    ]
    if checkpoint.figures.valid_loss is None:
        limits.append("It was not validated, so its quality on other text is unknown.")
    if not origin.ends:
        limits.append("It was trained on too few documents to learn where they end.")
    if checkpoint.has_learned_little:
        limits.append("It predicts worse than token frequencies alone. Train it longer.")
    return limits


def _table(rows: dict[str, str]) -> list[str]:
    """Return the rows of a Markdown table with an empty header."""
    return ["| | |", "| --- | --- |", *(f"| {k} | {_text(value)} |" for k, value in rows.items())]


def _text(value: str) -> str:
    """Return a value from a checkpoint, which may come from anybody, with Markdown escaped."""
    shown = harmless(value, _SHOWN)
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]<>|#" else sign for sign in shown)
