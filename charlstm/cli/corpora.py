"""``charlstm corpora``: list or download the well-known texts of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.fetching import fetch_with_bar
from charlstm.cli.misuse import in_quotes
from charlstm.cli.options import OptionGroup, grouped_command
from charlstm.cli.output import write_json, write_path, write_text
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.corpus.catalog import KnownText

options = OptionGroup()


@grouped_command("corpora", "charlstm corpora", "charlstm corpora --json")
@click.argument("words", nargs=-1, metavar="[fetch NAME...]")
@options.quiet()
@options.json("Print one JSON object instead of a table.")
def command(words: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """List well-known texts, or download some: charlstm corpora fetch names.

    Texts are downloaded to your data folder, and their paths are printed to stdout. charlstm train
    NAME also downloads the text if necessary.
    """
    from charlstm.corpus.catalog import catalog

    entries = {entry.name: entry for entry in catalog()}
    if not words:
        if as_json:
            write_json({"corpora": [_facts(entry) for entry in entries.values()]})
        else:
            write_text("".join(f"{_described(entry)}\n" for entry in entries.values()))
        return
    action, *names = words
    known = ", ".join(entries)
    if action != "fetch":
        raise UsageError(
            f"unexpected argument {in_quotes(action)}. To download a text, use charlstm corpora "
            f"fetch NAME."
        )
    if not names:
        raise UsageError(f"NAME is missing. Choose from {known}.")
    if unknown := [name for name in names if name not in entries]:
        raise UsageError(f"{unknown[0]} is not in the catalog. The names are: {known}.")
    paths = [fetch_with_bar(entries[name], quiet=quiet) for name in names]
    if as_json:
        write_json({"fetched": [str(path) for path in paths]})
    else:
        for path in paths:
            write_path(path)


def _facts(entry: KnownText) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(entry) | {"path": str(entry.path), "fetched": entry.is_here}


def _described(entry: KnownText) -> str:
    here = "fetched" if entry.is_here else f"{entry.bytes / 1e6:.1f} MB"
    lines = [f"{entry.name:<18}{here:<10}{entry.description} License: {entry.license}."]
    if entry.options:
        lines.append(f"{'':<28}charlstm train {entry.name} {entry.options}")
    if entry.figures:
        lines.append(f"{'':<28}{entry.figures}")
    return "\n".join(lines)
