"""One open port of the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING

from .connection import Answerer, Connection
from .errors import PortTaken
from .secure import LINGER_SECONDS
from .tables import LISTENERS, Environment
from .turns import Turns

if TYPE_CHECKING:
    from .answering import Apns

_BACKLOG = 1024


class Listener:
    """One open port. ``name`` is a key of LISTENERS, ``address`` where it really listens."""

    def __init__(self, name: str, apns: Apns) -> None:
        self.name = name
        self.environment: Environment = LISTENERS[name]
        self.address: tuple[str, int] = ("", 0)
        self.connections: set[Connection] = set()
        self.turns = Turns()
        self._apns = apns
        self._server: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._placeholder: socket.socket | None = None
        manages = name.startswith("manage_")
        self._answer: Answerer = apns.faults.around(apns.answer_management, name) if manages else apns.answer

    def __repr__(self) -> str:
        return f"<Listener {self.name} {self.address[0]}:{self.address[1]} connections={len(self.connections)}>"

    @property
    def accepting(self) -> bool:
        """Whether the port is open to new connections."""
        return self._server is not None and self._placeholder is None

    async def open(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Raises PortTaken naming the option to change."""
        self._context = context
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self._apns, self, self._answer, context), host, port, backlog=_BACKLOG
            )
        except OSError as error:
            raise unusable(self.name, host, port, error) from error
        self.address = self._server.sockets[0].getsockname()[:2]
        self._apns.faults.watch(self._faults_changed)
        self._faults_changed()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in; False when there are as many as the settings allow."""
        if len(self.connections) >= self._apns.settings.connections:
            return False
        self.connections.add(connection)
        return True

    def release(self, connection: Connection) -> None:
        self.connections.discard(connection)

    def refusal(self) -> bytes | None:
        """What a new connection is told in place of TLS, if a fault wants that: an alert, or b"" for nothing."""
        faults = self._apns.faults
        return faults.for_opening(self.name) if faults.opening else None

    async def close(self) -> None:
        """Stop listening, send every client a GOAWAY, and wait until the connections are gone."""
        self._apns.faults.unwatch(self._faults_changed)
        self._drop_placeholder()
        if self._server is None:
            return
        self._server.close()
        leaving = list(self.connections)
        for connection in leaving:
            connection.retire()
        if leaving:
            _, stuck = await asyncio.wait([connection.lost for connection in leaving], timeout=2 * LINGER_SECONDS)
            if stuck:
                for connection in leaving:
                    connection.abort()
                await asyncio.wait([connection.lost for connection in leaving], timeout=LINGER_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._server.wait_closed()
        self._server = None

    def _faults_changed(self) -> None:
        """Close or open the port as the faults want it; connections that are up stay."""
        refused = self._apns.faults.refuses(self.name)
        if refused and self.accepting and self._server is not None:
            self._server.close()
            self._hold_port()
        elif not refused and self._placeholder is not None:
            self._reopen()

    def _hold_port(self) -> None:
        """Keep the number while nobody listens on it: bound, not listening, so that clients are refused."""
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self._placeholder = holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # where that is not possible the number is free meanwhile
            holder.bind(self.address)

    def _drop_placeholder(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _reopen(self) -> None:
        self._drop_placeholder()
        context = self._context
        if context is None:
            return
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        raw = socket.create_server(self.address, family=family, backlog=_BACKLOG)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(
            loop.create_server(lambda: Connection(self._apns, self, self._answer, context), sock=raw, backlog=_BACKLOG)
        )
        task.add_done_callback(self._reopened)

    def _reopened(self, task: asyncio.Task[asyncio.Server]) -> None:
        self._server = task.result()


def option(name: str) -> str:
    """The command-line option of a listener."""
    return "--" + name.replace("_", "-")


def unusable(name: str, host: str, port: int, error: OSError) -> PortTaken:
    """The clear message for a port that cannot be opened."""
    why = (
        "is taken"
        if error.errno == errno.EADDRINUSE
        else f"cannot be opened ({os.strerror(error.errno) if error.errno else error})"
    )
    return PortTaken(
        f"{host}:{port} {why}; choose another address with {option(name)} HOST:PORT (port 0: any free one)",
        field=option(name),
    )
