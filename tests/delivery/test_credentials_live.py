"""What becomes of credentials in use, on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs
from support.clock import FakeClock
from support.live import BUNDLE, Live, living

from heliogram.delivery.credentials import CredentialAlarm, CredentialWatch
from heliogram.delivery.providers.apns import provider
from heliogram.domain import ids
from heliogram.domain.apps import CredentialForm
from heliogram.ports import Window
from heliogram.simulator.clientcerts import CertificateOrder
from heliogram.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as live:
        yield live


async def outcome(live: Live, operation: str) -> tuple[str, str | None]:
    """How the one delivery of an operation ended, and the reason."""
    (delivery,) = await live.deliveries(operation)
    return delivery["outcome"], delivery["reason"]


async def sent(live: Live, token: str, **more: object) -> tuple[str, str | None]:
    """Sends to a token and delivers."""
    operation = await live.send(token, **more)
    assert await live.deliver() == 1
    return await outcome(live, operation)


async def test_tok_11_a_topic_key_sends_what_its_topics_cover(live: Live) -> None:
    """OWN-23, TOK-11, TOK-15: to its own topics, over the wire."""
    await live.credential(topics=[BUNDLE])
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    assert live.simulator.requests()[0].topic == BUNDLE


async def test_tok_15_what_a_key_does_not_cover_is_said_before_the_wire(live: Live) -> None:
    """TOK-15: a push with another topic ends NOT_SENT for good with the engine's words, and APNs is not asked."""
    await live.credential(topics=[BUNDLE])
    _, token = live.phone()
    content = {"body": "Hello", "apn": {"headers": {"apns-topic": "com.example.other"}}}
    ended, reason = await sent(live, token, content=content)
    assert ended == "NOT_SENT"
    assert reason is not None
    assert "com.example.other is not among those of the key" in reason
    assert live.simulator.requests() == []


async def test_tok_11_a_key_for_the_other_environment_never_leaves(live: Live) -> None:
    """TOK-11: a key said to be for one environment is used there; APNs' word for one that is not shows, and what met
    it waits for another key."""
    content = live.simulator.issue_key("TEAM123456", environment="sandbox")
    key = {"signingKey": content.p8, "keyId": content.key_id, "teamId": "TEAM123456", "bundleId": BUNDLE}
    await live.service.app_named("shop", content={**key, "keyScope": "team"})
    _, token = live.phone()
    assert await sent(live, token) == ("REJECTED", "BadEnvironmentKeyInToken")


async def test_a_rotated_credential_sends_with_its_new_key(live: Live) -> None:
    """The id stays; at first the team's key of before goes on, 20 minutes after its last change the new one is
    used (TOK-9, TOK-10)."""
    ident = await live.credential()
    _, token = live.phone()
    old = (await live.get(f"/Credentials/{ident}"))["content"]["keyId"]
    assert await sent(live, token) == ("ACCEPTED", None)
    await live.post(f"/Credentials/{ident}/rotate", {"content": live.key()})
    assert await sent(live, token) == ("ACCEPTED", None)
    first, second = (request.connection for request in live.simulator.requests())
    assert first == second
    live.clock.advance(20 * 60 + 1)
    live.simulator.revoke_key(old)
    assert await sent(live, token) == ("ACCEPTED", None)


async def test_tok_20_revoking_closes_every_connection_at_once(live: Live) -> None:
    """TOK-20: no connection is left, what waits moves to the app's next good credential, and nothing leaves with the
    key again."""
    first, second = await live.credential(), await live.credential()
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    assert live.simulator.connections == 1
    live.simulator.revoke_key((await live.get(f"/Credentials/{first}"))["content"]["keyId"])
    waiting = await live.send(token)
    await live.post(f"/Credentials/{first}/revoke")
    assert [each[1] for each in live.provider.held()] == []
    assert await live.deliver() == 1
    assert await outcome(live, waiting) == ("ACCEPTED", None)
    (delivery,) = await live.deliveries(waiting)
    assert delivery["credentialId"] == second


async def test_what_names_a_revoked_credential_is_not_sent(live: Live) -> None:
    """A delivery that waited ends NOT_SENT with the reason, and is not tried again."""
    named = await live.credential()
    await live.credential()
    _, token = live.phone()
    operation = await live.send(token, **{"from": {"apn": named}})
    await live.post(f"/Credentials/{named}/revoke")
    await live.deliver()
    assert await outcome(live, operation) == ("NOT_SENT", "CredentialRevoked")
    assert (await live.get(f"/Operations/{operation}"))["status"] == "COMPLETED"
    assert live.simulator.requests() == []


