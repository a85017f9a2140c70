"""The building blocks of options: groups under headings, recurring options, completion.

Help pages list options by group and leave out bounds that are only guards. This module does not
depend on any command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charlstm.cli.kinds import CheckpointPath, Choice, Count, Number, OutputPath, Text
from charlstm.cli.misuse import in_quotes, misuse_in
from charlstm.errors import OutOfMemory
from charlstm.system.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from click.types import OptionHelpExtra

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

LARGEST_SEED = 2**32 - 1


class GroupedOption(click.Option):
    """An option that the help page lists under a heading.

    Where ``show_default`` is a text, the help page ends the option with it: "[default: 5 a run]".
    An option with a ``bare`` value may be given without one.
    """

    def __init__(self, *args: Any, heading: str, bare: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading
        self.bare = bare

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return the default, and the range if it is within 0 and 1.

        Other bounds only guard against values that no computer could work with.
        """
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default  # Click would put it in parentheses
        if (getattr(self.type, "min", None), getattr(self.type, "max", None)) != (0, 1):
            extra.pop("range", None)
        return extra


class GroupedCommand(click.Command):
    """A command whose help page groups its options under their headings and ends with examples.

    Args:
        examples: command lines, each of which can be run as printed.
        when_memory_is_short: the remedy in the message of an out-of-memory error.
    """

    allow_extra_args = True  # for ``parse_args`` to refuse

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        when_memory_is_short: str = "Close other programs, or use a model of a smaller --size.",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.when_memory_is_short = when_memory_is_short

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raise one kind of error for all that libraries raise without memory."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory(f"out of memory. {self.when_memory_is_short}") from error
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse a command line, and refuse an argument that is one too many."""
        with misuse_in(ctx):
            rest = super().parse_args(ctx, self._completed(args))
        if rest and not ctx.resilient_parsing:
            raise click.UsageError(
                f"unexpected argument {in_quotes(rest[0])}.{self._remedy(ctx, rest)}", ctx
            )
        return rest

    def _completed(self, args: list[str]) -> list[str]:
        """Add the value of each option that is given without one.

        Click would take the argument after the option, such as a file, as its value.
        """
        bare = {
            name: str(each.bare)
            for each in self.params
            if isinstance(each, GroupedOption) and each.bare is not None
            for name in each.opts
        }
        completed: list[str] = []
        for index, argument in enumerate(args):
            if argument == "--":
                return completed + args[index:]
            completed.append(argument)
            following = args[index + 1] if index + 1 < len(args) else ""
            if argument in bare and not _looks_like_number(following):
                completed.append(bare[argument])
        return completed

    def _remedy(self, ctx: click.Context, rest: list[str]) -> str:
        """Return what to do about arguments that are too many, "" if nothing is known."""
        prompt = ctx.params.get("prompt")
        if isinstance(prompt, str) and any(each.name == "option" for each in self.params):
            return f" Quote a prompt of several words: {in_quotes(' '.join([prompt, *rest]))}."
        takes_prompt = any("-p" in each.opts for each in self.params)
        return " Write -p before the prompt." if takes_prompt else ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog, then the examples: one on each line, not wrapped."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each heading, in the order of first use.

        Arguments are left out: the usage line and the description name them.
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


def _looks_like_number(text: str) -> bool:
    return text.lstrip("-")[:1].isdecimal() and not set(text) - set("-.,0123456789")


class OptionGroup:
    """Adds options under one heading of the help page.

    Calling it is like calling ``click.option``. Its methods add the kinds of options that recur.
    The help page shows the default of every option that has one.
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
        return self(*names, type=Count(least, most), **attributes)

    def seed(self, **attributes: Any) -> Decorator:
        """Return a decorator that adds ``--seed``."""
        return self.count("--seed", least=0, most=LARGEST_SEED, **attributes)

    def number(self, *names: str, within: Number, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value is a number."""
        attributes.setdefault("metavar", "X")
        return self(*names, type=within, **attributes)

    def choice(self, *names: str, among: Sequence[str], **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value is one of a few words."""
        return self(*names, type=Choice(among), **attributes)

    def text(self, *names: str, **attributes: Any) -> Decorator:
        """Return a decorator that adds an option whose value is a text for a model, or from one."""
        attributes.setdefault("metavar", "TEXT")
        return self(*names, type=Text(), **attributes)

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

    def quiet(self) -> Decorator:
        """Return a decorator that adds ``--quiet``, which means the same for every command."""
        return self.flag("-q", "--quiet", help="Print only errors on stderr.")

    def decoding(self, function: Function) -> Function:
        """Add the options for how text is decoded."""
        encoding = self(
            "--encoding", default="utf-8", help="Encoding of the text, or auto to detect it."
        )
        errors = self.choice(
            "--decode-errors",
            among=["strict", "replace"],
            default="strict",
            help="Fail on bytes that can't be decoded, or replace them with U+FFFD.",
        )
        decorated: Function = encoding(errors(function))
        return decorated

    def engine(self, function: Function) -> Function:
        """Add the options for how a model runs."""
        precision = self.choice(
            "--precision",
            among=["int8", "float32"],
            default="int8",
            help="Number type of the weights. int8 is faster, float32 is exact.",
        )
        threads = self.count(
            "--threads",
            most=1024,
            show_default="the fastest number",
            help="Number of CPU threads.",
        )
        decorated: Function = precision(threads(function))
        return decorated


def grouped_command(
    name: str, *examples: str, cls: type[GroupedCommand] = GroupedCommand, **attributes: Any
) -> Callable[[Callable[..., Any]], GroupedCommand]:
    """Return a decorator that makes a function the command of a name, with its examples."""
    return click.command(cls=cls, name=name, examples=examples, **attributes)


def checkpoint_argument(*, required: bool = True) -> Decorator:
    """Return a decorator that adds the argument CHECKPOINT."""
    return click.argument(
        "checkpoint",
        type=CheckpointPath(),
        required=required,
        shell_complete=complete_checkpoints,
    )


def checkpoints_argument() -> Decorator:
    """Return a decorator that adds the argument CHECKPOINT, which may be given several times."""
    return click.argument(
        "checkpoints",
        metavar="[CHECKPOINT]...",
        type=CheckpointPath(),
        nargs=-1,
        shell_complete=complete_checkpoints,
    )


def files_argument(metavar: str, name: str = "files") -> Decorator:
    """Return a decorator that adds an argument for any number of files."""
    return click.argument(name, metavar=metavar, nargs=-1, shell_complete=complete_files)


def complete_checkpoints(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the checkpoints whose path or name begins with a text; folders if there is none."""
    from glob import escape, glob

    from click.shell_completion import CompletionItem

    # The names are repeated here: ``checkpoint.names``, which defines them, is slow to import.
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
    """Return an item that makes the shell complete files and folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
