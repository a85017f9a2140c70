"""``charlstm look``: write a page that runs a model in a browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlstm.cli.descriptions import describe_layers
from charlstm.cli.locales import check_text
from charlstm.cli.options import (
    OptionGroup,
    checkpoint_argument,
    complete_files,
    grouped_command,
)
from charlstm.cli.output import note, write_json, write_path
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
@options.output(
    kind="FILE",
    show_default="a temporary file, which is opened",
    help="File to write the page to. Nothing is opened then.",
)
@options.flag("--overwrite", help="Replace the output if it exists.")
@options.text(
    "-p", "--prompt", metavar="TEXT", help="Prompt that the page continues when it opens."
)
@options.quiet()
@options.json("Print one JSON object instead of the path.")
def command(
    checkpoint: Path | None,
    text: str | None,
    output: Path | None,
    overwrite: bool,
    prompt: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a page that runs the model of CHECKPOINT in a browser, and open it.

    The page is one HTML file. It generates text, colors any text by surprisal, and shows what
    gates, cells and attention do. It contains the model and needs no network, so you can send it to
    a friend who has nothing installed. The page's path is printed to stdout.

    The page opens with TEXT, or with the text in FILE (- for stdin).

    CHECKPOINT defaults to $CHARLSTM_CHECKPOINT, or to the newest checkpoint in checkpoints/.
    """
    from charlstm.checkpoint.names import default_checkpoint
    from charlstm.checkpoint.reader import read_checkpoint
    from charlstm.export import check_free
    from charlstm.look.page import Content, build_page
    from charlstm.system.files import replaced_atomically

    if output is not None:
        check_free(output, overwrite)
    elif overwrite:
        raise UsageError("--overwrite needs -o FILE.")
    shown = "" if text is None else _text(text)
    loaded = read_checkpoint(checkpoint or default_checkpoint())
    title = loaded.folder.resolve().name
    content = Content(
        title=title,
        facts=_facts(loaded),
        card=_card(loaded),
        text=shown,
        prompt=prompt or "",
    )
    page = build_page(loaded, content)
    path = output or _temporary()
    try:
        with replaced_atomically(path) as temporary:
            temporary.write_bytes(page)
    except BaseException:
        if output is None:
            path.parent.rmdir()
        raise
    if as_json:
        write_json({"file": str(path), "bytes": len(page)})
    else:
        write_path(path)
    if output is None and _has_display() and not _open(path):
        note("Note: no browser was found. Open the page yourself.")


def _text(argument: str) -> str:
    """Return the text to read: that of a file if there is one, else the argument itself."""
    if argument != "-" and not os.path.exists(argument):
        check_text("TEXT", argument)
        if _looks_like_path(argument):
            note(f"Note: {argument} is not a file, so the page reads it as text.")
        return argument
    from charlstm.corpus.documents import open_corpus
    from charlstm.corpus.spool import spooled_stdin

    text, is_between = "", False
    with spooled_stdin((argument,)) as stdin:
        for chunk in open_corpus((argument,), stdin=stdin).chunks():
            if is_between and not text.endswith("\n"):
                text += "\n"
            text += chunk.text
            is_between = chunk.ends_document
            if len(text) > LONGEST_TEXT:
                note(f"Note: the page has the first {LONGEST_TEXT:,} characters of the text.")
                break
    return text[:LONGEST_TEXT]


def _looks_like_path(argument: str) -> bool:
    is_word = not any(map(str.isspace, argument))
    return is_word and (os.sep in argument or bool(Path(argument).suffix))


def _temporary() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="charlstm-")) / "page.html"


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
    facts = [describe_layers(model), level[checkpoint.tokenizer.level]]
    if bits is not None:
        facts.append(f"{bits:.3f} bits per character")
    return ", ".join(facts)


def _card(checkpoint: Checkpoint) -> Sequence[Section]:
    from charlstm.cli.model_card import card_sections

    return card_sections(checkpoint)
