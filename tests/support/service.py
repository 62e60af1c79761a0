"""The REST API in process, over a real store and the real APNs provider."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from support.clock import FakeClock
from support.stores import CHOSEN, FACTORIES
from support.webhooks import service_for

from heliogram import api
from heliogram.delivery.breaker import Breakers
from heliogram.delivery.providers.apns import ApnsEndpoints, ApnsProvider
from heliogram.delivery.standing import Heard, NodeHealth
from heliogram.domain import ids
from heliogram.domain.accounts import ALL_SCOPES, Account, Scope
from heliogram.domain.apps import ProviderName
from heliogram.ports import Store
from heliogram.queue.db import DbQueue
from heliogram.security import (
    AesGcmSealer,
    KeyHasher,
    RegistrationTokens,
    SecretMaker,
    StoreAuthenticator,
    load_master_key,
    new_api_key,
)

TOKEN = "ab" * 32
NOWHERE = ApnsEndpoints(
    **dict.fromkeys(("production", "sandbox", "manage_production", "manage_sandbox"), "127.0.0.1:1")
)
"""Where nobody listens: no test asks Apple."""
USER_PATTERN = r"comms_pushnotificationuser_[0-7][0-9a-hjkmnp-tv-z]{25}"


def signing_key() -> str:
    """A .p8 file as Apple gives it out."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def basic(key_id: str, secret: str) -> dict[str, str]:
    """The Authorization header of an API key."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key_id}:{secret}".encode()).decode()}


def client_of(app: Starlette, headers: dict[str, str]) -> httpx2.AsyncClient:
    """A client in process that sends these headers."""
    transport = httpx2.ASGITransport(app)
    return httpx2.AsyncClient(transport=transport, base_url="http://heliogram.test", headers=headers)


@dataclass
class Service:
    """The API, its adapters, and short ways to use both."""

    app: Starlette
    state: api.ApiState
    store: Store
    clock: FakeClock
    account: bytes
    queue: DbQueue
    hasher: KeyHasher
    key: tuple[str, str] = field(repr=False)
    client: httpx2.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.client_of(basic(*self.key))

    def client_of(self, headers: dict[str, str]) -> httpx2.AsyncClient:
        """A client that sends these headers."""
        return client_of(self.app, headers)

    async def new_key(self, *scopes: Scope) -> tuple[str, str]:
        """An API key: its id and its secret."""
        made = new_api_key(
            self.state.ids,
            self.hasher,
            account=self.account,
            name="test",
            created=self.clock.ms,
            scopes=scopes or ALL_SCOPES,
        )
        await self.store.create_api_key(self.account, made.key)
        return made.key_id, made.secret

    async def tenant(self, name: str = "other") -> Service:
        """The same service as a new account sees it, with a key of its own."""
        account = Account(id=self.state.ids.new(), name=name, created=self.clock.ms)
        await self.store.create_account(account)
        other = replace(self, account=account.id)
        other.key = await other.new_key()
        other.client = other.client_of(basic(*other.key))
        return other

    async def post(self, path: str, body: Any) -> httpx2.Response:
        """`POST /v1/PushNotifications{path}`."""
        return await self.client.post(f"/v1/PushNotifications{path}", json=body)

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        """`GET /v1/PushNotifications{path}`."""
        return await self.client.get(f"/v1/PushNotifications{path}", params=params)

    async def delete(self, path: str) -> httpx2.Response:
        """`DELETE /v1/PushNotifications{path}`."""
        return await self.client.delete(f"/v1/PushNotifications{path}")

    async def app_named(self, name: str = "shop", type_: str = "APN", **more: Any) -> str:
        """Makes a credential (and its app); the credential's id."""
        body = {"credentialType": type_, "appName": name, "content": token_content(), **more}
        answer = await self.post("/Credentials", body)
        assert answer.status_code == 202, answer.text
        ident: str = answer.json()["resourceId"]
        return ident

    async def user(self, token: str = TOKEN, app_name: str = "shop") -> str:
        """Registers a device of a new user; the user's id."""
        answer = await self.post("/DeviceRegistrations", {"appName": app_name, "token": token, "provider": "APN"})
        assert answer.status_code == 202, answer.text
        registration = await self.get(f"/DeviceRegistrations/{answer.json()['resourceId']}")
        ident: str = registration.json()["userId"]
        return ident


def token_content(**changes: Any) -> dict[str, Any]:
    """The content of a .p8 credential."""
    content = {
        "signingKey": signing_key(),
        "keyId": "ABCDE12345",
        "teamId": "TEAM123456",
        "bundleId": "com.example.shop",
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    provider: ApnsProvider | None = None,
    clock: FakeClock | None = None,
    breakers: Breakers | None = None,
    heard: Heard | None = None,
    node: bytes = b"",
    store: str = CHOSEN,
    **settings: Any,
) -> AsyncIterator[Service]:
    """The API over a new store in `directory`, by default with a provider that reaches nobody."""
    clock = clock or FakeClock()
    now: Callable[[], int] = lambda: clock.ms  # noqa: E731 - a clock hand, not a function of its own
    factory = ids.IdFactory(now)
    opened = await FACTORIES[store](directory, factory, clock)
    ring = load_master_key(directory, environ={})
    hasher, tokens = KeyHasher(ring), RegistrationTokens(ring)
    provider, queue, sealer = provider or ApnsProvider(NOWHERE), DbQueue(opened, clock, "test"), AesGcmSealer(ring)
    state = api.ApiState(
        store=opened,
        queue=queue,
        providers={ProviderName.APN: provider},
        sealer=sealer,
        authenticator=StoreAuthenticator(opened, hasher, clock, tokens),
        key_maker=SecretMaker(factory, hasher, tokens),
        webhooks=service_for(opened, sealer, clock, factory),
        clock=clock,
        ids=factory,
        health=NodeHealth(opened, clock, breakers or Breakers(), heard, node),
        settings=api.ApiSettings(**settings),
    )
    try:
        account = (await opened.default_account()).id
        service = Service(api.build(state), state, opened, clock, account, queue, hasher, ("", ""))
        service.key = await service.new_key()
        service.client = service.client_of(basic(*service.key))
        async with service.client:
            yield service
    finally:
        await queue.close()
        await provider.close()
        await opened.close()
