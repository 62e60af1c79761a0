"""No secret is where it does not belong: not in an answer, not in a log, not in the repr of anything that stays."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.calling import Speaker, Words
from support.live import Live, living
from support.service import Service, basic

from heliogram.api import ENDPOINTS
from heliogram.api.credential_schemas import CreateCredential
from heliogram.domain import ids

SHAPES = re.compile(r"hg[sr]_[\w-]{40,}|whsec_[\w+/=-]{20,}|PRIVATE KEY-----|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{20,}")
"""What secrets look like: API secrets and registration tokens, webhook secrets, PEM keys, provider tokens."""
SHOWING_TOKENS = re.compile(r"/v1/PushNotifications(?:/DeviceRegistrations.*|/comms_pushnotification_\w+)?")
"""The paths whose answers show device tokens."""
HANDED_OUT = ("secret", "registrationToken")
"""The fields that hand a secret out."""
SLICE = 16
DER_HEAD = 64
"""Characters at the beginning of a key in base64 that are the same in every key."""


@dataclass
class Ear:
    """Hears all that is said, and knows what should not be."""

    hidden: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    heard: list[tuple[str, str]] = field(default_factory=list)

    def hide(self, secret: str) -> str:
        """Remembers a secret, in pieces: no answer may quote a part of it either. Gives it back."""
        core = re.sub(r"-----[A-Z ]+-----|\s", "", secret)
        start = DER_HEAD if "-----" in secret else 4
        self.hidden.update(core[at : at + SLICE] for at in range(start, len(core) - SLICE, SLICE))
        return secret

    async def listen(self, response: httpx2.Response) -> None:
        """A hook for a client: keeps the answer, but for the secret that it is there to hand out."""
        await response.aread()
        path, text = response.request.url.path, response.text + str(response.headers)
        body = msgspec.json.decode(response.content) if response.headers["content-type"].endswith("json") else {}
        for name in HANDED_OUT:
            if response.status_code < 300 and name in body:
                text = text.replace(self.hide(body[name]), "")
        self.heard.append((path, text))

    def attend(self, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
        """Listens to what a client is told."""
        client.event_hooks = {"response": [self.listen]}
        return client

    def betrayed(self, extra: Iterable[str] = ()) -> list[str]:
        """Where a secret was said, or a device token where it does not belong."""
        found = []
        for path, text in [*self.heard, *(("", text) for text in extra)]:
            secret = SHAPES.search(text) or next((piece for piece in self.hidden if piece in text), None)
            token = not SHOWING_TOKENS.fullmatch(path) and next((token for token in self.tokens if token in text), None)
            if secret or token:
                found.append(f"{path}: {text}")
        return found


def staying() -> list[str]:
    """The repr of everything of ours that is alive."""
    gc.collect()
    return [
        repr(each)
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("heliogram.")
        and not str(type(each).__module__).startswith("heliogram.simulator")
    ]


def private_key() -> str:
    """A private key, as PEM."""
    form = serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


class Story:
    """Everything that has to do with secrets, done once."""

    def __init__(self, live: Live, ear: Ear) -> None:
        self.live = live
        self.service: Service = live.service
        self.ear = ear
        ear.attend(self.service.client)
        ear.hide(self.service.key[1])

    def key(self) -> dict[str, Any]:
        """The content of a credential, its key remembered."""
        content = self.live.key()
        self.ear.hide(content["signingKey"])
        return content

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A call that goes well."""
        answer = await self.service.client.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def tell(self) -> None:
        """All of it."""
        await self.credentials()
        await self.keys()
        await self.phones()
        for endpoint in ENDPOINTS:
            if endpoint.method == "GET" and not endpoint.path_params:
                prefix = "/v1" if endpoint.prefixed else ""
                await self.service.client.get(prefix + endpoint.path)
        for path in ("/openapi.json", "/docs"):
            await self.service.client.get(path)

    async def credentials(self) -> None:
        """Uploaded, checked, rotated, reconnected; one of them revoked."""
        root = "/v1/PushNotifications/Credentials"
        upload = {"credentialType": "APN", "appName": "shop", "content": self.key()}
        made = (await self.call("POST", root, upload))["resourceId"]
        await self.call("POST", f"{root}/{made}/check")
        rotated = (await self.call("POST", f"{root}/{made}/rotate", {"content": self.key()}))["resourceId"]
        await self.call("POST", f"{root}/{rotated}/reconnect")
        second = (await self.call("POST", root, {**upload, "content": self.key()}))["resourceId"]
        await self.call("POST", f"{root}/{second}/revoke")
        await self.call("GET", f"{root}/{second}")

    async def keys(self) -> None:
        """Made, rotated, used wrongly, revoked; webhooks likewise."""
        key = await self.call("POST", "/v1/ApiKeys", {"scopes": ["read"]})
        await self.call("POST", f"/v1/ApiKeys/{key['id']}/rotate", {})
        async with self.ear.attend(self.service.client_of(basic(key["id"], key["secret"]))) as client:
            assert (await client.get("/v1/ApiKeys")).status_code == 403
        async with self.ear.attend(self.service.client_of(basic(key["secret"], key["id"]))) as client:
            assert (await client.get("/v1/ApiKeys")).status_code == 401
        await self.call("DELETE", f"/v1/ApiKeys/{key['id']}")
        hook = await self.call("POST", "/v1/Webhooks", {"url": "https://93.184.215.14/x", "types": ["*"]})
        await self.call("POST", f"/v1/Webhooks/{hook['id']}/rotateSecret")
        await self.call("GET", f"/v1/Webhooks/{hook['id']}")

    async def phones(self) -> None:
        """Registered with a token of their own, sent to, refused for what they may not do."""
        root = "/v1/PushNotifications"
        _, token = self.live.phone()
        self.ear.tokens.add(token)
        minted = await self.call("POST", f"{root}/RegistrationTokens", {"appName": "shop", "externalId": "u-1"})
        device = {"appName": "shop", "provider": "APN", "token": token}
        for headers in (
            {"Authorization": f"Bearer {minted['registrationToken']}"},
            basic("registration", minted["registrationToken"]),
        ):
            async with self.ear.attend(self.service.client_of(headers)) as phone:
                assert (await phone.post(f"{root}/DeviceRegistrations", json=device)).status_code == 202
                assert (await phone.get(f"{root}/Apps")).status_code == 403
        await self.call("POST", root, {"to": [{"externalId": "u-1"}], "content": {"body": "Hello"}})
        assert await self.live.deliver() == 1
        await self.call("GET", f"{root}?include=deliveries")


