"""Sending: what is accepted, what is refused, and what is on disk afterwards."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from support.service import TOKEN, Service

from heliogram.domain import ids
from heliogram.domain.notifications import Recipient
from heliogram.domain.operations import Lane

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}


def new_send(**changes: Any) -> dict[str, Any]:
    """A body that is accepted, but for the changes (None removes)."""
    body = {"to": [DIRECT], "content": {"body": "Hello"}, **changes}
    return {name: value for name, value in body.items() if value is not None}


async def claimed(service: Service, lane: Lane = Lane.TX) -> list[Recipient]:
    """What a worker finds in a lane."""
    now = service.clock.ms
    leased = await service.store.claim(lane, 0, limit=100, now=now, until=now + 60_000, worker="w")
    return [each for chunk in sorted(leased, key=lambda chunk: chunk.first) for each in chunk.recipients]


async def errors_of(service: Service, body: dict[str, Any], status: int = 400) -> list[tuple[str, int]]:
    """The errors of a send that must be refused; and nothing was stored."""
    answer = await service.post("", body)
    assert answer.status_code == status, answer.text
    assert (await service.get("/Operations")).json()["operations"] == []
    return [(each.get("context", ""), each["code"]) for each in answer.json()["errors"]]


async def test_a_send_answers_a_pointer_to_its_operation(service: Service) -> None:
    """202 with operationId and operationLocation, the same in the headers; the operation is there."""
    await service.app_named()
    answer = await service.post("", new_send())
    assert answer.status_code == 202
    ident = answer.json()["operationId"]
    assert re.fullmatch(r"comms_operation_[0-7][0-9a-hjkmnp-tv-z]{25}", ident)
    location = f"http://heliogram.test/v1/PushNotifications/Operations/{ident}"
    assert answer.json() == {"operationId": ident, "operationLocation": location}
    assert answer.headers["operation-id"] == ident
    assert answer.headers["operation-location"] == answer.headers["location"] == location
    assert (await service.client.get(location)).json() == {
        "id": ident,
        "status": "PROCESSING",
        "stats": {
            "total": 1,
            "recipients": 1,
            "unaddressable": 0,
            "scheduled": 0,
            "queued": 1,
            "sent": 0,
            "failed": 0,
            "canceled": 0,
        },
        "schedule": None,
        "tags": {},
        "expiresAt": None,
        "canceledAt": None,
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
    }


async def test_an_address_carries_the_version_that_was_asked(service: Service) -> None:
    """A caller of /preview stays there."""
    await service.app_named()
    answer = await service.client.post("/preview/PushNotifications", json=new_send())
    assert "/preview/PushNotifications/Operations/" in answer.json()["operationLocation"]


async def test_workers_find_what_was_accepted(service: Service) -> None:
    """TW-26, TW-27: Tokens, users and variables reach the queue as they were given."""
    await service.app_named()
    user = await service.user()
    variables = {"name": "Ann", "n": 3, "x": 1.5, "yes": True, "none": None}
    to = [DIRECT, {"userId": user, "variables": variables}, {"token": "fcm1", "provider": "FCM"}]
    await service.post("", new_send(to=to))
    raw = bytes.fromhex(TOKEN)
    found = await claimed(service)
    assert [(each.token, each.user, each.provider.value, each.variables) for each in found] == [
        (raw, b"", "APN", None),
        (b"", ids.decode(ids.USER, user), "APN", variables),
        (b"fcm1", b"", "FCM", None),
    ]


async def test_a_waiting_worker_is_woken(service: Service) -> None:
    """A send does not wait for the queue's next look."""
    await service.app_named()
    worker = asyncio.create_task(service.queue.lease([Lane.TX], 1))
    await service.clock.timer_set()
    await service.post("", new_send())
    (chunk,) = await worker
    assert [each.token.hex() for each in chunk.recipients] == [TOKEN]


@pytest.mark.parametrize(("count", "lane"), [(100, Lane.TX), (101, Lane.BULK), (10_000, Lane.BULK)])
async def test_large_sends_travel_in_the_bulk_lane(service: Service, count: int, lane: Lane) -> None:
    """Up to 100 recipients go first; 10,000 are accepted in one request, in their order."""
    await service.app_named()
    to = [{"token": f"{number:064x}", "provider": "APN"} for number in range(count)]
    assert (await service.post("", new_send(to=to))).status_code == 202
    found = await claimed(service, lane)
    assert [int.from_bytes(each.token, "big") for each in found] == list(range(count))


