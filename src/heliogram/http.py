"""An ASGI application on a socket, stopped from outside: uvicorn without its hold on the process's signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .settings import Address

MAX_HEAD = 65_536
"""Bytes of a request line with its headers, or of trailers: far above what clients and proxies send."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open. Longer than clients and proxies keep theirs (5 to 60 s): whoever closes first
should be the one who writes next, or a request meets a connection that is just being closed."""


class CannotListen(OSError):
    """The address cannot be listened on; the message says why and what to change."""


def bind(address: Address, *, option: str) -> socket.socket:
    """A listening socket, so that a taken port is known before anything else starts. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((address.host, address.port))
        server.listen(2048)
    except OSError as error:
        server.close()
        message = f"cannot listen on {address}: {error.strerror}; give another address with {option}"
        raise CannotListen(message) from error
    server.setblocking(False)
    return server


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection on which more than `MAX_HEAD` bytes came that are no body: the parser keeps all of a head
    until it is whole, and has no limit of its own."""

    _head = 0

    def data_received(self, data: bytes) -> None:
        """Parses what came; of a head that is not whole, at most one read more than the limit is kept."""
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            if self._answering:
                self.transport.close()  # trailers of a request that is being answered
            else:
                self.send_400_response(f"The request's headers are larger than {MAX_HEAD} bytes.")

    @property
    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Bodies have a limit of their own, where they are read."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes next is another request's."""
        self._head = 0
        super().on_message_complete()


class HttpServer(uvicorn.Server):
    """Serves until `should_exit`. Signals belong to the process, which has more to stop than HTTP."""

    def __init__(
        self, app: Any, *, tls_cert: Path | None = None, tls_key: Path | None = None, behind_proxy: bool = False
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedHttp,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=behind_proxy,
                ssl_certfile=tls_cert,
                ssl_keyfile=tls_key,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=10,
            )
        )

        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the sockets, and says so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield
