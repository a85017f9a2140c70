"""The options of a training run, named as on the command line, and the request they make.

The command line and ``charlstm.train`` share them. This module checks which options can be
combined; the configurations check ranges. A ``Spelling`` says how messages write the options.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from charlstm.checkpoint.names import find_checkpoint
from charlstm.config import (
    BUDGETS,
    CorpusConfig,
    Level,
    Normalization,
    Optimizer,
    Precision,
    TextFormat,
    TokenizerConfig,
)
from charlstm.corpus.division import chosen_division
from charlstm.corpus.documents import Address, addresses_of
from charlstm.errors import ConfigError, UsageError
from charlstm.training.plan import selected
from charlstm.validation import plain

if TYPE_CHECKING:
    from charlstm.training.request import Request, Resumption


class TrainOptions(TypedDict, total=False):
    """Options of a run. Options that are left out or ``None`` are chosen automatically.

    ``charlstm train --help`` explains them. ``from_checkpoint`` is ``--from``, because ``from`` is
    a keyword in Python. ``tie=True`` is ``--tie`` and ``tie=False`` is ``--no-tie``.
    """

    level: Level | None
    lines: bool
    paragraphs: bool
    delimiter: str | None
    columns: str | Iterable[str] | None
    keep_breaks: bool
    no_index: bool
    include: str | Iterable[str] | None
    exclude: str | Iterable[str] | None
    dedupe: bool
    format: TextFormat | None
    encoding: str | None
    decode_errors: Literal["strict", "replace"] | None
    normalize: Normalization | None
    valid: Address | Iterable[Address] | None
    valid_fraction: float | None
    vocab_size: int | None
    min_count: int | None
    size: Literal["auto", "tiny", "small", "medium", "large"] | None
    layers: int | None
    units: int | None
    embedding: int | None
    tie: bool | None
    attention: int | bool | None
    bidirectional: bool
    epochs: float | None
    steps: int | None
    minutes: float | None
    patience: int | None
    eval_every: int | None
    dropout: float | None
    dropout_ramp: float | None
    learning_rate: float | None
    warmup_steps: int | None
    final_rate: float | None
    weight_decay: float | None
    clip_norm: float | None
    optimizer: Optimizer | None
    streams: int | None
    sequence_length: int | None
    precision: Precision | None
    seed: int | None
    output: Address | None
    overwrite: bool
    resume: Address | None
    from_checkpoint: Address | None
    sample_every: int | None
    save_every: float | None
    threads: int | None


FLAGS = (
    *("lines", "paragraphs", "keep_breaks", "dedupe", "no_index"),
    *("bidirectional", "overwrite"),
)

# Options that divide files into documents.
DIVIDING = ("lines", "paragraphs", "delimiter", "columns")

# Options that set fields of ``ModelConfig`` and ``TrainConfig``.
SETTINGS = (
    *BUDGETS,
    *("layers", "units", "embedding", "attention", "bidirectional", "patience", "eval_every"),
    *("dropout", "dropout_ramp", "learning_rate", "warmup_steps", "final_rate", "weight_decay"),
    *("clip_norm", "optimizer", "streams", "sequence_length", "precision", "seed"),
    *("sample_every", "save_every"),
)

# Options that can be combined with ``resume``, because they don't change the results of the run.
WITH_RESUME = {"resume", "threads"}

# Options that don't apply to fine-tuning, because the parent has decided them.
OF_THE_PARENT = {
    *("level", "vocab_size", "min_count", "size", "layers", "units", "embedding", "tie"),
    *("attention", "bidirectional", "normalize"),
}

# Options that only some levels have.
OF_LEVELS = {"min_count": ("word",), "vocab_size": ("subword", "word")}

MOST_THREADS = 1024

# The outputs to attend to if no number is given.
ATTENDED = 64


class Spelling(Protocol):
    """How messages write options.

    Attributes:
        output: the option for the folder, without and with a placeholder for its value.
    """

    output: tuple[str, str]

    def name(self, option: str) -> str:
        """Return the name of an option, as the user would write it."""

    def setting(self, option: str, value: object) -> str:
        """Return an option with its value, as the user would write it."""


class Keywords:
    """Options as written in Python, in backticks."""

    output = ("`output`", "`output`")

    def name(self, option: str) -> str:
        """Return the name of an option, in backticks."""
        return f"`{option}`"

    def setting(self, option: str, value: object) -> str:
        """Return an option with its value, as a keyword argument."""
        return f"{option}={str(value) if isinstance(value, os.PathLike) else value!r}"


def options_set(options: TrainOptions) -> dict[str, Any]:
    """Return the options that are set, without empty lists and flags that are off."""
    given = {name: plain(value) for name, value in options.items()}
    return {
        name: value
        for name, value in given.items()
        if value is not None
        and not (isinstance(value, tuple | list) and not value)
        and not (name in FLAGS and value is False)
    }


def check_options(
    options: TrainOptions, *, has_corpus: bool, spelling: Spelling | None = None
) -> None:
    """Check which options are combined.

    Args:
        options: as the user gave them.
        has_corpus: whether a corpus was given too.
        spelling: how to write options in messages; by default as in Python.

    Raises:
        UsageError: if options contradict each other.
    """
    spelled, chosen = spelling or Keywords(), options_set(options)
    if "resume" in chosen:
        others = sorted(chosen.keys() - WITH_RESUME) or ["corpus"] * has_corpus
        if has_corpus and others:
            others = sorted({*others, "corpus"})
        if others:
            if others[0] in OF_THE_PARENT:
                raise _inherited_error("resume", others[0], chosen, spelled)
            other = spelled.name(others[0])
            fresh = spelled.setting("from_checkpoint", chosen["resume"])
            raise UsageError(
                f"{spelled.name('resume')} can't be combined with {other}. To start a new run from "
                f"this checkpoint, use {fresh}."
            )
    budgets = [spelled.name(name) for name in BUDGETS if name in chosen]
    if len(budgets) > 1:
        *others, last = budgets
        raise UsageError(f"{', '.join(others)} and {last} can't be combined. Give one of them.")
    if "overwrite" in chosen and "output" not in chosen:
        _, example = spelled.output
        raise UsageError(f"{spelled.name('overwrite')} needs {example}.")
    if chosen.keys() >= {"valid", "valid_fraction"}:
        raise UsageError(
            f"{spelled.name('valid')} can't be combined with {spelled.name('valid_fraction')}."
        )
    if chosen.get("valid_fraction") == 0 and "patience" in chosen:
        raise UsageError(
            f"{spelled.name('patience')} can't be combined with "
            f"{spelled.setting('valid_fraction', 0)}, which leaves no validation text."
        )
    _check_text_options(chosen, spelled)


def _check_text_options(chosen: dict[str, Any], spelled: Spelling) -> None:
    """Raise ``UsageError`` if options don't fit the model or the kind of text."""
    if "from_checkpoint" in chosen:
        for name in sorted(chosen.keys() & OF_THE_PARENT):
            raise _inherited_error("from_checkpoint", name, chosen, spelled)
    for name, levels in OF_LEVELS.items():
        if name in chosen and chosen.get("level", "char") not in levels:
            remedies = " or ".join(spelled.setting("level", level) for level in levels)
            raise UsageError(
                f"{spelled.name(name)} doesn't apply to level {chosen.get('level', 'char')}. Add "
                f"{remedies}."
            )
    chosen_division(chosen, {name: spelled.name(name) for name in DIVIDING})


