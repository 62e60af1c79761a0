"""Which proxy to go through, and connections that do: HTTP CONNECT and SOCKS5."""

from __future__ import annotations

import asyncio
import enum
import re
import socket
import ssl
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit

from .clock import Clock
from .connect import Factory, secure, within
from .environment import Endpoint
from .tunnel import ProxyFailed, Stream, http_connect, socks5_connect

_HOST = re.compile(r"[0-9A-Za-z._:-]{1,255}").fullmatch
_GENERAL = (
    "give http://user:password@host:port or socks5://user:password@host:port; user and password are optional, and have"
    " %40 for @, %3A for :, %2F for / and %25 for %"
)


class ProxyKind(enum.StrEnum):
    """How a proxy is spoken to."""

    HTTP = "http"
    """`CONNECT` (RFC 9110, 9.3.6), with Basic authentication (RFC 7617) when there is a user."""
    SOCKS5 = "socks5"
    """RFC 1928, with user and password (RFC 1929) when there is a user; the proxy resolves the host name."""


class Proxy:
    """One proxy. Immutable; `repr` and `str` show kind, host and port alone."""

    __slots__ = ("address", "kind", "password", "user")

    def __init__(self, kind: ProxyKind, address: Endpoint, user: bytes | None = None, password: bytes = b"") -> None:
        self.kind = kind
        self.address = address
        self.user = user
        self.password = password

    @classmethod
    def parse(cls, url: object) -> Self:
        """`http://host:port` or `socks5://host:port` (`socks5h` means the same), with `user:password@` in front.

        User and password are percent-encoded where they hold `:`, `/` or `@`. Raises `ValueError`, whose
        text repeats nothing of the URL but its scheme: it may hold a password.
        """
        if not isinstance(url, str) or not url.isascii() or not url.isprintable():
            raise ValueError(f"proxy: not a URL in ASCII; {_GENERAL}")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError(f"proxy: not a URL with a port from 1 to 65535; {_GENERAL}") from None
        if not url.lower().startswith(f"{parts.scheme}://") or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"proxy: not a URL of scheme, host and port alone; {_GENERAL}")
        scheme = "socks5" if parts.scheme == "socks5h" else parts.scheme
        if scheme not in tuple(ProxyKind):
            raise ValueError(f"proxy: the scheme {scheme[:20]!r} is not supported; {_GENERAL}")
        if not host or not _HOST(host) or not port:
            raise ValueError(f"proxy: no host or no port; {_GENERAL}")
        kind = ProxyKind(scheme)
        if parts.username is None:
            return cls(kind, Endpoint(host, port))
        user, password = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
        _check_login(kind, user, password)
        return cls(kind, Endpoint(host, port), user, password)

    def __repr__(self) -> str:
        return f"<Proxy {self}>"

    def __str__(self) -> str:
        host, port = self.address.host, self.address.port
        return f"{self.kind}://[{host}]:{port}" if ":" in host else f"{self.kind}://{host}:{port}"


def _check_login(kind: ProxyKind, user: bytes, password: bytes) -> None:
    if kind is ProxyKind.SOCKS5 and not (1 <= len(user) <= 255 and 1 <= len(password) <= 255):
        raise ValueError("proxy: SOCKS5 takes a user and a password of 1 to 255 bytes each; give both or none")
    if kind is ProxyKind.HTTP and (not user or b":" in user or len(user) + len(password) > 4096):
        raise ValueError("proxy: the user is empty, holds a colon, or is too long (4096 bytes with the password)")
    if any(byte < 32 or byte == 127 for byte in user + password):
        raise ValueError("proxy: user or password hold control characters; write them percent-encoded from plain text")


class ProxyDialer:
    """A `Connect` through a proxy: the addresses of the proxy in turn, then one tunnel, then TLS inside.

    `limit` bounds, in seconds of `clock`, what it takes to reach the proxy and to get its answer.
    """

    def __init__(self, proxy: Proxy, clock: Clock, limit: float) -> None:
        self._proxy = proxy
        self._clock = clock
        self._limit = limit

    def __repr__(self) -> str:
        return f"<ProxyDialer {self._proxy}>"

    async def __call__(self, factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        """See `Connect`. Raises `ProxyFailed` for what is the proxy's fault; it names the proxy."""
        return await secure(factory, endpoint, context, sock=await self.reach(endpoint))

    async def reach(self, endpoint: Endpoint) -> socket.socket:
        """A socket whose bytes go to `endpoint`, before TLS. Raises `ProxyFailed`, which names the proxy."""
        tunnel = _Tunnel(self._proxy)
        try:
            return await within(self._clock, self._limit, tunnel.open(endpoint))
        except BaseException as error:
            tunnel.close()
            if isinstance(error, TimeoutError):
                raise ProxyFailed(f"proxy {self._proxy}: no answer within {self._limit:g} s") from None
            if isinstance(error, OSError):
                raise ProxyFailed(f"proxy {self._proxy}: {error}") from None
            raise


class _Tunnel:
    """A socket to the proxy, and through it to the endpoint."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.sock: socket.socket | None = None

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()

    async def open(self, endpoint: Endpoint) -> socket.socket:
        """The socket, when the proxy has agreed. Raises `OSError`."""
        proxy = self._proxy
        self.sock = sock = await self._reach(proxy.address)
        stream = Stream(sock)
        login = None if proxy.user is None else (proxy.user, proxy.password)
        if proxy.kind is ProxyKind.HTTP:
            await http_connect(stream, endpoint, login)
        else:
            await socks5_connect(stream, endpoint, login)
        return sock

    async def _reach(self, address: Endpoint) -> socket.socket:
        loop = asyncio.get_running_loop()
        failure = OSError("its host has no address")
        for family, kind, protocol, _, where in await loop.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        ):
            self.sock = sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, where)
            except OSError as error:
                sock.close()
                failure = error
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
        raise failure
