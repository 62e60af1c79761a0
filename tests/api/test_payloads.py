"""`GET /PushNotifications/{id}/Payload`: what APNs gets for one notification, made anew from what is kept."""

from __future__ import annotations

from typing import Any

import pytest
from support.service import TOKEN, Service

from heliogram.domain import ids

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}


async def payload_of(service: Service, body: dict[str, Any], place: int = 0) -> tuple[str, dict[str, Any]]:
    """The id of one notification of a send, and its payload as the API tells it."""
    await service.app_named()
    sent = await service.post("", body)
    assert sent.status_code == 202, sent.text
    listed = (await service.get("", operationId=sent.json()["operationId"])).json()["pushNotifications"]
    answer = await service.get(f"/{listed[place]['id']}/Payload")
    assert answer.status_code == 200, answer.text
    return listed[place]["id"], answer.json()


async def test_the_payload_is_the_recipients_own(service: Service) -> None:
    """Each recipient's variables are in it; an alert without a collapse id has its notification's, as on the wire."""
    to = [{**DIRECT, "variables": {"name": name}} for name in ("Ann", "Barbara")]
    ident, told = await payload_of(service, {"to": to, "content": {"body": "Hi {{ name }}"}, "ttl": 60}, 1)
    assert told == {
        "headers": {
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": str(service.clock.ms // 1000 + 60),
            "apns-collapse-id": ids.uuid_text(ids.decode(ids.NOTIFICATION, ident)),
            "apns-topic": "com.example.shop",
        },
        "payload": {"aps": {"alert": {"body": "Hi Barbara"}}},
        "size": 39,
        "limit": 4096,
        "problem": None,
    }


async def test_a_live_activity_has_the_timestamp_it_was_sent_with(service: Service) -> None:
    """What is made anew is what was made then: the time of the send is kept."""
    activity = {"event": "update", "contentState": {"minutes": 5}}
    sent_at = service.clock.ms // 1000
    _, told = await payload_of(service, {"to": [DIRECT], "content": {"liveActivity": activity}})
    service.clock.advance(60)
    assert told["payload"]["aps"] == {"timestamp": sent_at, "event": "update", "content-state": {"minutes": 5}}
    assert told["headers"] == {
        "apns-push-type": "liveactivity",
        "apns-priority": "10",
        "apns-topic": "com.example.shop.push-type.liveactivity",
    }


@pytest.mark.parametrize(
    ("variables", "size", "problem"),
    [({"x": "x" * 5_000}, 5_029, "PayloadTooLarge"), ({"x": "y", "n": 0}, None, "RenderFailed")],
)
async def test_what_cannot_be_sent_says_why(
    service: Service, variables: dict[str, Any], size: int | None, problem: str
) -> None:
    """With the payload, where there is one to show."""
    body = {"body": "{{ x }}{% if x == 'y' %}{{ 1 | divided_by: n }}{% endif %}"}
    _, told = await payload_of(service, {"to": [{**DIRECT, "variables": variables}], "content": body})
    assert told["problem"].startswith(problem)
    assert told["size"] == size
    assert (told["payload"] is None) is (size is None)


async def test_a_provider_that_is_not_supported_has_no_payload(service: Service) -> None:
    """FCM's would be another."""
    _, told = await payload_of(
        service, {"to": [DIRECT, {"token": "f", "provider": "FCM"}], "content": {"body": "x"}}, 1
    )
    assert (told["payload"], told["size"], told["problem"]) == (None, None, "FCM is not supported yet")


async def test_another_accounts_notification_is_not_there(service: Service) -> None:
    """As if nobody had made it."""
    ident, _ = await payload_of(service, {"to": [DIRECT], "content": {"body": "x"}})
    other = await service.tenant()
    assert (await other.get(f"/{ident}/Payload")).status_code == 404
    assert (await service.get("/comms_pushnotification_x/Payload")).status_code == 404
