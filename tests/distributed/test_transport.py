"""Where the chief listens, and invalid messages."""

import socket

import pytest

from charlstm import __version__
from charlstm.distributed import transport
from charlstm.errors import UsageError


def test_the_chief_listens_where_its_address_says():
    (listener,) = transport.listen("127.0.0.1", 0)
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 100])
def test_with_a_foreign_address_it_listens_at_all(host):
    (listener,) = transport.listen(host, 0)
    with listener:
        assert listener.getsockname()[0] in ("::", "0.0.0.0")


def test_with_a_loopback_address_it_listens_at_all(monkeypatch):
    """Its hosts file may say so, while the other machines know its address."""
    own = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.1.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: own)
    assert transport._addresses_of("host1", 0) == []
    assert transport._addresses_of("localhost", 0) == [(socket.AF_INET, ("127.0.1.1", 0))]


def test_what_is_not_understood_is_told_in_one_sentence(sentence):
    for told in (b"{}", b"\xff", b"", b'["\xff"]', b"[" * 10_000):
        with pytest.raises(UsageError) as caught:
            transport.decoded(told, list[str])
        sentence(str(caught.value).replace(__version__, "OURS"))
