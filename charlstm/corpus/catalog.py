"""The catalog of well-known texts: what each is, where it is, and how it is fetched.

A name goes in, the path of a file comes out. A file gets its name only when its size and hash are
those of the catalog. The library that fetches is imported when it is needed. Prints nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from charlstm.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The variable that names the folder of fetched texts.
VARIABLE = "CHARLSTM_DATA"

_TIMEOUT = 30  # seconds without an answer
_BLOCK = 2**16  # bytes


class KnownText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text of the catalog.

    Attributes:
        name: by which it is asked for.
        description: of one line.
        address: where it is fetched from.
        file: its name when it is here.
        sha256: of the file.
        bytes: its size.
        license: its name.
        options: of ``charlstm train`` that suit it.
        figures: published or measured.
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
        """Where it is when it has been fetched."""
        return data_folder() / self.file

    @property
    def is_here(self) -> bool:
        """Whether it has been fetched."""
        return self.path.is_file() and self.path.stat().st_size == self.bytes


def data_folder() -> Path:
    """Return the folder of fetched texts: ``$CHARLSTM_DATA``, or that of the user's data."""
    from platformdirs import user_data_path

    named = os.environ.get(VARIABLE)
    return Path(named) if named else user_data_path("charlstm") / "corpora"


def catalog() -> tuple[KnownText, ...]:
    """Return all entries."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped" / "catalog.json"
    path = installed if installed.exists() else package.parent / "corpora" / "catalog.json"
    return msgspec.json.decode(path.read_bytes(), type=tuple[KnownText, ...])


def find_entry(name: str) -> KnownText | None:
    """Return the entry of a name; ``None`` if there is none."""
    if os.sep in name or "." in name:  # the path of a file
        return None
    return next((entry for entry in catalog() if entry.name == name), None)


def fetch(entry: KnownText, on_progress: Callable[[int], object] | None = None) -> Path:
    """Return the path of a text, which is fetched if it is not here.

    Args:
        entry: the text.
        on_progress: told the number of bytes of each block that comes.

    Raises:
        CorpusError: if it can't be fetched, or is not what the catalog says.
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
    except ValueError as error:  # the hash is another, or the server sends too much
        raise _unfetched_error(entry, "what came is not the file that the catalog knows") from error
    except OSError as error:
        raise _unfetched_error(entry, str(error)) from error
    return entry.path


def _blocks(address: str, most: int) -> Iterator[bytes]:
    """Yield what an address sends, but no more than so many bytes.

    Raises:
        RequestException: if nothing comes, or less than was announced.
        ValueError: if more comes.
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
    """Return in a few words why nothing came."""
    from requests import exceptions

    response = getattr(error, "response", None)
    if response is not None:
        return f"the server says {response.status_code}"
    if isinstance(error, exceptions.Timeout):
        return f"the server did not answer for {_TIMEOUT} seconds"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "there is no connection to the server"


def _unfetched_error(entry: KnownText, reason: str) -> CorpusError:
    return CorpusError(
        f"can't fetch {entry.name} from {entry.address}: {reason}: try again later, or save it "
        f"as {entry.path}"
    )
