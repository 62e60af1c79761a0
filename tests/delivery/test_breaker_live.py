"""A failing credential: what it carries waits, and goes on by itself; nothing else is slowed. On the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import BUNDLE, Live, living
from support.stores import recipients_of

from heliogram.domain.content import Content
from heliogram.domain.notifications import SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.ports import Window
from heliogram.simulator.clientcerts import CertificateOrder

pytestmark = pytest.mark.anyio

REFUSED = "InvalidProviderToken"
DAY = 24 * 3600


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as live:
        yield live


async def outcome(live: Live, operation: str) -> tuple[str, str | None, bool]:
    """How the one delivery of an operation stands, the reason, and whether that is final."""
    (delivery,) = await live.deliveries(operation)
    return delivery["outcome"], delivery["reason"], delivery["final"]


async def failing(live: Live, credential: str) -> dict[str, Any] | None:
    """What the API says of a credential."""
    found: dict[str, Any] | None = (await live.get(f"/Credentials/{credential}"))["failing"]
    return found


def on_the_wire(live: Live) -> int:
    """How many pushes APNs has seen."""
    return len(live.simulator.requests(1000))


async def broken(live: Live) -> tuple[str, str, str]:
    """A credential that APNs refuses, and a notification that met it: credential, device token, operation."""
    credential = await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason=REFUSED)
    operation = await live.send(token)
    await live.deliver()
    return credential, token, operation


async def test_what_meets_a_refused_credential_waits(live: Live) -> None:
    """Nothing fails: the push that met it and those behind it wait, with the reason and the time of the next try."""
    credential, token, first = await broken(live)
    assert on_the_wire(live) == 2  # one fresh connection, one more try (TOK-14)
    second = await live.send(token)
    await live.deliver()
    assert on_the_wire(live) == 2
    assert await outcome(live, first) == ("REJECTED", REFUSED, False)
    assert await outcome(live, second) == ("NOT_SENT", REFUSED, False)
    (delivery,) = await live.deliveries(second)
    assert (delivery["attempt"], delivery["retryAt"]) == (0, "2027-01-15T08:10:00.000Z")
    assert (await live.get(f"/Operations/{second}"))["stats"]["queued"] == 1
    assert await failing(live, credential) == {
        "reason": REFUSED,
        "since": "2027-01-15T08:00:00Z",
        "probeAt": "2027-01-15T08:00:30Z",
        "waiting": 2,
    }


async def test_one_push_is_tried_at_a_time(live: Live) -> None:
    """After 30 s, 2 min, 10 min and every 10 min, whatever waits or comes."""
    _, token, _ = await broken(live)
    seen = on_the_wire(live)
    for wait in (30, 120, 600):
        for _ in range(3):
            await live.send(token)
        live.clock.advance(wait - 1)
        await live.deliver()
        assert on_the_wire(live) == seen
        live.clock.advance(1)
        await live.deliver()
        assert on_the_wire(live) == seen + 1
        seen += 1


async def test_everything_goes_on_when_it_works_again(live: Live) -> None:
    """The push that is tried is taken: the rest is due at that moment, and the credential fails no more."""
    credential, token, first = await broken(live)
    others = [await live.send(token) for _ in range(3)]
    await live.deliver()
    live.simulator.faults.clear()
    live.clock.advance(30)
    assert await live.deliver() == 1
    assert await live.deliver() == 3
    for operation in (first, *others):
        assert (await outcome(live, operation))[0] == "ACCEPTED"
        assert (await live.get(f"/Operations/{operation}"))["status"] == "COMPLETED"
    assert await failing(live, credential) is None


async def test_a_dead_token_proves_the_credential_as_well(live: Live) -> None:
    """APNs looks at the credential before it looks at the token (apns-rules 9.1)."""
    credential, _, _ = await broken(live)
    live.simulator.faults.clear()
    live.simulator.faults.add(reason="Unregistered")
    live.clock.advance(30)
    await live.deliver()
    assert await failing(live, credential) is None


async def test_a_reconnection_lets_everything_go_at_the_next_look(live: Live) -> None:
    """TOK-14: somebody has mended it: nobody waits for the next try."""
    credential, token, first = await broken(live)
    await live.send(token)
    await live.deliver()
    live.simulator.faults.clear()
    await live.watch.look()
    assert await live.deliver() == 0
    await live.post(f"/Credentials/{credential}/reconnect")
    await live.watch.look()
    assert await live.deliver() == 2
    assert (await outcome(live, first))[0] == "ACCEPTED"


async def test_the_next_default_carries_what_waited(live: Live) -> None:
    """Revoked, deleted or replaced: the app's good credential takes over at once."""
    credential, _, operation = await broken(live)
    other = await live.credential()
    live.simulator.faults.clear()
    await live.service.client.patch(f"/v1/PushNotifications/Credentials/{other}", json={"isDefault": True})
    await live.watch.look()
    assert await live.deliver() == 1
    (delivery,) = await live.deliveries(operation)
    assert (delivery["outcome"], delivery["credentialId"]) == ("ACCEPTED", other)
    assert await failing(live, credential) is None


