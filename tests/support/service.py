"""The REST API in process, over a real store and the real APNs provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.applications import Starlette
from support.clock import FakeClock
from support.stores import open_sqlite

from heliogram import api
from heliogram.delivery.providers.apns import ApnsProvider
from heliogram.domain import ids
from heliogram.domain.accounts import ALL_SCOPES, ApiKey, Principal, Scope
from heliogram.domain.apps import ProviderName
from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk, Store

TOKEN = "ab" * 32
USER_PATTERN = r"comms_pushnotificationuser_[0-7][0-9a-hjkmnp-tv-z]{25}"


class BoxSealer:
    """`ports.Sealer` by AES-GCM under a key made for the test."""

    def __init__(self) -> None:
        self._box = AESGCM(AESGCM.generate_key(256))

    def seal(self, plain: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The sealed bytes."""
        nonce = secrets.token_bytes(12)
        return nonce + self._box.encrypt(nonce, plain, b"|".join([table.encode(), column.encode(), row, account]))

    def open(self, sealed: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The plain bytes."""
        place = b"|".join([table.encode(), column.encode(), row, account])
        return self._box.decrypt(sealed[:12], sealed[12:], place)


class StoredKeys:
    """`ports.Authenticator` that asks the store every time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def authenticate(self, key_id: str, secret: str) -> Principal | None:
        """The principal of a key that is there, good and not revoked."""
        try:
            key = await self._store.find_api_key(ids.decode(ids.API_KEY, key_id))
        except ids.InvalidId:
            return None
        if key is None or key.revoked is not None or not hmac.compare_digest(key.hash, digest(secret)):
            return None
        return Principal(account_id=key.account_id, key_id=key.id, scopes=frozenset(key.scopes))


class Woken:
    """`ports.WorkQueue` that remembers which lanes were woken; nobody works here."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []

    async def lease(self, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        """Nothing."""
        return []

    def wake(self, lane: Lane) -> None:
        """Remembers the lane."""
        self.lanes.append(lane)

    async def extend(self, chunk: LeasedChunk) -> bool:
        """There are no leases."""
        return False

    async def done(self, chunk: LeasedChunk) -> bool:
        """There are no leases."""
        return False

    async def retry(self, chunk: LeasedChunk, due: int) -> bool:
        """There are no leases."""
        return False

    async def close(self) -> None:
        """Nothing to close."""


def digest(secret: str) -> bytes:
    """The hash of an API secret."""
    return hashlib.blake2b(secret.encode(), key=b"pepper", digest_size=32).digest()


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
    queue: Woken
    key: tuple[str, str] = field(repr=False)
    client: httpx2.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.client_of(basic(*self.key))

    def client_of(self, headers: dict[str, str]) -> httpx2.AsyncClient:
        """A client that sends these headers."""
        return client_of(self.app, headers)

    async def new_key(self, *scopes: Scope, account: bytes | None = None) -> tuple[str, str]:
        """An API key: its id and its secret."""
        ident, secret = self.state.ids.new(), secrets.token_urlsafe(32)
        key = ApiKey(
            account_id=account or self.account,
            id=ident,
            name="test",
            hash=digest(secret),
            scopes=scopes or ALL_SCOPES,
            created=self.clock.ms,
        )
        await self.store.create_api_key(account or self.account, key)
        return ids.encode(ids.API_KEY, ident), secret

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
async def serving(directory: Path, **settings: Any) -> AsyncIterator[Service]:
    """The API over a new store in `directory`."""
    clock = FakeClock()
    now: Callable[[], int] = lambda: clock.ms  # noqa: E731 - a clock hand, not a function of its own
    factory = ids.IdFactory(now)
    store = await open_sqlite(directory, factory, clock)
    provider, queue = ApnsProvider(), Woken()
    state = api.ApiState(
        store=store,
        queue=queue,
        providers={ProviderName.APN: provider},
        sealer=BoxSealer(),
        authenticator=StoredKeys(store),
        clock=clock,
        ids=factory,
        settings=api.ApiSettings(**settings),
    )
    try:
        account = (await store.default_account()).id
        service = Service(api.build(state), state, store, clock, account, queue, ("", ""))
        service.key = await service.new_key()
        service.client = service.client_of(basic(*service.key))
        async with service.client:
            yield service
    finally:
        await provider.close()
        await store.close()
