"""Reads and checks prompts from the command line, a file or stdin."""

from __future__ import annotations

import errno
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.escapes import remedy
from charlstm.cli.line_ends import line_rules, strip_line_end
from charlstm.cli.output import note
from charlstm.corpus.encodings import decode_all, mark_of, without_mark
from charlstm.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.cli.unicode_form import FormNote


def prompts_of(options: dict[str, Any], model: LanguageModel) -> list[str]:
    """Return the prompts of ``generate``: one, or each line of ``--prompts``.

    A byte-order mark is dropped. So is one line end at the end of a prompt from a file or stdin:
    editors and ``echo`` add it, but generation should continue the last line.
    """
    given = options["prompt"]
    if options["prompts"] is not None:
        from charlstm.corpus.lines import lines_of

        text = _read(options["prompts"])
        return lines_of(text, rules=line_rules(model))
    if given is not None and given != "-":
        return [without_mark(given)]
    if given is None and options["prompt_file"] is None:
        return [""]
    text = _read("-" if given == "-" else options["prompt_file"])
    return [strip_line_end(text, rules=line_rules(model))]


def stdin_prompt(model: LanguageModel) -> str:
    """Return the prompt on stdin, without one line end at its end."""
    return strip_line_end(_read("-"), rules=line_rules(model))


def lines_of_stdin(rules: int) -> Iterator[str]:
    """Yield the lines of stdin as they arrive, without their line ends.

    Args:
        rules: the rules for line ends that ``line_rules`` returns for the model.
    """
    from charlstm.corpus.encodings import decoded_lines
    from charlstm.corpus.lines import lines_of

    stream: BufferedReader = sys.stdin.buffer  # type: ignore[assignment]
    for number, line in enumerate(decoded_lines(stream, "stdin")):
        # An input without "\n" comes as one line.
        if number and not line.endswith("\n"):
            yield line
        else:
            yield from lines_of(line, rules=rules)


def warn_of_unknown(
    model: LanguageModel, prompts: list[str], form: FormNote, typed: str | None
) -> None:
    """Warn of characters in the prompts that are unknown to the model.

    Args:
        model: the model that reads the prompts.
        prompts: the prompts as given.
        form: notes a text in another Unicode form.
        typed: the prompt, if it was typed on the command line.
    """
    texts = map(model.normalized, prompts)
    found = [counts for text in texts if (counts := model.tokenizer.unknown_characters(text))]
    if found:
        from charlstm.tokenizer.unknown import describe_unknown

        verb = "has" if len(found) == 1 else "have"
        which = "the prompt has" if len(prompts) == 1 else f"{len(found)} of the prompts {verb}"
        unknown = sum(found, Counter())
        meant = remedy("--prompt", typed) if typed and "\\" in unknown else ""
        hint = f" Did you mean {meant}?" if meant else ""
        note(f"Warning: {which} {describe_unknown(unknown)}.{hint}")
        for prompt in prompts:
            form.check(prompt)


class UnknownOnce:
    """Warns of the unknown characters of texts that come one by one, of each character once.

    Args:
        model: the model that reads the texts.
        which: what a text is, such as ``"the prompt"``.
        quiet: never note that a text is in another Unicode form.
        hint: how to type the text with its escapes interpreted, if it was typed.
    """

    def __init__(self, model: LanguageModel, which: str, *, quiet: bool, hint: str = "") -> None:
        from charlstm.cli.unicode_form import FormNote

        self._model = model
        self._which = which
        self._form = FormNote(model, quiet=quiet)
        self._hint = f" Did you mean {hint}?" if hint else ""
        self._warned: set[str] = set()

    def check(self, text: str) -> None:
        """Warn of the characters of a text that are unknown and not warned of yet."""
        from charlstm.tokenizer.unknown import describe_unknown

        unknown = self._model.tokenizer.unknown_characters(self._model.normalized(text))
        for character in self._warned & unknown.keys():
            del unknown[character]
        if not unknown:
            return
        self._warned |= unknown.keys()
        hint = self._hint if "\\" in unknown else ""
        note(f"Warning: {self._which} has {describe_unknown(unknown)}.{hint}")
        self._form.check(text)


def note_long(
    model: LanguageModel, prompts: Sequence[str], which: str = "the prompt", *, step: int = 1
) -> bool:
    """Note that only the end of long prompts is read; return whether any is too long."""
    from charlstm.tokenizer.long_prompts import MAX_PROMPT, is_long

    long = sum(is_long(model.tokenizer, model.normalized(text), step=step) for text in prompts)
    if long:
        verb = "has" if long == 1 else "have"
        subject = f"{which} has" if len(prompts) == 1 else f"{long:,} of the prompts {verb}"
        tokens = model.tokenizer.tokens_are
        about = "" if step == 1 else "about "
        note(
            f"Note: {subject} more than {MAX_PROMPT:,} {tokens}. Only {about}the last "
            f"{MAX_PROMPT:,} are used."
        )
    return long > 0


def _read(source: str) -> str:
    """Return the text of a file or of stdin."""
    if source == "-" and sys.stdin is None:
        raise UsageError("stdin is closed. Pipe a prompt in, or use --prompt.")
    from charlstm.corpus.formats import HEAD

    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise CorpusError(f"can't read the prompt file {source}: {_reason(error)}.") from None
    name = "the prompt on stdin" if source == "-" else f"the prompt in {source}"
    _check_text(data[:HEAD], name, "FILE" if source == "-" else source)
    return decode_all(data, name)


def _reason(error: OSError) -> str:
    reasons = {errno.ENOENT: "no such file", errno.EISDIR: "this is a folder"}
    return reasons.get(error.errno or 0) or (error.strerror or str(error)).lower()


def _check_text(head: bytes, name: str, file: str) -> None:
    """Raise ``CorpusError`` if a file with these first bytes is not text.

    A NUL byte alone doesn't count, because a prompt may contain it.
    """
    from charlstm.corpus.formats import UNKNOWN, advice, binary_format, looks_binary

    found = binary_format(head)
    if not found and not mark_of(head, "utf-8") and looks_binary(head):
        found = UNKNOWN
    if found:
        raise CorpusError(f"{name} is {found.name}, not text.{advice(found, file)}")
