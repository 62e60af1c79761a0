"""`Idempotency-Key` on writes."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import msgspec
import pytest
from support.service import TOKEN, Service, basic, token_content

from heliogram.api.application import ENDPOINTS
from heliogram.api.idempotency import FREE_AGAIN_S
from heliogram.domain import ids
from heliogram.domain.accounts import Scope
from heliogram.domain.operations import Lane, Operation
from heliogram.ports import KeptAnswer
from heliogram.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

SEND = {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "x"}}
PATH = "/v1/PushNotifications"


async def write(service: Service, body: Any = SEND, *, key: str | None = "k", path: str = PATH) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await service.client.post(path, json=body, headers=headers)


async def operations(service: Service) -> list[str]:
    listed = (await service.get("/Operations")).json()["operations"]
    return [each["id"] for each in listed]


async def test_a_repeated_send_gets_the_first_answer_again(service: Service) -> None:
    """OWN-10: Status, headers and body, marked as replayed; nothing is sent twice."""
    await service.app_named()
    first, again = await write(service), await write(service)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    told, told_again = dict(first.headers), dict(again.headers)
    assert told.pop("x-request-id") != told_again.pop("x-request-id")
    assert told_again == {**told, "idempotent-replayed": "true"}
    assert await operations(service) == [first.json()["operationId"]]


async def test_a_key_stands_for_a_day(service: Service) -> None:
    """After 24 hours it is new."""
    await service.app_named()
    first = await write(service)
    service.clock.advance(24 * 3600 - 0.001)
    assert (await write(service)).content == first.content
    service.clock.advance(0.001)
    assert (await write(service)).json() != first.json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {**SEND, "priority": "LOW"}),
        ("/preview/PushNotifications", SEND),
        (f"{PATH}?validateOnly=true", SEND),
        (f"{PATH}/DeviceRegistrations", {"appName": "shop", "token": TOKEN, "provider": "APN"}),
    ],
)
async def test_a_key_of_another_request_is_refused(service: Service, path: str, body: Any) -> None:
    """OWN-10: another body, version, query or path is a 409. What cannot be read comes before the key."""
    await service.app_named()
    await write(service)
    answer = await write(service, body, path=path)
    expected = (400, 70005) if "?" in path else (409, 70070)
    assert (answer.status_code, answer.json()["code"]) == expected
    assert len(await operations(service)) == 1


async def test_a_request_that_is_being_handled_is_not_handled_beside(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 with Retry-After; then the answer."""
    await service.app_named()
    accept, going, go_on = service.store.accept, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **more: Any) -> None:
        going.set()
        await go_on.wait()
        await accept(*args, **more)

    monkeypatch.setattr(service.store, "accept", slow)
    first = asyncio.create_task(write(service))
    await going.wait()
    beside = await write(service)
    assert (beside.status_code, beside.json()["code"], beside.headers["retry-after"]) == (409, 70071, "1")
    go_on.set()
    done = await first
    assert (await write(service)).content == done.content
    assert len(await operations(service)) == 1


async def test_a_crash_between_commit_and_answer_sends_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is reserved and the operation accepted, then the process dies: the retry finds it by its reserved id."""
    await service.app_named()

    async def died(account: bytes, key: str, answer: KeptAnswer, *, owner: str) -> bool:
        raise asyncio.CancelledError

    monkeypatch.setattr(service.store, "keep_answer", died)
    with pytest.raises(asyncio.CancelledError):
        await write(service)
    monkeypatch.undo()
    (made,) = await operations(service)
    assert (await write(service)).json()["code"] == 70071  # nobody knows yet that it is dead
    await service.store.release_all(service.clock.ms)  # what the next start does
    again = await write(service)
    assert (again.status_code, again.json()["operationId"]) == (202, made)
    assert again.headers["idempotent-replayed"] == "true"
    assert await operations(service) == [made]
    assert (await write(service)).content == again.content
    claimed = await service.store.claim(
        Lane.TX, 0, limit=9, now=service.clock.ms, until=service.clock.ms + 1, worker=""
    )
    assert len(claimed) == 1


async def test_a_crash_before_the_commit_loses_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is reserved and nothing was accepted: after its time the retry sends, with the reserved id."""
    await service.app_named()
    accept = service.store.accept
    wanted: list[bytes] = []

    async def died(account: bytes, operation: Operation, *rest: Any, **more: Any) -> None:
        wanted.append(operation.id)
        raise asyncio.CancelledError

    monkeypatch.setattr(service.store, "accept", died)
    with pytest.raises(asyncio.CancelledError):
        await write(service)
    monkeypatch.setattr(service.store, "accept", accept)
    service.clock.advance(60)
    answer = await write(service)
    assert answer.json()["operationId"] == ids.encode(ids.OPERATION, wanted[0])
    assert "idempotent-replayed" not in answer.headers


