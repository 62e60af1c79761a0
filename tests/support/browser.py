"""A browser; the simulator's page in it, and a provider that pushes to its phones."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Request, async_playwright
from support.peers import missing
from support.sim_client import TEAM, TOPIC, Reply, Signer, SimClient

from heliogram.simulator import Device, Simulator
from heliogram.simulator.control import ControlServer

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""What chromium is started with."""
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
"""An interface of this machine came or went, as those of network namespaces do: the browser then gives up what it was
loading, and the page asks again. That is no fault of the page."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's chromium. Without it the test is skipped by name, in CI it fails."""
    path = shutil.which("chromium")
    if path is None:
        missing("no chromium here: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


class Shown:
    """A simulator, its page in a browser, and a client to push with. ``complaints``: what the page did wrong."""

    def __init__(self, simulator: Simulator, server: ControlServer, page: Page) -> None:
        self.simulator = simulator
        self.server = server
        self.page = page
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        self.signer = Signer()
        simulator.add_key(self.signer.key_id, TEAM, self.signer.public_pem)
        self._bearer = self.signer.token(int(time.time()))
        self._client: SimClient | None = None
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    async def open(self) -> None:
        """Show the page, and wait until it follows the simulator."""
        await self.page.goto(self.server.url)
        await self.page.wait_for_selector("#live[data-state=live]")

    def phone(self, name: str = "Anna's iPhone", environment: Any = "production") -> tuple[Device, str]:
        """A phone with the app launched on it, and its device token."""
        device = self.simulator.add_device(name)
        self.simulator.install(device.id, TOPIC, environment)
        token = self.simulator.launch(device.id, TOPIC).device_token
        assert token is not None
        return device, token

    async def push(self, token: str, aps: dict[str, Any], *extra: tuple[str, str], **options: Any) -> Reply:
        """A push over HTTP/2, on one connection for all of them."""
        if self._client is None or self._client.closed.done():
            self._client = await SimClient.connect(self.simulator.ports["production"], self.simulator.ca_pem)
        body = json.dumps({"aps": aps}).encode()
        kind = () if any(name == "apns-push-type" for name, _ in extra) else (("apns-push-type", "alert"),)
        return await self._client.push(token, self._bearer, *kind, *extra, body=body, **options)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and NETWORK_CHANGED not in text:
            self.complaints.append(text)

    def _asked(self, request: Request) -> None:
        self.fetched.append(request.url)
        if not request.url.startswith((f"{self.server.url}/", "blob:")):
            self.complaints.append(f"a request to {urlsplit(request.url).netloc}")
