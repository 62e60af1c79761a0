"""Who is asking, behind proxies: their word is taken for it where they are believed, and nobody else's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEAR: tuple[Network, ...] = tuple(
    ipaddress.ip_network(each)
    for each in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""This machine and private networks (RFC 1918, RFC 4193): where a proxy is when nobody named it."""
MAX_ENTRIES = 64
"""Of `X-Forwarded-For`, so many from the right are looked at."""
_SCHEMES = (b"http", b"https")


class Proxies:
    """Which proxies are believed.

    Those that are `named` are believed wherever they stand in the way: the rightmost address of `X-Forwarded-For` that
    is none of theirs is the caller. Where none is named there is one proxy, on this machine or in a private network,
    and what it wrote, the last address, is the caller, whatever address that is: were all private addresses passed
    over, a caller inside a private network could name any other.
    """

    def __init__(self, named: Iterable[Network] = ()) -> None:
        self._named = tuple(named)
        self._peers = self._named or NEAR

    def __repr__(self) -> str:
        return f"Proxies({', '.join(map(str, self._named)) or 'one nearby'})"

    def believes(self, peer: str) -> bool:
        """Whether what comes from this address may speak for others."""
        address = address_of(peer)
        return address is not None and _is_in(address, self._peers)

    def caller(self, peer: str, lines: Sequence[str]) -> str:
        """The address that asks, told by whoever is connected and by the lines of `X-Forwarded-For`. An entry that is
        no address is nobody's: then it is the proxy that wrote it."""
        found = address_of(peer)
        if found is None or not _is_in(found, self._peers):
            return peer
        for entry in reversed(",".join(lines).split(",")[-MAX_ENTRIES:]):
            told = address_of(entry)
            if told is None:
                break
            found = told
            if not _is_in(told, self._named):
                break
        return str(found)


class Forwarded:
    """An application to which requests come as their callers sent them to the proxy: `client` and `scheme` are the
    caller's where the proxy is believed."""

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self._app, self._proxies = app, proxies

    def __repr__(self) -> str:
        return f"Forwarded({self._proxies!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        client = scope.get("client")
        if client and self._proxies.believes(client[0]):
            headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
            lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
            schemes = [value for name, value in headers if name == b"x-forwarded-proto"]
            scheme = b",".join(schemes).rpartition(b",")[2].strip().lower()
            scope = {**scope, "client": (self._proxies.caller(client[0], lines), 0)}
            if scheme in _SCHEMES:
                scope["scheme"] = scheme.decode()
        await self._app(scope, receive, send)


def address_of(text: str) -> Address | None:
    """An address as proxies write it, with a port or without, in brackets or not; None for anything else. One of IPv4
    that is written as IPv6 is of IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
