"""The dashboard of a real service on a socket, with the simulator as its APNs: for browsers and for plain clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
from playwright.async_api import Browser, Page, Request
from support.browser import NETWORK_CHANGED
from support.peers import node_folder

from heliogram.backing import Backing, open_backing
from heliogram.domain.accounts import ALL_SCOPES, Account, Scope
from heliogram.domain.ids import IdFactory
from heliogram.http import bind
from heliogram.security import KeyHasher, new_api_key
from heliogram.service import Service
from heliogram.settings import Address, ServeSettings
from heliogram.simulator import Simulator

BUNDLE = "com.example.shop"
TEAM = "TEAM123456"
PUSH = "/v1/PushNotifications"
PATIENCE = 60_000
"""Milliseconds a condition may take: a bound for a machine with much else to do, not a pause."""
SCREENSHOTS = os.environ.get("HELIOGRAM_SCREENSHOTS")
"""Set: the pictures of the documentation are written to docs/images."""
IMAGES = Path(__file__).parents[2] / "docs" / "images"
GIVEN_UP = ("htmx:sendAbort", "htmx:afterRequest")
"""What htmx logs when one goes to another page while it asks how far something is."""
PICTURE_BYTES = 200_000
"""Of the documentation's pictures; elsewhere fonts differ."""
SIZES = {"desktop": (1280, 900), "phone": (360, 780)}


class Site:
    """A running service with its dashboard, its simulator, and an API client with all scopes (`http`)."""

    def __init__(self, url: str, simulator: Simulator, backing: Backing, account: bytes) -> None:
        self.url, self.simulator, self.backing, self.account = url, simulator, backing, account
        self.key: tuple[str, str] = ("", "")
        self.http = httpx2.AsyncClient(base_url=url, trust_env=False)

    @contextlib.asynccontextmanager
    async def tenant(self) -> AsyncIterator[Site]:
        """The same service as a new account sees it, with a key of its own."""
        now = int(self.backing.clock.time() * 1000)
        ident = IdFactory(lambda: now).new()
        await self.backing.store.create_account(Account(id=ident, name=f"tenant-{ident.hex()}", created=now))
        made = Site(self.url, self.simulator, self.backing, ident)
        made.key = await made.new_key()
        made.http.auth = httpx2.BasicAuth(*made.key)
        async with made.http:
            yield made

    async def new_key(self, *scopes: Scope, expires: int | None = None) -> tuple[str, str]:
        """An API key of the account: its id and its secret."""
        clock = self.backing.clock
        now = int(clock.time() * 1000)
        ids, hasher = IdFactory(lambda: now), KeyHasher(self.backing.key)
        made = new_api_key(
            ids,
            hasher,
            account=self.account,
            name="dashboard",
            created=now,
            scopes=scopes or ALL_SCOPES,
            expires=expires,
        )
        await self.backing.store.create_api_key(self.account, made.key)
        return made.key_id, made.secret

    async def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        """One request to the REST API below `/v1`, such as `POST /PushNotifications`; what it answered."""
        answer = await self.http.request(method, f"/v1{path}", json=body)
        assert answer.status_code == expect if expect is not None else answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def credential(self, app: str = "shop", kind: str = "APN", **changes: Any) -> str:
        """A credential whose key the simulator knows; its id."""
        made = self.simulator.issue_key(TEAM)
        content = {"signingKey": made.p8, "keyId": made.key_id, "teamId": TEAM, "bundleId": BUNDLE, **changes}
        body = {"credentialType": kind, "appName": app, "content": content}
        return str((await self.call("POST", "/PushNotifications/Credentials", body))["resourceId"])

    def phone(self, environment: Literal["production", "sandbox"] = "production") -> str:
        """A device of the simulator's with the app on it: its device token."""
        device = self.simulator.add_device("phone")
        self.simulator.install(device.id, BUNDLE, environment)
        token = self.simulator.launch(device.id, BUNDLE).device_token
        assert token is not None
        return token

    async def user(self, external: str, token: str | None = None, app: str = "shop", **more: Any) -> str:
        """A user with a device (a new phone of the simulator's unless a token is given); the user's id."""
        body = {"appName": app, "provider": "APN", "externalId": external, "token": token or self.phone(), **more}
        made = await self.call("POST", "/PushNotifications/DeviceRegistrations", body)
        registration = await self.call("GET", f"/PushNotifications/DeviceRegistrations/{made['resourceId']}")
        return str(registration["userId"])

    async def send(self, *to: str | dict[str, Any], body: str = "Hello", **more: Any) -> str:
        """Sends to device tokens or other recipients; the operation's id."""
        recipients = [{"token": each, "provider": "APN"} if isinstance(each, str) else each for each in to]
        content = {"title": "Hi", "body": body, **more.pop("content", {})}
        answer = await self.call("POST", "/PushNotifications", {"to": recipients, "content": content, **more})
        return str(answer["operationId"])

    async def completed(self, operation: str) -> dict[str, Any]:
        """The operation once it is over; the test's own time is the limit."""
        while True:
            found: dict[str, Any] = await self.call("GET", f"/PushNotifications/Operations/{operation}")
            if found["status"] in ("COMPLETED", "CANCELED"):
                return found
            await asyncio.to_thread(lambda: None)


