"""Sockets between workers: listening at an address, and messages with a length prefix.

Workers trust their network, as TensorFlow requires them to.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import sys
from typing import Any, TypeVar

import msgspec

from charlstm.errors import UsageError

Message = TypeVar("Message")

# Seconds until it is noticed that a machine has vanished without closing its connections.
SILENCE = 15


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen at the addresses of a host name if they are local, else at all addresses.

    Raises:
        OSError: if the port is taken.
    """
    opened = [_listen_at(family, address) for family, address in _addresses_of(host, port)]
    if listeners := [listener for listener in opened if listener is not None]:
        return listeners
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    dual = family == socket.AF_INET6
    return [socket.create_server(("", port), family=family, dualstack_ipv6=dual)]


def _addresses_of(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    """Return the families and addresses of a host name that other machines can reach."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = list(dict.fromkeys((int(family), address) for family, _, _, _, address in entries))
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return addresses
    # A machine may resolve its own name to loopback, which no other machine can reach.
    hidden = any(ipaddress.ip_address(address[0]).is_loopback for _, address in addresses)
    return [] if hidden and host != "localhost" else addresses


def _listen_at(family: int, address: tuple[Any, ...]) -> socket.socket | None:
    """Listen at an address; return ``None`` if it doesn't belong to this machine."""
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        raise


def keep_alive(connection: socket.socket) -> None:
    """Make a connection fail when the other machine has vanished (see ``SILENCE``)."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": SILENCE // 3, "TCP_KEEPINTVL": SILENCE // 3, "TCP_KEEPCNT": 2}
    for name, value in options.items():
        if sys.platform == "linux":
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def send_message(connection: socket.socket, data: bytes) -> None:
    """Send a message: its length in 8 bytes, then its bytes."""
    connection.sendall(len(data).to_bytes(8, "little"))
    connection.sendall(data)


def read_message(connection: socket.socket, most: int) -> bytes:
    """Read a message of at most ``most`` bytes.

    Raises:
        EOFError: if the connection ends within the message, or the message is longer.
        OSError: if the connection fails.
    """
    length = int.from_bytes(_read(connection, 8), "little")
    if length > most:
        raise EOFError
    return _read(connection, length)


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        if not (piece := connection.recv(min(1 << 20, length - len(data)))):
            raise EOFError
        data += piece
    return bytes(data)


def decoded(message: bytes, kind: type[Message]) -> Message:
    """Decode a JSON message from another process.

    Raises:
        UsageError: if it doesn't have the expected type.
    """
    try:
        return msgspec.json.decode(message, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise UsageError(
            "the workers don't understand each other. Start the same command on every machine, "
            "with the same version of charlstm."
        ) from None
