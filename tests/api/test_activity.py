"""What happens just now, over the API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.activity import chunk_of, record
from support.service import Service, basic, client_of

from heliogram import api
from heliogram.domain import ids
from heliogram.domain.accounts import Scope
from heliogram.domain.notifications import Outcome
from heliogram.domain.operations import Counts
from heliogram.observe.activity import Activity, Lanes
from heliogram.observe.tally import HAND_OVER_SECONDS, Tally

pytestmark = pytest.mark.anyio


def watched(service: Service) -> tuple[Tally, Service]:
    """The same service with a memory of what happens."""
    activity = Activity(service.clock, Lanes(service.store, service.clock), node="node-1", sends=True)
    app = api.build(replace(service.state, activity=activity))
    made = replace(service, app=app)
    made.client = client_of(app, basic(*service.key))
    return Tally(service.clock, activity.heard), made


async def test_activity_shows_seconds_reasons_and_lanes(service: Service) -> None:
    """Of the account of the key (OWN-40)."""
    tally, seen = watched(service)
    await service.app_named("shop")
    to = [{"token": "ab" * 32, "provider": "APN"}]
    sent = await service.post("", {"from": {"appName": "shop"}, "to": to, "content": {"body": "hi"}})
    assert sent.status_code == 202, sent.text
    refused = record(1, Outcome.REJECTED, status=410, reason="Unregistered", wire_ms=31)
    tally.wrote(chunk_of(service.state.ids, service.account), [record(0), refused], Counts(sent=1, failed=1))
    service.clock.advance(HAND_OVER_SECONDS)
    async with seen.client as client:
        body = (await client.get("/v1/Activity")).json()
    (second,) = body.pop("seconds")
    assert second.pop("at").endswith("Z")
    assert second == {"sent": 1, "failed": 1, "unaddressable": 0, "p50Ms": 8, "p99Ms": 31}
    oldest = body["lanes"][0].pop("oldestSeconds")
    assert oldest == pytest.approx(HAND_OVER_SECONDS, abs=0.002)
    assert body == {
        "node": "node-1",
        "nodes": ["node-1"],
        "sends": True,
        "reasons": [{"reason": "Unregistered", "count": 1}],
        "lanes": [
            {"lane": "tx", "waiting": 1, "later": 0},
            {"lane": "bulk", "waiting": 0, "later": 0, "oldestSeconds": None},
        ],
    }


async def test_outcomes_can_be_followed(service: Service) -> None:
    """Each names its notification and operation; the end of one page is the beginning of the next (OWN-40)."""
    tally, seen = watched(service)
    chunk = chunk_of(service.state.ids, service.account)
    tally.wrote(chunk, [record(0), record(1, Outcome.NOT_SENT, reason="NoCredential")], Counts(sent=1, failed=1))
    service.clock.advance(HAND_OVER_SECONDS)
    async with seen.client as client:
        first = (await client.get("/v1/Activity/Outcomes", params={"after": 0, "limit": 1})).json()
        rest = (await client.get("/v1/Activity/Outcomes", params={"after": first["last"]})).json()
    (failed,), (sent,) = first["outcomes"], rest["outcomes"]
    assert (failed["outcome"], failed["reason"], failed["status"]) == ("failed", "NoCredential", 0)
    assert sent == {
        "node": "node-1",
        "sequence": 2,
        "at": "1970-01-01T00:00:01.000Z",
        "notificationId": ids.encode(ids.NOTIFICATION, ids.notification_id(chunk.operation_id, 0)),
        "operationId": ids.encode(ids.OPERATION, chunk.operation_id),
        "outcome": "sent",
        "status": 200,
        "reason": "",
        "token": "0123…89ab",
    }
    assert (rest["last"], rest["missed"]) == (2, 0)


async def test_another_account_sees_nothing_of_it(service: Service) -> None:
    """Neither counts nor outcomes."""
    tally, seen = watched(service)
    tally.wrote(chunk_of(service.state.ids, service.account), [record(0)], Counts(sent=1))
    service.clock.advance(HAND_OVER_SECONDS)
    other = await service.tenant()
    async with client_of(seen.app, basic(*other.key)) as client:
        assert (await client.get("/v1/Activity")).json()["seconds"] == []
        assert (await client.get("/v1/Activity/Outcomes")).json() == {"outcomes": [], "last": 0, "missed": 0}


@pytest.mark.parametrize(("name", "bad"), [("limit", "0"), ("limit", "1001"), ("after", "-1"), ("before", "1")])
async def test_what_is_out_of_bounds_is_named(service: Service, name: str, bad: str) -> None:
    """One past either bound."""
    answer = await service.client.get("/v1/Activity/Outcomes", params={name: bad})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"] == f"query.{name}"


async def test_the_bounds_themselves_pass(service: Service) -> None:
    """1 and 1,000."""
    for limit in (1, 1000):
        assert (await service.client.get("/v1/Activity/Outcomes", params={"limit": limit})).status_code == 200


async def test_activity_is_for_keys_that_may_read(service: Service) -> None:
    """As operations are."""
    async with service.client_of(basic(*await service.new_key(Scope.SEND))) as client:
        for path in ("/v1/Activity", "/v1/Activity/Outcomes"):
            assert (await client.get(path)).status_code == 403