@pytest.mark.parametrize(("count", "code"), [(0, 70010), (10_001, 70011)])
async def test_the_number_of_recipients_is_bounded(service: Service, count: int, code: int) -> None:
    """TW-25: None and 10,001 are refused, each with its code."""
    await service.app_named()
    assert await errors_of(service, new_send(to=[DIRECT] * count)) == [("$.to", code)]


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ({}, ("$.to[1]", 70004)),
        ({"token": TOKEN}, ("$.to[1].provider", 70004)),
        ({"provider": "APN"}, ("$.to[1].token", 70004)),
        ({"token": TOKEN, "provider": "SMS"}, ("$.to[1].provider", 70003)),
        ({"token": "zz" * 32, "provider": "APN"}, ("$.to[1].token", 70012)),
        ({"token": "a" * 63, "provider": "APN"}, ("$.to[1].token", 70012)),
        ({"userId": "bob"}, ("$.to[1].userId", 70003)),
        ({**DIRECT, "userId": "bob"}, ("$.to[1]", 70003)),
        ({**DIRECT, "variables": {"a": {"b": {"c": {}}}}}, ("$.to[1].variables.a.b.c", 70003)),
        ({**DIRECT, "variables": {"a b": [[[]]]}}, ('$.to[1].variables["a b"][0][0]', 70003)),
        ({"externalId": "ann", "userId": "bob"}, ("$.to[1]", 70003)),
        ({**DIRECT, "externalId": "ann"}, ("$.to[1]", 70003)),
        ({"externalId": ""}, ("$.to[1].externalId", 70003)),
        ({**DIRECT, "variables": {"a": 2**63}}, ("$.to[1].variables.a", 70003)),
        ({**DIRECT, "deviceRegistrationId": "x"}, ("$.to[1].deviceRegistrationId", 70005)),
    ],
)
async def test_a_bad_recipient_is_named(service: Service, recipient: dict[str, Any], expected: tuple[str, int]) -> None:
    """TW-26: Which recipient, which field, and the code."""
    await service.app_named()
    assert await errors_of(service, new_send(to=[DIRECT, recipient])) == [expected]


async def test_several_problems_come_in_one_answer(service: Service) -> None:
    """Recipients, sender and content are judged together."""
    await service.app_named()
    body = new_send(
        to=[{"token": "zz", "provider": "APN"}, DIRECT, {"userId": "bob"}],
        content={"body": "{{ a | nope }}", "title": "{% if %}"},
        **{"from": {"appName": "shop", "apn": "x"}},
    )
    assert await errors_of(service, body) == [
        ("$.to[0].token", 70012),
        ("$.to[2].userId", 70003),
        ("$.from", 70003),
        ("$.content.title", 70014),
        ("$.content.body", 70014),
    ]


async def test_the_first_twenty_problems_are_told(service: Service) -> None:
    """A send of ten thousand bad recipients answers twenty errors."""
    await service.app_named()
    found = await errors_of(service, new_send(to=[{"token": "zz", "provider": "APN"}] * 10_000))
    assert found == [(f"$.to[{index}].token", 70012) for index in range(20)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"content": None}, ("$.content", 70004)),
        ({"content": {}}, ("$.content.body", 70004)),
        ({"content": {"body": ""}}, ("$.content.body", 70003)),
        ({"content": {"body": "x", "subTitle": "y"}}, ("$.content.subTitle", 70005)),
        ({"to": None}, ("$.to", 70004)),
        ({"priority": "high"}, ("$.priority", 70003)),
        ({"sound": ""}, ("$.sound", 70003)),
        ({"sound": "x" * 256}, ("$.sound", 70003)),
        ({"badge": 1}, ("$.badge", 70005)),
        ({"from": {}}, ("$.from", 70004)),
        ({"from": {"senderId": "x"}}, ("$.from.senderId", 70005)),
        ({"from": {"apn": "x"}}, ("$.from.apn", 70003)),
    ],
)
async def test_a_bad_field_is_named(service: Service, changes: dict[str, Any], expected: tuple[str, int]) -> None:
    """Unknown fields are refused, not ignored."""
    await service.app_named()
    assert await errors_of(service, new_send(**changes)) == [expected]


async def test_unknown_users_are_a_404_that_names_them(service: Service) -> None:
    """OWN-28: Every unknown user is named with its place; nothing is sent to the known ones."""
    await service.app_named()
    known = await service.user()
    nobody = ids.encode(ids.USER, service.state.ids.new())
    body = new_send(to=[{"userId": nobody}, {"userId": known}, DIRECT, {"userId": nobody}])
    assert await errors_of(service, body, 404) == [("$.to[0].userId", 70022), ("$.to[3].userId", 70022)]
    assert nobody in (await service.post("", body)).json()["detail"]


async def test_without_any_app_there_is_nothing_to_send_with(service: Service) -> None:
    """The first send before the first credential says what to do."""
    assert await errors_of(service, new_send()) == [("$.from", 70023)]