async def test_a_credential_opened_before_its_revocation_sends_nothing(live: Live) -> None:
    """An opener may hand out what it opened a moment ago: the provider knows better."""
    ident = await live.credential()
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    operation = await live.send(token)
    await live.post(f"/Credentials/{ident}/revoke")
    await live.deliver()
    assert (await outcome(live, operation))[0] == "NOT_SENT"
    assert len(live.simulator.requests()) == 1


async def test_what_is_on_the_wire_of_a_revoked_key_is_unknown_and_goes_on_with_the_next(live: Live) -> None:
    """TOK-20: its connection is cut; the push is tried once more, by the app's next good credential."""
    first, second = await live.credential(), await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(kind="silence", next=1)
    operation = await live.send(token)
    delivering = asyncio.create_task(live.deliver())
    await live.until(live.simulator.requests)
    await live.post(f"/Credentials/{first}/revoke")
    await delivering
    assert (await outcome(live, operation))[0] == "UNKNOWN"
    live.clock.advance(2)
    assert await live.deliver() == 1
    (delivery,) = await live.deliveries(operation)
    assert (delivery["outcome"], delivery["attempt"], delivery["credentialId"]) == ("ACCEPTED", 2, second)


async def test_content_that_cannot_be_used_leaves_the_old_one_in_use(live: Live) -> None:
    """A rotation to a certificate that has expired meanwhile is logged, and sending goes on."""
    made = [live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False)) for _ in range(2)]
    contents = [{"certificate": each.pem.decode(), "privateKey": each.key_pem.decode()} for each in made]
    await live.service.app_named("shop", content=contents[0])
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    account, raw, _ = live.provider.held()[0]
    opened = await live.opener(account, raw)
    assert opened is not None
    later = msgspec.structs.replace(opened.credential, revision=2, form=CredentialForm.TOKEN)
    live.provider.follow(
        msgspec.structs.replace(
            opened, credential=msgspec.structs.replace(later, public={**later.public, "keyId": "x", "teamId": "y"})
        )
    )
    assert await sent(live, token) == ("ACCEPTED", None)


async def test_deleting_a_credential_closes_its_connections(live: Live) -> None:
    """As revoking does."""
    ident = await live.credential()
    await live.credential()
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    await live.service.delete(f"/Credentials/{ident}")
    assert live.provider.held() == []


async def test_tok_14_reconnecting_opens_connections_anew(live: Live) -> None:
    """TOK-14: the next push goes over another connection."""
    ident = await live.credential()
    _, token = live.phone()
    for _ in range(2):
        assert await sent(live, token) == ("ACCEPTED", None)
    await live.post(f"/Credentials/{ident}/reconnect")
    assert await sent(live, token) == ("ACCEPTED", None)
    serials = [request.connection for request in reversed(live.simulator.requests())]
    assert serials[0] == serials[1] != serials[2]


async def test_a_change_by_another_process_is_followed(live: Live) -> None:
    """TOK-20: rotation, reconnection and revocation that only the store knows of act at the watch's next look, though
    nobody sends."""
    ident = await live.credential()
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    account, raw, state = live.provider.held()[0]
    store = live.service.store
    await store.reconnect_credential(account, raw, live.clock.ms)
    await live.watch.look()
    assert live.provider.held()[0][2].epoch == state.epoch + 1
    await store.revoke_credential(account, raw, live.clock.ms)
    await live.watch.look()
    assert live.provider.held() == []
    assert ident


async def test_the_watch_looks_every_second_until_it_is_stopped(live: Live) -> None:
    """So that a revocation acts within 5 seconds everywhere."""
    await live.credential()
    _, token = live.phone()
    await sent(live, token)
    account, raw, _ = live.provider.held()[0]
    clock = FakeClock()
    watch = CredentialWatch(live.service.store, live.tools.providers, live.opener, clock)
    task = asyncio.create_task(watch.run())
    await clock.timer_set()
    await live.service.store.revoke_credential(account, raw, live.clock.ms)
    clock.advance(0.9)
    assert live.provider.held()
    clock.advance(0.1)
    await clock.timer_set()
    assert not live.provider.held()
    watch.stop()
    await task