async def test_an_answer_of_trouble_frees_the_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """503: the same request is done when it comes again, and another may have the key."""
    await service.app_named()
    accept = service.store.accept

    async def full(*args: Any, **more: Any) -> None:
        raise StoreUnavailable("no space")

    monkeypatch.setattr(service.store, "accept", full)
    for body in (SEND, {**SEND, "priority": "LOW"}):
        assert (await write(service, body)).status_code == 503
    monkeypatch.setattr(service.store, "accept", accept)
    assert (await write(service)).status_code == 202


async def test_a_key_is_freed_once_the_store_is_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 without the store: nobody has to wait until the request's hold on its key ends."""
    await service.app_named()
    free, freed = service.store.free_key, asyncio.Event()

    async def away(*args: Any, **more: Any) -> None:
        raise StoreUnavailable("away")

    async def watched(account: bytes, key: str, ident: bytes, *, owner: str) -> None:
        await free(account, key, ident, owner=owner)
        freed.set()

    monkeypatch.setattr(service.store, "accept", away)
    monkeypatch.setattr(service.store, "free_key", away)
    assert (await write(service)).status_code == 503
    monkeypatch.undo()
    monkeypatch.setattr(service.store, "free_key", watched)
    assert (await write(service)).status_code == 409
    service.clock.advance(FREE_AGAIN_S[0])
    await freed.wait()
    assert (await write(service)).status_code == 202


async def test_a_fault_after_the_commit_sends_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 500 frees the key, but what was made is found by the id."""
    await service.app_named()

    def broken(lane: Lane) -> None:
        raise RuntimeError("no bell")

    monkeypatch.setattr(service.queue, "wake", broken)
    assert (await write(service)).status_code == 500
    monkeypatch.undo()
    assert (await write(service)).json()["operationId"] in await operations(service)
    assert len(await operations(service)) == 1


async def test_a_refusal_is_kept(service: Service) -> None:
    """What was wrong with the request stays wrong: mend it and take a new key. 403 says nothing of the request."""
    refused = await write(service)
    await service.app_named()
    again = await write(service)
    assert (refused.status_code, again.status_code) == (400, 400)
    assert again.content == refused.content
    assert again.headers["content-type"] == refused.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotent-replayed"] == "true"
    reader = service.client_of(basic(*await service.new_key(Scope.READ)))
    headers = {"Idempotency-Key": "other"}
    assert (await reader.post(PATH, json=SEND, headers=headers)).status_code == 403
    assert (await service.client.post(PATH, json=SEND, headers=headers)).status_code == 202


@pytest.mark.parametrize("key", ["k", "0b5e3a3e-3a1e-4c53-8ad4-b7d9c4a6f6f7", "a b", "~" * 255])
async def test_a_key_is_printable_ascii(service: Service, key: str) -> None:
    """1 to 255 characters."""
    await service.app_named()
    assert (await write(service, key=key)).status_code == 202
    assert (await write(service, key=key)).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "a\tb", "clé"])
async def test_any_other_key_is_refused(service: Service, key: str) -> None:
    """With its place and the cure; nothing is done."""
    await service.app_named()
    answer = await service.client.post(PATH, json=SEND, headers=[(b"idempotency-key", key.encode())])
    assert (answer.status_code, answer.json()["code"]) == (400, 70003)
    assert answer.json()["errors"][0]["context"] == "header.Idempotency-Key"
    assert await operations(service) == []


async def test_a_key_is_given_once(service: Service) -> None:
    """Two headers are one too many."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await service.client.post(PATH, json=SEND, headers=headers)).status_code == 400