async def test_a_rotated_credential_sends_what_waited(live: Live) -> None:
    """A revoked key is replaced under the same id; when the floor between two tokens is over, everything goes out
    (TOK-10)."""
    credential = await live.credential()
    live.simulator.revoke_key((await live.get(f"/Credentials/{credential}"))["content"]["keyId"])
    _, token = live.phone()
    operation = await live.send(token)
    await live.deliver()
    assert await outcome(live, operation) == ("REJECTED", REFUSED, False)
    await live.post(f"/Credentials/{credential}/rotate", {"content": live.key()})
    await live.watch.look()
    for _ in range(5):
        await live.deliver()
        live.clock.advance(600)
    assert (await outcome(live, operation))[0] == "ACCEPTED"


async def test_its_own_end_ends_a_notification_that_waits(live: Live) -> None:
    """FAILED at its expiry, with APNs' word for it, and the cure."""
    _, token, _ = await broken(live)
    operation = await live.send(token, ttl=3600)
    for _ in range(8):
        await live.deliver()
        live.clock.advance(600)
    await live.deliver()
    assert (await outcome(live, operation))[1:] == (REFUSED, True)  # it may have been the one that was tried
    (failure,) = (await live.get(f"/Operations/{operation}/Errors"))["errors"]
    assert (failure["reason"], "Check the key id" in failure["cure"]) == (REFUSED, True)


async def test_without_an_end_it_waits_for_a_day(live: Live) -> None:
    """Then it fails with what APNs said to it."""
    _, _, operation = await broken(live)
    live.clock.advance(DAY - 1)
    await live.deliver()
    assert await outcome(live, operation) == ("REJECTED", REFUSED, False)
    live.clock.advance(1)
    await live.deliver()
    assert await outcome(live, operation) == ("REJECTED", REFUSED, True)
    assert (await live.get(f"/Operations/{operation}"))["stats"]["failed"] == 1


async def test_what_has_one_attempt_alone_does_not_wait(live: Live) -> None:
    """With ttl 0 it is now or never; it may be the one that is tried."""
    _, token, _ = await broken(live)
    never = await live.send(token, ttl=0)
    await live.deliver()
    assert await outcome(live, never) == ("NOT_SENT", REFUSED, True)
    live.clock.advance(30)
    tried = await live.send(token, ttl=0)
    live.simulator.faults.clear()
    await live.deliver()
    assert (await outcome(live, tried))[0] == "ACCEPTED"


async def test_a_topic_of_its_own_waits_alone(live: Live) -> None:
    """`TopicDisallowed` stops what has that topic; pushes with another one of the credential go out."""
    await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason="TopicDisallowed", next=2)
    alert = await live.send(token)
    await live.deliver()
    assert await outcome(live, alert) == ("REJECTED", "TopicDisallowed", False)
    background = await live.send(token, content={"contentAvailable": True, "pushType": "background"})
    location = await live.send(token, content={"pushType": "location", "apn": {"payload": {"aps": {}}}})
    seen = on_the_wire(live)
    await live.deliver()
    assert (await outcome(live, background))[0] == "NOT_SENT"  # the alerts' topic
    assert on_the_wire(live) == seen + 1
    assert (await outcome(live, location))[1] != "TopicDisallowed"


