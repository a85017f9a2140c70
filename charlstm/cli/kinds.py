"""Kinds of values that options and arguments take: numbers, choices, paths.

Each refuses a wrong value with ``BadValue``, which says what was expected.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from pathlib import Path
from typing import Any

import click

from charlstm.cli.locales import check_text
from charlstm.cli.misuse import BadValue, name_of

_GUARD = 1024  # maximums from here on only guard


class Count(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or raise ``BadValue``."""
        number = None
        with contextlib.suppress(ValueError):
            number = int(value)
            if _is_within(self, number):
                return number
        raise BadValue(value, f"a whole number {_range(self, number)}".strip(), param, ctx)


class Number(click.FloatRange):
    """A finite number in a range: not ``nan`` or ``inf``."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or raise ``BadValue``."""
        number = None
        with contextlib.suppress(ValueError):
            number = float(value)
            if math.isfinite(number) and _is_within(self, number):
                return number
        name = "a finite number" if number is not None and math.isinf(number) else "a number"
        raise BadValue(value, f"{name} {_range(self, number)}".strip(), param, ctx)


def _is_within(kind: Count | Number, number: float) -> bool:
    above = kind.min is None or number > kind.min or (number == kind.min and not kind.min_open)
    below = kind.max is None or number < kind.max or (number == kind.max and not kind.max_open)
    return above and below


def _range(kind: Count | Number, number: float | None) -> str:
    """Return a range in words, such as "from 0 to 1" or "of 0 or more and less than 1".

    A large maximum only guards against absurd values, so it is left out if the number is below it.
    """
    guards = kind.max is not None and kind.max >= _GUARD and not (number or 0) > kind.max
    least = None if kind.min is None else f"{kind.min:,.10g}"
    most = None if kind.max is None or guards else f"{kind.max:,.10g}"
    if least and most and not (kind.min_open or kind.max_open):
        return f"from {least} to {most}"
    bounds = (
        [(f"greater than {least}" if kind.min_open else f"of {least} or more")] if least else []
    )
    bounds += [f"{'less than' if kind.max_open else 'at most'} {most}"] if most else []
    return " and ".join(bounds)


class Text(click.types.StringParamType):
    """A text, which must be UTF-8, unlike a path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text.

        Raises:
            UsageError: if it is not UTF-8, or was misread because of the locale.
        """
        text = super().convert(value, param, ctx)
        check_text(name_of(param), text)
        return text


class Choice(click.Choice[str]):
    """One of a few words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or raise ``BadValue``."""
        if value in self.choices:
            return str(value)
        *others, last = self.choices
        raise BadValue(value, f"{', '.join(others)} or {last}", param, ctx)


class CheckpointPath(click.Path):
    """A checkpoint, given by its path or its name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the folder of the checkpoint.

        Raises:
            BadValue: if the value is empty.
            CheckpointMissing: if the value looks like a prompt, or is ambiguous.
        """
        if value in ("", b""):
            raise BadValue(value, "the name or the folder of a checkpoint", param, ctx)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if ctx is not None and ctx.resilient_parsing:  # completion in a shell must be quick
            return path

        from charlstm.checkpoint.names import find_checkpoint
        from charlstm.errors import CheckpointMissing

        meant, written = find_checkpoint(path), os.fsdecode(value)
        takes_prompt = ctx is not None and any("-p" in each.opts for each in ctx.command.params)
        if takes_prompt and " " in written and not meant.exists():
            raise CheckpointMissing(
                f"{written}: no such checkpoint. If it is the prompt, write -p before it. "
                f"Otherwise see charlstm models."
            )
        if meant != path and os.sep in written:
            raise CheckpointMissing(
                f"{written}: no such checkpoint. Did you mean {path}, without a slash?"
            )
        return meant


class OutputPath(click.Path):
    """A path to write. Python takes an empty path for the current folder, so it is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or raise ``BadValue``."""
        if value in ("", b""):
            expected = "a path" if self.file_okay else "a path, or . for the current folder"
            raise BadValue(value, expected, param, ctx)
        with contextlib.suppress(OSError, ValueError):
            mode = os.stat(value).st_mode
            if not self.dir_okay and stat.S_ISDIR(mode):
                raise BadValue(value, "a file, not a folder", param, ctx)
            if not self.file_okay and stat.S_ISREG(mode):
                raise BadValue(value, "a folder, not a file", param, ctx)
        return super().convert(value, param, ctx)
