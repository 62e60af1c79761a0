"""The oracle itself: it is satisfied with what is right, and names what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import oracle
from support.live import Live, living

pytestmark = pytest.mark.anyio

Told = list[tuple[dict[str, Any], list[dict[str, Any]]]]
DEAD = "ab" * 32


async def told_of(live: Live) -> Told:
    """Every operation with its notifications; the oracle asks as a client of another process would."""
    pages: dict[str, Any] = {}

    async def fetch(path: str) -> Any:
        answer = await live.service.client.get(path)
        assert answer.status_code == 200, answer.text
        return pages.setdefault(path, answer.json())

    found: Told = []
    listed = await fetch(f"{oracle.PUSH}/Operations?pageSize={oracle.LISTED}")
    for each in listed["operations"]:
        await fetch(f"{oracle.PUSH}/Operations/{each['id']}")
        await fetch(f"{oracle.PUSH}?operationId={each['id']}&include=deliveries&pageSize={oracle.LISTED}")
        found.append(oracle.operation_of(pages.__getitem__, each["id"]))
    return found


@pytest.fixture
async def ended(tmp_path: Path) -> tuple[Told, oracle.Received, str]:
    """A push that was taken, one that was refused, one to a user of two devices; and the `apns-id` of the first."""
    async with living(tmp_path) as live:
        await live.credential()
        first, second, third = (live.phone()[1] for _ in range(3))
        user = await live.service.user(second)
        body = {"appName": "shop", "token": third, "provider": "APN", "userId": user}
        await live.post("/DeviceRegistrations", body)
        await live.send(first, DEAD)
        await live.post("", {"to": [{"userId": user}], "content": {"body": "Hello"}})
        await live.deliver()
        received = oracle.Received().look(live.simulator)
        told = await told_of(live)
        apns_id = next(each for each, token in received.tokens.items() if token == first)
        disk = oracle.Disk(tmp_path / "heliogram.db")
        assert (disk.killed(received), disk.leased) == (0, 0)
        assert disk.recorded == received.accepted.keys()
        return told, received, apns_id


async def test_what_is_right_passes(ended: tuple[Told, oracle.Received, str]) -> None:
    """Four pushes for three recipients: two SENT, one FAILED, and nothing to explain."""
    told, received, _ = ended
    verdict = oracle.judge(told, received).check()
    assert (verdict.operations, verdict.recipients, verdict.sent) == (2, 3, 2)
    assert (received.accepted.total(), received.refused.total()) == (3, 1)
    assert (verdict.allowed_duplicates, verdict.allowed_unsaid) == (0, 0)


def lost(told: Told, received: oracle.Received, apns_id: str) -> None:
    del received.accepted[apns_id]


def doubled(told: Told, received: oracle.Received, apns_id: str) -> None:
    received.accepted[apns_id] += 1


def elsewhere(told: Told, received: oracle.Received, apns_id: str) -> None:
    received.tokens[apns_id] = DEAD


def denied(told: Told, received: oracle.Received, apns_id: str) -> None:
    for operation, notifications in told:
        for each in notifications:
            for delivery in each["deliveries"]:
                if delivery["apnsId"] == apns_id:
                    delivery["outcome"], each["status"] = "CANCELED", "CANCELED"
                    operation["stats"]["sent"] -= 1
                    operation["stats"]["canceled"] += 1


def unheard_of(told: Told, received: oracle.Received, apns_id: str) -> None:
    received.accepted["019fffff-0000-7000-8000-000000000000"] += 1


def miscounted(told: Told, received: oracle.Received, apns_id: str) -> None:
    told[0][0]["stats"]["sent"] += 1


def shortened(told: Told, received: oracle.Received, apns_id: str) -> None:
    told[0][1].pop()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lost, "no device got it"),
        (doubled, "was taken 2 times"),
        (elsewhere, "went to another token"),
        (denied, "and the device got it"),
        (unheard_of, "the API does not say that it was sent"),
        (miscounted, "do not add up"),
        (shortened, "the counters say"),
    ],
)
async def test_what_is_wrong_is_named(
    ended: tuple[Told, oracle.Received, str], change: Callable[[Told, oracle.Received, str], None], problem: str
) -> None:
    """Each way in which the API and the devices can disagree is told."""
    told, received, apns_id = ended
    change(told, received, apns_id)
    with pytest.raises(AssertionError, match=problem):
        oracle.judge(told, received).check()


@pytest.mark.parametrize("change", [doubled, denied])
async def test_what_a_kill_explains_passes(
    ended: tuple[Told, oracle.Received, str], change: Callable[[Told, oracle.Received, str], None]
) -> None:
    """A push whose answer was not on disk at a kill may come once more, or end otherwise; it is counted."""
    told, received, apns_id = ended
    change(told, received, apns_id)
    verdict = oracle.judge(told, received, unrecorded={apns_id: 1}).check()
    assert verdict.allowed_duplicates + verdict.allowed_unsaid == 1
