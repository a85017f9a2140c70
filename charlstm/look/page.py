"""Assembles the page: one HTML file without any address in it.

The style sheet and the script are allowed by their hashes in a content security policy that forbids
everything else, network included. All that comes from a checkpoint is data: JSON, Base64, or text
with its markup escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import msgspec

from charlstm.checkpoint.schema import Checkpoint
from charlstm.look.patterns import javascript_partial_word, javascript_pattern
from charlstm.look.weights import packed
from charlstm.tokenizer.base import Tokenizer

_STATIC = Path(__file__).parent / "static"
# In the order of use: a module may use those before it.
_WORKER = (
    "rounding.js",
    "product.js",
    "attention.js",
    "engine.js",
    "tokenizer.js",
    "sampling.js",
    "tracking.js",
    "reader.js",
    "completion.js",
    "worker.js",
)
_PAGE = ("elements.js", "painting.js", "shares.js", "page.js")
_COMPRESSION = 6
# Modules are joined into one script, so that their imports and exports are left out.
_LINKING = re.compile(r"^(?:import .*|export \{[^}]*\});\n", re.MULTILINE)

# The heading of a part of the card, and its rows or its sentences.
Section: TypeAlias = tuple[str, Mapping[str, str] | Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a page shows besides the model.

    Attributes:
        title: its heading.
        facts: one line below it.
        card: the sections of the model card.
        text: the text to read at first.
        prompt: the prompt to continue at first; ``None`` to write nothing until asked.
    """

    title: str
    facts: str
    card: Sequence[Section]
    text: str
    prompt: str | None


def build_page(checkpoint: Checkpoint, content: Content) -> bytes:
    """Return the page of a model, as the bytes of an HTML file in UTF-8."""
    style, script = _read("style.css"), joined_modules(*_PAGE)
    policy = (
        f"default-src 'none'; script-src {_source(script)} 'wasm-unsafe-eval'; "
        f"style-src {_source(style)}; worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    model = packed(checkpoint.config.model, checkpoint.weights)
    parts = {
        "policy": policy,
        "title": html.escape(content.title),
        "facts": html.escape(content.facts),
        "style": style,
        "card": "".join(map(_section, content.card)),
        "description": _json(_description(checkpoint, content)),
        "weights": base64.b64encode(zlib.compress(model, _COMPRESSION)).decode(),
        "worker": joined_modules(*_WORKER),
        "script": script,
    }
    # One pass, so that nothing in a part is taken for a place to fill.
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("page.html"))
    return page.encode("utf-8", "replace")


def _description(checkpoint: Checkpoint, content: Content) -> dict[str, object]:
    """Return what the script must know about a model."""
    config, model = checkpoint.config, checkpoint.config.model
    division = config.corpus.division
    return description_of(checkpoint.tokenizer) | {
        "normalize": config.corpus.normalize,
        "division": {"unit": division.unit, "delimiter": division.delimiter},
        "ends": config.provenance.ends,
        "model": {"layers": model.layers, "units": model.units, "attention": model.attention},
        "text": content.text,
        "prompt": content.prompt,
    }


def description_of(tokenizer: Tokenizer) -> dict[str, object]:
    """Return what the script must know to divide text into tokens."""
    rules, is_divided = tokenizer.segmentation, tokenizer.joins_spaces
    return {
        "level": tokenizer.level,
        "tokensAre": tokenizer.tokens_are,
        "pieces": tokenizer.pieces,
        "merges": tokenizer.merges,
        "pattern": javascript_pattern(rules) if is_divided else None,
        "partial": javascript_partial_word(rules) if is_divided else None,
    }


def _json(value: object) -> str:
    r"""Return JSON that can't end a script element: "<" is written as "\u003c"."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _section(section: Section) -> str:
    heading, rows = section
    if isinstance(rows, Mapping):
        pairs = (
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in rows.items()
        )
        content = f"<dl>{''.join(pairs)}</dl>"
    else:
        content = f"<ul>{''.join(f'<li>{html.escape(row)}</li>' for row in rows)}</ul>"
    return f"<div><h3>{html.escape(heading)}</h3>{content}</div>"


def _source(content: str) -> str:
    """Return the source expression that allows an inline element with a content."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def joined_modules(*names: str) -> str:
    """Return modules as one script, without their imports and exports."""
    return "\n".join(_LINKING.sub("", _read(name)) for name in names)


@cache
def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
