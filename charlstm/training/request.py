"""What the user asked to be trained: a new run, or one to resume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.config import CorpusConfig, TokenizerConfig


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        corpus: the text.
        tokenizer: how to read it.
        size: name of a preset, or ``auto``.
        choices: settings of network and training by field name; ``None`` if left open.
        output: folder of the checkpoint; ``None`` for a free one under ``checkpoints``.
        overwrite: whether to replace a checkpoint there.
        parent: folder of a trained model to fine-tune.
        threads: processor threads; ``None`` for all.
        strings: the texts behind the address ``python-strings``.
        given: the names of all options that were given.
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
        threads: processor threads; ``None`` for all.
    """

    folder: Path
    threads: int | None = None
