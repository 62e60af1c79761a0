"""The control API of a simulator, served over real HTTP, and a client on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from heliogram.simulator import Simulator
from heliogram.simulator.control import ControlServer, build_control
from heliogram.simulator.forward import Forwarder


@asynccontextmanager
async def served(simulator: Simulator) -> AsyncIterator[ControlServer]:
    """The control API on a free port of 127.0.0.1, for the length of a block."""
    forwarder = Forwarder(simulator.apns.registry)
    server = ControlServer("127.0.0.1", 0)
    server.start(build_control(simulator, forwarder))
    yield server
    await server.stop()
    await forwarder.close()


@asynccontextmanager
async def control_client(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client on it."""
    async with served(simulator) as server, httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield http


class ControlCaller:
    """Calls the control API, and wants the status to be as expected."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **query: str) -> Any:
        answer = await self.http.request(method, path, params=query or None, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None
