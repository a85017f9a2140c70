"""``charlstm models``: list the checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charlstm.cli.argument_names import as_typed
from charlstm.cli.descriptions import describe_names, describe_size
from charlstm.cli.options import OptionGroup, grouped_command
from charlstm.cli.output import note, write_json, write_text
from charlstm.cli.tables import aligned
from charlstm.errors import harmless

if TYPE_CHECKING:
    from charlstm.checkpoint.listing import Listed

_HEADINGS = ("name", "level", "network", "MB", "bits/char", "state", "started", "text")
_RIGHT = [heading in ("MB", "bits/char") for heading in _HEADINGS]
_SHOWN = 60  # maximum characters of a name, or of the names of texts

options = OptionGroup()


@grouped_command("models", "charlstm models", "charlstm models --json")
@options.quiet()
@options.json("Print one JSON object instead of a table.")
def command(quiet: bool, as_json: bool) -> None:
    """List the checkpoints in checkpoints/, sorted by bits per character.

    Bits per character compare only on the same text. You can refer to a
    checkpoint by its name alone: charlstm generate brown. english and shakespeare come with
    charlstm.
    """
    from charlstm.checkpoint.listing import list_checkpoints

    found = list_checkpoints()
    if as_json:
        write_json({"models": [_facts(each) for each in found]})
        return
    if found:
        write_text(aligned([_HEADINGS, *map(_row, found)], right=_RIGHT))
    for each in found:
        if each.problem is not None:
            note(harmless(as_typed(each.problem)))
    if not found:
        note("There are no checkpoints yet. Train one with: charlstm train my.txt")


def _facts(each: Listed) -> dict[str, Any]:
    config, figures = each.config, each.figures
    return {
        "name": harmless(each.name),
        "folder": harmless(str(each.folder)),
        "shipped": each.shipped,
        "state": each.state,
        "level": config and config.tokenizer.level,
        "layers": config and config.model.layers,
        "units": config and config.model.units,
        "attention": config and config.model.attention,
        "bidirectional": config and config.model.bidirectional,
        "parameters": config and config.model.parameters,
        "bytes": each.size,
        "bits_per_character": each.bits_per_character,
        "steps": figures and figures.step,
        "begun": config and config.provenance.created,
        "sources": config and config.provenance.sources,
        "problem": each.problem and as_typed(each.problem),
    }


def _row(each: Listed) -> tuple[str, ...]:
    name = harmless(each.name, _SHOWN)
    state = f"{each.state}{', shipped' if each.shipped else ''}"
    if each.config is None:
        return (name, "", "", "", "", state, "", "")
    model, origin = each.config.model, each.config.provenance
    bits = each.bits_per_character
    return (
        name,
        each.config.tokenizer.level,
        describe_size(model),
        _megabytes(each.size) if each.size else "",
        "" if bits is None else f"{bits:.3f}",
        state,
        harmless(origin.created[:10], _SHOWN),
        harmless(describe_names(origin.sources), _SHOWN),
    )


def _megabytes(size: int) -> str:
    """Return a size in MB with one decimal, or with one digit if that would be 0.0."""
    return (
        f"{size / 1e6:.1f}" if size >= 50_000 else f"{float(f'{size / 1e6:.0e}'):.6f}".rstrip("0")
    )
