"""What callers learn about operations and notifications, while a worker writes outcomes."""

from __future__ import annotations

from typing import Any

import pytest
from support.service import TOKEN, Service

from heliogram.domain import ids
from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}


async def send(service: Service, to: list[dict[str, Any]], **more: Any) -> str:
    """Sends; the operation's id."""
    answer = await service.post("", {"to": to, "content": {"title": "T", "body": "Hello {{ name }}"}, **more})
    assert answer.status_code == 202, answer.text
    ident: str = answer.json()["operationId"]
    return ident


def record(service: Service, sequence: int, outcome: Outcome, **more: Any) -> DeliveryRecord:
    """A final record of a direct token."""
    fields: dict[str, Any] = {"slot": 0, "final": True, "at": service.clock.ms, "token": bytes.fromhex(TOKEN), **more}
    return DeliveryRecord(sequence=sequence, outcome=outcome, **fields)


async def work(service: Service, records: list[DeliveryRecord], counts: Counts, *, done: bool = True) -> None:
    """Plays the worker of the one chunk there is."""
    now = service.clock.ms
    (chunk,) = await service.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 60_000, worker="w")
    assert await service.store.append_records(chunk, records, counts)
    if done:
        assert await service.store.finish(chunk, now)


async def notifications(service: Service, **params: Any) -> list[dict[str, Any]]:
    """The notifications of a list."""
    answer = await service.get("", **params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["pushNotifications"]
    return found


async def test_a_notification_is_queued_until_it_has_an_outcome(service: Service) -> None:
    """TW-29, TW-39: Right after the 202 it is there, with its content as sent and without deliveries."""
    await service.app_named()
    operation = await send(service, [{**DIRECT, "variables": {"name": "Ann"}}], sound="ping.aiff")
    (listed,) = await notifications(service)
    single = (await service.get(f"/{listed['id']}")).json()
    assert single == {
        "id": listed["id"],
        "operationId": operation,
        "to": {"token": TOKEN, "provider": "APN"},
        "from": {"appName": "shop"},
        "status": "QUEUED",
        "unaddressable": False,
        "priority": "HIGH",
        "sound": "ping.aiff",
        "tags": {},
        "schedule": None,
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
        "content": {"body": "Hello {{ name }}", "title": "T"},
        "deliveries": [],
    }
    assert {**listed, "content": single["content"], "deliveries": []} == single


async def test_an_accepted_notification_tells_all_about_its_delivery(service: Service) -> None:
    """TW-39, OWN-39: Token, environment, credential, apns-id, apns-unique-id, attempt, outcome, status and times."""
    credential = await service.app_named()
    operation = await send(service, [DIRECT])
    done = record(
        service,
        0,
        Outcome.ACCEPTED,
        status=200,
        unique_id="0f1e",
        environment=Environment.PRODUCTION,
        credential=ids.decode(ids.CREDENTIAL, credential),
        queued_ms=12,
        wire_ms=34,
    )
    await work(service, [done], Counts(sent=1))
    (listed,) = await notifications(service, include="deliveries")
    assert (listed["status"], listed["from"]) == ("SENT", {"apn": credential})
    apns_id = ids.uuid_text(ids.notification_id(ids.decode(ids.OPERATION, operation), 0))
    assert listed["deliveries"] == [
        {
            "token": TOKEN,
            "provider": "APN",
            "environment": "production",
            "credentialId": credential,
            "apnsId": apns_id,
            "apnsUniqueId": "0f1e",
            "attempt": 1,
            "outcome": "ACCEPTED",
            "final": True,
            "status": 200,
            "reason": None,
            "timestamp": None,
            "at": "2027-01-15T08:00:00.000Z",
            "retryAt": None,
            "queuedMs": 12,
            "wireMs": 34,
        }
    ]
    state = (await service.get(f"/Operations/{operation}")).json()
    assert (state["status"], state["stats"]["sent"], state["stats"]["queued"]) == ("COMPLETED", 1, 0)


async def test_a_refusal_carries_the_provider_s_reason(service: Service) -> None:
    """TW-72: Status, reason and the time at which APNs says the token died."""
    await service.app_named()
    await send(service, [DIRECT])
    dead = record(service, 0, Outcome.REJECTED, status=410, reason="Unregistered", timestamp=1_700_000_000_123)
    await work(service, [dead], Counts(failed=1))
    (listed,) = await notifications(service, include="deliveries")
    (delivery,) = listed["deliveries"]
    assert listed["status"] == "FAILED"
    assert (delivery["status"], delivery["reason"]) == (410, "Unregistered")
    assert delivery["timestamp"] == "2023-11-14T22:13:20.123Z"


async def test_one_notification_covers_all_devices_of_a_user(service: Service) -> None:
    """TW-45: One accepted device makes it SENT; each device has its own apns-id, and any of them finds it."""
    await service.app_named()
    user = await service.user()
    operation = ids.decode(ids.OPERATION, await send(service, [{"userId": user}]))
    records = [
        record(service, 0, Outcome.REJECTED, slot=1, of=2, status=400, reason="BadDeviceToken"),
        record(service, 0, Outcome.ACCEPTED, slot=2, of=2, status=200),
    ]
    await work(service, records, Counts(sent=1))
    (listed,) = await notifications(service, include="deliveries", user=user)
    assert (listed["status"], listed["to"]) == ("SENT", {"userId": user})
    assert [each["apnsId"] for each in listed["deliveries"]] == [
        ids.uuid_text(ids.notification_id(operation, 0, slot)) for slot in (1, 2)
    ]
    by_device = ids.encode(ids.NOTIFICATION, ids.notification_id(operation, 0, 2))
    assert (await service.get(f"/{by_device}")).json()["id"] == listed["id"]


async def test_a_user_without_devices_is_unaddressable(service: Service) -> None:
    """TW-46: FAILED, marked, counted apart, and without deliveries."""
    await service.app_named()
    user = await service.user()
    operation = await send(service, [{"userId": user}])
    nowhere = record(service, 0, Outcome.UNADDRESSABLE, token=b"")
    await work(service, [nowhere], Counts(unaddressable=1))
    (listed,) = await notifications(service, include="deliveries")
    assert (listed["status"], listed["unaddressable"], listed["deliveries"]) == ("FAILED", True, [])
    stats = (await service.get(f"/Operations/{operation}")).json()["stats"]
    assert (stats["unaddressable"], stats["failed"], stats["total"]) == (1, 0, 1)


async def test_notifications_are_filtered(service: Service) -> None:
    """TW-37, TW-38, TW-45: By operation, status, user, provider and device token, alone and together."""
    await service.app_named()
    user = await service.user()
    first = await send(service, [DIRECT, {"userId": user}, {"token": "fcm1", "provider": "FCM"}])
    records = [record(service, 0, Outcome.ACCEPTED, status=200), record(service, 1, Outcome.REJECTED, status=400)]
    await work(service, records, Counts(sent=1, failed=1), done=False)
    service.clock.advance(60)
    second = await send(service, [DIRECT])
    base = ids.decode(ids.OPERATION, first)
    names = {ids.encode(ids.NOTIFICATION, ids.notification_id(base, n)): n for n in range(3)}
    names[ids.encode(ids.NOTIFICATION, ids.notification_id(ids.decode(ids.OPERATION, second), 0))] = 3

    async def found(**params: Any) -> list[int]:
        return [names[each["id"]] for each in await notifications(service, **params)]

    assert await found() == [3, 0, 1, 2]
    assert await found(operationId=first) == [0, 1, 2]
    assert await found(operationId=second) == [3]
    assert await found(status="SENT") == [0]
    assert await found(status="FAILED") == [1]
    assert await found(status="QUEUED") == [3, 2]
    assert await found(user=user) == [1]
    assert await found(provider="FCM") == [2]
    assert await found(token=TOKEN.upper()) == [3, 0, 1]
    assert await found(token=TOKEN, status="FAILED", user=user) == [1]
    assert await found(token="fcm1") == [2]
    assert await found(token="cd" * 32) == []
    assert await found(operationId=first, status="QUEUED", provider="FCM") == [2]
    assert await found(endDate="2027-01-15T08:01:00Z") == [0, 1, 2]
    assert await found(operationId=ids.encode(ids.OPERATION, service.state.ids.new())) == []


async def test_pages_lead_through_all_notifications(service: Service) -> None:
    """Each once, in order, the filters carried by the token."""
    await service.app_named()
    await send(service, [{"token": f"{n:064x}", "provider": "APN"} for n in range(7)])
    params: dict[str, Any] = {"pageSize": 3, "provider": "APN"}
    seen: list[int] = []
    while True:
        body = (await service.get("", **params)).json()
        seen += [int(each["to"]["token"], 16) for each in body["pushNotifications"]]
        if body["pagination"]["next"] is None:
            break
        params = {"pageSize": 3, "pageToken": body["pagination"]["next"]}
    assert seen == list(range(7))


async def test_operations_are_listed_and_filtered(service: Service) -> None:
    """TW-44: Newest first, by status and date."""
    await service.app_named()
    first = await send(service, [DIRECT])
    await work(service, [record(service, 0, Outcome.ACCEPTED)], Counts(sent=1))
    service.clock.advance(60)
    second = await send(service, [DIRECT])

    async def found(**params: Any) -> list[str]:
        return [each["id"] for each in (await service.get("/Operations", **params)).json()["operations"]]

    assert await found() == [second, first]
    assert await found(status="COMPLETED") == [first]
    assert await found(status="PROCESSING") == [second]
    assert await found(startDate="2027-01-15T08:01:00Z") == [second]


@pytest.mark.parametrize(
    "params",
    [
        {"operationId": "x"},
        {"user": "comms_operation_" + "0" * 26},
        {"status": "DELIVERED"},
        {"provider": "apn"},
        {"include": "content"},
        {"token": "no token"},
        {"token": ""},
        {"pageSize": "0"},
        {"pageSize": "1001"},
        {"pageToken": "x"},
        {"color": "red"},
    ],
)
async def test_a_filter_that_cannot_be_is_a_400(service: Service, params: dict[str, str]) -> None:
    """Unknown and impossible filters are refused by name."""
    answer = await service.get("", **params)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"] == f"query.{next(iter(params))}"


async def test_literal_segments_win_over_ids(service: Service) -> None:
    """TW-24: `Operations`, `Apps`, `Credentials` and `DeviceRegistrations` are no notification ids."""
    assert "operations" in (await service.get("/Operations")).json()
    assert "apps" in (await service.get("/Apps")).json()
    assert "credentials" in (await service.get("/Credentials")).json()
    assert (await service.get("/DeviceRegistrations")).json()["errors"][0]["context"] == "query.userId"


async def test_what_does_not_exist_is_a_404(service: Service) -> None:
    """Unknown and impossible ids alike."""
    for ident in (ids.encode(ids.NOTIFICATION, service.state.ids.new()), "x", "comms_pushnotification_x"):
        assert (await service.get(f"/{ident}")).json()["code"] == 20404
    for ident in (ids.encode(ids.OPERATION, service.state.ids.new()), "x"):
        assert (await service.get(f"/Operations/{ident}")).json()["code"] == 20404


async def test_an_id_past_the_last_recipient_is_a_404(service: Service) -> None:
    """The 14 bits of a sequence reach further than the operation."""
    await service.app_named()
    operation = ids.decode(ids.OPERATION, await send(service, [DIRECT]))
    beyond = ids.encode(ids.NOTIFICATION, ids.notification_id(operation, 1))
    assert (await service.get(f"/{beyond}")).status_code == 404


async def test_an_operation_tells_why_notifications_failed(service: Service) -> None:
    """TW-47, OWN-21: Code, reason and cure of each failed recipient, in order; accepted ones are not among them."""
    await service.app_named()
    user = await service.user()
    fcm = {"token": "fcm1", "provider": "FCM"}
    operation = await send(service, [DIRECT, DIRECT, {"userId": user}, fcm, DIRECT, DIRECT, DIRECT])
    records = [
        record(service, 0, Outcome.ACCEPTED, status=200),
        record(service, 1, Outcome.REJECTED, status=410, reason="Unregistered"),
        record(service, 2, Outcome.UNADDRESSABLE, token=b""),
        record(
            service, 3, Outcome.NOT_SENT, token=b"fcm1", provider=ProviderName.FCM, reason="FCM is not supported yet"
        ),
        record(service, 4, Outcome.NOT_SENT, reason="expired"),
        record(service, 5, Outcome.UNKNOWN, reason="connection lost"),
        record(service, 6, Outcome.REJECTED, status=503, reason="ServiceUnavailable"),
    ]
    await work(service, records, Counts(sent=1, failed=5, unaddressable=1))
    body = (await service.get(f"/Operations/{operation}/Errors")).json()
    base = ids.decode(ids.OPERATION, operation)
    assert [(each["notificationId"], each["code"], each["reason"]) for each in body["errors"]] == [
        (ids.encode(ids.NOTIFICATION, ids.notification_id(base, sequence)), code, reason)
        for sequence, code, reason in (
            (1, 70101, "Unregistered"),
            (2, 70100, "Unaddressable"),
            (3, 70050, "FCM is not supported yet"),
            (4, 70102, "expired"),
            (5, 70103, "connection lost"),
            (6, 70101, "ServiceUnavailable"),
        )
    ]
    assert "taken out" in body["errors"][0]["cure"]
    assert all(each["cure"] for each in body["errors"])
    assert [each["rule"] for each in body["errors"]] == ["ERR-1", None, None, None, None, "ERR-3"]
    assert body["pagination"]["next"] is None
    first = body["errors"][0]
    told = (await service.get(f"/{first.pop('notificationId')}")).json()
    assert told["failure"] == first
    sent = ids.encode(ids.NOTIFICATION, ids.notification_id(base, 0))
    assert "failure" not in (await service.get(f"/{sent}")).json()


@pytest.mark.parametrize(
    ("status", "reason", "word"),
    [
        (400, "BadDeviceToken", "environment"),
        (403, "SomethingNew", "credential"),
        (410, "SomethingNew", "dead"),
        (413, "PayloadTooLarge", "shorten"),
        (429, "SomethingNew", "fewer"),
        (500, "SomethingNew", "later"),
        (418, "SomethingNew", "reason"),
    ],
)
async def test_every_refusal_has_a_cure(service: Service, status: int, reason: str, word: str) -> None:
    """Known reasons by name, new ones by their status."""
    await service.app_named()
    operation = await send(service, [DIRECT])
    await work(service, [record(service, 0, Outcome.REJECTED, status=status, reason=reason)], Counts(failed=1))
    (failure,) = (await service.get(f"/Operations/{operation}/Errors")).json()["errors"]
    assert word in failure["cure"]


async def test_the_errors_of_no_operation_are_a_404(service: Service) -> None:
    """An operation that does not exist has no list."""
    nobody = ids.encode(ids.OPERATION, service.state.ids.new())
    assert (await service.get(f"/Operations/{nobody}/Errors")).status_code == 404