def _inherited_error(
    parent: str, name: str, chosen: dict[str, Any], spelled: Spelling
) -> UsageError:
    return UsageError(
        f"{spelled.name(parent)} can't be combined with {spelled.name(name)}. "
        f"The network and the tokenizer are those of {chosen[parent]}."
    )


def request_of(
    corpus: Iterable[Address], options: TrainOptions, strings: tuple[str, ...] = ()
) -> Request | Resumption:
    """Return the request for a run.

    Args:
        corpus: the addresses of the text.
        options: the other options, checked by ``check_options``.
        strings: the texts of the address ``python-strings``.

    Raises:
        ConfigError: if the number of threads, or an option for reading the text, is out of range.
    """
    from charlstm.training.request import Request, Resumption

    chosen = options_set(options)
    for flag in (*FLAGS, "tie"):
        if not isinstance(chosen.get(flag, False), bool):
            raise ConfigError(f"`{flag}` is {chosen[flag]!r}: expected True or False.")
    threads = chosen.get("threads")
    if threads is not None and (type(threads) is not int or not 0 < threads <= MOST_THREADS):
        raise ConfigError(
            f"`threads` is {threads!r}: expected a whole number from 1 to {MOST_THREADS:,}."
        )
    if "resume" in chosen:
        return Resumption(_folder(chosen, "resume"), threads)
    names = ("format", "encoding", "decode_errors", "normalize", "valid_fraction", "seed")
    settings = selected(chosen, *names)
    if isinstance(chosen.get("attention"), bool):
        chosen["attention"] = ATTENDED if chosen["attention"] else 0
    return Request(
        corpus=CorpusConfig(
            addresses=addresses_of(corpus),
            valid=addresses_of(chosen.get("valid", ()), "valid"),
            include=addresses_of(chosen.get("include", ()), "include"),
            exclude=addresses_of(chosen.get("exclude", ()), "exclude"),
            dedupe="dedupe" in chosen,
            division=chosen_division(chosen, {name: Keywords().name(name) for name in DIVIDING}),
            index="no_index" not in chosen,
            **settings,
        ),
        tokenizer=TokenizerConfig(**selected(chosen, "level", "vocab_size", "min_count")),
        size=chosen.get("size", "auto"),
        choices={name: chosen.get(name) for name in SETTINGS} | {"tied": chosen.get("tie")},
        output=_folder(chosen, "output") if "output" in chosen else None,
        overwrite="overwrite" in chosen,
        parent=_folder(chosen, "from_checkpoint") if "from_checkpoint" in chosen else None,
        threads=threads,
        strings=strings,
        given=frozenset(chosen),
    )


# Options that take the name of a checkpoint as well as its folder.
_NAMED = ("from_checkpoint", "resume")


def _folder(chosen: dict[str, Any], option: str) -> Path:
    folder = chosen[option]
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise ConfigError(f"`{option}` is {folder!r}: expected the path of a folder.")
    return find_checkpoint(folder) if option in _NAMED else Path(folder)
