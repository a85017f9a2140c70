"""Converts the JSON of older formats to the current one.

Unexpected content is passed through, for the type checks to find (see ``schema``). Older rules stay
in force for older models.
"""

from __future__ import annotations

from typing import Any


def upgraded_config(config: Any, version: int) -> Any:
    """Return the content of a ``config.json`` of format ``version`` in the current format."""
    if not isinstance(config, dict):
        return config
    if version < 3:
        config = config | {"corpus": _upgraded_corpus(config.get("corpus"))}
    if version < 4:
        config = config | {"provenance": _upgraded_provenance(config.get("provenance"))}
    if version < 8 and isinstance(config.get("corpus"), dict):
        config = config | {"corpus": {"format": "text"} | config["corpus"]}
    if version < 11 and isinstance(config.get("model"), dict) and config["model"].get("attention"):
        config = config | {"model": {"shifted_keys": False} | config["model"]}
    return config


def _upgraded_corpus(corpus: Any) -> Any:
    """Return a corpus with the division that its former ``lines`` stood for."""
    if not isinstance(corpus, dict) or "division" in corpus:
        return corpus
    lines = corpus.get("lines", False)
    if not isinstance(lines, bool):
        return corpus
    rest = {key: value for key, value in corpus.items() if key != "lines"}
    return rest | {"division": {"unit": "line" if lines else "file", "rules": 1}}


def _upgraded_provenance(origin: Any) -> Any:
    """Return a provenance in which ``indexed`` replaces ``train_lines``."""
    if not isinstance(origin, dict) or "indexed" in origin:
        return origin
    upgraded = {("indexed" if k == "train_lines" else k): value for k, value in origin.items()}
    if origin.get("lines_sha256") is None:
        return upgraded | {"index_covers": None}
    # The parent may have held out lines even if this run had no validation text.
    is_all = origin.get("valid_tokens") == 0 and origin.get("parent") is None
    return upgraded | {"index_covers": "all" if is_all else "training"}
