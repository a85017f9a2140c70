"""Errors in a command line, as sentences.

Click raises them and words them in its own way; ``sentence_of`` words them like every other error
of charlstm. Wherever a value is refused, the kinds in ``options`` raise ``BadValue``.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click

from charlstm.cli.near_misses import suggestion_for_option
from charlstm.errors import harmless

_SHOWN = 60  # characters of a value at most
_NEEDS_QUOTES = re.compile(r"[\s'\"]|^$")


class BadValue(click.BadParameter):
    """A value that its option or argument does not accept.

    Args:
        value: what was typed.
        expected: what was expected instead, such as "a whole number of 1 or more".
        param: the option or argument.
        ctx: the context of the command.
    """

    def __init__(
        self,
        value: object,
        expected: str,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> None:
        super().__init__(f"expected {expected}.", ctx, param)
        self.value = value

    def format_message(self) -> str:
        """Return the option, its value and what was expected, worded as the library does."""
        return f"{name_of(self.param)} is {_as_given(self.value)}: {self.message}"


def name_of(param: click.Parameter | None) -> str:
    """Return an option by its long name, or an argument by its placeholder."""
    if param is None:
        return "the value"
    if isinstance(param, click.Argument):
        return param.human_readable_name.strip("[].")
    return max(param.opts, key=len)


def as_shown(value: object) -> str:
    """Return a value as typed, shortened, and in quotes if it would not read as one word."""
    shown = harmless(str(value), _SHOWN)
    return shlex.quote(shown) if _NEEDS_QUOTES.search(shown) else shown


def in_quotes(value: object) -> str:
    """Return a value as typed, shortened and always in quotes."""
    shown = as_shown(value)
    return shown if shown[0] in "'\"" else f"'{shown}'"


def _as_given(value: object) -> str:
    """Return a value as typed if it is a number, otherwise in quotes."""
    try:
        float(str(value))
    except ValueError:
        return in_quotes(value)
    return as_shown(value)


def print_misuse(error: click.UsageError) -> None:
    """Print an error in the command line to stderr, then where to read more."""
    click.echo(f"Error: {sentence_of(error)}", err=True)
    if error.ctx is not None:
        click.echo(f"See {error.ctx.command_path} --help.", err=True)


@contextlib.contextmanager
def misuse_in(ctx: click.Context) -> Iterator[None]:
    """Give errors in a command line their context, which Click leaves out for some."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def sentence_of(error: click.UsageError) -> str:
    """Return an error in the command line as one or two sentences."""
    if isinstance(error, BadValue):
        return error.format_message()
    if isinstance(error, click.MissingParameter):
        remedy = " Name one (see charlstm models)." if name_of(error.param) == "CHECKPOINT" else ""
        return f"{name_of(error.param)} is missing.{remedy}"
    if isinstance(error, click.NoSuchOption):
        wrong = f"no such option {error.option_name}."
        return f"{wrong} {suggestion_for_option(error.option_name, error.ctx)}".strip()
    if isinstance(error, click.BadOptionUsage):
        return _bad_use(error)
    message = harmless(error.message)
    if isinstance(error, click.BadParameter):
        return f"{name_of(error.param)}: {_lowered(message)}"
    return _lowered(message)


def _bad_use(error: click.BadOptionUsage) -> str:
    """Return the message for an option without its value, or a flag with one."""
    name, params = error.option_name, error.ctx.command.params if error.ctx else []
    option: Any = next((p for p in params if name in (*p.opts, *p.secondary_opts)), None)
    if option is None or error.ctx is None:
        return _lowered(harmless(error.message))
    if option.is_flag:
        return f"{name} takes no value."
    return f"{name} needs a value: {name} {option.make_metavar(error.ctx)}."


def _lowered(message: str) -> str:
    """Return a message of Click, which begins with a capital, as the rest of a sentence."""
    return message[:1].lower() + message[1:]
