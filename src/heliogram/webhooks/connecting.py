"""Connecting to a receiver: its name is resolved once, every address is checked, and the connection goes to an address
that was checked. There is no second look-up that could say something else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from . import addresses
from .urls import Target, UrlRules

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises `OSError` when there are none."""

CONNECT_S = 5.0
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


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """The system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Connector:
    """Opens checked connections. `rules` says what may be reached, `tls` whom to trust, `resolve` what a name means."""

    def __init__(
        self,
        rules: UrlRules,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = resolve_by_system,
        seconds: float = CONNECT_S,
    ) -> None:
        self._rules = rules
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve
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
