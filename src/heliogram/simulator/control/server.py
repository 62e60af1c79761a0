"""Serves the control API in the simulator's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from ..listener import unusable


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to whoever runs the loop."""
        yield


class ControlServer:
    """The control API on one address. The port is open when the object is made.

    Raises PortTaken naming the option to change.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: Callable[[], object] | None = None

    def __repr__(self) -> str:
        return f"<ControlServer {self.url}>"

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self, app: ASGIApp) -> None:
        """Begin to answer; clients that connected before are served now.

        An app's ``state.closing``, if it has one, is called before the end, to finish what would never finish.
        """
        self._closing = getattr(getattr(app, "state", None), "closing", None)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="simulator-control")

    async def stop(self) -> None:
        """Finish what is being answered, and close the port."""
        if self._server is not None and self._task is not None:
            if self._closing is not None:
                self._closing()
            self._server.should_exit = True
            await self._task
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET
    with contextlib.suppress(ValueError):
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise unusable("control", host, port, error) from error
    # asyncio does so only for sockets made with the protocol's number; without it an answer on a connection that is
    # kept waits 40 ms between its head and its body.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
