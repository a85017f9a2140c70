"""The command line: one lazy Click group, one module a command.

A command is imported when it is called; each parses, calls and prints, and knows nothing else.
Every error ends here as one sentence on stderr and an exit status: 0 success, 1 failed run,
2 misuse, 128 plus its number after a signal (130 after Ctrl-C).
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.argument_names import as_typed
from charlstm.cli.exit_status import WORDS, exit_status
from charlstm.errors import CharlstmError, UsageError
from charlstm.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# A shell sets this to get its completion script and, in that script, to get completions.
COMPLETION_VARIABLE = "_CHARLSTM_COMPLETE"
COMPLETIONS = [
    f"{shell}_{what}" for shell in ("bash", "zsh", "fish") for what in ("source", "complete")
]

# If set, each error is printed with its traceback.
DEBUG_VARIABLE = "CHARLSTM_DEBUG"

# In the order of use, which is the order of the help page.
COMMANDS = {
    "inspect": "Look a text over before you train on it.",
    "train": "Train a language model on your text.",
    "generate": "Write text with a trained model.",
    "predict": "Predict the next words of a text.",
    "score": "Tell how probable lines or texts are.",
    "evaluate": "Measure a model on a text: loss, next words, keystrokes saved.",
    "rank": "Put alternatives in order, the most probable first.",
    "look": "Open a page that runs a model in your browser.",
    "plot": "Plot the training and validation loss of runs.",
    "models": "List your checkpoints, best first.",
    "info": "Show what a checkpoint is and how it was trained.",
    "export": "Write a model as ONNX or Keras, or as a smaller checkpoint.",
    "corpora": "List well-known texts, or fetch them.",
    "cache": "List or clear what is kept to start faster.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called, not to list it.

    The context's ``obj`` is the monotonic time at which the command line started, in seconds, for
    budgets in minutes.
    """

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Return the context of a command line, with its start time."""
        extra.setdefault("obj", time.monotonic())
        return super().make_context(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"charlstm.cli.{name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands, without importing them, and the group's options."""
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
    epilog="charlstm COMMAND --help explains a command. A first run:\n\n"
    "\b\n"  # Click does not wrap the paragraph after it
    "  charlstm train my.txt --minutes 5 && charlstm generate",
)
@click.version_option(__version__, prog_name="charlstm")
def cli() -> None:
    """Train LSTM language models on your own text, and use them, from the shell."""


def _complete(request: str) -> int:
    """Answer a completion request of a shell, as Click's scripts send it; return the exit status.

    Raises:
        UsageError: if the request is not one that Click knows.
    """
    from click.shell_completion import shell_complete

    try:
        if request in COMPLETIONS:
            return shell_complete(cli, {}, "charlstm", COMPLETION_VARIABLE, request)
    except (KeyError, ValueError):
        pass  # its companion variables are missing
    raise UsageError(
        f"{COMPLETION_VARIABLE} is {request!r}: a shell's start-up file sets it to bash_source, "
        f"zsh_source or fish_source (see README); unset it"
    )


def _discard_output() -> None:
    """Discard stdout, so that Python does not fail when it flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _show_traceback() -> None:
    """Print the traceback of the exception being handled, if CHARLSTM_DEBUG is set."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exc()


def run_command_line(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    if sys.stderr is None:  # closed: libraries must not write into the next file opened
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if request := os.environ.get(COMPLETION_VARIABLE):
            return _complete(request)
        with cli.make_context("charlstm", given) as context:
            cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CharlstmError as error:
        _show_traceback()
        click.echo(f"Error: {as_typed(str(error))}", err=True)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort) as error:
        number = getattr(error, "number", signal.SIGINT)
        with contextlib.suppress(OSError):
            click.echo(WORDS[number], err=True)
        return exit_status(number)
    except MemoryError:  # raised outside of a command
        _show_traceback()
        click.echo("Error: out of memory: end other programs", err=True)
        return 1
    except BrokenPipeError:
        _discard_output()
        return 0  # the reader has closed the pipe: it has what it wanted
    except OSError as error:
        _show_traceback()
        _discard_output()
        full = "can't write the output: " if error.errno == errno.ENOSPC else ""
        where = f"{error.filename}: " if error.filename else full
        click.echo(f"Error: {where}{error.strerror or error}", err=True)
        return 1
