"""Turns the JSON of older formats into that of the present one.

Decoded JSON goes in and comes out, unchecked: what is not as expected is left for the checks of the
types (see ``schema``). Older rules stay in force for older models. This module reads no files.
"""

from __future__ import annotations

from typing import Any


def upgraded_config(config: Any, version: int) -> Any:
    """Return the content of ``config.json`` of format ``version`` in the present format."""
    if version >= 3 or not isinstance(config, dict):
        return config
    return config | {"corpus": _upgraded_corpus(config.get("corpus"))}


def _upgraded_corpus(corpus: Any) -> Any:
    """Return a text without ``division`` with the division that its ``lines`` meant."""
    if not isinstance(corpus, dict) or "division" in corpus:
        return corpus
    lines = corpus.get("lines", False)
    if not isinstance(lines, bool):
        return corpus
    rest = {key: value for key, value in corpus.items() if key != "lines"}
    return rest | {"division": {"unit": "line" if lines else "file", "rules": 1}}
