"""``charlstm look``: a page that runs a model in a browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlstm.cli.options import (
    OptionGroup,
    check_utf8,
    checkpoint_argument,
    complete_files,
    grouped_command,
)
from charlstm.cli.output import note, write_json, write_text
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Checkpoint
    from charlstm.look.page import Section

LONGEST_TEXT = 200_000  # characters: more would take a browser minutes to read

options = OptionGroup()


@grouped_command(
    "look",
    "charlstm look shakespeare -o page.html",
    "charlstm look checkpoints/names -o page.html 'anna'",
)
@checkpoint_argument(required=False)
@click.argument("text", required=False, metavar="[TEXT|FILE]", shell_complete=complete_files)
@options.output(kind="FILE", help="Where to write the page. Nothing is opened then.")
@options.flag("--overwrite", help="Replace an existing file.")
@options("-p", "--prompt", metavar="TEXT", default="", help="Prompt to continue at first.")
@options.quiet("Print errors only.")
@options.json("Print one JSON object instead of the path.")
def command(
    checkpoint: Path | None,
    text: str | None,
    output: Path | None,
    overwrite: bool,
    prompt: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a page that runs the model of CHECKPOINT in a browser, and open it.

    The page is one HTML file: it writes text, colors any text by how surprising the model finds it,
    and shows what the gates and cells do. It needs no network and no charlstm, so you can send it
    to a friend. TEXT or the text in FILE (- for standard input) is read at first. Without
    CHECKPOINT it is $CHARLSTM_CHECKPOINT, or the one you trained last.
    """
    check_utf8("--prompt", prompt)
    from charlstm.checkpoint.names import default_checkpoint
    from charlstm.checkpoint.reader import read_checkpoint
    from charlstm.export import check_free
    from charlstm.look.page import Content, build_page
    from charlstm.system.files import replaced_atomically

    if output is not None:
        check_free(output, overwrite)
    elif overwrite:
        raise UsageError("--overwrite replaces the file named with -o: add -o FILE")
    shown = "" if text is None else _text(text)
    loaded = read_checkpoint(checkpoint or default_checkpoint())
    title = loaded.folder.resolve().name
    content = Content(
        title=title,
        facts=_facts(loaded),
        card=_card(loaded),
        text=shown,
        prompt=prompt,
    )
    page = build_page(loaded, content)
    path = output or _temporary(title)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(page)
    if as_json:
        write_json({"file": str(path), "bytes": len(page)})
    else:
        write_text(f"{path}\n")
    if output is None and _has_display() and not _open(path) and not quiet:
        note("no browser could be opened: open the file yourself")


def _text(argument: str) -> str:
    """Return the text to read: that of a file if there is one, else the argument itself."""
    if argument != "-" and not os.path.exists(argument):
        check_utf8("TEXT", argument)
        return argument
    from charlstm.corpus.documents import open_corpus
    from charlstm.corpus.spool import spooled_stdin

    parts, length = [], 0
    with spooled_stdin((argument,)) as stdin:
        for chunk in open_corpus((argument,), stdin=stdin).chunks():
            parts.append(chunk.text[: LONGEST_TEXT - length])
            length += len(parts[-1])
            if length >= LONGEST_TEXT:
                break
    return "".join(parts)


def _temporary(title: str) -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="charlstm-")) / f"{title or 'model'}.html"


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(path: Path) -> bool:
    import webbrowser

    return webbrowser.open(path.resolve().as_uri())


def _facts(checkpoint: Checkpoint) -> str:
    model, bits = checkpoint.config.model, checkpoint.figures.valid_bits_per_character
    level = {"char": "characters", "subword": "pieces of words", "word": "words"}
    facts = [f"{model.layers} x {model.units} LSTM", level[checkpoint.tokenizer.level]]
    if bits is not None:
        facts.append(f"{bits:.3f} bits per character")
    return ", ".join(facts)


def _card(checkpoint: Checkpoint) -> Sequence[Section]:
    from charlstm.cli.model_card import card_sections

    return card_sections(checkpoint)
