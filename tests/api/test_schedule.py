"""Scheduled sends, their end, and cancelling over the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.service import TOKEN, Service

from heliogram.api.schedule import GRACE_MS, MAX_AHEAD_MS, MAX_TTL, ScheduleIn, Timing, read_timing
from heliogram.domain.notifications import NOT_STORED
from heliogram.domain.operations import Lane

NOW = 1_800_000_000_000
"""2027-01-15T08:00:00Z, where the service's clock stands."""
TODAY = "2027-01-15T10:00:00+01:00"


def text_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def timing(
    send_at: str | list[str] | None = None, ttl: int | None = None, expires_at: str | None = None
) -> tuple[Timing, list[tuple[str, int]]]:
    given = [send_at] if isinstance(send_at, str) else send_at
    schedule = None if given is None else ScheduleIn(send_at=given)
    found, problems = read_timing(schedule, ttl, expires_at, NOW)
    return found, [(problem.path, problem.code) for problem in problems]


def test_without_anything_it_is_sent_now() -> None:
    """And has no end of its own."""
    assert timing() == (Timing(), [])


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-15T10:00:00+01:00",
        "2027-01-15T09:00:00Z",
        "2027-01-15t04:00:00.000-05:00",
        "2027-01-15T09:00:00.0000000Z",
        "2027-01-15T09:00:00.000000999Z",
    ],
)
def test_a_time_with_its_offset_is_a_moment(text: str) -> None:
    """The text is kept as it was given."""
    assert timing(text) == (Timing(send_at=NOW + 3_600_000, send_at_text=text), [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2027-01-15",
        "2027-01-15T10:00:00",
        "2027-01-15T10:00+01:00",
        "2027-01-15 10:00:00Z",
        "2027-01-15T10:00:00.0000000000Z",
        "2027-02-30T10:00:00Z",
        "2027-01-15T24:01:00Z",
        "2027-01-15T10:00:60Z",
        "2027-01-15T10:00:00+25:00",
        "0000-01-15T10:00:00Z",
        "2027-01-15T10:00:00Z\n",
        "٢٠٢٧-01-15T10:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With the schedule's own code."""
    assert timing(text)[1] == [("$.schedule.sendAt[0]", 70081)]


def test_a_missing_offset_is_named_with_its_cure() -> None:
    """No time zone of a recipient is known, so none is guessed."""
    _, (problem,) = read_timing(ScheduleIn(send_at=["2027-01-15T10:00:00"]), None, None, NOW)
    assert "the offset is missing" in problem.message
    assert "+01:00" in problem.message


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_exactly_one_time(count: int) -> None:
    """An array all the same, as its siblings have it."""
    assert timing([TODAY] * count)[1] == [("$.schedule.sendAt", 70081)]


def test_a_time_may_have_just_passed() -> None:
    """Five seconds of grace, for clocks that differ; it is then sent at once."""
    late = NOW - GRACE_MS
    assert timing(text_of(late))[0].send_at == late
    assert timing(text_of(late - 1))[1] == [("$.schedule.sendAt[0]", 70081)]


def test_a_time_is_at_most_thirty_days_ahead() -> None:
    """To the millisecond."""
    assert timing(text_of(NOW + MAX_AHEAD_MS))[0].send_at == NOW + MAX_AHEAD_MS
    assert timing(text_of(NOW + MAX_AHEAD_MS + 1))[1] == [("$.schedule.sendAt[0]", 70081)]


def test_a_time_to_live_counts_from_the_send_time() -> None:
    """Be that now or later; 0 stands for itself."""
    assert timing(ttl=60)[0].expires_at == NOW + 60_000
    assert timing(TODAY, ttl=60)[0].expires_at == NOW + 3_660_000
    assert timing(TODAY, ttl=0)[0].expires_at == NOT_STORED


def test_an_end_is_later_than_the_send_time() -> None:
    """By a millisecond at least, and by 30 days at most."""
    start = NOW + 3_600_000
    for moment in (start + 1, start + MAX_TTL * 1000):
        assert timing(TODAY, expires_at=text_of(moment))[0].expires_at == moment
    for moment in (NOW, start, start + MAX_TTL * 1000 + 1):
        assert timing(TODAY, expires_at=text_of(moment))[1] == [("$.expiresAt", 70003)]
    assert timing(expires_at="2027-01-15T10:00:00")[1] == [("$.expiresAt", 70003)]


def test_all_that_is_wrong_is_told_at_once() -> None:
    """The schedule, and two ends beside each other."""
    assert timing("x", ttl=1, expires_at="y")[1] == [("$.schedule.sendAt[0]", 70081), ("$.ttl", 70003)]


# --- over HTTP


async def scheduled(service: Service, recipients: int = 1, **more: Any) -> str:
    """An operation for ten o'clock (an hour from now)."""
    to = [{"token": f"{number:064x}", "provider": "APN"} for number in range(recipients)]
    body = {"to": to, "content": {"body": "x"}, "schedule": {"sendAt": [TODAY]}, **more}
    answer = await service.post("", body)
    assert answer.status_code == 202, answer.text
    ident: str = answer.json()["operationId"]
    return ident


async def operation(service: Service, ident: str) -> dict[str, Any]:
    found: dict[str, Any] = (await service.get(f"/Operations/{ident}")).json()
    return found


async def notifications(service: Service, ident: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await service.get("", operationId=ident)).json()["pushNotifications"]
    return found


@pytest.mark.anyio
async def test_a_scheduled_send_is_shown_as_it_was_given(service: Service) -> None:
    """OWN-16: Offset and all, on the operation and on its notifications."""
    await service.app_named()
    ident = await scheduled(service, 2, ttl=3600, tags={"campaign": "spring"})
    told = await operation(service, ident)
    assert (told["status"], told["stats"]["scheduled"], told["stats"]["queued"]) == ("SCHEDULED", 2, 0)
    assert (told["schedule"], told["tags"]) == ({"sendAt": [TODAY]}, {"campaign": "spring"})
    assert (told["expiresAt"], told["canceledAt"]) == ("2027-01-15T10:00:00Z", None)
    for notification in await notifications(service, ident):
        assert (notification["status"], notification["schedule"]) == ("SCHEDULED", {"sendAt": [TODAY]})


@pytest.mark.anyio
async def test_what_is_not_stored_expires_as_it_leaves(service: Service) -> None:
    """`ttl: 0`."""
    await service.app_named()
    assert (await operation(service, await scheduled(service, ttl=0)))["expiresAt"] == "2027-01-15T09:00:00Z"


@pytest.mark.anyio
@pytest.mark.parametrize(("ttl", "status"), [(MAX_TTL, 202), (MAX_TTL + 1, 400), (-1, 400), (True, 400), ("60", 400)])
async def test_a_time_to_live_has_bounds(service: Service, ttl: object, status: int) -> None:
    """OWN-18: 0 to 30 days, a whole number."""
    await service.app_named()
    body = {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "x"}, "ttl": ttl}
    answer = await service.post("", body)
    assert answer.status_code == status
    if status == 400:
        assert [each["context"] for each in answer.json()["errors"]] == ["$.ttl"]


@pytest.mark.anyio
async def test_an_operation_is_canceled(service: Service) -> None:
    """OWN-17, OWN-20: 202 with the pointer to it, in body and headers, as often as it is asked for."""
    await service.app_named()
    ident = await scheduled(service, 3)
    for _ in range(2):
        answer = await service.post(f"/Operations/{ident}/cancel", {})
        location = f"http://heliogram.test/v1/PushNotifications/Operations/{ident}"
        assert answer.status_code == 202
        assert answer.json() == {"operationId": ident, "operationLocation": location}
        assert answer.headers["operation-id"] == ident
        assert answer.headers["operation-location"] == answer.headers["location"] == location
        service.clock.advance(1)
    told = await operation(service, ident)
    assert (told["status"], told["stats"]["canceled"]) == ("CANCELED", 3)
    assert (told["canceledAt"], told["updatedAt"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z")
    listed = (await service.get("/Operations", status="CANCELED")).json()["operations"]
    assert [each["id"] for each in listed] == [ident]


@pytest.mark.anyio
async def test_a_notification_is_canceled(service: Service) -> None:
    """OWN-17: 202 with the pointer to it, again and again; the others stay."""
    await service.app_named()
    ident = await scheduled(service, 2)
    _, second = await notifications(service, ident)
    for _ in range(2):
        answer = await service.delete(f"/{second['id']}")
        location = f"http://heliogram.test/v1/PushNotifications/{second['id']}"
        assert (answer.status_code, answer.headers["location"]) == (202, location)
        assert answer.json() == {"resourceId": second["id"], "resourceLocation": location}
    assert [each["status"] for each in await notifications(service, ident)] == ["SCHEDULED", "CANCELED"]
    told = await operation(service, ident)
    assert (told["stats"]["scheduled"], told["stats"]["canceled"]) == (1, 1)


@pytest.mark.anyio
async def test_what_has_left_cannot_be_canceled(service: Service) -> None:
    """A 409 with a code of its own: for what a worker holds, and for a completed operation."""
    await service.app_named()
    await scheduled(service)
    service.clock.advance(3600)
    (chunk,) = await service.queue.lease(list(Lane), 1)
    (held,) = (await service.get("")).json()["pushNotifications"]
    refused = await service.delete(f"/{held['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, 70080)
    assert await service.queue.done(chunk)
    refused = await service.post(f"/Operations/{held['operationId']}/cancel", {})
    assert (refused.status_code, refused.json()["code"]) == (409, 70080)


@pytest.mark.anyio
async def test_what_is_not_there_cannot_be_canceled(service: Service) -> None:
    """404 for unknown ids and for texts that are none."""
    unknown = "comms_pushnotification_01h9krwprkeee8fzqspvwy6nq8"
    for path in (f"/{unknown}", "/x"):
        assert (await service.delete(path)).status_code == 404
    for ident in ("comms_operation_01h9krwprkeee8fzqspvwy6nq8", "x"):
        assert (await service.post(f"/Operations/{ident}/cancel", {})).status_code == 404


@pytest.mark.anyio
async def test_operations_are_filtered_by_tags(service: Service) -> None:
    """As notifications are."""
    await service.app_named()
    ident = await scheduled(service, tags={"a": "1", "b": "2"})
    await scheduled(service, tags={"a": "1"})
    found = (await service.get("/Operations", tags="b:2;a:1;")).json()["operations"]
    assert [each["id"] for each in found] == [ident]
    assert (await service.get("/Operations", tags="b")).status_code == 400
