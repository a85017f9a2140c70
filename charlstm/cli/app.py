"""The command line: a lazy Click group with one module per command.

A command is imported when it is called. This module prints every error on stderr and returns the
exit status: 0 for success, 1 for a failed run, 2 for misuse, and 128 plus the number of a signal
(130 after Ctrl-C).
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.argument_names import as_typed
from charlstm.cli.exit_status import WORDS, exit_status
from charlstm.cli.locales import is_misread, remedy_for
from charlstm.cli.misuse import misuse_in, print_misuse
from charlstm.cli.near_misses import suggestion_for_command
from charlstm.cli.signals import Stopped
from charlstm.errors import (
    CharlstmError,
    CharlstmWarning,
    CheckpointMissing,
    CorpusError,
    StorageError,
    UsageError,
    harmless,
)
from charlstm.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# A shell sets this to get its completion script, and the script sets it to get completions.
COMPLETION_VARIABLE = "_CHARLSTM_COMPLETE"
COMPLETIONS = [
    f"{shell}_{what}" for shell in ("bash", "zsh", "fish") for what in ("source", "complete")
]

# If set, errors are printed with their traceback.
DEBUG_VARIABLE = "CHARLSTM_DEBUG"

GONE = "the working directory was deleted. Change to another one with cd."

# In the usual order of use, which is the order on the help page.
COMMANDS = {
    "inspect": "Check a text before you train on it.",
    "train": "Train a language model on your text.",
    "generate": "Generate text with a trained model.",
    "predict": "Predict the next words of a text.",
    "fill": "Fill gaps in a text, from the text on both sides.",
    "score": "Score lines or whole texts: log-probability, bits per character, perplexity.",
    "evaluate": "Evaluate a model on a text, or compare several: loss, next-word accuracy.",
    "rank": "Rank alternatives by probability.",
    "look": "Open a page that runs a model in your browser.",
    "plot": "Plot the training and validation loss of runs.",
    "models": "List your checkpoints, sorted by bits per character.",
    "info": "Show how a checkpoint was trained and how its run ended, or compare several.",
    "export": "Export a model to ONNX or Keras, or to a smaller checkpoint.",
    "corpora": "List or download well-known texts.",
    "cache": "Show or clear the cache.",
}


class LazyGroup(click.Group):
    """A group that imports a command only to call it, not to list it.

    The context's ``obj`` is the monotonic time in seconds at which the command line started.
    Budgets in minutes count from there.
    """

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Return the context of a command line, with its start time."""
        extra.setdefault("obj", time.monotonic())
        return super().make_context(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the usual order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a command, ``None`` if there is none of this name."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"charlstm.cli.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's options."""
        with misuse_in(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command and its arguments; suggest another name if it does not exist."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            suggestion = suggestion_for_command(name, COMMANDS, args[1:])
            raise click.UsageError(f"no such command {name!r}. {suggestion}".strip(), ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands, without importing them, and the group's options."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=summary)
            for name, summary in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="See charlstm COMMAND --help for the options of a command. To get started:\n\n"
    "\b\n"  # keeps Click from wrapping the next paragraph
    "  charlstm train my.txt --minutes 5 && charlstm generate",
)
@click.version_option(__version__, prog_name="charlstm")
def cli() -> None:
    """Train LSTM language models on your own text and use them from the shell."""


def _complete(request: str) -> int:
    """Answer a completion request from one of Click's shell scripts; return the exit status.

    Raises:
        UsageError: if the request is not one of ``COMPLETIONS``.
    """
    from click.shell_completion import shell_complete

    try:
        if request in COMPLETIONS:
            return shell_complete(cli, {}, "charlstm", COMPLETION_VARIABLE, request)
    except (KeyError, ValueError):
        pass  # the variables that come with the request are missing
    raise UsageError(
        f"{COMPLETION_VARIABLE} is {request!r}: expected bash_source, zsh_source or "
        f"fish_source (see the README). Unset it."
    )


def _discard_output() -> None:
    """Redirect stdout to /dev/null, so that Python does not fail to flush it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _show_traceback() -> None:
    """Print the traceback of the exception being handled, if CHARLSTM_DEBUG is set."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exc()


def _working_directory_is_gone() -> bool:
    """Whether the working directory was deleted, which makes every relative path fail."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _sentence_of(error: OSError) -> str:
    """Return an error of the operating system as a sentence."""
    if error.errno == errno.ENOENT and _working_directory_is_gone():
        return GONE
    reason = (error.strerror or str(error)).rstrip(".")
    if error.filename:
        return f"{harmless(os.fsdecode(error.filename))}: {reason}."
    if error.errno == errno.ENOSPC:
        return "can't write the output: the disk is full."
    return f"{reason}."


def _read_rightly(message: str, arguments: Sequence[str]) -> str:
    """Return a message, or the one about the locale if it names an argument that was misread."""
    for argument in filter(is_misread, arguments):
        if harmless(argument) in message:
            return remedy_for(os.fsencode(argument).decode())
    return message


def _print_error(message: str) -> None:
    click.echo(f"Error: {message}", err=True)


def run_command_line(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    if sys.stderr is None:  # closed: without it, libraries would write into the next file opened
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if request := os.environ.get(COMPLETION_VARIABLE):
            return _complete(request)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CharlstmWarning)  # commands print notes instead
            with cli.make_context("charlstm", given) as context:
                cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        print_misuse(error)
        return error.exit_code
    except CharlstmError as error:
        _show_traceback()
        by_path = isinstance(error, CorpusError | CheckpointMissing | StorageError)
        gone = by_path and _working_directory_is_gone()
        _print_error(GONE if gone else _read_rightly(as_typed(str(error)), given))
        return error.exit_status
    except (KeyboardInterrupt, click.Abort) as error:
        number = getattr(error, "number", signal.SIGINT)
        saved = " Nothing was saved." if isinstance(error, Stopped) and error.is_new else ""
        with contextlib.suppress(OSError):
            click.echo(WORDS[number] + saved, err=True)
        return exit_status(number)
    except MemoryError:  # raised outside of a command
        _show_traceback()
        _print_error("out of memory. Close other programs.")
        return 1
    except BrokenPipeError:
        _discard_output()
        return 0  # whoever reads the pipe closed it, which is not an error
    except OSError as error:
        _show_traceback()
        _discard_output()
        _print_error(_sentence_of(error))
        return 1
