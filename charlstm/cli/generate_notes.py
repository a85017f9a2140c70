"""Notes and warnings of ``generate`` about its options, its prompts and its model."""

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
    from charlstm.api.model import LanguageModel
    from charlstm.cli.unicode_form import FormNote
    from charlstm.config import Unit
    from charlstm.generation.samples import Sample

_LISTED_SAMPLES = 8


def note_unread_input() -> bool:
    """Note that stdin has text that no option reads.

    This neither reads nor waits, because cron, ssh and servers may leave a pipe open. A file that
    was read before is ignored: it belongs to the shell loop that runs the command.

    Returns:
        Whether the note was printed.
    """
    if not _has_input():
        return False
    note("Note: stdin was not read. Use -p - to continue it, or --prompts - to continue each line.")
    return True


def _has_input() -> bool:
    if sys.stdin is None:
        return False
    with contextlib.suppress(OSError, ValueError):  # closed, or without a file descriptor
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
    """Warn of texts for --stop, --ban or --bias that the model can't write.

    A banned or biased text may start in a prompt, and a prompt may have any characters.
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
        elif escaped := [text for text in given if is_escapes(text)]:
            meant = remedy(f"--{option}", _argument(escaped[0], given))
            note(f"Note: --{option} {as_typed(escaped[0])} is taken literally. Use {meant}.")


def _unknown(model: LanguageModel, text: str, prompts: list[str]) -> Counter[str]:
    """Return the characters because of which a text can't occur across or after a prompt."""
    unknown = model.tokenizer.unknown_characters(text)
    first = 1 + max(map(text.rfind, unknown), default=-1)  # the model can write the rest
    cuts = range(first, len(text)) if unknown else ()
    occurs = any(prompt.endswith(text[:cut]) for cut in cuts for prompt in prompts)
    return Counter() if occurs else unknown


def _warn_of_lacking(
    option: str, lacking: dict[str, Counter[str]], given: Mapping[str, float | None]
) -> None:
    from charlstm.tokenizer.unknown import describe_unknown

    unknown = sum(lacking.values(), Counter())
    which = f"{as_typed(next(iter(lacking)))} can never occur, because it has"
    if len(lacking) > 1:
        which = f"has {len(lacking):,} texts that can never occur, because they have"
    remedies = (remedy(option, _argument(text, given)) for text in lacking if "\\" in lacking[text])
    meant = next(filter(None, remedies), "")
    hint = f" Did you mean {meant}?" if meant else ""
    note(f"Warning: {option} {which} {describe_unknown(unknown)}.{hint}")


def _argument(text: str, given: Mapping[str, float | None]) -> str:
    """Return a text as an argument, with its bias if it has one."""
    bias = given[text]
    return text if bias is None else f"{text}={bias:+g}"


def note_fewer(found: int, asked: int, options: dict[str, Any]) -> None:
    """Note that beam search found fewer texts than ``--count``."""
    if options["beam"] and found < asked:
        note(f"Note: beam search found {found:,} of {asked:,} texts. Raise --beam or --length.")


def warn_of_ends(model: LanguageModel, options: dict[str, Any]) -> None:
    """Warn that ``--until`` has no effect because the model can't end the unit.

    If the model ends documents, it ends every unit.
    """
    from charlstm.checkpoint.names import shown_name

    unit, folder = options["until"], shown_name(model.checkpoint.folder)
    if unit is None or model.checkpoint.config.provenance.ends:
        return
    if unit == "document":
        note(
            f"Warning: --until document has no effect, because {folder} was trained on too few "
            "documents to learn where they end. Use --until paragraph or -n."
        )
    elif not _ends_units(model, unit):
        note(
            f"Warning: --until {unit} has no effect, because the vocabulary of {folder} has no "
            f"character that ends a {unit}. Use --stop or -n."
        )


def _ends_units(model: LanguageModel, unit: Unit) -> bool:
    from charlstm.config import SampleConfig
    from charlstm.generation.stopping import Endings

    endings = Endings(SampleConfig(until=unit))
    characters = (piece for piece in model.tokenizer.vocabulary if len(piece) == 1)
    return any(endings.find(f"word{character * 2} More") for character in characters)


def warn_if_untrained(model: LanguageModel) -> None:
    """Warn if token frequencies alone predict better than the model."""
    checkpoint = model.checkpoint
    if not checkpoint.has_learned_little:
        return
    from charlstm.checkpoint.names import shown_name

    step = checkpoint.figures.step
    frequency_loss = checkpoint.config.provenance.frequency_loss
    tokens = model.tokenizer.tokens_are
    note(
        f"Warning: after {step:,} step{'s' * (step != 1)} {shown_name(checkpoint.folder)} predicts "
        f"worse than the frequencies of {tokens} alone (loss {checkpoint.loss:.3f} against "
        f"{frequency_loss:.3f} nats per token). Train it longer."
    )


class CutSamples:
    """Counts samples that the length cut off although they could have ended earlier.

    The note goes to terminals only: JSON has the reason for each sample, and programs expect
    errors on stderr.

    Args:
        model: the model that generates.
        options: the options of the command.
        length: the maximum length of a sample, in tokens.
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
        """Count a printed sample."""
        self._samples += 1
        if sample.finish_reason == "length":
            self._cut.append(self._samples)

    def tell(self) -> None:
        """Note which samples were cut off."""
        if not self._shown or not self._cut:
            return
        which, numbers = "the sample was", ""
        if self._samples > 1:
            which = f"{len(self._cut):,} of {self._samples:,} samples were"
            if len(self._cut) <= _LISTED_SAMPLES:
                numbers = f" (number {', '.join(map(str, self._cut))})"
        note(
            f"Note: {which} cut off at {self._length:,} {self._unit}{numbers}. Raise --length, or "
            "add --finished to reject such samples."
        )
