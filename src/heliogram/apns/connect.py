"""Opening one TLS connection: fresh DNS, the addresses in random order (CONN-7), one time limit."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from .clock import Clock
from .environment import Endpoint

Factory = Callable[[], asyncio.Protocol]
T = TypeVar("T")


class Connect(Protocol):
    """How a connection comes about; give your own for a proxy or a test."""

    def __call__(self, factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> Awaitable[object]:
        """Open a TLS connection and attach the protocol that `factory` makes. Raises `OSError`."""


def tls_context(cafile: str | None) -> ssl.SSLContext:
    """A client context with ALPN `h2`: the system's roots, or the ones in `cafile` instead (CONN-8 to CONN-11)."""
    context = ssl.create_default_context(cafile=cafile)
    # Python leaves the least version to how OpenSSL was built and configured; APNs wants 1.2 (CONN-8).
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


class Dialer:
    """The default `Connect`: the running loop's own sockets and TLS."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng

    def __repr__(self) -> str:
        return "<Dialer>"

    async def __call__(self, factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        """See `Connect`. The addresses are tried one after the other; the last error is raised."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        addresses = sorted({info[4][0] for info in found})
        self._random.shuffle(addresses)
        failure: OSError = OSError(f"{endpoint.host} has no address")
        for address in addresses:
            try:
                return await secure(factory, endpoint, context, host=str(address), port=endpoint.port)
            except OSError as error:
                failure = error
        raise failure


async def secure(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext, **where: Any) -> object:
    """TLS to `endpoint` at `host` and `port`, or over a connected `sock`, which it takes over. Raises `OSError`."""
    transport, _ = await asyncio.get_running_loop().create_connection(
        factory, ssl=context, server_hostname=endpoint.host, ssl_shutdown_timeout=2.0, **where
    )
    return transport


async def within(clock: Clock, limit: float, work: Awaitable[T]) -> T:
    """Await `work`, at most `limit` seconds of `clock`. Raises `TimeoutError`."""
    task = asyncio.ensure_future(work)
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = clock.call_later(limit, expire)
    try:
        return await task
    except asyncio.CancelledError:
        if expired:
            raise TimeoutError(f"no connection within {limit:g} s") from None
        task.cancel()
        raise
    finally:
        timer.cancel()
