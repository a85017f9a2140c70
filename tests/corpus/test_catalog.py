"""Tests of ``corpus.catalog``: fetches texts from a local server, completely or not at all."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from charlstm.corpus import catalog as module
from charlstm.corpus.catalog import KnownText, catalog, data_folder, fetch, find_entry
from charlstm.errors import CorpusError

TEXT = b"A text of some words.\n" * 5000


class Handler(BaseHTTPRequestHandler):
    """Answers as the path says: whole, moved, truncated, endless, wrong, late or missing."""

    def do_GET(self):
        self.server.asked.append(self.path)
        answer = getattr(self, self.path.strip("/"))
        answer()

    def send(self, body, length=None, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def whole(self):
        self.send(TEXT)

    def moved(self):
        self.send_response(302)
        self.send_header("Location", "/whole")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def other(self):
        self.send(TEXT.upper())

    def truncated(self):
        self.send(TEXT[:3000], len(TEXT))
        self.close_connection = True

    def endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(TEXT)
        except OSError:  # the client has disconnected
            self.server.gone.set()

    def missing(self):
        self.send(b"none", status=404)

    def late(self):
        self.server.ends.wait(20)

    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.gone, running.ends = [], threading.Event(), threading.Event()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.ends.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def entry(server, tmp_path, monkeypatch):
    """Return a function that makes the entry of a text, given how the server sends it."""
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "data"))

    def make(way):
        return KnownText(
            name="words",
            description="Words.",
            address=f"http://127.0.0.1:{server.server_port}/{way}",
            file="words.txt",
            sha256=hashlib.sha256(TEXT).hexdigest(),
            bytes=len(TEXT),
            license="none",
        )

    return make


@pytest.mark.parametrize(("way", "asked"), [("whole", 1), ("moved", 2)])
def test_a_text_is_fetched_once(entry, server, way, asked):
    found = entry(way)
    assert not found.is_here
    path = fetch(found)
    assert path == found.path
    assert path.read_bytes() == TEXT
    assert found.is_here
    assert fetch(found) == path
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("truncated", "interrupted"),
        ("other", "does not match"),
        ("endless", "does not match"),
        ("missing", "404"),
        ("late", "did not respond"),
    ],
)
def test_a_wrong_file_is_not_stored(entry, server, monkeypatch, way, reason):
    monkeypatch.setattr(module, "_TIMEOUT", 0.3)
    found = entry(way)
    with pytest.raises(CorpusError) as caught:
        fetch(found)
    message = str(caught.value).replace(str(server.server_port), "PORT")
    for part in ("words", "http://127.0.0.1:PORT/", reason, found.path.name):
        assert part in message
    assert list(found.path.parent.iterdir()) == []


def test_an_endless_answer_is_cut_off(entry, server):
    with pytest.raises(CorpusError):
        fetch(entry("endless"))
    assert server.gone.wait(5)


def test_without_a_server(entry, server):
    found = entry("whole")
    found = msgspec.structs.replace(found, address="http://127.0.0.1:9/words.txt")
    with pytest.raises(CorpusError) as caught:
        fetch(found)
    assert "can't connect" in str(caught.value)
    assert "http://127.0.0.1:9/words.txt" in str(caught.value)


def test_a_damaged_text_is_fetched_again(entry, server):
    found = entry("whole")
    fetch(found).write_bytes(b"something else")
    assert fetch(found).read_bytes() == TEXT


def test_progress_is_reported(entry):
    sizes = []
    fetch(entry("whole"), sizes.append)
    assert sum(sizes) == len(TEXT)
    assert len(sizes) > 1


def test_the_catalog_is_valid():
    entries = catalog()
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.address.startswith("https://")
        assert len(entry.sha256) == 64
        assert entry.license
        assert Path(entry.file).suffix == ".txt"
        assert find_entry(entry.name) == entry
        assert len(entry.description) <= 110
    assert find_entry("nothing") is None
    assert find_entry("names.txt") is None
    assert find_entry("./names") is None


@pytest.mark.parametrize("entry", catalog(), ids=lambda entry: entry.name)
def test_the_size_and_hash_match_the_file(entry):
    path = Path(__file__).parents[3] / "shared" / "data" / entry.file
    if not path.exists():
        pytest.skip("the text is not in the repository")
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)


def test_texts_are_stored_in_the_data_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv(module.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder().is_relative_to(tmp_path)
