"""What the options of all commands are made of: groups under headings, kinds, completion.

Knows no command. Help pages show options by group, without bounds that are only guards.
"""

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

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

LARGEST_SEED = 2**32 - 1


class GroupedOption(click.Option):
    """An option that is listed under a heading on the help page."""

    def __init__(self, *args: Any, heading: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Show the range of a share or a probability, from 0 to 1, and no other.

        Other bounds only guard against values that no computer could work with.
        """
        extra = super().get_help_extra(ctx)
        if (getattr(self.type, "min", None), getattr(self.type, "max", None)) != (0, 1):
            extra.pop("range", None)
        return extra


class GroupedCommand(click.Command):
    """A command whose help page groups its options under their headings and ends with examples.

    Args:
        examples: command lines, each of which can be run as printed.
        when_memory_is_short: what the message of an out-of-memory error advises.
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
        """Run the command; report whatever a library raises for lack of memory as one error."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory(f"out of memory: {self.when_memory_is_short}") from error
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog, then the examples, one on each line and never wrapped."""
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
    """A finite number in a range: ``nan`` and ``inf`` are refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or refuse the value as misuse."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class CheckpointPath(click.Path):
    """A checkpoint, by its path or its name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the folder that is meant."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if ctx is not None and ctx.resilient_parsing:  # a shell completes, which must be quick
            return path

        from charlstm.checkpoint.names import find_checkpoint
        from charlstm.errors import CheckpointMissing

        meant, written = find_checkpoint(path), os.fsdecode(value)
        takes_prompt = ctx is not None and any("-p" in each.opts for each in ctx.command.params)
        if takes_prompt and " " in written and not meant.exists():
            raise CheckpointMissing(
                f"there is no checkpoint {written}: check the path, see charlstm models, or write "
                f"-p before it if it is the prompt"
            )
        if meant != path and os.sep in written:
            raise CheckpointMissing(
                f"{written} holds no checkpoint: name a folder that does, or write {path} for the "
                f"model of that name in {meant.parent}"
            )
        return meant


class OutputPath(click.Path):
    """A path to write: an empty one is refused, which Python takes for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or refuse the value as misuse."""
        if value in ("", b""):
            self.fail("An empty path names nothing: give a name, or . for this folder.", param, ctx)
        return super().convert(value, param, ctx)


class OptionGroup:
    """Adds options under one heading of the help page.

    Called, it is ``click.option``. Its methods are the kinds of options that recur. Wherever an
    option has a default, the help page shows it.
    """

    def __init__(self, heading: str = "Options") -> None:
        self.heading = heading

    def __call__(self, *names: str, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option of any kind."""
        if attributes.get("default") not in (None, ""):
            attributes.setdefault("show_default", True)
        return click.option(*names, cls=GroupedOption, heading=self.heading, **attributes)

    def flag(self, *names: str, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option without a value."""
        return self(*names, is_flag=True, **attributes)

    def count(
        self, *names: str, least: int = 1, most: int | None = None, **attributes: Any
    ) -> Decorator:
        """Return a decorator that adds an option whose value is a whole number."""
        attributes.setdefault("metavar", "N")
        return self(*names, type=click.IntRange(least, most), **attributes)

    def seed(self, **attributes: Any) -> Decorator:
        """Return a decorator that adds ``--seed``."""
        return self.count("--seed", least=0, most=LARGEST_SEED, **attributes)

    def number(self, *names: str, within: Number, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value is a number."""
        attributes.setdefault("metavar", "X")
        return self(*names, type=within, **attributes)

    def choice(self, *names: str, among: Sequence[str], **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value is one of a few words."""
        return self(*names, type=click.Choice(among), **attributes)

    def file(self, *names: str, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value names a file to read."""
        return self(*names, metavar="FILE", shell_complete=complete_files, **attributes)

    def checkpoint(self, *names: str, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value is a checkpoint."""
        return self(
            *names,
            type=CheckpointPath(),
            shell_complete=complete_checkpoints,
            metavar="CHECKPOINT",
            **attributes,
        )

    def output(self, *, kind: str, **attributes: Any) -> Decorator:
        """Return a decorator that adds ``--output``, a path to write: a FILE or a FOLDER."""
        path = OutputPath(path_type=Path, dir_okay=kind != "FILE", file_okay=kind != "FOLDER")
        return self("-o", "--output", type=path, metavar=kind, **attributes)

    def json(self, help_text: str) -> Decorator:
        """Return a decorator that adds ``--json``."""
        return self.flag("--json", "as_json", help=help_text)

    def quiet(self, help_text: str) -> Decorator:
        """Return a decorator that adds ``--quiet``."""
        return self.flag("-q", "--quiet", help=help_text)

    def decoding(self, function: Function) -> Function:
        """Add the options for how text is decoded."""
        encoding = self(
            "--encoding", default="utf-8", help="Encoding of the text, or auto to guess it."
        )
        errors = self.choice(
            "--decode-errors",
            among=["strict", "replace"],
            default="strict",
            help="Fail on bytes that don't decode, or put U+FFFD in their place.",
        )
        decorated: Function = encoding(errors(function))
        return decorated

    def engine(self, function: Function) -> Function:
        """Add the options for how a model runs."""
        precision = self.choice(
            "--precision",
            among=["int8", "float32"],
            default="int8",
            help="Small and fast, or exact.",
        )
        threads = self.count(
            "--threads", most=1024, help="Processor threads; default: what is fastest."
        )
        decorated: Function = precision(threads(function))
        return decorated


def grouped_command(
    name: str, *examples: str, **attributes: Any
) -> Callable[[Callable[..., Any]], GroupedCommand]:
    """Return a decorator that makes a function the command of a name, with its examples."""
    return click.command(cls=GroupedCommand, name=name, examples=examples, **attributes)


def checkpoint_argument(*, required: bool = True) -> Decorator:
    """Return a decorator that adds the argument CHECKPOINT."""
    return click.argument(
        "checkpoint",
        type=CheckpointPath(),
        required=required,
        shell_complete=complete_checkpoints,
    )


def files_argument(metavar: str, name: str = "files") -> Decorator:
    """Return a decorator that adds the argument of any number of files."""
    return click.argument(name, metavar=metavar, nargs=-1, shell_complete=complete_files)


def check_utf8(name: str, text: str, remedy: str = "give it in UTF-8") -> None:
    """Refuse an argument whose bytes are not UTF-8, which Python marks with surrogates.

    Raises:
        UsageError: if ``text`` is one; ``name`` is what the message calls it.
    """
    if has_surrogates(text):
        raise UsageError(f"{name} is not valid UTF-8: {remedy}")


def complete_checkpoints(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer a shell the checkpoints whose path or name begins with a text; without any, folders."""
    from glob import escape, glob

    from click.shell_completion import CompletionItem

    # The names are repeated here because their home, ``checkpoint.names``, is slow to import.
    package = Path(__file__).parents[1]
    own = {os.path.dirname(path) for path in glob("checkpoints/*/config.json")}
    paths = own | {os.path.dirname(path) for path in glob(f"{escape(incomplete)}*/config.json")}
    matching = sorted(path for path in paths if path.startswith(incomplete))
    if incomplete:
        names = {os.path.basename(path) for path in own} | {
            name
            for name in ("english", "shakespeare")
            for folder in (package / "shipped", package.parent / "checkpoints")
            if (folder / name / "config.json").exists()
        }
        matching += sorted(name for name in names if name.startswith(incomplete))
    if not matching:
        return [CompletionItem(incomplete, type="dir")]
    return [CompletionItem(path) for path in matching]


def complete_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let a shell offer its files and folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