async def test_the_watch_outlives_a_store_that_fails(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be locked for a while: the next look is a second later."""
    await live.credential()
    _, token = live.phone()
    await sent(live, token)

    async def fail(account: bytes) -> None:
        raise OSError("disk")

    monkeypatch.setattr(live.service.store, "credential_states", fail)
    clock = FakeClock()
    watch = CredentialWatch(live.service.store, live.tools.providers, live.opener, clock)
    task = asyncio.create_task(watch.run())
    await clock.timer_set()
    watch.stop()
    await task


async def test_a_store_that_is_away_is_one_line_of_the_log(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second while it is: not a traceback."""
    await live.credential()
    _, token = live.phone()
    await sent(live, token)

    async def fail(account: bytes) -> None:
        raise StoreUnavailable("the server is starting")

    monkeypatch.setattr(live.service.store, "credential_states", fail)
    clock = FakeClock()
    watch = CredentialWatch(live.service.store, live.tools.providers, live.opener, clock)
    with capture_logs() as told:
        task = asyncio.create_task(watch.run())
        await clock.timer_set()
    watch.stop()
    await task
    assert told == [{"event": "credentials.watch_failed", "error": "the server is starting", "log_level": "warning"}]


@pytest.mark.parametrize("reason", ["TopicDisallowed", "InvalidProviderToken"])
async def test_tok_14_a_refused_topic_gets_one_fresh_connection(live: Live, reason: str) -> None:
    """TOK-14: a connection that never carried the topic may only be older than it: opened anew, sent once more."""
    await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason=reason, next=1)
    assert await sent(live, token) == ("ACCEPTED", None)
    second, first = live.simulator.requests()
    assert (first.reason, second.status) == (reason, 200)
    assert first.connection != second.connection


async def test_a_topic_that_is_refused_twice_is_refused(live: Live) -> None:
    """One fresh connection and one more try; then the topic's pushes wait. The next that is tried gets no fresh
    connection, before a quarter of an hour is over."""
    await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason="TopicDisallowed")
    assert await sent(live, token) == ("REJECTED", "TopicDisallowed")
    assert len(live.simulator.requests()) == 2
    live.clock.advance(30)
    assert await live.deliver() == 1
    assert len(live.simulator.requests()) == 3
    live.clock.advance(870)
    assert await live.deliver() == 1
    assert len(live.simulator.requests()) == 5


async def test_a_topic_that_was_carried_is_refused_at_once(live: Live) -> None:
    """Its connection is not too old for it."""
    await live.credential()
    _, token = live.phone()
    assert await sent(live, token) == ("ACCEPTED", None)
    live.simulator.faults.add(reason="TopicDisallowed")
    assert await sent(live, token) == ("REJECTED", "TopicDisallowed")
    assert len(live.simulator.requests()) == 2


async def test_the_least_used_connections_leave_when_there_are_too_many(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the most credentials with connections, the one that nobody uses closes soon, not at the end."""
    monkeypatch.setattr(provider, "MAX_CLIENTS", 2)
    _, token = live.phone()
    made = [await live.credential("shop") for _ in range(3)]
    for ident in made:
        assert await sent(live, token, **{"from": {"apn": ident}}) == ("ACCEPTED", None)
    shown = [ids.encode(ids.CREDENTIAL, each[1]) for each in live.provider.held()]
    assert shown == made[1:]
    await live.until(lambda: "closing=0" in repr(live.provider))
    assert live.simulator.connections == 2


async def test_a_client_that_is_in_use_closes_when_it_is_idle(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on its way through it ends as it would have."""
    monkeypatch.setattr(provider, "MAX_CLIENTS", 1)
    _, token = live.phone()
    first, second = await live.credential(), await live.credential()
    live.simulator.faults.add(kind="silence", next=1)
    slow = await live.send(token, **{"from": {"apn": first}})
    delivering = asyncio.create_task(live.deliver())
    await live.until(live.simulator.requests)
    assert await sent(live, token, **{"from": {"apn": second}}) == ("ACCEPTED", None)
    assert live.simulator.connections == 2
    live.clock.advance(31)
    await delivering
    assert (await outcome(live, slow))[0] == "UNKNOWN"


async def test_apns_refusing_a_credential_is_told_once_an_hour(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the log and to the store, for whoever watches."""
    told: list[tuple[bytes, str]] = []

    async def tell(account: bytes, credential_id: bytes, *, reason: str, at: int) -> bool:
        told.append((credential_id, reason))
        return True

    await live.credential()
    credential = (await live.service.store.list_credentials(live.service.account, Window())).items[0]
    alarm = CredentialAlarm(live.service.store, live.clock)
    monkeypatch.setattr(live.service.store, "tell_of_failing_credential", tell)
    for _ in range(3):
        alarm(credential, "InvalidProviderToken")
    alarm(credential, "BadCertificate")
    await alarm.close()
    assert told == [(credential.id, "InvalidProviderToken"), (credential.id, "BadCertificate")]
    live.clock.advance(3600)
    alarm(credential, "BadCertificate")
    await alarm.close()
    assert len(told) == 3