async def test_a_topic_that_the_caller_chose_is_the_callers_mistake(live: Live) -> None:
    """It fails at once, and nothing else waits for it."""
    content = live.key(topics=[BUNDLE])
    del content["topics"]  # APNs knows them, the engine does not
    credential = await live.service.app_named("shop", content=content)
    _, token = live.phone()
    content = {"body": "Hello", "apn": {"headers": {"apns-topic": "com.example.other"}}}
    operation = await live.send(token, content=content)
    await live.deliver()
    assert await outcome(live, operation) == ("REJECTED", "TopicDisallowed", True)
    assert await failing(live, credential) is None


@pytest.mark.parametrize("reason", ["BadCertificate", "MissingProviderToken", "SomethingNew"])
async def test_whatever_says_that_the_credential_is_refused(live: Live, reason: str) -> None:
    """By APNs' word for it, known or new with status 403."""
    credential = await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason=reason, status=403)
    operation = await live.send(token)
    await live.deliver()
    assert await outcome(live, operation) == ("REJECTED", reason, False)
    told = await failing(live, credential)
    assert told is not None
    assert told["reason"] == reason


async def test_cert_12_a_certificate_past_its_end_never_reaches_the_wire(live: Live) -> None:
    """CERT-12: what it was to carry waits for a new one."""
    made = live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False, days=30))
    content = {"certificate": made.pem.decode(), "privateKey": made.key_pem.decode()}
    credential = await live.service.app_named("shop", content=content)
    _, token = live.phone()
    live.clock.advance(31 * DAY)
    operation = await live.send(token)
    await live.deliver()
    ended, reason, final = await outcome(live, operation)
    assert (ended, final) == ("NOT_SENT", False)
    assert reason is not None
    assert reason.startswith("CertificateExpired")
    assert on_the_wire(live) == 0
    fresh = live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False, days=30))
    content = {"certificate": fresh.pem.decode(), "privateKey": fresh.key_pem.decode()}
    await live.post(f"/Credentials/{credential}/rotate", {"content": content})
    await live.watch.look()
    live.clock.advance(2)  # as long as an opened credential is kept
    await live.deliver()
    assert (await outcome(live, operation))[0] == "ACCEPTED"


async def test_cert_10_an_alert_that_condemns_the_certificate_opens_the_breaker(live: Live) -> None:
    """CERT-10: no connection comes about, and that is the credential's fault."""
    made = live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False))
    content = {"certificate": made.pem.decode(), "privateKey": made.key_pem.decode()}
    credential = await live.service.app_named("shop", content=content)
    live.simulator.portal.certificates.revoke(made.contents.serial)
    _, token = live.phone()
    operation = await live.send(token)
    await live.deliver()
    assert (await outcome(live, operation))[0::2] == ("NOT_SENT", False)
    assert await failing(live, credential) is not None


async def test_a_cancelled_notification_waits_no_longer(live: Live) -> None:
    """Waiting is not leaving."""
    credential, _, operation = await broken(live)
    await live.post(f"/Operations/{operation}/cancel")
    assert (await live.get(f"/Operations/{operation}"))["status"] == "CANCELED"
    told = await failing(live, credential)
    assert told is not None
    assert told["waiting"] == 0


async def test_somebody_else_tries_when_what_was_to_try_is_cancelled(live: Live) -> None:
    """It waited in the store, where nobody noticed: five seconds after its time another one is asked to, and goes."""
    credential, token, first = await broken(live)
    others = [await live.send(token) for _ in range(3)]
    await live.deliver()
    await live.post(f"/Operations/{first}/cancel")
    live.simulator.faults.clear()
    for seconds, tried in ((30, 0), (4.999, 0), (0.001, 1)):
        live.clock.advance(seconds)
        await live.watch.look()
        assert await live.deliver() == tried
    assert await live.deliver() == 2
    for operation in others:
        assert (await outcome(live, operation))[0] == "ACCEPTED"
    assert await failing(live, credential) is None


