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
        size: a preset's name, or ``auto``.
        choices: settings of network and training by field name; ``None`` if left open.
        output: the checkpoint's folder; ``None`` for a free one under ``checkpoints``.
        overwrite: whether to replace a checkpoint there.
        parent: a trained model to fine-tune.
        threads: processor threads; ``None`` for all.
        strings: the texts that the address ``python-strings`` stands for.
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


@dataclass(frozen=True)
class Resumption:
    """An interrupted run that the user asked to go on with."""

    folder: Path
    threads: int | None = None
