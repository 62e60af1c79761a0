"""Content over the API: what is accepted, what is refused, and that it is shown as it was sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.service import TOKEN, Service

from heliogram.domain import ids
from heliogram.domain.notifications import SendSpec

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}
UPDATE = {"event": "update", "contentState": {"eta": 5}}
EXPIRATION = ('$.content.apn.headers["apns-expiration"]', 70003)


async def send(service: Service, content: dict[str, Any], **more: Any) -> Any:
    """The answer to a send with this content."""
    return await service.post("", {"to": [DIRECT], "content": content, **more})


async def errors_of(service: Service, content: dict[str, Any], **more: Any) -> list[tuple[str, int]]:
    """The errors of a send that is refused."""
    answer = await send(service, content, **more)
    assert answer.status_code == 400, answer.text
    return [(each["context"], each["code"]) for each in answer.json()["errors"]]


async def spec_of(service: Service, content: dict[str, Any], **more: Any) -> SendSpec:
    """What is kept of a send."""
    answer = await send(service, content, **more)
    assert answer.status_code == 202, answer.text
    operation = await service.store.get_operation(
        service.account, ids.decode(ids.OPERATION, answer.json()["operationId"])
    )
    assert operation is not None
    return operation.spec


@pytest.mark.parametrize(
    "content",
    [
        {"body": "x", "badge": 0, "sound": "x" * 255},
        {"body": "x", "badge": 2**31 - 1, "sound": {"name": "n", "critical": True, "volume": 1.0}},
        {"body": "x", "threadId": "x" * 255, "interruptionLevel": "critical", "relevanceScore": 1.0},
        {"body": "x", "image": "https://" + "x" * 2_040, "data": {"deep": {"a": [1, None, 2.5, "é"]}}},
        {"body": "x", "collapseId": "é" * 32, "mutableContent": True, "contentAvailable": True},
        {"locKey": "K", "locArgs": ["a"] * 32, "titleLocKey": "T", "launchImage": "l"},
        {"pushType": "background", "data": {"sync": True}},
        {"liveActivity": {**UPDATE, "staleDate": "2026-03-19T09:30:00Z"}, "relevanceScore": 100.0},
        {"apn": {"payload": {"aps": {"alert": "raw"}, "n": 12345678901}, "headers": {"apns-priority": "1"}}},
        {"body": "x", "apn": {"headers": {"apns-topic": "com.example.other", "apns-expiration": 0}}},
    ],
)
async def test_a_content_is_shown_as_it_was_sent(service: Service, content: dict[str, Any]) -> None:
    """OWN-13: Every field at its edge is accepted and comes back unchanged."""
    await service.app_named()
    answer = await send(service, content)
    assert answer.status_code == 202, answer.text
    (listed,) = (await service.get("")).json()["pushNotifications"]
    assert "content" not in listed
    assert (await service.get(f"/{listed['id']}")).json()["content"] == content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"body": "x", "badge": -1}, ("$.content.badge", 70003)),
        ({"body": "x", "badge": 2**31}, ("$.content.badge", 70003)),
        ({"body": "x", "sound": "x" * 256}, ("$.content.sound", 70003)),
        ({"body": "x", "sound": {"volume": 1.1}}, ("$.content.sound.volume", 70003)),
        ({"body": "x", "sound": {"loud": 1}}, ("$.content.sound.loud", 70005)),
        ({"body": "x", "threadId": "x" * 256}, ("$.content.threadId", 70003)),
        ({"body": "x", "interruptionLevel": "loud"}, ("$.content.interruptionLevel", 70003)),
        ({"body": "x", "relevanceScore": -0.1}, ("$.content.relevanceScore", 70003)),
        ({"body": "x", "relevanceScore": 1.1}, ("$.content.relevanceScore", 70003)),
        ({"liveActivity": UPDATE, "relevanceScore": 100.1}, ("$.content.relevanceScore", 70003)),
        ({"body": "x", "image": "http://example.com"}, ("$.content.image", 70003)),
        ({"body": "x", "image": "https://" + "x" * 2_041}, ("$.content.image", 70003)),
        ({"body": "x", "image": "https://"}, ("$.content.image", 70003)),
        ({"body": "x", "image": "https://example.com/a\n"}, ("$.content.image", 70003)),
        ({"body": "x", "image": "{{ image }}"}, ("$.content.image", 70003)),
        ({"body": "x", "data": []}, ("$.content.data", 70003)),
        ({"body": "x", "collapseId": "x" * 65}, ("$.content.collapseId", 70003)),
        ({"body": "x", "collapseId": "é" * 33}, ("$.content.collapseId", 70003)),
        ({"locKey": "K", "locArgs": ["a"] * 33}, ("$.content.locArgs", 70003)),
        ({"pushType": "silent"}, ("$.content.pushType", 70003)),
        ({"liveActivity": {"event": "update"}}, ("$.content.liveActivity.contentState", 70004)),
        ({"body": "x", "apn": {"headers": {"apns-id": "1"}}}, ('$.content.apn.headers["apns-id"]', 70005)),
        ({"body": "x", "apn": {"headers": {"apns-priority": "7"}}}, ('$.content.apn.headers["apns-priority"]', 70003)),
        ({"body": "x", "apn": {"headers": {"apns-topic": "a b"}}}, ('$.content.apn.headers["apns-topic"]', 70003)),
        ({"body": "x", "apn": {"headers": {"apns-topic": "a.b\n"}}}, ('$.content.apn.headers["apns-topic"]', 70003)),
        ({"body": "x", "apn": {"headers": {"apns-expiration": "\u0661"}}}, EXPIRATION),
        ({"body": "x", "apn": {"headers": {"apns-expiration": "1\n"}}}, EXPIRATION),
        ({"body": "x", "apn": {"headers": {"apns-expiration": "1" * 16}}}, EXPIRATION),
        ({"apn": {"payload": "{}"}}, ("$.content.apn.payload", 70003)),
        ({"pushType": "background", "body": "x"}, ("$.content.body", 70003)),
        ({"body": "{{ x | nope }}"}, ("$.content.body", 70014)),
        ({"body": "x", "data": {"u": ["{% if %}"]}}, ("$.content.data.u[0]", 70014)),
    ],
)
async def test_a_bad_content_is_named(service: Service, content: dict[str, Any], expected: tuple[str, int]) -> None:
    """TW-32: One past each edge, and what does not go together: the field and the code."""
    await service.app_named()
    assert await errors_of(service, content) == [expected]


async def test_an_unknown_header_is_refused_with_the_list(service: Service) -> None:
    """The message says which headers there are."""
    await service.app_named()
    answer = await send(service, {"body": "x", "apn": {"headers": {"authorization": "bearer x"}}})
    (error,) = answer.json()["errors"]
    for name in ("apns-collapse-id", "apns-expiration", "apns-priority", "apns-push-type", "apns-topic"):
        assert name in error["message"]


async def test_the_push_type_chooses_the_priority_unless_the_caller_insists(service: Service) -> None:
    """Background without a priority is LOW; HIGH is a 400 that says so."""
    await service.app_named()
    quiet = {"pushType": "background", "data": {"a": 1}}
    spec = await spec_of(service, quiet)
    assert (spec.push_type, spec.apns) == ("background", 5)
    assert (await spec_of(service, quiet, priority="LOW")).apns == 5
    answer = await send(service, quiet, priority="HIGH")
    assert answer.json()["detail"] == "$.priority: A background push takes LOW alone: say so or leave it out."
    (listed, *_) = (await service.get("")).json()["pushNotifications"]
    assert listed["priority"] == "LOW"


async def test_the_sound_that_is_shown_is_the_one_that_plays(service: Service) -> None:
    """The content's, by name, before the send's."""
    await service.app_named()
    shown = []
    for content in ({"body": "x"}, {"body": "x", "sound": "mine"}, {"body": "x", "sound": {"name": "loud"}}):
        await send(service, content, sound="send")
        service.clock.advance(1)
        shown.append((await service.get("")).json()["pushNotifications"][0]["sound"])
    assert shown == ["send", "mine", "loud"]


@pytest.mark.parametrize(("push_type", "limit"), [("alert", 4096), ("voip", 5120)])
async def test_the_limit_is_that_of_the_push_type(service: Service, push_type: str, limit: int) -> None:
    """SIZE-1: at the limit it is accepted, one byte over it is a 400 with both numbers; a raw payload alike."""
    await service.app_named()
    for raw in (False, True):
        text = "x"
        aps = {"alert": {"body": text}}
        room = limit - len(msgspec.json.encode({"aps": aps}))
        for more, status in ((room, 202), (room + 1, 400)):
            alert = {"body": text + "x" * more}
            content = {"pushType": push_type, **({"apn": {"payload": {"aps": {"alert": alert}}}} if raw else alert)}
            answer = await send(service, content)
            assert answer.status_code == status, (raw, more)
        assert answer.json()["code"] == 70013
        assert f"{limit + 1} bytes; the limit is {limit} for {push_type}" in answer.json()["detail"]


async def test_a_field_s_meaning_is_in_the_document(service: Service) -> None:
    """Every field of a content says what the phone does, and that it is ours."""
    schemas = (await service.client.get("/openapi.json")).json()["components"]["schemas"]
    fields = schemas["Content"]["properties"]
    assert fields["threadId"]["x-basis"] == "ours"
    assert "x-basis" not in fields["body"]
    silent = [name for name in fields if "description" not in str(fields[name]) and not name.endswith("LocArgs")]
    assert [name for name in silent if "$ref" not in str(fields[name]) and name != "locArgs"] == []


@pytest.mark.parametrize("expiration", ["253402300799", "253402300800", 2**53 - 1])
async def test_an_expiration_past_all_dates_spoils_no_list(service: Service, expiration: str | int) -> None:
    """What no date can say is shown as the last that can: one send must not take the list of all from everybody."""
    await service.app_named()
    content = {"body": "x", "apn": {"headers": {"apns-expiration": expiration}}}
    answer = await service.post("", {"to": [{"token": TOKEN, "provider": "APN"}], "content": content})
    assert answer.status_code == 202, answer.text
    listed = await service.get("/Operations")
    assert [each["expiresAt"] for each in listed.json()["operations"]] == ["9999-12-31T23:59:59Z"]
    found = await service.get(f"/Operations/{answer.json()['operationId']}")
    assert found.json()["expiresAt"] == "9999-12-31T23:59:59Z"
