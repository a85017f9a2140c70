"""A command with an option that takes a list of checkpoints: ``--models A B -- FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.kinds import CheckpointPath
from charlstm.cli.misuse import as_shown
from charlstm.cli.options import Decorator, GroupedCommand, OptionGroup, complete_checkpoints

if TYPE_CHECKING:
    from pathlib import Path

_OPTION, _END = "--models", "--"


class ModelsCommand(GroupedCommand):
    """A command that takes a CHECKPOINT, or several of them after ``--models``.

    Click has no options with any number of values. The list is therefore taken out of the command
    line before Click parses it, and the first of its checkpoints is parsed as CHECKPOINT.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse a command line; ``models`` has the checkpoints of the list, ``()`` without one."""
        before, listed, after = _split(args)
        if listed is None:
            rest = super().parse_args(ctx, args)
            ctx.params["models"] = ()
            return rest
        if not ctx.resilient_parsing:
            _check(ctx, listed, after)
        first = listed[:1] if after is not None else []
        rest = super().parse_args(ctx, [*first, *before, *(after or [])])
        param = next(each for each in self.params if each.name == "models")
        ctx.params["models"] = tuple(_converted(listed, param, ctx))
        return rest


def models_option(group: OptionGroup) -> Decorator:
    """Return a decorator that adds ``--models`` to the help page of a ``ModelsCommand``."""
    return group(
        _OPTION,
        metavar="CHECKPOINT... --",
        shell_complete=complete_checkpoints,
        help="Compare these checkpoints on the text, in place of CHECKPOINT. The list ends at --.",
    )


def _split(args: Sequence[str]) -> tuple[list[str], list[str] | None, list[str] | None]:
    """Split a command line at ``--models`` and at the end of its list.

    Returns:
        The arguments before the list, the list, and the arguments after it. The list is ``None`` if
        there is none, and the arguments after it are if it doesn't end.
    """
    end = args.index(_END) if _END in args else len(args)
    starts = [n for n, arg in enumerate(args[:end]) if arg.partition("=")[0] == _OPTION]
    if not starts:
        return list(args), None, None
    start = starts[0]
    joined = [args[start].partition("=")[2]] if "=" in args[start] else []
    after = list(args[end + 1 :]) if end < len(args) else None
    return list(args[:start]), joined + list(args[start + 1 : end]), after


def _check(ctx: click.Context, listed: Sequence[str], after: Sequence[str] | None) -> None:
    usage = f"{ctx.command_path} {_OPTION} A B -- FILE"
    if after is None:
        raise click.UsageError(f"{_OPTION} needs -- after its last checkpoint: {usage}.", ctx)
    for item in listed:
        if item.startswith("-"):
            raise click.UsageError(
                f"{as_shown(item)} is in the list of {_OPTION}, which takes only checkpoints. "
                f"Write it before {_OPTION} or after --.",
                ctx,
            )
    if len(listed) < 2:
        raise click.UsageError(f"{_OPTION} needs two checkpoints or more: {usage}.", ctx)


def _converted(listed: Sequence[str], param: Any, ctx: click.Context) -> list[Path]:
    return [CheckpointPath().convert(each, param, ctx) for each in listed]
