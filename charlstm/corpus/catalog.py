"""The catalog of well-known texts: describes them and fetches them by name.

A file gets its final name only after its size and hash match the catalog. The libraries that
download are imported when they are needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from charlstm.errors import CorpusError
from charlstm.system.files import storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The environment variable that names the folder of fetched texts.
VARIABLE = "CHARLSTM_DATA"

_TIMEOUT = 30  # seconds without an answer
_BLOCK = 2**16  # bytes


class KnownText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text of the catalog.

    Attributes:
        name: the name that users give.
        description: one line about the text.
        address: the URL it is fetched from.
        file: the name of the fetched file.
        sha256: the hash of the file, in hexadecimal.
        bytes: the size of the file.
        license: the name of the license.
        options: options of ``charlstm train`` that suit the text.
        figures: published or measured results.
    """

    name: str
    description: str
    address: str
    file: str
    sha256: str
    bytes: int
    license: str
    options: str = ""
    figures: str = ""

    @property
    def path(self) -> Path:
        """The path of the file once it is fetched."""
        return data_folder() / self.file

    @property
    def is_here(self) -> bool:
        """Whether the file is fetched."""
        return self.path.is_file() and self.path.stat().st_size == self.bytes


def data_folder() -> Path:
    """Return the folder of fetched texts: ``$CHARLSTM_DATA`` or the user's data folder."""
    from platformdirs import user_data_path

    named = os.environ.get(VARIABLE)
    return Path(named) if named else user_data_path("charlstm") / "corpora"


def catalog() -> tuple[KnownText, ...]:
    """Return all entries of the catalog."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped" / "catalog.json"
    path = installed if installed.exists() else package.parent / "corpora" / "catalog.json"
    return msgspec.json.decode(path.read_bytes(), type=tuple[KnownText, ...])


def find_entry(name: str) -> KnownText | None:
    """Return the entry with a name, or ``None`` if there is none."""
    if os.sep in name or "." in name:  # a file path, which is never a name of the catalog
        return None
    return next((entry for entry in catalog() if entry.name == name), None)


def fetch(entry: KnownText, on_progress: Callable[[int], object] | None = None) -> Path:
    """Fetch a text unless it is already here, and return its path.

    Args:
        entry: the text.
        on_progress: called with the number of bytes of each block that arrives.

    Raises:
        CorpusError: if the text can't be fetched or does not match the catalog.
        StorageError: if the file system refuses.
    """
    if entry.is_here:
        return entry.path
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")

    def download(address: str, file: str, _: object) -> None:
        with open(file, "wb") as target:
            for block in _blocks(address, entry.bytes):
                target.write(block)
                if on_progress is not None:
                    on_progress(len(block))

    folder, known = entry.path.parent, f"sha256:{entry.sha256}"
    try:
        pooch.retrieve(entry.address, known, entry.file, folder, downloader=download)
    except RequestException as error:
        raise _unfetched_error(entry, _reason(error)) from error
    except ValueError as error:  # the hash differs, or the server sends too many bytes
        reason = "the server sent a file that does not match the catalog"
        raise _unfetched_error(entry, reason) from error
    except OSError as error:
        with storage_errors(folder, f"Set {VARIABLE} to another folder."):
            raise error
    return entry.path


def _blocks(address: str, most: int) -> Iterator[bytes]:
    """Download an address block by block, at most ``most`` bytes.

    Raises:
        RequestException: if the request fails or fewer bytes arrive than were announced.
        ValueError: if more than ``most`` bytes arrive.
    """
    import requests

    with requests.get(address, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        for block in response.iter_content(_BLOCK):
            most -= len(block)
            if most < 0:
                raise ValueError("too many bytes")
            yield block


def _reason(error: Exception) -> str:
    """Return in a few words why the download failed."""
    from requests import exceptions

    response = getattr(error, "response", None)
    if response is not None:
        return f"the server returned status {response.status_code}"
    if isinstance(error, exceptions.Timeout):
        return f"the server did not respond within {_TIMEOUT} seconds"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection was interrupted"
    return "can't connect to the server"


def _unfetched_error(entry: KnownText, reason: str) -> CorpusError:
    return CorpusError(
        f"can't fetch {entry.name} from {entry.address}: {reason}. Try again later, or save the "
        f"file as {entry.path}."
    )
