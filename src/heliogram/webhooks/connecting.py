"""Connecting to a receiver: its name is resolved once, every address is checked, and the connection goes to an address
that was checked. There is no second look-up that could say something else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from . import addresses
from .urls import Target, UrlRules

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises `OSError` when there are none."""

CONNECT_S = 5.0
MAX_LOOKUPS = 128
"""Names that are looked up at one moment; a name server that is silent holds one of them for half a minute."""
MAX_ADDRESSES = 4
"""So many addresses are tried at most."""
_BUFFER = 65_536


class Refused(Exception):
    """Nothing may be sent there; the message says why."""


class Unreachable(Exception):
    """No connection came about; the message says why."""


class Connection(msgspec.Struct, frozen=True):
    """An open connection to a receiver, and the address it goes to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str

    @property
    def usable(self) -> bool:
        """Whether the other side has not closed it."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    def close(self) -> None:
        """At once, without waiting for the other side."""
        self.writer.transport.abort()


Lookup = Callable[[str, int], Sequence[str]]


def look_up(host: str, port: int) -> Sequence[str]:
    """The system's resolver; waits for it."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class SystemResolver:
    """`Resolver` in threads of its own. Receivers' names are callers' to choose, and so is how long their name servers
    take: the event loop's resolver, which finds APNs, looks up but a few names at a time.

    A look-up that nobody waits for any more goes on to its end, and counts until then. Its thread holds no exit up.
    """

    def __init__(self, lookup: Lookup = look_up, *, at_once: int = MAX_LOOKUPS) -> None:
        self._lookup = lookup
        self._at_once = at_once
        self._busy = 0

    def __repr__(self) -> str:
        return f"SystemResolver(busy={self._busy})"

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host. Raises `OSError` when there are none, or too many look-ups are under way."""
        if self._busy >= self._at_once:
            raise OSError(f"{self._at_once} names are being looked up already")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[str]] = loop.create_future()
        self._busy += 1
        threading.Thread(
            target=self._run, args=(loop, found, host, port), name="heliogram-resolve", daemon=True
        ).start()
        return await found

    def _run(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Sequence[str]], host: str, port: int
    ) -> None:
        addresses: Sequence[str] = ()
        trouble: Exception | None = None
        try:
            addresses = self._lookup(host, port)
        except Exception as error:
            trouble = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._done, future, addresses, trouble)

    def _done(self, future: asyncio.Future[Sequence[str]], found: Sequence[str], trouble: Exception | None) -> None:
        self._busy -= 1
        if future.done():  # whoever asked has given up
            return
        if trouble is None:
            future.set_result(found)
        else:
            future.set_exception(trouble)


class Connector:
    """Opens checked connections. `rules` says what may be reached, `tls` whom to trust, `resolve` what a name means
    (default: as the system says)."""

    def __init__(
        self,
        rules: UrlRules,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
        seconds: float = CONNECT_S,
    ) -> None:
        self._rules = rules
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve or SystemResolver()
        self._seconds = seconds
        self.opened = 0
        self.refused = 0

    def __repr__(self) -> str:
        return f"Connector(opened={self.opened}, refused={self.refused})"

    async def connect(self, target: Target) -> Connection:
        """A connection, TLS included, within 5 s. Raises `Refused` or `Unreachable`."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._connect(target, await self._addresses(target))
        except TimeoutError:
            raise Unreachable(f"no connection to {target.host} within {self._seconds:g} s") from None

    async def _addresses(self, target: Target) -> list[str]:
        """What the host means, every one checked: one that is not public spoils them all."""
        try:
            found = [addresses.parse(target.host)]
        except ValueError:
            try:
                found = [addresses.parse(each) for each in await self._resolve(target.host, target.port)]
            except (OSError, ValueError) as error:
                raise Unreachable(f"the host {target.host} has no address ({error})") from None
        for each in found:
            if (why := addresses.refusal(each, allow_private=self._rules.allow_private)) is not None:
                self.refused += 1
                raise Refused(f"{target.host} leads to an address that is not public ({why})")
        if not found:
            raise Unreachable(f"the host {target.host} has no address")
        return [str(each) for each in dict.fromkeys(found)][:MAX_ADDRESSES]

    async def _connect(self, target: Target, found: Sequence[str]) -> Connection:
        trouble: Exception | None = None
        for address in found:
            try:
                reader, writer = await asyncio.open_connection(
                    address,
                    target.port,
                    limit=_BUFFER,
                    ssl=self._tls if target.secure else None,
                    server_hostname=target.host.rstrip(".") if target.secure else None,
                )
            except ssl.SSLError as error:  # another address would show the same certificate
                raise Unreachable(f"TLS with {target.host} failed: {_said(error)}") from None
            except OSError as error:
                trouble = error
                continue
            self.opened += 1
            return Connection(reader, writer, address)
        raise Unreachable(f"cannot connect to {target.host}: {_said(trouble)}")


def _said(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
