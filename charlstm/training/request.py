"""What the user asked to train: a new run, or an interrupted one to resume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.config import CorpusConfig, TokenizerConfig


@dataclass(frozen=True)
class Request:
    """A new run that the user asked for.

    Attributes:
        corpus: the text, and how to divide it.
        tokenizer: how to tokenize it.
        size: name of a preset, or ``auto``.
        choices: settings of the network and of training by field name; ``None`` if left open.
        output: folder of the checkpoint; ``None`` for an unused one in ``checkpoints``.
        overwrite: whether to replace a checkpoint in that folder.
        parent: folder of the checkpoint to fine-tune.
        threads: number of CPU threads; ``None`` for all.
        strings: the texts of the address ``python-strings``.
        given: names of all options that were given.
    """

    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    size: str
    choices: dict[str, Any]
    output: Path | None = None
    overwrite: bool = False
    parent: Path | None = None
    threads: int | None = None
    strings: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Resumption:
    """An interrupted run that the user asked to resume.

    Attributes:
        folder: its checkpoint.
        threads: number of CPU threads; ``None`` for all.
    """

    folder: Path
    threads: int | None = None
