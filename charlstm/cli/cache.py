"""``charlstm cache``: list or clear what is kept to start faster."""

from __future__ import annotations

from datetime import datetime

from charlstm.cli.options import OptionGroup, grouped_command
from charlstm.cli.output import note, write_json, write_text

options = OptionGroup()


@grouped_command(
    "cache",
    "charlstm cache --json",
    epilog="The folder is $CHARLSTM_CACHE, by default the platform's own cache folder; "
    "$CHARLSTM_CACHE_MB bounds its size (default 4096 MB), the least recently used go first.",
)
@options.flag("--clear", help="Remove everything; it is built again when needed.")
@options.json("Print one JSON object instead of a list.")
def command(clear: bool, as_json: bool) -> None:
    """List (or clear) what is kept to start faster: encoded texts and the graphs of models."""
    from charlstm.system import cache

    entries = cache.clear() if clear else cache.entries()
    total = sum(entry.size for entry in entries)
    if as_json:
        listed = [{"name": e.path.name, "bytes": e.size, "used": e.used} for e in entries]
        key = "removed" if clear else "entries"
        write_json({"folder": str(cache.cache_folder()), "bytes": total, key: listed})
        return
    if not clear:
        for entry in entries:
            used = datetime.fromtimestamp(entry.used).isoformat(" ", "seconds")
            write_text(f"{entry.size:>14,}  {used}  {entry.path.name}\n")
    count = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    note(f"{'Removed ' if clear else ''}{count}, {total:,} bytes in {cache.cache_folder()}")
