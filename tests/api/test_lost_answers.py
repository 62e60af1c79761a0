"""Writes with an Idempotency-Key whose answer a crash lost: what a second try makes of them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from support.service import Service, basic

from heliogram.api.application import ENDPOINTS
from heliogram.ports import KeptAnswer

pytestmark = pytest.mark.anyio

SAME_AGAIN = {
    "cancelPushNotification",
    "cancelOperation",
    "updateApp",
    "updateCredential",
    "rotateCredential",
    "revokeCredential",
    "reconnectCredential",
    "checkCredential",
    "registerDevice",
    "updateUser",
    "createRegistrationToken",
    "updateWebhook",
    "rotateWebhookSecret",
    "testWebhook",
    "redeliverDeadLetters",
    "revokeApiKey",
}
"""What comes to the same when it is done again after a crash. Of a secret that is rotated again the one that receivers
hold signs on."""
GONE = {
    "deleteChannel",
    "deleteCredential",
    "deleteDeviceRegistration",
    "deleteDevice",
    "deleteUser",
    "deleteWebhook",
}
"""What is a 404 when it is asked for again after a crash."""
NOT_OURS = {"createChannel"}
"""APNs makes the channel, and tells its id in the answer that was lost."""


async def write(service: Service, body: Any, *, path: str) -> httpx2.Response:
    return await service.client.post(path, json=body, headers={"Idempotency-Key": "k"})


async def test_no_write_does_harm_when_it_is_done_again_after_a_crash() -> None:
    """Each finds what it made, comes to the same, or is named here with the reason."""
    alone = {each.operation_id for each in ENDPOINTS if each.method != "GET" and each.recover is None}
    assert alone == SAME_AGAIN | GONE | NOT_OURS


@pytest.mark.parametrize("path", ["/v1/ApiKeys", "/v1/ApiKeys/{first}/rotate"])
async def test_a_key_whose_answer_was_lost_gets_another_secret(
    service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Nobody was told the first, and it is kept nowhere: that key comes back with one that opens, and no second key."""

    async def died(*_: object, **__: object) -> bool:
        raise asyncio.CancelledError

    path, before = path.format(first=service.key[0]), len(await api_keys(service))
    body = {"scopes": ["admin"]} if path == "/v1/ApiKeys" else {}
    monkeypatch.setattr(service.store, "keep_answer", died)
    with pytest.raises(asyncio.CancelledError):
        await write(service, body, path=path)
    monkeypatch.undo()
    service.clock.advance(60)
    again = await write(service, body, path=path)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert (again.headers["cache-control"], again.headers["location"]) == (
        "no-store",
        f"http://heliogram.test/v1/ApiKeys/{again.json()['id']}",
    )
    assert len(await api_keys(service)) == before + 1
    async with service.client_of(basic(again.json()["id"], again.json()["secret"])) as client:
        assert (await client.get("/v1/Account")).status_code == 200
    assert (await write(service, body, path=path)).content == again.content


async def test_whoever_was_taken_over_from_tells_no_secret(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that stood still for a minute after it made a key: the one that took over gave the key another secret,
    so the first answers 409, and asked again tells that one."""
    keep, kept, go_on = service.store.keep_answer, asyncio.Event(), asyncio.Event()

    async def stands_still(account: bytes, key: str, answer: KeptAnswer, *, owner: str) -> bool:
        if not owner:
            kept.set()
            await go_on.wait()
        return await keep(account, key, answer, owner=owner)

    body = {"scopes": ["admin"]}
    monkeypatch.setattr(service.store, "keep_answer", stands_still)
    first = asyncio.create_task(write(service, body, path="/v1/ApiKeys"))
    await kept.wait()
    service.clock.advance(60)
    told = (await write(service, body, path="/v1/ApiKeys")).json()
    go_on.set()
    late = await first
    assert (late.status_code, late.json()["code"], late.headers["retry-after"]) == (409, 70071, "1")
    assert "hgs_" not in late.text
    assert (await write(service, body, path="/v1/ApiKeys")).json() == told
    async with service.client_of(basic(told["id"], told["secret"])) as client:
        assert (await client.get("/v1/Account")).status_code == 200


async def api_keys(service: Service) -> list[Any]:
    found: list[Any] = (await service.client.get("/v1/ApiKeys")).json()["apiKeys"]
    return found
