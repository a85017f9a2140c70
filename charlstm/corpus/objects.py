"""Reads JSON Lines, and JSON files that are an array of objects: each object is a record.

JSON Lines are read line by line; an array is in memory as a whole.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from charlstm.corpus.records import SAMPLED, Record, lines_with_ends, missing_column_error
from charlstm.errors import CorpusError, harmless
from charlstm.unicode_text import has_surrogates

# Half of a character, such as "\\ud83d" alone, left over from text that was cut in two.
_SURROGATE = re.compile("[\ud800-\udfff]")

# A name whose value is a list.
_LIST = re.compile(r'"([^"\\]+)"\s*:\s*\[')

# The most characters of a JSON array.
LARGEST_JSON = 2**28


def is_array(beginning: str) -> bool:
    """Return whether a text begins like an array of objects."""
    start = beginning.lstrip()
    return start.startswith("[") and start[1:].lstrip().startswith("{")


def is_lines(beginning: str) -> bool:
    """Return whether a text begins like two or more objects, one per line."""
    first, _, second = beginning.lstrip().partition("\n")
    if not first.startswith("{") or not second.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _objects(
    blocks: Iterable[str], name: str, *, by_line: bool
) -> Iterator[tuple[Mapping[str, Any], int]]:
    parsed = _json_lines(blocks, name) if by_line else _json_array(blocks, name)
    for value, number in parsed:
        if not isinstance(value, dict):
            where = f"line {number:,}" if by_line else f"record {number:,}"
            raise CorpusError(
                f"{name}, {where}: expected an object, not {_kind_of(value)}. Fix it, or read the "
                f"file as plain text with `format` text."
            )
        yield value, number


def read_objects(
    blocks: Iterable[str], name: str, columns: Sequence[str], *, by_line: bool
) -> Iterator[Record]:
    """Yield the records of a table. For the errors see ``tables.read_records``.

    Args:
        blocks: the text in pieces.
        name: the name of the text, for messages.
        columns: names of values, or ``a.b`` for the value ``b`` of the object ``a``.
        by_line: whether each line is an object; otherwise the whole text is an array of objects.
    """
    missing, known = set(columns), dict[str, None]()
    for count, (found, line) in enumerate(_objects(blocks, name, by_line=by_line)):
        values = [_within(found, column) for column in columns]
        for column, value in zip(columns, values, strict=True):
            if isinstance(value, dict) and value:
                where = f"{name}, {'line' if by_line else 'record'} {line:,}"
                raise _object_error(where, column, value)
        if missing:
            missing = {column for column in missing if not _has(found, column)}
            if count < SAMPLED:
                known.update((each, None) for each, _ in _flat(found))
        yield Record(list(map(_text_of, values)), line)
    if missing and known:
        raise missing_column_error(name, min(missing), known)


def _object_error(where: str, column: str, value: Mapping[str, Any]) -> CorpusError:
    within = ", ".join(f"{column}.{inner}" for inner, _ in itertools.islice(_flat(value), 5))
    return CorpusError(
        f"{where}: column {column!r} is an object. Name a value in it, such as "
        f"{harmless(within, 200)}."
    )


def _has(found: Mapping[str, Any], column: str) -> bool:
    if column in found:
        return True
    first, dot, rest = column.partition(".")
    inner = found.get(first)
    return bool(dot) and isinstance(inner, dict) and _has(inner, rest)


def _json_lines(blocks: Iterable[str], name: str) -> Iterator[tuple[Any, int]]:
    for number, line in enumerate(lines_with_ends(blocks, name), 1):
        if not line.isspace():
            yield _parsed(line, f"{name}, line {number:,}"), number


def _json_array(blocks: Iterable[str], name: str) -> Iterator[tuple[Any, int]]:
    parts: list[str] = []
    size = 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        if size > LARGEST_JSON:
            raise CorpusError(
                f"{name} has more than {LARGEST_JSON // 2**20} million characters of JSON. Convert "
                f"it to JSON Lines first: jq -c '.[]' FILE > FILE.jsonl"
            )
    found = _parsed("".join(parts), name)
    if not isinstance(found, list):
        raise CorpusError(
            f"{name}: expected an array of objects, not {_kind_of(found)}. Read it as plain text "
            f"with `format` text."
        )
    yield from ((value, number) for number, value in enumerate(found, 1))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        reason = "values are nested too deeply"
    except json.JSONDecodeError as error:
        at = f"line {error.lineno:,}, " if error.lineno > 1 else ""
        reason = f"{error.msg.removesuffix(' at')} at {at}column {error.colno:,}"
    except ValueError:
        reason = "a number has thousands of digits"
    raise CorpusError(
        f"{where}: not valid JSON ({reason}). Fix it, or read the file as plain text with `format` "
        f"text."
    )


def _kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return kinds.get(type(value), "null" if value is None else "a number")


def _within(found: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column, ``a`` or ``a.b``, or ``None`` if there is none.

    A name that itself contains a dot takes precedence over nested names.
    """
    if column in found or "." not in column:
        return found.get(column)
    first, _, rest = column.partition(".")
    inner = found.get(first)
    return _within(inner, rest) if isinstance(inner, dict) else None


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of an object; names of nested values are ``a.b``."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", each) for inner, each in _flat(value))
        else:
            yield name, value


def _text_of(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _SURROGATE.sub("\ufffd", text) if has_surrogates(text) else text


def sample_objects(blocks: Iterable[str], name: str, *, by_line: bool) -> dict[str, list[str]]:
    """Return the cells of the first records by column (see ``tables.sample_of``)."""
    read = itertools.islice(_objects(blocks, name, by_line=by_line), SAMPLED)
    objects = [dict(_flat(found)) for found, _ in read]
    columns = {}
    for column in dict.fromkeys(column for each in objects for column in each):
        values = (each.get(column) for each in objects)
        columns[column] = ["" if isinstance(v, list) else _text_of(v) for v in values]
    return columns


def why_no_table(beginning: str, file: str) -> str:
    """Return why JSON is read as plain text, and a remedy, as the rest of a sentence.

    Args:
        beginning: the beginning of the text, usually all of it.
        file: the name of the file, for a shell command.
    """
    start, quoted = beginning.lstrip(), shlex.quote(file)
    if start.startswith("[") and "{" not in start:
        return "is read as plain text, because it isn't an array of objects"
    if start.startswith("["):
        return (
            "is read as plain text, because it isn't an array of objects. Run jq -c '.[] | "
            f"objects' {quoted} > NEW.jsonl to make each object a document"
        )
    try:
        found = json.loads(start)
    except (ValueError, RecursionError):
        found = {key: [] for key in _LIST.findall(start)[:1]}
    lists = [key for key, value in found.items() if isinstance(value, list)]
    if lists:
        key = lists[0]
        path = f".{key}[]" if key.isidentifier() and key.isascii() else f".[{json.dumps(key)}][]"
        output = f"{key if key.isidentifier() else 'NEW'}.jsonl"
        return (
            "is an object, not an array, so it is read as plain text. Run jq -c "
            f"{shlex.quote(path)} {quoted} > {output} to extract its list"
        )
    if "\n" not in start.rstrip():
        return (
            "contains one object and is read as plain text. To read it as a table, use `format` "
            "jsonl"
        )
    return "is an object, not an array, so it is read as plain text"
