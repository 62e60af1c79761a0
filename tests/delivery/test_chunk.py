"""One chunk, from recipients to recorded outcomes: real store, real engine, real TLS, a scripted APNs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from delivery.conftest import Delivery
from msgspec.structs import replace
from support.apns_server import ApnsServer, Peer, accept_all, device, header
from support.stores import recipients_of, token_of

from heliogram.delivery.chunk import ChunkDelivery
from heliogram.domain import ids
from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.notifications import Content, NotificationStatus, Outcome, Recipient, SendSpec
from heliogram.domain.operations import OperationStatus, cut
from heliogram.domain.render import Renderer
from heliogram.domain.template import Variables
from heliogram.ports import LeasedChunk, Window
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


def rejecting(status: int, reason: str, **more: object) -> Callable[[Peer, Received], None]:
    """A script that refuses everything."""

    def script(peer: Peer, request: Received) -> None:
        peer.reject(request, status, reason, **more)

    return script


async def test_every_outcome_is_recorded_and_the_operation_completes(delivery: Delivery, apns: ApnsServer) -> None:
    """Accepted is SENT, refused is FAILED with APNs' word, and the counters add up."""
    await delivery.app()
    bad = token_of(1).hex()

    def script(peer: Peer, request: Received) -> None:
        if device(request) == bad:
            peer.reject(request, 400, "BadDeviceToken")
        else:
            peer.accept(request, (b"apns-unique-id", b"4084a6e4"))

    apns.on_request = script
    operation = await delivery.bench.accept(recipients_of(3))
    assert await delivery.deliver() == 1
    done = await delivery.operation(operation)
    assert done.status is OperationStatus.COMPLETED
    assert (done.stats.sent, done.stats.failed, done.stats.queued) == (2, 1, 0)
    statuses = {n.recipient.token: n.status for n in await delivery.notifications(operation)}
    assert statuses[token_of(1)] is NotificationStatus.FAILED
    first = (await delivery.notifications(operation))[0].deliveries[0]
    assert (first.outcome, first.status, first.unique_id, first.attempt) == (Outcome.ACCEPTED, 200, "4084a6e4", 1)


async def test_the_apns_id_is_the_notification_with_the_slot(delivery: Delivery, apns: ApnsServer) -> None:
    """A retry is recognisable, and an alert collapses under its notification's id."""
    await delivery.app()
    user = (await delivery.bench.device(token_of(7))).user_id
    operation = await delivery.bench.accept([Recipient(user=user)])
    await delivery.deliver()
    (request,) = apns.requests
    expected = ids.uuid_text(ids.notification_id(operation.id, 0, 1))
    assert header(request, b"apns-id").decode() == expected
    assert header(request, b"apns-collapse-id").decode() == ids.uuid_text(operation.id)


async def test_trouble_at_apns_is_retried_with_the_same_id(delivery: Delivery, apns: ApnsServer) -> None:
    """503 waits in the store, 1 s for a small send; the second attempt carries the same apns-id."""
    await delivery.app()
    apns.on_request = rejecting(503, "ServiceUnavailable")
    operation = await delivery.bench.accept(recipients_of(1))
    await delivery.deliver()
    assert (await delivery.operation(operation)).stats.queued == 1
    assert await delivery.deliver() == 0  # not before its time
    delivery.bench.clock.advance(1.0)
    apns.on_request = accept_all
    assert await delivery.deliver() == 1
    done = await delivery.operation(operation)
    assert (done.status, done.stats.sent) == (OperationStatus.COMPLETED, 1)
    first, second = apns.requests
    assert header(first, b"apns-id") == header(second, b"apns-id")
    (notification,) = await delivery.notifications(operation)
    assert notification.deliveries[-1].attempt == 2