class Person:
    """Somebody with an HTTP client and no JavaScript, signed in with a key."""

    def __init__(self, site: Site) -> None:
        self.http = httpx2.AsyncClient(base_url=f"{site.url}/dashboard", trust_env=False)

    async def sign_in(self, key: tuple[str, str]) -> httpx2.Response:
        """The answer to the form."""
        return await self.http.post("/sign-in", data={"key_id": key[0], "secret": key[1]})

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        """A page; redirects are not followed."""
        return await self.http.get(path, params=params or None)

    async def csrf(self) -> str:
        """The token of the session's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get("/")).text)
        assert found is not None
        return found[1]

    async def post(self, path: str, **form: Any) -> httpx2.Response:
        """A form of the session, with its CSRF token."""
        return await self.http.post(path, data={"csrf": await self.csrf(), **form})


class Window:
    """A page of the dashboard in a browser. `complaints`: errors, broken policies, requests to elsewhere."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site, self.page = site, page
        self.complaints: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    async def sign_in(self, key: tuple[str, str] | None = None) -> None:
        """Fills in the form."""
        key = key or self.site.key
        await self.page.goto(f"{self.site.url}/dashboard/sign-in")
        await self.page.get_by_label("API key id").fill(key[0])
        await self.page.get_by_label("Secret").fill(key[1])
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(lambda url: "sign-in" not in url)

    async def open(self, path: str) -> None:
        """Shows a page, such as `/users`."""
        await self.page.goto(f"{self.site.url}/dashboard{path}")

    async def axe(self) -> list[str]:
        """What axe-core finds wrong with the page as it is."""
        script = node_folder() / "node_modules" / "axe-core" / "axe.min.js"
        await self.page.evaluate(await asyncio.to_thread(script.read_text, "utf-8"))
        found = await self.page.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
        return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"]]

    async def check(self) -> None:
        """The page as it is, at a desk's width and a phone's, by day and by night: axe finds nothing wrong, and nothing
        sticks out to the side."""
        for scheme in ("light", "dark"):
            for name, (width, height) in SIZES.items():
                await self.page.set_viewport_size({"width": width, "height": height})
                await self.page.emulate_media(color_scheme=_scheme(scheme), reduced_motion="reduce")
                if (scheme == "light") == (name == "desktop"):  # colours by day and by night, layout at both widths
                    assert await self.axe() == [], (scheme, name)
                wide = await self.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{wide} px at {name}"
        await self.page.set_viewport_size({"width": SIZES["desktop"][0], "height": SIZES["desktop"][1]})

    async def picture(self, name: str, folder: Path, *, size: str = "desktop", scheme: str = "light") -> None:
        """A picture of the page in `folder`, and in the documentation when that is asked for."""
        width, height = SIZES[size]
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.page.emulate_media(color_scheme=_scheme(scheme), reduced_motion="reduce")
        await self.page.evaluate("scrollTo(0, 0)")
        taken = await self.page.screenshot(path=(IMAGES if SCREENSHOTS else folder) / f"{name}.png")
        assert not SCREENSHOTS or len(taken) < PICTURE_BYTES

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and NETWORK_CHANGED not in text and not text.startswith(GIVEN_UP):
            self.complaints.append(text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.site.url}/", "blob:", "data:")):
            self.complaints.append(f"a request to {urlsplit(request.url).netloc}")


def _scheme(name: str) -> Literal["light", "dark"]:
    return "dark" if name == "dark" else "light"


@contextlib.asynccontextmanager
async def running_site(directory: Path, **changes: Any) -> AsyncIterator[Site]:
    """A service on a free port with a new store, and a simulator as its APNs."""
    simulator = Simulator()
    await simulator.start(manage_production="127.0.0.1:0", manage_sandbox="127.0.0.1:0")
    async with simulator:
        (directory / "ca.pem").write_bytes(simulator.ca_pem)
        settings = _settings(directory, simulator, **changes)
        async with open_backing(settings) as backing:
            service = Service(settings, backing)
            listener = bind(settings.listen, option="--listen")
            ready, stop = asyncio.Event(), asyncio.Event()
            serving = asyncio.create_task(service.run(listener, ready.set, stop))
            try:
                await _either(ready, serving)
                account = (await backing.store.default_account()).id
                site = Site(f"http://127.0.0.1:{listener.getsockname()[1]}", simulator, backing, account)
                site.key = await site.new_key()
                site.http.auth = httpx2.BasicAuth(*site.key)
                async with site.http:
                    yield site
            finally:
                stop.set()
                await serving
                listener.close()


def _settings(directory: Path, simulator: Simulator, **changes: Any) -> ServeSettings:
    at = {name: Address(*address) for name, address in simulator.ports.items()}
    return ServeSettings(
        data=directory / "data",
        listen=Address("127.0.0.1", 0),
        apns_production=at["production"],
        apns_sandbox=at["sandbox"],
        apns_manage_production=at["manage_production"],
        apns_manage_sandbox=at["manage_sandbox"],
        apns_cacert=directory / "ca.pem",
        **{"drain_seconds": 5.0, **changes},
    )


async def _either(ready: asyncio.Event, serving: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([waiting, serving], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        serving.result()


@contextlib.asynccontextmanager
async def shown(site: Site, browser: Browser, *, signed_in: bool = True, **options: Any) -> AsyncIterator[Window]:
    """A window on the dashboard; in the end it must have logged no error, broken no policy and asked nobody else."""
    context = await browser.new_context(
        locale="en-GB", timezone_id="UTC", viewport={"width": 1280, "height": 900}, **options
    )
    context.set_default_timeout(PATIENCE)
    window = Window(site, await context.new_page())
    if signed_in:
        await window.sign_in()
    yield window
    await context.close()
    assert window.complaints == [], window.complaints
