"""What several commands share: grouped options, where checkpoints are found."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charlstm.errors import OutOfMemory, UsageError
from charlstm.system.out_of_memory import is_out_of_memory
from charlstm.unicode_text import has_surrogates

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from click.types import OptionHelpExtra

    from charlstm.config import TrainConfig

Function = TypeVar("Function", bound=Callable[..., Any])


def dropout_of(train: TrainConfig) -> str:
    """Say the dropout of a run in a few words."""
    if not train.dropout or not train.dropout_ramp:
        return f"{train.dropout:g}"
    return f"0 to {train.dropout:g} in {train.dropout_ramp:g} epochs"


class GroupedOption(click.Option):
    """An option that stands under a heading of its own on the help page."""

    def __init__(self, *args: Any, heading: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Describe the option's range only where it is one of mathematics: from 0 to 1.

        Other bounds guard against values that no computer could work with.
        """
        extra = super().get_help_extra(ctx)
        if (getattr(self.type, "min", None), getattr(self.type, "max", None)) != (0, 1):
            extra.pop("range", None)
        return extra


class GroupedCommand(click.Command):
    """A command whose help page groups its options under their headings and ends with examples.

    Args:
        examples: command lines, each of which works as it stands.
        when_memory_is_short: what to do then.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        when_memory_is_short: str = "end other programs, or use a model of a smaller --size",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.when_memory_is_short = when_memory_is_short

    def invoke(self, ctx: click.Context) -> Any:
        """Carry the command out."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory(f"out of memory: {self.when_memory_is_short}") from error
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog, then the examples, one a line and never wrapped."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each heading, in the order of first use.

        Arguments are left out, because the usage line and the description name them.
        """
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "heading", "Options")
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class Number(click.FloatRange):
    """A number in a range; ``nan`` and ``inf``, which Python takes for numbers, are none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or refuse the value as misuse."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def group_of(heading: str) -> Callable[..., Callable[[Function], Function]]:
    """Return ``click.option`` with a heading."""

    def option(*names: str, **attributes: Any) -> Callable[[Function], Function]:
        return click.option(*names, cls=GroupedOption, heading=heading, **attributes)

    return option


def grouped_command(
    name: str, *examples: str, **attributes: Any
) -> Callable[[Callable[..., Any]], GroupedCommand]:
    """Return a decorator that makes a function the command of a name, with its examples."""
    return click.command(cls=GroupedCommand, name=name, examples=examples, **attributes)


def checkpoint_argument(*, required: bool = True) -> Callable[[Function], Function]:
    """Return a decorator that adds the argument CHECKPOINT."""
    return click.argument(
        "checkpoint",
        type=click.Path(path_type=Path),
        required=required,
        shell_complete=complete_checkpoints,
    )


def files_argument(metavar: str) -> Callable[[Function], Function]:
    """Return a decorator that adds the argument of any number of files."""
    return click.argument("files", metavar=metavar, nargs=-1, shell_complete=complete_files)


def json_option(option: Callable[..., Any], help_text: str) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--json``."""
    added: Callable[[Function], Function] = option(
        "--json", "as_json", is_flag=True, help=help_text
    )
    return added


def _together(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Return a decorator that adds options in the order given."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def decoding_options(option: Callable[..., Callable[[Any], Any]]) -> Callable[[Function], Function]:
    """Return a decorator that adds the options that say how text is decoded.

    Args:
        option: what ``group_of`` returns for the heading they stand under.
    """
    encoding = option(
        "--encoding", default="utf-8", show_default=True, help="Encoding of the text."
    )
    errors = option(
        "--decode-errors",
        type=click.Choice(["strict", "replace"]),
        default="strict",
        show_default=True,
        help="Fail on bytes that don't decode, or put U+FFFD in their place.",
    )
    return _together(encoding, errors)


def engine_options(option: Callable[..., Callable[[Any], Any]]) -> Callable[[Function], Function]:
    """Return a decorator that adds the options that say how a model runs.

    Args:
        option: what ``group_of`` returns for the heading they stand under.
    """
    precision = option(
        "--precision",
        type=click.Choice(["int8", "float32"]),
        default="int8",
        show_default=True,
        help="Small and fast, or exact.",
    )
    threads = option(
        "--threads",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Processor threads; default: what is fastest.",
    )
    return _together(precision, threads)


def check_utf8(name: str, text: str, remedy: str = "give it in UTF-8") -> None:
    """Refuse arguments whose bytes are not UTF-8, which Python marks with surrogates.

    Raises:
        UsageError: if ``text``, the argument called ``name``, is one.
    """
    if has_surrogates(text):
        raise UsageError(f"{name} is not valid UTF-8: {remedy}")


def complete_checkpoints(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer a shell the checkpoints whose paths begin so; if there are none, any folder."""
    from glob import escape, glob

    from click.shell_completion import CompletionItem

    # Named here, because the module that knows these names takes long to import.
    patterns = ("checkpoints/*/config.json", f"{escape(incomplete)}*/config.json")
    found = {os.path.dirname(path) for pattern in patterns for path in glob(pattern)}
    matching = sorted(path for path in found if path.startswith(incomplete))
    if not matching:
        return [CompletionItem(incomplete, type="dir")]
    return [CompletionItem(path) for path in matching]


def complete_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let a shell offer its files and folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
