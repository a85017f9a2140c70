"""What ``generate`` says on stderr about its input and its model: notes and warnings.

Options, prompts and a loaded model come in. This module does not know how text is drawn.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from charlstm.cli.escapes import as_typed, is_escapes, remedy
from charlstm.cli.output import note

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.cli.unicode_form import FormNote
    from charlstm.config import Unit
    from charlstm.generation.samples import Sample

_LISTED_SAMPLES = 8


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


def warn_of_impossible(
    model: LanguageModel, prompts: list[str], options: dict[str, Any], form: FormNote
) -> None:
    """Warn of texts to stop at, to ban or to bias that the model can't write.

    A banned or biased text may begin in a prompt, which has what characters it likes.
    """
    read = [model.normalized(prompt) for prompt in prompts]
    for option, before in (("stop", []), ("ban", read), ("bias", read)):
        given = dict(options["bias"]) if option == "bias" else dict.fromkeys(options[option])
        lacking: dict[str, Counter[str]] = {}
        for text in given:
            if unknown := _unknown(model, model.normalized(text), before):
                lacking[text] = unknown
                form.check(text)
        if lacking:
            _warn_of_lacking(f"--{option}", lacking, given)
        elif escaped := [] if options["quiet"] else [text for text in given if is_escapes(text)]:
            meant = remedy(f"--{option}", _argument(escaped[0], given))
            note(
                f"Note: --{option} {as_typed(escaped[0])} is taken as it is; did you mean {meant}?"
            )


def _unknown(model: LanguageModel, text: str, prompts: list[str]) -> Counter[str]:
    """Return the characters for which a text can't occur, at the end of a prompt or after it."""
    unknown = model.tokenizer.unknown_characters(text)
    first = 1 + max(map(text.rfind, unknown), default=-1)  # the rest can be written
    cuts = range(first, len(text)) if unknown else ()
    occurs = any(prompt.endswith(text[:cut]) for cut in cuts for prompt in prompts)
    return Counter() if occurs else unknown


def _warn_of_lacking(
    option: str, lacking: dict[str, Counter[str]], given: Mapping[str, float | None]
) -> None:
    from charlstm.tokenizer.unknown import describe_unknown

    unknown = sum(lacking.values(), Counter())
    which = f"{as_typed(next(iter(lacking)))} can never occur: it has"
    if len(lacking) > 1:
        which = f"names {len(lacking)} texts that can never occur: they have"
    remedies = (remedy(option, _argument(text, given)) for text in lacking if "\\" in lacking[text])
    meant = next(filter(None, remedies), "")
    hint = f"; did you mean {meant}?" if meant else ""
    note(f"Warning: {option} {which} {describe_unknown(unknown)} that the model never saw{hint}")


def _argument(text: str, given: Mapping[str, float | None]) -> str:
    """Return the argument of a text: with its bias, if it has one."""
    bias = given[text]
    return text if bias is None else f"{text}={bias:+g}"


def note_fewer(found: int, asked: int, options: dict[str, Any]) -> None:
    """Note that a beam search has found fewer texts than were asked for, if it has."""
    if options["beam"] and found < asked and not options["quiet"]:
        note(f"Note: the search found {found:,} of {asked:,} texts: raise --beam or --length")


def warn_of_ends(model: LanguageModel, options: dict[str, Any]) -> None:
    """Warn of ``--until`` if the model does not end documents and writes nothing that ends a unit.

    Where documents end, every unit ends.
    """
    unit, folder = options["until"], model.checkpoint.folder
    if unit is None or model.checkpoint.config.provenance.ends:
        return
    if unit == "document":
        note(
            f"Warning: --until document has no effect: {folder} was trained on few documents and "
            "has not learned where they end; use --until paragraph, or -n"
        )
    elif not _ends_units(model, unit):
        note(
            f"Warning: --until {unit} has no effect: {folder} never saw a character that ends a "
            f"{unit}; use --stop, or -n"
        )


def _ends_units(model: LanguageModel, unit: Unit) -> bool:
    from charlstm.config import SampleConfig
    from charlstm.generation.stopping import Endings

    endings = Endings(SampleConfig(until=unit))
    characters = (piece for piece in model.tokenizer.vocabulary if len(piece) == 1)
    return any(endings.find(f"word{character * 2} More") for character in characters)


def warn_if_untrained(model: LanguageModel) -> None:
    """Warn if plain token frequencies would predict better than the model."""
    checkpoint = model.checkpoint
    if not checkpoint.has_learned_little:
        return
    frequency_loss = checkpoint.config.provenance.frequency_loss
    tokens = model.tokenizer.tokens_are
    note(
        f"Warning: {checkpoint.folder} predicts worse than the plain frequencies of {tokens} "
        f"(loss {checkpoint.loss:.3f} against {frequency_loss:.3f} nats per token, after "
        f"{checkpoint.figures.step:,} steps): train it longer"
    )


class CutSamples:
    """Counts the samples that were cut by the length where they could have ended before.

    Only a terminal is told: JSON has the reason of each, and programs read stderr for errors.

    Args:
        model: the model that writes them.
        options: those of the command.
        length: the greatest length of a sample, in tokens.
    """

    def __init__(self, model: LanguageModel, options: dict[str, Any], length: int) -> None:
        config = model.checkpoint.config
        ends, unit = config.provenance.ends, options["until"]
        may_end = ends and (config.corpus.division.within_files or unit == "document")
        asked = options["stop"] or unit not in (None, "document")
        silent = options["quiet"] or options["as_json"] or not sys.stderr.isatty()
        self._shown = not silent and (may_end or asked)
        self._unit = model.tokenizer.tokens_are
        self._samples, self._length = 0, length
        self._cut: list[int] = []

    def count(self, sample: Sample) -> None:
        """Count a sample that was printed."""
        self._samples += 1
        if sample.finish_reason == "length":
            self._cut.append(self._samples)

    def tell(self) -> None:
        """Say which of the samples were cut."""
        if not self._shown or not self._cut:
            return
        which, numbers = "the sample was", ""
        if self._samples > 1:
            which = f"{len(self._cut):,} of {self._samples:,} samples were"
            if len(self._cut) <= _LISTED_SAMPLES:
                numbers = f" (number {', '.join(map(str, self._cut))})"
        note(
            f"Note: {which} cut at {self._length:,} {self._unit}{numbers}: raise --length, or add "
            "--finished to have only samples that end"
        )