async def test_the_sender_may_be_an_app_or_credentials(service: Service) -> None:
    """TW-34, TW-35, TW-36: Absent: the default app; by name: that app; by credential: its app and that credential."""
    await service.app_named("shop")
    bank = await service.app_named("bank")
    sandbox = await service.app_named("bank", "APN_SANDBOX")
    for sender, app_name, apn in (
        (None, "shop", None),
        ({"appName": "bank"}, "bank", None),
        ({"apn": bank}, "bank", bank),
        ({"apn": sandbox}, "bank", sandbox),
        ({"appName": "bank", "apn": None}, "bank", None),
    ):
        answer = await service.post("", new_send(**{"from": sender}))
        assert answer.status_code == 202, answer.text
        ident = ids.decode(ids.OPERATION, answer.json()["operationId"])
        operation = await service.store.get_operation(service.account, ident)
        assert operation is not None
        assert operation.spec.app_name == app_name
        assert operation.spec.apn == (apn and ids.decode(ids.CREDENTIAL, apn))


async def test_a_sender_that_does_not_exist_is_a_404(service: Service) -> None:
    """An unknown app or credential is named by its field."""
    await service.app_named()
    nobody = ids.encode(ids.CREDENTIAL, service.state.ids.new())
    unknown_app = new_send(**{"from": {"appName": "nope"}})
    assert await errors_of(service, unknown_app, 404) == [("$.from.appName", 70020)]
    unknown = new_send(**{"from": {"apn": nobody, "fcm": nobody}})
    assert await errors_of(service, unknown, 404) == [("$.from.apn", 70021), ("$.from.fcm", 70021)]


async def test_a_credential_must_go_with_its_field(service: Service) -> None:
    """TW-35: An APN credential cannot stand in `fcm`, and two apps cannot send together."""
    shop, bank = await service.app_named("shop"), await service.app_named("bank")
    found = await errors_of(service, new_send(**{"from": {"apn": shop, "fcm": bank}}))
    assert found == [("$.from.fcm", 70003), ("$.from", 70003)]


async def test_an_oversized_payload_is_refused_with_its_size(service: Service) -> None:
    """The limit is exact: 4,096 bytes of payload pass, one more does not, and both numbers are told (SIZE-1)."""
    await service.app_named()
    overhead = len(msgspec.json.encode({"aps": {"alert": {"body": ""}}}))
    fits = new_send(content={"body": "x" * (4096 - overhead)})
    assert (await service.post("", fits)).status_code == 202
    answer = await service.post("", new_send(content={"body": "x" * (4097 - overhead)}))
    assert (answer.status_code, answer.json()["code"]) == (400, 70013)
    assert "4097 bytes" in answer.json()["detail"]
    assert "limit is 4096" in answer.json()["detail"]


@pytest.mark.parametrize(("length", "status"), [(16_384, 202), (16_385, 400)])
async def test_a_text_has_a_bound_however_little_it_renders(service: Service, length: int, status: int) -> None:
    """16,384 characters are read, one more is not: the limit of the payload and the size are told."""
    await service.app_named()
    body = ("{{ a }}" * 2340).ljust(length, "x")
    assert len(body) == length
    answer = await service.post("", new_send(content={"body": body}))
    assert answer.status_code == status
    if status == 400:
        assert [(each["context"], each["code"]) for each in answer.json()["errors"]] == [("$.content.body", 70013)]
        assert f"{len(body)} characters; a text may have 16384" in answer.json()["detail"]


async def test_variables_may_make_a_payload_too_large_later(service: Service) -> None:
    """OWN-14: Only the literal text counts here; what a variable adds fails its own recipient alone."""
    await service.app_named()
    to = [{**DIRECT, "variables": {"name": "x" * 5000}}]
    assert (await service.post("", new_send(to=to, content={"body": "{{ name }}"}))).status_code == 202


async def test_a_body_over_the_limit_is_a_413(service: Service) -> None:
    """OWN-9: 16 MiB by default."""
    answer = await service.client.post("/v1/PushNotifications", content=b" " * (16 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, 70060)
    assert "16777216 bytes" in answer.json()["detail"]


async def test_a_body_that_is_not_json_is_a_400(service: Service) -> None:
    """Malformed, empty and mistyped bodies say so."""
    for raw in (b"", b"{", b"[]", b'"x"', b"\xff"):
        answer = await service.client.post("/v1/PushNotifications", content=raw)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"


async def test_when_the_store_fails_nobody_is_told_that_it_was_accepted(service: Service) -> None:
    """A send whose operation is not on disk is a 503 that asks to come back."""
    await service.app_named()
    await service.get("/Apps")
    await service.store.close()
    answer = await service.post("", new_send())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_without_a_good_credential_nothing_is_taken(service: Service) -> None:
    """An app whose credentials were all revoked sends to nobody: users as well as tokens, and in a trial."""
    credential = await service.app_named()
    user = await service.user()
    await service.post(f"/Credentials/{credential}/revoke", None)
    for changes in ({"to": [{"userId": user}]}, {"to": [DIRECT, {"userId": user}], "validateOnly": True}):
        assert await errors_of(service, new_send(**changes)) == [("$.from", 70023)]
