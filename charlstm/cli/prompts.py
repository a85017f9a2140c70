"""Prompts, of ``generate`` above all: from the command line, a file or standard input."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.escapes import remedy
from charlstm.cli.line_ends import line_rules, strip_line_end
from charlstm.cli.options import check_utf8
from charlstm.cli.output import note
from charlstm.corpus.encodings import decode_all, mark_of, without_mark
from charlstm.corpus.formats import HEAD, UNKNOWN, advice, binary_format, looks_binary
from charlstm.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.cli.unicode_form import FormNote


def prompts_of(options: dict[str, Any], model: LanguageModel) -> list[str]:
    """Return the prompts: one, or each line of ``--prompts``.

    Prompts are taken as they are, with two exceptions: a byte-order mark is dropped; and so is one
    line end at the end of a prompt from a file or from standard input, which editors and ``echo``
    put there, because generation continues the last line.
    """
    given = options["prompt"]
    if options["prompts"] is not None:
        from charlstm.corpus.lines import lines_of

        text = _read(options["prompts"])
        return lines_of(text, rules=line_rules(model))
    if given is not None and given != "-":
        check_utf8("--prompt", given, "give it in UTF-8 or use --prompt-file")
        return [without_mark(given)]
    if given is None and options["prompt_file"] is None:
        return [""]
    text = _read("-" if given == "-" else options["prompt_file"])
    return [strip_line_end(text, rules=line_rules(model))]


def stdin_prompt(model: LanguageModel) -> str:
    """Return the prompt in standard input, without one line end at its end."""
    return strip_line_end(_read("-"), rules=line_rules(model))


def warn_of_unknown(
    model: LanguageModel, prompts: list[str], form: FormNote, typed: str | None
) -> None:
    """Warn of characters in the prompts that the model reads as unknown.

    Args:
        model: the model that reads them.
        prompts: as given.
        form: says if they are in another form of Unicode.
        typed: the prompt, if it was typed on the command line.
    """
    from charlstm.tokenizer.unknown import describe_unknown

    texts = map(model.normalized, prompts)
    found = [counts for text in texts if (counts := model.tokenizer.unknown_characters(text))]
    if found:
        which = "the prompt has" if len(prompts) == 1 else f"{len(found)} of the prompts have"
        unknown = sum(found, Counter())
        meant = remedy("--prompt", typed) if typed and "\\" in unknown else ""
        hint = f"; did you mean {meant}?" if meant else ""
        note(f"Warning: {which} {describe_unknown(unknown)} that the model never saw{hint}")
        for prompt in prompts:
            form.check(prompt)


def note_long(
    model: LanguageModel, prompts: Sequence[str], which: str = "the prompt", *, step: int = 1
) -> bool:
    """Say that of long prompts only the last tokens are read; return whether it was said."""
    from charlstm.tokenizer.long_prompts import MAX_PROMPT, is_long

    long = sum(is_long(model.tokenizer, model.normalized(text), step=step) for text in prompts)
    if long:
        subject = f"{which} has" if len(prompts) == 1 else f"{long:,} of the prompts have"
        tokens = model.tokenizer.tokens_are
        about = "" if step == 1 else "about "
        note(
            f"Note: {subject} more than {MAX_PROMPT:,} {tokens}: only {about}the last "
            f"{MAX_PROMPT:,} are read"
        )
    return long > 0


def _read(source: str) -> str:
    """Return the text of a file or of standard input."""
    if source == "-" and sys.stdin is None:
        raise UsageError("standard input is closed: pipe a prompt in, or use --prompt")
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise CorpusError(f"can't read the prompt file {source}: {error.strerror}") from None
    name = f"the prompt in {source}"
    _check_text(data[:HEAD], name, "FILE" if source == "-" else source)
    return decode_all(data, name)


def _check_text(head: bytes, name: str, file: str) -> None:
    """Raise ``CorpusError`` if these are the first bytes of a file that is not text.

    A NUL byte alone is a character of a prompt.
    """
    found = binary_format(head)
    if not found and not mark_of(head, "utf-8") and looks_binary(head):
        found = UNKNOWN
    if found:
        raise CorpusError(f"{name} is {found.name}, not text: {advice(found, file)}")
