"""What ``generate`` says on stderr about its input and its model: notes and warnings.

Options, prompts and a loaded model come in. This module does not know how text is drawn.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from charlstm.cli.output import note

if TYPE_CHECKING:
    from charlstm.api import LanguageModel


def note_unread_input() -> bool:
    """Say that there is text on standard input if there is, and how to have it read.

    Nothing is read, and nothing is waited for: cron, ssh and servers may leave a pipe open. A file
    of which something was read before is not ours: it is read by the loop that the command is in.

    Returns:
        Whether it was said.
    """
    if not _has_input():
        return False
    note(
        "Note: standard input was not read: -p - continues its text, --prompts - each of its lines"
    )
    return True


def _has_input() -> bool:
    if sys.stdin is None:
        return False
    with contextlib.suppress(OSError, ValueError):  # closed since, or no file of the system
        file = sys.stdin.fileno()
        status = os.fstat(file)
        if stat.S_ISREG(status.st_mode):
            return status.st_size > 0 and os.lseek(file, 0, os.SEEK_CUR) == 0
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
            import fcntl
            import termios

            waiting = fcntl.ioctl(file, termios.FIONREAD, bytes(4))
            return int.from_bytes(waiting, sys.byteorder) > 0
    return False


def warn_of_ends(model: LanguageModel, options: dict[str, Any]) -> None:
    """Warn of ``--until document`` if the model does not end documents."""
    if options["until"] == "document" and not model.checkpoint.config.provenance.ends:
        note(
            f"Warning: --until document has no effect: {model.checkpoint.folder} was trained on "
            f"few documents and has not learned where they end; use --until paragraph, or -n"
        )


def warn_if_untrained(model: LanguageModel) -> None:
    """Warn if plain token frequencies would predict better than the model."""
    checkpoint = model.checkpoint
    if not checkpoint.has_learned_little:
        return
    frequency_loss = checkpoint.config.provenance.frequency_loss
    tokens = "characters" if model.tokenizer.level == "char" else "words"
    note(
        f"Warning: {checkpoint.folder} predicts worse than the plain frequencies of {tokens} "
        f"(loss {checkpoint.loss:.3f} against {frequency_loss:.3f} nats per token, after "
        f"{checkpoint.figures.step:,} steps): train it longer"
    )