@pytest.mark.anyio
async def test_secrets_stay_where_they_belong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Credentials, keys, tokens, webhooks and sends, all of it: what hands a secret out is the only answer that has it,
    and neither logs nor reprs do. Device tokens are in DeviceRegistrations and PushNotifications alone."""
    caplog.set_level(logging.DEBUG)
    ear = Ear()
    with capture_logs() as events:
        async with living(tmp_path) as live:
            await Story(live, ear).tell()
            alive = staying()
    assert len(alive) > 100
    assert ear.betrayed([*alive, *map(repr, events), caplog.text, *map(repr, caplog.records)]) == []


class Careless(Speaker):
    """Says secrets where something else is asked for."""

    secrets: list[str]

    def text(self, name: str) -> str:
        """What belongs there, or a secret."""
        return self.random.choice(self.secrets) if self.random.random() < 0.4 else super().text(name)

    def word(self, kind: str | None) -> str:
        """A word of a kind, or a secret that may stand in a path."""
        fitting = [secret for secret in self.secrets if "/" not in secret and "\n" not in secret]
        return self.random.choice(fitting) if self.random.random() < 0.4 else super().word(kind)


def test_secrets_in_wrong_places_are_not_quoted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever endpoint is given a secret where it wants something else: the error does not repeat it, nor do logs."""
    caplog.set_level(logging.DEBUG)
    pem = private_key()
    secret, token = "hgs_" + "Zq3" * 14 + "x", "hgr_" + "Kw7" * 60
    secrets = [
        pem,
        pem.replace("\n", ""),
        base64.b64encode(pem.encode()).decode(),
        secret,
        token,
        f"whsec_{'Qp9' * 14}",
    ]
    ear = Ear()
    for each in secrets:
        ear.hide(each)

    def unknown(kind: str) -> str:
        return ids.encode(kind, ids.make(1, 2, 3)) if kind not in ("appName", "token") else "unknown"

    async def drive(live: Live, random: Random) -> None:
        words = Words(mark="hello", team="", credential=live.key)
        words.add("appName", "shop")
        speaker = Careless(random, words, words, unknown)
        speaker.secrets = secrets
        for _ in range(20):
            request = speaker.request(random.choice([each for each in ENDPOINTS if not each.public]))
            ear.heard.clear()
            answer = await request.send(live.service.client)
            assert answer.status_code < 400 or ear.betrayed() == [], request.text()

    with asyncio.Runner() as runner, capture_logs() as events:
        context = living(tmp_path)
        live = runner.run(_entered(context))
        ear.attend(live.service.client)

        @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.randoms(use_true_random=True))
        def wander(random: Random) -> None:
            runner.run(drive(live, random))

        wander()
        runner.run(_left(context))
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("heliogram"))
    ear.heard.clear()
    assert ear.betrayed([*map(repr, events), logged]) == []


async def _entered(context: Any) -> Any:
    return await context.__aenter__()


async def _left(context: Any) -> None:
    await context.__aexit__(None, None, None)


def test_what_is_uploaded_hides_itself() -> None:
    """A request that ends up in a traceback or a debugger shows which fields there were, no more."""
    pem = private_key()
    body = {"credentialType": "APN", "appName": "shop", "content": {"signingKey": pem, "password": "hunter2"}}
    shown = repr(msgspec.convert(body, CreateCredential))
    assert "PRIVATE" not in shown
    assert "hunter2" not in shown
