"""The dashboard without a socket, on a clock that goes when it is told to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from support.service import Service, serving

from heliogram.forwarded import Forwarded, Proxies
from heliogram.web import Front, build_dashboard

LOOPBACK = "http://127.0.0.1:8080"


class Desk:
    """A service with its dashboard, and browsers without JavaScript that come to it."""

    def __init__(self, service: Service, *, behind_proxy: bool = False) -> None:
        self.service, self.clock = service, service.clock
        state = service.state
        dashboard = build_dashboard(
            service.app,
            sealer=state.sealer,
            authenticator=state.authenticator,
            ended=state.store,
            clock=state.clock,
            readiness=state.readiness,
            behind_proxy=behind_proxy,
        )
        self.streams = dashboard.streams
        front = Front(service.app, dashboard)
        self.app = Forwarded(front, Proxies()) if behind_proxy else front

    def restarted(self) -> Desk:
        """Another node, or the same one after a restart: it shares the store and the master key, and nothing else."""
        return Desk(self.service)

    def browser(self, url: str = LOOPBACK, **headers: str) -> httpx2.AsyncClient:
        """A browser of its own, which keeps cookies and follows no redirect."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url=url, headers=headers)

    async def signed_in(self, key: tuple[str, str] | None = None, url: str = LOOPBACK) -> httpx2.AsyncClient:
        """A browser with a session of the key."""
        browser = self.browser(url)
        answer = await sign_in(browser, key or self.service.key)
        assert answer.status_code == 303, answer.text
        return browser


async def sign_in(browser: httpx2.AsyncClient, key: tuple[str, str], **more: str) -> httpx2.Response:
    """The answer to the sign-in form."""
    return await browser.post("/dashboard/sign-in", data={"key_id": key[0], "secret": key[1], **more})


async def csrf(browser: httpx2.AsyncClient) -> str:
    """The token of the session's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/dashboard/")).text)
    assert found is not None
    return found[1]


@asynccontextmanager
async def desk(directory: Path, *, behind_proxy: bool = False) -> AsyncIterator[Desk]:
    """All of it, over a new store."""
    async with serving(directory) as service:
        yield Desk(service, behind_proxy=behind_proxy)