async def test_a_long_wait_writes_little(live: Live) -> None:
    """One record for each device, however often it is put off: a weekend must not fill the disk."""
    credential = await live.credential()
    live.simulator.revoke_key((await live.get(f"/Credentials/{credential}"))["content"]["keyId"])
    campaign = await accept(live, 500)
    await live.deliver(Lane.BULK)
    parts = [await parts_of(live, campaign)]
    for _ in range(20):
        live.clock.advance(600)
        await live.deliver(Lane.BULK)
        parts.append(await parts_of(live, campaign))
    assert on_the_wire(live) <= 2 * 21 + 2  # each at most once more on a fresh connection (TOK-14)
    assert max(parts) < 2


async def test_a_restart_tries_at_once(live: Live) -> None:
    """Nobody knows yet which credentials work; a good one must not wait for what the process before had found."""
    _, token, _ = await broken(live)
    later = await live.send(token)
    await live.deliver()
    live.simulator.faults.clear()
    account, raw = (
        live.service.account,
        (await live.service.store.list_credentials(live.service.account, Window())).items,
    )
    live.tools.breakers.reset(account, raw[0].id)  # the new process knows nothing
    await live.service.store.release_all(live.clock.ms)
    assert await live.deliver() == 2
    assert (await outcome(live, later))[0] == "ACCEPTED"


async def test_the_event_is_told(live: Live) -> None:
    """`com.heliogram.credential.failing`, and a line in the log: once for the same complaint."""
    told: list[str] = []

    async def tell(account: bytes, credential_id: bytes, *, reason: str, at: int) -> bool:
        told.append(reason)
        return True

    live.service.store.tell_of_failing_credential = tell  # type: ignore[method-assign]
    await broken(live)
    live.clock.advance(30)
    await live.deliver()
    await live.alarm.close()
    assert told == [REFUSED]


async def test_a_campaign_behind_a_broken_credential_slows_nobody(live: Live) -> None:
    """10,000 recipients wait after a handful of pushes; another account's pushes, and another app's, go out at once."""
    await broken(live)
    await accept(live, 10_000)
    other = await live.service.tenant()
    await other.app_named("shop", content=live.key(team="OTHERTEAM1"))
    await live.credential("news", type_="APN_SANDBOX")
    live.simulator.faults.clear()
    live.simulator.faults.add(reason=REFUSED, listener="production", next=3)
    seen = on_the_wire(live)
    assert await live.deliver(Lane.BULK) == 20
    assert on_the_wire(live) == seen
    _, token = live.phone("sandbox")
    operation = await live.send(token, **{"from": {"appName": "news"}})
    await live.deliver()
    assert (await outcome(live, operation))[0] == "ACCEPTED"
    live.simulator.faults.clear()
    _, token = live.phone()
    body = {"to": [{"token": token, "provider": "APN"}], "content": {"body": "Hello"}}
    assert (await other.post("", body)).status_code == 202
    assert await live.deliver() == 1
    assert [each.status for each in live.simulator.requests(2)] == [200, 200]


async def accept(live: Live, count: int) -> Operation:
    """A campaign to direct tokens."""
    recipients = recipients_of(count)
    operation = Operation(
        account_id=live.service.account,
        id=live.service.state.ids.new(),
        spec=SendSpec(app_name="shop", content=Content(body="Hello")),
        lane=Lane.BULK,
        recipients=count,
        status=OperationStatus.PROCESSING,
        created=live.clock.ms,
        updated=live.clock.ms,
    )
    await live.service.store.accept(live.service.account, operation, cut(operation.id, recipients))
    return operation


async def parts_of(live: Live, operation: Operation) -> float:
    """How often results were written of its first chunk."""
    now = live.clock.ms + 3_600_000
    (chunk,) = await live.service.store.claim(Lane.BULK, 0, limit=1, now=now, until=now, worker="test")
    await live.service.store.release(chunk, live.clock.ms, now)
    return len(chunk.records) / 500
