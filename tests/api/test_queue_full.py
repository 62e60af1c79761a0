"""What a caller is told when too much waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.service import Service, serving

from heliogram.domain.backlog import QueueBounds

pytestmark = pytest.mark.anyio

BOUND = 400


@pytest.fixture
async def service(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Service]:
    """A service whose accounts may have 400 recipients waiting, and all together 500."""
    async with serving(tmp_path, queue=QueueBounds(total=500, account=BOUND)) as made:
        await made.app_named()
        yield made


def body(count: int, **more: Any) -> dict[str, Any]:
    """A send to so many device tokens."""
    to = [{"token": f"{number:064x}", "provider": "APN"} for number in range(count)]
    return {"to": to, "content": {"body": "Hello"}, **more}


async def queued(service: Service) -> int:
    """What the account is told of itself."""
    counts: dict[str, int] = (await service.client.get("/v1/Account")).json()["counts"]
    return counts["queuedRecipients"]


async def operations(service: Service) -> int:
    """How many there are."""
    return len((await service.get("/Operations")).json()["operations"])


async def fill(service: Service, count: int = BOUND) -> None:
    """Small sends until so many wait."""
    for _ in range(count // 100):
        assert (await service.post("", body(100))).status_code == 202
    assert await queued(service) == count


async def test_past_the_bound_a_send_is_answered_429(service: Service) -> None:
    """With its own code, a wait, the bound and the cure; exactly at the bound passes (TW-21)."""
    await fill(service)
    refused = await service.post("", body(1))
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "5"
    problem = refused.json()
    assert (problem["code"], problem["title"], problem["status"]) == (70046, "Queue full", 429)
    assert "The account's queue is full: at most 400 recipients may wait." in problem["detail"]
    assert "Retry-After" in problem["detail"]
    assert "--max-queued-per-account" in problem["detail"]
    assert (await operations(service), await queued(service)) == (4, 400)


async def test_a_campaign_leaves_room_for_small_sends(service: Service) -> None:
    """The last twentieth is theirs; the large send is told what it may fill."""
    refused = await service.post("", body(381))
    assert refused.status_code == 429
    assert "380 for sends to more than 100" in refused.json()["detail"]
    assert (await service.post("", body(380))).status_code == 202
    assert (await service.post("", body(20))).status_code == 202
    assert (await service.post("", body(1))).status_code == 429


async def test_one_account_does_not_fill_the_queue_of_another(service: Service) -> None:
    """Nor is the other told whose fault it is when all of it is full."""
    await fill(service)
    other = await service.tenant()
    await other.app_named()
    assert (await other.post("", body(100))).status_code == 202
    refused = await other.post("", body(1))
    assert (refused.status_code, refused.json()["code"]) == (429, 70046)
    assert "The service's queue is full: at most 500 recipients may wait." in refused.json()["detail"]


async def test_an_idempotency_key_is_not_used_up(service: Service) -> None:
    """The same request with the same key is handled anew, and then kept."""
    await fill(service)
    request: dict[str, Any] = {"url": "/v1/PushNotifications", "json": body(5), "headers": {"Idempotency-Key": "five"}}
    assert (await service.client.post(**request)).status_code == 429
    assert (await service.client.post(**request)).status_code == 429
    first = (await service.get("/Operations")).json()["operations"][-1]
    cancelled = await service.post(f"/Operations/{first['id']}/cancel", {})
    assert cancelled.status_code < 300, cancelled.text
    assert await queued(service) == 300
    made = await service.client.post(**request)
    assert made.status_code == 202
    again = await service.client.post(**request)
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == made.json()
    assert await queued(service) == 305


async def test_what_is_only_tried_out_does_not_count(service: Service) -> None:
    """`validateOnly` keeps nothing and so is refused by no bound."""
    await fill(service)
    assert (await service.post("", body(5, validateOnly=True))).status_code == 200
    assert await queued(service) == 400


async def test_scheduled_sends_count(service: Service) -> None:
    """From the moment they are accepted."""
    later = {"schedule": {"sendAt": [datetime.fromtimestamp(service.clock.time() + 3600, UTC).isoformat()]}}
    assert (await service.post("", body(100, **later))).status_code == 202
    assert await queued(service) == 100
    assert (await service.post("", body(281, **later))).status_code == 429
    assert (await service.post("", body(280, **later))).status_code == 202


async def test_deleting_an_app_leaves_what_it_had_accepted_counted(service: Service) -> None:
    """It still is to end, one way or the other."""
    await fill(service, 100)
    (credential,) = (await service.get("/Credentials")).json()["credentials"]
    assert (await service.delete(f"/Credentials/{credential['id']}")).status_code < 300
    assert await queued(service) == 100
