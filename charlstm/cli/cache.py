"""``charlstm cache``: show or clear the cache."""

from __future__ import annotations

from datetime import datetime

from charlstm.cli.options import OptionGroup, grouped_command
from charlstm.cli.output import note, write_json, write_text

options = OptionGroup()


@grouped_command(
    "cache",
    "charlstm cache --json",
    epilog="The cache folder is $CHARLSTM_CACHE, or the platform's cache folder if that is not "
    "set. Its size is limited to $CHARLSTM_CACHE_MB megabytes (4096 if not set). The entries used "
    "least recently are removed first.",
)
@options.flag("--clear", help="Remove all entries. They are rebuilt when needed.")
@options.quiet()
@options.json("Print one JSON object instead of a list.")
def command(clear: bool, quiet: bool, as_json: bool) -> None:
    """Show or clear the cache: encoded texts and model graphs, which make commands start faster."""
    from charlstm.system import cache

    cache.limit()  # a wrong $CHARLSTM_CACHE_MB is misuse, as for other commands
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
    where = f"{'from' if clear else 'in'} {cache.cache_folder()}"
    note(f"{'Removed ' if clear else ''}{count} ({total:,} bytes) {where}.")
