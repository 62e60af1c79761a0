"""What is said to a proxy before TLS begins, with a bound on all that it may answer."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket

from .environment import Endpoint

MAX_ANSWER = 8192
"""Bytes of an HTTP proxy's answer, status line and headers together."""

Login = tuple[bytes, bytes]
"""User and password."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r\n").match
_NO_AUTHENTICATION = 0
_USER_AND_PASSWORD = 2
_NONE_ACCEPTABLE = 0xFF
_SOCKS_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable or unknown",
    5: "connection refused by the host",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


class ProxyFailed(ConnectionError):
    """A proxy that cannot be reached, refuses, or answers what no proxy would. Holds no password."""


class Stream:
    """Bytes to and from a socket that does not block."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<Stream on {self._sock.fileno()}>"

    async def write(self, data: bytes) -> None:
        """Write all of it."""
        await self._loop.sock_sendall(self._sock, data)

    async def some(self, most: int) -> bytes:
        """At least one byte, at most `most`. Raises `ProxyFailed` at the end of the stream."""
        data = await self._loop.sock_recv(self._sock, most)
        if not data:
            raise ProxyFailed("closed the connection instead of answering")
        return data

    async def exactly(self, count: int) -> bytes:
        """So many bytes and not one more."""
        data = b""
        while len(data) < count:
            data += await self.some(count - len(data))
        return data


async def http_connect(stream: Stream, endpoint: Endpoint, login: Login | None) -> None:
    """Ask an HTTP proxy for a tunnel (RFC 9110, 9.3.6). Raises `OSError`."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    target = f"{host}:{endpoint.port}".encode("ascii")
    lines = [b"CONNECT " + target + b" HTTP/1.1", b"Host: " + target]
    if login is not None:
        lines.append(b"Proxy-Authorization: Basic " + base64.b64encode(login[0] + b":" + login[1]))
    await stream.write(b"\r\n".join((*lines, b"", b"")))
    head, rest = await _read_head(stream)
    found = _STATUS(head)
    if found is None:
        raise ProxyFailed("its answer is not HTTP/1.1; is it an HTTP proxy?")
    status = int(found[1])
    if status in (401, 407):  # tinyproxy says 401 to a wrong password
        what = "wants a user and a password" if login is None else "did not take the user and password"
        raise ProxyFailed(f"{what} ({status}); check those in the proxy's URL")
    if not 200 <= status < 300:
        raise ProxyFailed(f"refused the tunnel: {status} {_plain(found[2] or b'')}".rstrip())
    if rest:
        # TLS begins with the client: whatever comes first was never meant for it.
        raise ProxyFailed("sent bytes of its own into the tunnel")


async def _read_head(stream: Stream) -> tuple[bytes, bytes]:
    """The answer up to the empty line, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) >= MAX_ANSWER:
            raise ProxyFailed(f"its answer has more than {MAX_ANSWER} bytes")
        if len(data) >= 7 and not data.startswith(b"HTTP/1."):
            raise ProxyFailed("its answer is not HTTP/1.1; is it an HTTP proxy?")
        data += await stream.some(MAX_ANSWER - len(data))
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n", rest


def _plain(text: bytes) -> str:
    """The proxy's own words, as far as they are fit to print."""
    return "".join(one if one.isprintable() else "?" for one in text[:100].decode("ascii", "replace"))


async def socks5_connect(stream: Stream, endpoint: Endpoint, login: Login | None) -> None:
    """Ask a SOCKS5 proxy for a tunnel (RFC 1928); it looks the name up itself. Raises `OSError`."""
    methods = bytes((_NO_AUTHENTICATION,) if login is None else (_NO_AUTHENTICATION, _USER_AND_PASSWORD))
    await stream.write(bytes((5, len(methods))) + methods)
    version, method = await stream.exactly(2)
    if version != 5:
        raise ProxyFailed("its answer is not SOCKS5; is it a SOCKS5 proxy?")
    if method == _NONE_ACCEPTABLE:
        what = "wants a user and a password" if login is None else "takes neither no password nor user and password"
        raise ProxyFailed(f"{what}; check those in the proxy's URL")
    if method not in methods:
        raise ProxyFailed(f"chose a way to log in ({method}) that was not offered")
    if method == _USER_AND_PASSWORD and login is not None:
        await _socks5_login(stream, login)
    await stream.write(b"\x05\x01\x00" + _socks5_target(endpoint))
    version, reply, _, kind = await stream.exactly(4)
    if version != 5:
        raise ProxyFailed("its answer is not SOCKS5; is it a SOCKS5 proxy?")
    if reply:
        raise ProxyFailed(f"refused the tunnel: {_SOCKS_REPLIES.get(reply, 'reason')} ({reply})")
    await _socks5_bound(stream, kind)


async def _socks5_login(stream: Stream, login: Login) -> None:
    """RFC 1929."""
    user, password = login
    await stream.write(b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password)
    _, status = await stream.exactly(2)
    if status:
        raise ProxyFailed("did not take the user and password; check those in the proxy's URL")


def _socks5_target(endpoint: Endpoint) -> bytes:
    port = endpoint.port.to_bytes(2, "big")
    try:
        address = ipaddress.ip_address(endpoint.host)
    except ValueError:
        name = endpoint.host.encode("idna")
        return b"\x03" + bytes((len(name),)) + name + port
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed + port


async def _socks5_bound(stream: Stream, kind: int) -> None:
    """Read over the address the proxy speaks from; nobody needs it."""
    if kind == 3:
        [length] = await stream.exactly(1)
    elif kind in (1, 4):
        length = 4 if kind == 1 else 16
    else:
        raise ProxyFailed(f"its answer has an address of an unknown type ({kind})")
    await stream.exactly(length + 2)
