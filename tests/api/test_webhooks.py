"""Webhooks over the API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from support.service import Service, basic, client_of
from support.stores import Bench
from support.telling import Telling
from support.webhooks import Receiver, receiving, tools_for

from heliogram import api
from heliogram.api.state import HOLD_MS
from heliogram.domain import ids
from heliogram.domain.accounts import Scope
from heliogram.domain.webhooks import WEBHOOK, EventType
from heliogram.webhooks import verify
from heliogram.webhooks.pump import Pump
from heliogram.webhooks.service import LONGEST_TEST_MS, WebhookService

pytestmark = pytest.mark.anyio

HOOKS = "/v1/Webhooks"


@pytest.fixture
async def receiver(anyio_backend: str) -> AsyncIterator[Receiver]:
    """Somewhere to send to."""
    async with receiving() as made:
        yield made


async def make(service: Service, url: str = "https://hooks.example.com/in", **more: Any) -> dict[str, Any]:
    """A webhook, with its secret."""
    answer = await service.client.post(HOOKS, json={"url": url, "types": ["*"], **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pump(service: Service) -> Pump:
    return Pump(tools_for(service.store, service.state.sealer, service.clock))


def codes(answer: httpx2.Response) -> list[tuple[str, int]]:
    return [(each["context"], each["code"]) for each in answer.json()["errors"]]


async def test_a_webhook_is_made_with_a_secret_that_is_shown_once(service: Service) -> None:
    """201, its address, and nothing that a cache may keep."""
    answer = await service.client.post(
        HOOKS, json={"url": "https://hooks.example.com/in", "types": ["operation.*", "device.*"], "description": "ours"}
    )
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"http://heliogram.test{HOOKS}/{made['id']}"
    assert re.fullmatch(r"webhook_[0-7][0-9a-hjkmnp-tv-z]{25}", made["id"])
    secret = made.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    read = (await service.client.get(f"{HOOKS}/{made['id']}")).json()
    assert (
        read
        == made
        == {
            "id": made["id"],
            "url": "https://hooks.example.com/in",
            "types": ["operation.*", "device.*"],
            "description": "ours",
            "state": "active",
            "disabledReason": None,
            "createdAt": made["createdAt"],
            "updatedAt": made["createdAt"],
            "lastSuccessAt": None,
            "lastError": None,
            "backlog": {
                "waitingEvents": 0,
                "waitingResults": 0,
                "retryingBatches": 0,
                "nextAttemptAt": None,
                "deadLetters": 0,
                "skippedEvents": 0,
            },
        }
    )
    listed = (await service.client.get(HOOKS)).json()
    assert listed["webhooks"] == [read]


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("$.url", 70004), ("$.types", 70004)]),
        ({"url": "ftp://x.example", "types": ["*", "nope"]}, [("$.url", 70092), ("$.types[1]", 70003)]),
        ({"url": "https://user:pw@x.example/", "types": ["*"]}, [("$.url", 70092)]),
        ({"url": "https://169.254.169.254/", "types": ["*"]}, [("$.url", 70092)]),
        ({"url": "https://x.example/", "types": []}, [("$.types", 70003)]),
        ({"url": "https://x.example/", "types": ["*"], "secret": "mine"}, [("$.secret", 70005)]),
        ({"url": "https://x.example/" + "a" * 2031, "types": ["*"]}, [("$.url", 70003)]),
        ({"url": "https://x.example/", "types": ["*"], "description": "x" * 257}, [("$.description", 70003)]),
        ({"url": "https://x.example/", "types": ["*"], "description": "a\0b"}, [("$.description", 70003)]),
    ],
)
async def test_all_that_is_wrong_is_said_at_once(
    service: Service, body: dict[str, Any], problems: list[tuple[str, int]]
) -> None:
    """Each with its place and its code."""
    answer = await service.client.post(HOOKS, json=body)
    assert answer.status_code == 400
    assert codes(answer) == problems


async def test_limits_hold_at_their_edges(service: Service) -> None:
    """An address of 2,048 characters, a description of 256; ten webhooks, and no eleventh."""
    await make(service, "https://x.example/" + "a" * 2030, description="x" * 256)
    for _ in range(9):
        await make(service)
    answer = await service.client.post(HOOKS, json={"url": "https://x.example/", "types": ["*"]})
    assert (answer.status_code, answer.json()["code"]) == (400, 70044)


async def test_a_webhook_is_changed_field_by_field(service: Service) -> None:
    """202 with its address; what is left out stays."""
    made = await make(service)
    at = f"{HOOKS}/{made['id']}"
    answer = await service.client.patch(at, json={"types": ["device.*"], "state": "paused"})
    assert (answer.status_code, answer.json()["resourceId"]) == (202, made["id"])
    known = (await service.client.get(at)).json()
    assert (known["types"], known["state"], known["url"]) == (["device.*"], "paused", made["url"])
    for body, problem in (
        ({"url": "http://"}, ("$.url", 70092)),
        ({"types": ["x"]}, ("$.types[0]", 70003)),
        ({"state": "disabled"}, ("$.state", 70003)),
    ):
        answer = await service.client.patch(at, json=body)
        assert (answer.status_code, codes(answer)) == (400, [problem])


async def test_a_deleted_webhook_is_gone(service: Service) -> None:
    """And every call on it, or on one that never was, is the same 404."""
    made = await make(service)
    at = f"{HOOKS}/{made['id']}"
    assert (await service.client.delete(at)).status_code == 202
    for where in (at, f"{HOOKS}/webhook_00000000000000000000000000", f"{HOOKS}/nothing"):
        for method, path in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/rotateSecret"),
            ("POST", "/test"),
            ("GET", "/DeadLetters"),
            ("POST", "/DeadLetters/redeliver"),
        ):
            body: dict[str, Any] | None = {} if method == "PATCH" or path.endswith("redeliver") else None
            answer = await service.client.request(method, where + path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, 20404), (method, path)


async def test_who_hears_of_devices_hears_that_an_app_went_with_all_of_its(
    service: Service, receiver: Receiver
) -> None:
    """One event, signed as any other: a mirror of devices is not left with those of an app that is no more."""
    await service.app_named("shop")
    credential = await service.app_named("going")
    await make(service, receiver.url, types=["device.*"])
    for number in range(3):
        await service.user(token=f"{number:064x}", app_name="going")
    assert (await service.delete(f"/Credentials/{credential}")).status_code == 202
    await pump(service).step()
    (event,) = receiver.events
    assert (event["type"], event["subject"]) == ("com.heliogram.app.deleted", "going")
    assert event["data"] == {"appName": "going", "registrations": 3}


async def test_a_webhook_is_made_once_for_an_idempotency_key(service: Service) -> None:
    """The second answer is the first, its secret included."""
    headers, body = {"Idempotency-Key": "one"}, {"url": "https://x.example/", "types": ["*"]}
    first = await service.client.post(HOOKS, json=body, headers=headers)
    second = await service.client.post(HOOKS, json=body, headers=headers)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len((await service.client.get(HOOKS)).json()["webhooks"]) == 1


async def test_another_accounts_webhook_is_a_404(service: Service) -> None:
    """To read, to change, to test, to redeliver."""
    made = await make(service)
    other = await service.tenant()
    async with other.client as client:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotateSecret")):
            answer = await client.request(method, f"{HOOKS}/{made['id']}{path}")
            assert answer.status_code == 404
        assert (await client.get(HOOKS)).json()["webhooks"] == []


async def test_all_of_it_needs_the_scope_admin(service: Service) -> None:
    """Who may name a receiver may read everything that is sent to it."""
    key = await service.new_key(Scope.SEND, Scope.READ, Scope.REGISTER, Scope.CREDENTIALS)
    made = await make(service)
    async with service.client_of(basic(*key)) as client:
        for method, path in (
            ("GET", ""),
            ("POST", ""),
            ("GET", f"/{made['id']}"),
            ("PATCH", f"/{made['id']}"),
            ("DELETE", f"/{made['id']}"),
            ("POST", f"/{made['id']}/rotateSecret"),
            ("POST", f"/{made['id']}/test"),
            ("GET", f"/{made['id']}/DeadLetters"),
            ("POST", f"/{made['id']}/DeadLetters/redeliver"),
        ):
            assert (await client.request(method, HOOKS + path)).status_code == 403, (method, path)


async def test_a_test_says_what_the_receiver_said(service: Service, receiver: Receiver) -> None:
    """Signed like any other, in every state of the webhook."""
    made = await make(service, receiver.url)
    at = f"{HOOKS}/{made['id']}"
    answer = await service.client.post(f"{at}/test")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["delivered"], said["status"], said["error"]) == (True, 200, None)
    (got,) = receiver.got
    assert verify(made["secret"], got.headers, got.body, service.clock.time())
    (event,) = got.events
    assert (event["type"], event["subject"]) == ("com.heliogram.webhook.test", made["id"])
    receiver.refuse(418)
    await service.client.patch(at, json={"state": "paused"})
    said = (await service.client.post(f"{at}/test")).json()
    assert (said["delivered"], said["status"], said["error"]) == (False, 418, "the receiver answered 418")


async def test_a_webhook_is_tested_once_at_a_time(service: Service, receiver: Receiver) -> None:
    """Nobody floods a receiver, or a name server, with tests; not by another process on the store either."""
    made = await make(service, receiver.url)
    path = f"{HOOKS}/{made['id']}/test"
    tools = tools_for(service.store, service.state.sealer, service.clock)
    other = api.build(replace(service.state, webhooks=WebhookService(tools, lambda: None, service.state.ids)))
    receiver.may_answer.clear()
    first = asyncio.create_task(service.client.post(path))
    await receiver.came.wait()
    async with client_of(other, basic(*service.key)) as elsewhere:
        for client in (service.client, elsewhere):
            said = (await client.post(path)).json()
            assert (said["delivered"], said["error"]) == (False, "a test of this webhook is under way")
        receiver.may_answer.set()
        assert (await first).json()["delivered"]
        assert len(receiver.got) == 1
        assert (await elsewhere.post(path)).json()["delivered"]


async def test_a_test_that_never_ended_is_over_after_a_while(service: Service, receiver: Receiver) -> None:
    """The process under it died: 20 seconds later another may begin."""
    made = await make(service, receiver.url)
    path, ident = f"{HOOKS}/{made['id']}/test", ids.decode(WEBHOOK, made["id"])
    now = service.clock.ms
    assert await service.store.begin_webhook_test(service.account, ident, now, now + LONGEST_TEST_MS)
    service.clock.advance(LONGEST_TEST_MS / 1000 - 0.001)
    assert not (await service.client.post(path)).json()["delivered"]
    service.clock.advance(0.001)
    assert (await service.client.post(path)).json()["delivered"]
    await service.store.end_webhook_test(service.account, ident, now)  # of the one that died: nobody minds


async def test_a_test_that_is_taken_opens_the_way_again(service: Service, receiver: Receiver) -> None:
    """What was held back for a receiver that was down goes at the next look."""
    made = await make(service, receiver.url)
    receiver.refuse(503)
    await emit(service, 300)
    await pump(service).step()
    receiver.accept()
    await service.client.post(f"{HOOKS}/{made['id']}/test")
    await pump(service).step()
    known = (await service.client.get(f"{HOOKS}/{made['id']}")).json()
    assert (known["backlog"]["waitingEvents"], known["backlog"]["retryingBatches"]) == (0, 0)
    assert known["lastError"]["message"] == "the receiver answered 503"
    assert known["lastSuccessAt"]


async def test_a_rotated_secret_signs_beside_the_one_before(service: Service, receiver: Receiver) -> None:
    """For 24 hours, then alone."""
    made = await make(service, receiver.url)
    answer = await service.client.post(f"{HOOKS}/{made['id']}/rotateSecret")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    turned = answer.json()
    assert turned["secret"] != made["secret"]
    await service.client.post(f"{HOOKS}/{made['id']}/test")
    service.clock.advance(24 * 3600)
    await service.client.post(f"{HOOKS}/{made['id']}/test")
    first, second = receiver.got
    at = float(first.headers["webhook-timestamp"])
    for secret in (turned["secret"], made["secret"]):
        assert verify(secret, first.headers, first.body, at)
    assert len(second.headers["webhook-signature"].split(" ")) == 1
    assert verify(turned["secret"], second.headers, second.body, service.clock.time())


async def test_a_rotation_asked_for_again_leaves_what_receivers_hold_in_force(
    service: Service, receiver: Receiver
) -> None:
    """The answer to the first was lost: the secret from before both signs for the rest of its 24 hours."""
    made = await make(service, receiver.url)
    at = f"{HOOKS}/{made['id']}"
    await service.client.post(f"{at}/rotateSecret")
    service.clock.advance(3600)
    turned = (await service.client.post(f"{at}/rotateSecret")).json()
    for seconds in (0, 23 * 3600 - 1, 1, 3600):
        service.clock.advance(seconds)
        await service.client.post(f"{at}/test")
    assert [len(got.headers["webhook-signature"].split(" ")) for got in receiver.got] == [3, 3, 2, 1]
    for got in receiver.got[:2]:
        assert verify(made["secret"], got.headers, got.body, float(got.headers["webhook-timestamp"]))
    last = receiver.got[-1]
    assert verify(turned["secret"], last.headers, last.body, service.clock.time())


async def emit(service: Service, count: int) -> None:
    """Events of the account."""
    bench = Bench(service.store, service.clock, service.state.ids, service.account)
    await Telling(bench).emit(count, EventType.DEVICE_REMOVED)


async def test_dead_letters_are_listed_and_sent_again(service: Service, receiver: Receiver) -> None:
    """By id or all; an id of another form is named."""
    made = await make(service, receiver.url)
    at = f"{HOOKS}/{made['id']}"
    receiver.refuse(410)
    await emit(service, 2)
    await pump(service).step()
    known = (await service.client.get(at)).json()
    assert (known["state"], known["backlog"]["deadLetters"]) == ("disabled", 1)
    assert known["disabledReason"].startswith("the receiver answered 410")
    listed = (await service.client.get(f"{at}/DeadLetters")).json()
    (letter,) = listed["deadLetters"]
    assert letter["id"] == receiver.got[0].headers["webhook-id"]
    assert letter["eventIds"] == [event["id"] for event in receiver.events]
    assert (letter["events"], letter["attempts"], letter["error"]) == (2, 1, "the receiver answered 410")
    answer = await service.client.post(f"{at}/DeadLetters/redeliver", json={"ids": ["x", letter["id"]]})
    assert (answer.status_code, codes(answer)) == (400, [("$.ids[0]", 70003)])
    answer = await service.client.post(f"{at}/DeadLetters/redeliver", json={"ids": [letter["id"]]})
    assert (answer.status_code, answer.json()) == (202, {"batches": 1})
    receiver.accept()
    await service.client.patch(at, json={"state": "active"})
    await pump(service).step()
    assert receiver.got[1].headers["webhook-id"] == letter["id"]
    assert (await service.client.post(f"{at}/DeadLetters/redeliver", json={})).json() == {"batches": 0}


async def test_every_change_is_in_the_audit_log(service: Service, receiver: Receiver) -> None:
    """Without address or secret."""
    made = await make(service, receiver.url)
    at = f"{HOOKS}/{made['id']}"
    await service.client.patch(at, json={"description": "x"})
    await service.client.post(f"{at}/rotateSecret")
    await service.client.post(f"{at}/DeadLetters/redeliver", json={})
    await service.client.delete(at)
    answer = await service.client.get("/v1/AuditEvents")
    events = [each for each in answer.json()["auditEvents"] if each["action"].startswith("webhook.")]
    assert sorted(each["action"] for each in events) == [
        "webhook.created",
        "webhook.deleted",
        "webhook.redelivered",
        "webhook.secretRotated",
        "webhook.updated",
    ]
    assert "whsec_" not in answer.text
    assert receiver.url not in answer.text


async def test_a_webhook_whose_answer_was_lost_is_found_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between making it and answering: the same key shows that webhook and its secret, and makes no other."""
    headers, body = {"Idempotency-Key": "one"}, {"url": "https://x.example/", "types": ["*"]}

    async def dies(*args: object, **named: object) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(type(service.store), "keep_answer", dies)
        assert (await service.client.post(HOOKS, json=body, headers=headers)).status_code == 500
    service.clock.advance(HOLD_MS / 1000 + 1)
    found = await service.client.post(HOOKS, json=body, headers=headers)
    assert (found.status_code, found.headers["idempotent-replayed"]) == (201, "true")
    (only,) = (await service.client.get(HOOKS)).json()["webhooks"]
    assert only["id"] == found.json()["id"]
    assert found.json()["secret"].startswith("whsec_")