async def test_a_recipient_is_rendered_once_for_all_its_devices(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty devices of a user cost one rendering: a long template must not hold up everything else."""
    await delivery.app()
    user = (await delivery.bench.device(token_of(1))).user_id
    await delivery.bench.device(token_of(2), user=user)
    rendered: list[object] = []
    payload = Renderer.payload

    def counted(renderer: Renderer, variables: Variables | None) -> bytes:
        rendered.append(variables)
        return payload(renderer, variables)

    monkeypatch.setattr(Renderer, "payload", counted)
    recipients = [Recipient(user=user, variables={"n": n}) for n in range(2)]
    operation = replace(
        delivery.bench.operation(recipients), spec=SendSpec(app_name="shop", content=Content(body="{{ n }}"))
    )
    await delivery.bench.store.accept(delivery.bench.account, operation, cut(operation.id, recipients))
    await delivery.deliver()
    assert rendered == [{"n": 0}, {"n": 1}]
    assert sorted(json.loads(request.body)["aps"]["alert"]["body"] for request in apns.requests) == ["0", "0", "1", "1"]


async def test_a_credential_that_does_not_open_is_tried_until_the_deadline(delivery: Delivery) -> None:
    """With another master key nothing can be sent; the right one may come back, but no send waits for ever."""
    credential = delivery.bench.credential("shop", CredentialType.APN)
    await delivery.bench.store.create_credential(delivery.bench.account, credential, b"sealed with another key")
    operation = await delivery.bench.accept(recipients_of(1))
    await delivery.deliver()
    assert (await delivery.operation(operation)).stats.queued == 1
    delivery.bench.clock.advance(24 * 3600)
    assert await delivery.deliver() == 1
    done = await delivery.operation(operation)
    assert (done.status, done.stats.failed) == (OperationStatus.COMPLETED, 1)
    (notification,) = await delivery.notifications(operation)
    assert notification.deliveries[-1].outcome is Outcome.NOT_SENT


async def test_only_what_failed_is_tried_again(delivery: Delivery, apns: ApnsServer) -> None:
    """A retry of a chunk leaves alone whoever has an outcome."""
    await delivery.app()
    slow = token_of(2).hex()

    def script(peer: Peer, request: Received) -> None:
        if device(request) == slow:
            peer.reject(request, 500, "InternalServerError")
        else:
            peer.accept(request)

    apns.on_request = script
    operation = await delivery.bench.accept(recipients_of(5))
    await delivery.deliver()
    assert (await delivery.operation(operation)).stats.sent == 4
    apns.on_request = accept_all
    delivery.bench.clock.advance(1.0)
    await delivery.deliver()
    assert [device(request) for request in apns.requests].count(slow) == 2
    assert len(apns.requests) == 6
    assert (await delivery.operation(operation)).stats.sent == 5


async def test_a_dead_token_leaves_the_registration(delivery: Delivery, apns: ApnsServer) -> None:
    """OWN-36: 410 later than the registration: the device goes, the user's other one stays (ERR-1)."""
    await delivery.app()
    bench = delivery.bench
    made = await bench.device(token_of(1))
    await bench.device(token_of(2), made.user_id)
    bench.clock.advance(60)
    dead = token_of(1).hex()

    def script(peer: Peer, request: Received) -> None:
        if device(request) == dead:
            peer.reject(request, 410, "Unregistered", timestamp=bench.clock.ms - 1)
        else:
            peer.accept(request)

    apns.on_request = script
    operation = await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    registration = await bench.store.get_registration(bench.account, made.registration_id)
    assert registration is not None
    assert [each.token for each in registration.devices] == [token_of(2)]
    assert (await delivery.operation(operation)).stats.sent == 1
    assert await history(delivery, 1) == [("REMOVED", "Unregistered", 410, bench.clock.ms - 1)]


async def test_a_token_registered_after_it_died_is_kept(delivery: Delivery, apns: ApnsServer) -> None:
    """The app was handed the token again: the newer registration wins (ERR-1)."""
    await delivery.app()
    bench = delivery.bench
    made = await bench.device(token_of(1))
    apns.on_request = rejecting(410, "Unregistered", timestamp=bench.clock.ms - 1)
    await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    registration = await bench.store.get_registration(bench.account, made.registration_id)
    assert registration is not None
    assert len(registration.devices) == 1
    told = await history(delivery, 1)
    assert ("REFUSED", "Unregistered", 410, bench.clock.ms - 1) in told
    assert ("REGISTERED", None, None, None) in told


async def history(delivery: Delivery, number: int) -> list[tuple[str, str | None, int | None, int | None]]:
    """What is kept of a token: what happened, and what APNs said."""
    tokens = {(ProviderName.APN, token_of(number))}
    listed = await delivery.bench.store.device_history(delivery.bench.account, Window(), tokens=tokens)
    return [(str(each.event), each.reason, each.status, each.invalid_since) for each in listed.items]


async def test_a_suspect_token_is_quarantined_with_the_reason(delivery: Delivery, apns: ApnsServer) -> None:
    """OWN-36: BadDeviceToken may mean the other environment: kept, named, and not sent to again."""
    await delivery.app()
    bench = delivery.bench
    made = await bench.device(token_of(1))
    apns.on_request = rejecting(400, "BadDeviceToken")
    await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    registration = await bench.store.get_registration(bench.account, made.registration_id)
    assert registration is not None
    assert (registration.devices[0].state, registration.devices[0].state_reason) == ("quarantined", "BadDeviceToken")
    assert ("QUARANTINED", "BadDeviceToken", 400, None) in await history(delivery, 1)
    again = await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    assert len(apns.requests) == 1
    assert (await delivery.operation(again)).stats.unaddressable == 1


@pytest.mark.parametrize(("status", "reason"), [(403, "InvalidProviderToken"), (500, "InternalServerError")])
async def test_trouble_that_is_not_the_tokens_leaves_the_token_alone(
    delivery: Delivery, apns: ApnsServer, status: int, reason: str
) -> None:
    """403, 429 and 5xx say nothing about a device."""
    await delivery.app()
    bench = delivery.bench
    made = await bench.device(token_of(1))
    apns.on_request = rejecting(status, reason)
    await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    registration = await bench.store.get_registration(bench.account, made.registration_id)
    assert registration is not None
    assert registration.devices[0].state == "active"


async def test_environments_go_through_their_own_credentials(delivery: Delivery, apns: ApnsServer) -> None:
    """OWN-15: A user's sandbox and production devices are one notification through two credentials."""
    production = await delivery.app()
    sandbox = await delivery.app(type=CredentialType.APN_SANDBOX)
    bench = delivery.bench
    made = await bench.device(token_of(1), environment=Environment.PRODUCTION)
    await bench.device(token_of(2), made.user_id, environment=Environment.SANDBOX)
    operation = await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    (notification,) = await delivery.notifications(operation)
    assert [each.credential for each in notification.deliveries] == [production, sandbox]
    assert notification.status is NotificationStatus.SENT


async def test_a_rendered_payload_over_the_limit_fails_its_recipient_alone(
    delivery: Delivery, apns: ApnsServer
) -> None:
    """The size is checked after rendering; the reason tells it, and the others go out."""
    await delivery.app()
    bench = delivery.bench
    recipients = [
        Recipient(token=token_of(0), variables={"text": "x" * 5000}),
        Recipient(token=token_of(1), variables={"text": "short"}),
    ]
    spec = SendSpec(app_name="shop", content=Content(body="{{ text }}"))
    operation = replace(bench.operation(recipients), spec=spec)
    await bench.store.accept(bench.account, operation, cut(operation.id, recipients))
    await delivery.deliver()
    assert sorted(json.loads(request.body)["aps"]["alert"]["body"] for request in apns.requests) == ["short"]
    failed = (await delivery.notifications(operation))[0].deliveries[0]
    assert failed.outcome is Outcome.NOT_SENT
    assert "PayloadTooLarge: 5" in failed.reason
    assert "the limit is 4096" in failed.reason


async def test_nothing_is_sent_after_its_day(delivery: Delivery, apns: ApnsServer) -> None:
    """What waited past its deadline ends, provably unsent."""
    await delivery.app()
    operation = await delivery.bench.accept(recipients_of(1))
    delivery.bench.clock.advance(24 * 3600)
    await delivery.deliver()
    assert apns.requests == []
    done = await delivery.operation(operation)
    assert (done.status, done.stats.failed) == (OperationStatus.COMPLETED, 1)


async def test_an_app_that_lost_its_credential_fails_with_the_reason(delivery: Delivery, apns: ApnsServer) -> None:
    """Deleted between accept and send: each recipient says what is missing."""
    credential = await delivery.app()
    operation = await delivery.bench.accept(recipients_of(2))
    await delivery.bench.store.delete_credential(delivery.bench.account, credential, delivery.bench.clock.ms)
    await delivery.deliver()
    assert apns.requests == []
    assert (await delivery.operation(operation)).stats.failed == 2


async def test_a_worker_whose_lease_was_taken_writes_nothing(delivery: Delivery, apns: ApnsServer) -> None:
    """Attempt numbers fence: the slow worker's records change nothing, the new one's count."""
    await delivery.app()
    bench = delivery.bench
    operation = await bench.accept(recipients_of(1))

    async def claim(now: int) -> LeasedChunk:
        (chunk,) = await bench.store.claim(operation.lane, 0, limit=1, now=now, until=now + 1000, worker="w")
        return chunk

    slow = await claim(bench.clock.ms)
    bench.clock.advance(2.0)
    quick = await claim(bench.clock.ms)
    await ChunkDelivery(slow, delivery.tools).run()
    assert (await delivery.operation(operation)).stats.queued == 1
    await ChunkDelivery(quick, delivery.tools).run()
    assert (await delivery.operation(operation)).stats.sent == 1