async def test_reading_takes_no_key(service: Service) -> None:
    """A GET may carry one, and it means nothing."""
    answer = await service.client.get(f"{PATH}/Operations", headers={"Idempotency-Key": "k" * 300})
    assert answer.status_code == 200


async def test_a_created_credential_is_found_after_a_crash(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operation is."""

    async def died(account: bytes, key: str, answer: KeptAnswer, *, owner: str) -> bool:
        raise asyncio.CancelledError

    body = {"credentialType": "APN", "appName": "shop", "content": token_content()}
    monkeypatch.setattr(service.store, "keep_answer", died)
    with pytest.raises(asyncio.CancelledError):
        await write(service, body, path=f"{PATH}/Credentials")
    monkeypatch.undo()
    service.clock.advance(60)
    again = await write(service, body, path=f"{PATH}/Credentials")
    (made,) = (await service.get("/Credentials")).json()["credentials"]
    assert again.json()["resourceId"] == made["id"]


async def test_a_removal_is_answered_again(service: Service) -> None:
    """Writes without a body too: a DELETE that was done is no 404 the second time."""
    ident = await service.app_named()
    headers = {"Idempotency-Key": "k"}
    first = await service.client.delete(f"{PATH}/Credentials/{ident}", headers=headers)
    again = await service.client.delete(f"{PATH}/Credentials/{ident}", headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["idempotent-replayed"] == "true"


async def test_no_answer_is_stored_in_the_clear(service: Service) -> None:
    """Some hold a secret: an API key's comes back with the answer, and is not in the database."""
    body = {"name": "another", "scopes": ["send"]}
    made = await write(service, body, path="/v1/ApiKeys")
    assert made.status_code < 300, made.text
    again = await write(service, body, path="/v1/ApiKeys")
    assert again.content == made.content
    secret = made.json()["secret"]
    rows: Any = await service.store._read(  # type: ignore[attr-defined] # nothing else looks at stored answers
        lambda c: c.execute("SELECT sealed, headers FROM idempotency").fetchall()
    )
    assert len(rows) == 1
    assert all(secret.encode() not in sealed and secret not in headers for sealed, headers in rows)


async def test_phones_have_keys_of_their_own(service: Service) -> None:
    """Two users' apps that choose the same key get each their own answer."""
    await service.app_named()
    answers = []
    for number in (1, 2):
        user = await service.user(f"{number:064x}")
        minted = await service.post("/RegistrationTokens", {"appName": "shop", "userId": user})
        assert minted.status_code < 300, minted.text
        phone = service.client_of({"Authorization": f"Bearer {minted.json()['registrationToken']}"})
        body = {"appName": "shop", "token": TOKEN, "provider": "APN"}
        headers = {"Idempotency-Key": "1"}
        answers.append(await phone.post(f"{PATH}/DeviceRegistrations", json=body, headers=headers))
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() != answers[1].json()
    assert "idempotent-replayed" not in answers[1].headers


async def test_every_write_says_so_in_the_document(service: Service) -> None:
    """The header is a parameter of each, with its bounds, and of no read."""
    document = msgspec.json.decode((await service.client.get("/openapi.json")).content)
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        found = [each for each in operation["parameters"] if each["name"] == "Idempotency-Key"]
        assert len(found) == (0 if endpoint.method == "GET" else 1), endpoint.operation_id
        if found:
            assert (found[0]["in"], found[0]["schema"]["maxLength"]) == ("header", 255)
            assert "409" in operation["responses"]
            assert "Idempotent-Replayed" in operation["responses"][str(endpoint.status)]["headers"]
