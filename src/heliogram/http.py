"""An ASGI application on a socket, stopped from outside: uvicorn without its hold on the process's signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from .http_protocol import BoundedHttp
from .settings import Address

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


class HttpServer(uvicorn.Server):
    """Serves until `should_exit`. Signals belong to the process, which has more to stop than HTTP."""

    def __init__(self, app: Any, *, tls_cert: Path | None = None, tls_key: Path | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http=BoundedHttp,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
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
