"""A send to one device, delivered with less around it: what comes of it is what a chunk of many would make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from delivery.conftest import Delivery
from msgspec.structs import replace
from support.apns_server import ApnsServer, Peer, accept_all, header
from support.stores import recipients_of, token_of

from heliogram.delivery.chunk import ChunkDelivery
from heliogram.delivery.planning import YOUNG_S
from heliogram.delivery.single import SingleDelivery, delivery_of
from heliogram.delivery.tools import Settings
from heliogram.domain.apps import CredentialType
from heliogram.domain.errors import Unavailable
from heliogram.domain.lookups import RefusedToken, Wanted
from heliogram.domain.notifications import DeliveryRecord, NotificationStatus, Outcome, Recipient
from heliogram.domain.operations import Counts, Lane, Operation, OperationStatus
from heliogram.domain.render import Renderer
from heliogram.ports import LeasedChunk
from heliogram.queue.db import DbQueue
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

Script = Callable[[Peer, Received], None]


async def held(delivery: Delivery, recipients: list[Recipient], *, app: str = "shop") -> LeasedChunk:
    """A send as it is handed over in the moment in which it is accepted."""
    bench = delivery.bench
    await bench.accept(recipients)
    (chunk,) = await bench.store.claim(
        Lane.TX, 0, limit=1, now=bench.clock.ms, until=bench.clock.ms + 60_000, worker="w"
    )
    wanted = Wanted(
        app_name=app,
        kind=chunk.spec.kind,
        users=frozenset(each.user for each in recipients if each.user),
        tokens=frozenset(each.token for each in recipients if each.token),
    )
    known = await bench.store.look_up(bench.account, wanted)
    known.renderer = Renderer(chunk.spec)
    return replace(chunk, known=known)


async def single(delivery: Delivery, recipient: Recipient | None = None) -> SingleDelivery:
    """The delivery of a send to one device."""
    made = delivery_of(await held(delivery, [recipient or recipients_of(1)[0]]), delivery.tools)
    assert isinstance(made, SingleDelivery)
    return made


async def operation_of(delivery: Delivery, chunk: LeasedChunk) -> Operation:
    found = await delivery.bench.store.get_operation(delivery.bench.account, chunk.operation_id)
    assert found is not None
    return found


async def came_of(delivery: Delivery, chunk: LeasedChunk) -> dict[str, Any]:
    """Everything that is kept of a send, but for what its id makes different."""
    operation = await operation_of(delivery, chunk)
    (notification,) = await delivery.notifications(operation)
    records = [replace(record, wire_ms=0, queued_ms=0, token=b"") for record in notification.deliveries]
    return {
        "stats": operation.stats,
        "status": operation.status,
        "finished": operation.finished,
        "notification": notification.status,
        "records": msgspec.to_builtins(records),
    }


def rejecting(status: int, reason: str) -> Script:
    def script(peer: Peer, request: Received) -> None:
        peer.reject(request, status, reason)

    return script


ANSWERS = {
    "accepted": accept_all,
    "bad token": rejecting(400, "BadDeviceToken"),
    "gone": rejecting(410, "Unregistered"),
    "too many": rejecting(429, "TooManyRequests"),
    "key refused": rejecting(403, "InvalidProviderToken"),
    "trouble": rejecting(503, "ServiceUnavailable"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("to", ["token", "user"])
@pytest.mark.parametrize("how", ["handed over", "leased"])
async def test_it_leaves_what_a_chunk_of_many_would(
    delivery: Delivery, apns: ApnsServer, answer: str, to: str, how: str
) -> None:
    """The same push, the same record and counters, and the same wait before another try, whatever APNs answers."""
    await delivery.app()
    apns.on_request = ANSWERS[answer]
    found = []
    for number, kind in enumerate((ChunkDelivery, SingleDelivery)):
        recipient = Recipient(token=token_of(number))
        if to == "user":
            recipient = Recipient(user=(await delivery.bench.device(token_of(number))).user_id)
        chunk = await held(delivery, [recipient])
        if how == "leased":
            chunk = replace(chunk, known=None)
        made = ChunkDelivery(chunk, delivery.tools) if kind is ChunkDelivery else delivery_of(chunk, delivery.tools)
        assert type(made) is kind
        apns.requests.clear()
        await made.run()
        sent = {  # once, or again on a connection that is sure to know the topic
            (request.body, *(header(request, b"apns-" + name) for name in (b"push-type", b"priority", b"topic")))
            for request in apns.requests
        }
        names = [header(request, b"apns-id").decode().replace("-", "") for request in apns.requests]
        assert all(name[:27] == chunk.id.hex()[:27] for name in names)
        assert all(header(request, b":path").endswith(token_of(number).hex().encode()) for request in apns.requests)
        found.append((sent, await came_of(delivery, chunk), repr(delivery.tools.breakers)))
        delivery.tools.breakers.reset(delivery.bench.account, (await _credential(delivery)))
        delivery.tools.resting._rests.clear()
    assert found[0] == found[1]


async def _credential(delivery: Delivery) -> bytes:
    bench = delivery.bench
    known = await bench.store.look_up(bench.account, Wanted(app_name="shop", kind=bench.operation([]).spec.kind))
    assert known.app is not None
    return known.app.default_credentials[0].id


async def test_a_collapse_id_is_the_notifications(delivery: Delivery, apns: ApnsServer) -> None:
    """Of a user's device, too, whose own id has its slot; and none where the setting says so."""
    await delivery.app()
    user = (await delivery.bench.device(token_of(7))).user_id
    first = await single(delivery, Recipient(user=user))
    await first.run()
    (request,) = apns.requests
    own, collapse = header(request, b"apns-id").decode(), header(request, b"apns-collapse-id").decode()
    assert (own[:-2], collapse[-2:], own == collapse) == (collapse[:-2], "00", False)
    apns.requests.clear()
    delivery.tools = replace(delivery.tools, settings=Settings(collapse_by_id=False))
    await (await single(delivery, Recipient(user=user))).run()
    (request,) = apns.requests
    assert b"apns-collapse-id" not in dict(request.headers)


async def test_what_is_stopped_before_it_leaves_stays(delivery: Delivery, apns: ApnsServer) -> None:
    """Cancelled between accept and send, it ends as canceled and APNs never hears of it."""
    await delivery.app()
    chunk = await held(delivery, recipients_of(1))
    made = delivery_of(chunk, delivery.tools)
    await delivery.bench.store.cancel_operation(delivery.bench.account, chunk.operation_id, delivery.bench.clock.ms)
    made.stop()
    await made.run()
    assert apns.requests == []
    assert (await operation_of(delivery, chunk)).status is OperationStatus.CANCELED
    assert "known=0" in repr(delivery.tools.breakers)


async def test_what_is_on_the_wire_when_it_is_stopped_is_recorded(delivery: Delivery, apns: ApnsServer) -> None:
    """It was taken, whoever wanted to stop it."""
    await delivery.app()
    chunk = await held(delivery, recipients_of(1))
    made = delivery_of(chunk, delivery.tools)
    await delivery.bench.store.cancel_operation(delivery.bench.account, chunk.operation_id, delivery.bench.clock.ms)

    def script(peer: Peer, request: Received) -> None:
        made.stop()
        peer.accept(request)

    apns.on_request = script
    await made.run()
    found = await came_of(delivery, chunk)
    assert (found["notification"], found["status"]) == (NotificationStatus.SENT, OperationStatus.COMPLETED)


async def test_an_acceptance_that_the_store_does_not_take_is_kept(delivery: Delivery, apns: ApnsServer) -> None:
    """It is written as soon as the store takes it, and nothing is sent again."""
    await delivery.app()

    class Sick(DbQueue):
        failures = 1

        async def done(self, chunk: LeasedChunk, records: Any = (), counts: Counts | None = None) -> bool:
            if self.failures:
                self.failures -= 1
                raise Unavailable("no room")
            return await super().done(chunk, records, counts)

    bench = delivery.bench
    delivery.tools = replace(delivery.tools, queue=Sick(bench.store, bench.clock, "test"))
    chunk = await held(delivery, recipients_of(1))
    await delivery_of(chunk, delivery.tools).run()
    assert len(apns.requests) == 1
    assert (await operation_of(delivery, chunk)).stats.sent == 1
    assert "known=0" in repr(delivery.tools.breakers)


async def test_one_whose_lease_was_taken_writes_nothing(delivery: Delivery, apns: ApnsServer) -> None:
    """The attempt's number fences."""
    await delivery.app()
    slow = await held(delivery, recipients_of(1))
    bench = delivery.bench
    bench.clock.advance(61.0)
    (quick,) = await bench.store.claim(
        Lane.TX, 0, limit=1, now=bench.clock.ms, until=bench.clock.ms + 60_000, worker="other"
    )
    assert slow.known is not None
    slow.known.at = bench.clock.monotonic()
    await delivery_of(slow, delivery.tools).run()
    assert (await operation_of(delivery, slow)).stats.queued == 1
    await ChunkDelivery(quick, delivery.tools).run()
    assert (await operation_of(delivery, slow)).stats.sent == 1


async def test_a_credential_that_fails_keeps_it_waiting(delivery: Delivery, apns: ApnsServer) -> None:
    """While another probes, nothing of it leaves, and it says why."""
    await delivery.app()
    breakers, bench = delivery.tools.breakers, delivery.bench
    gate = breakers.gate(bench.account, await _credential(delivery), "app")
    gate.refused(None, "InvalidProviderToken", bench.clock.ms)
    made = await single(delivery)
    await made.run()
    assert apns.requests == []
    ((record,),) = [each.deliveries for each in await delivery.notifications(await operation_of(delivery, made._chunk))]
    assert (record.reason, record.held, record.attempt) == ("InvalidProviderToken", True, 0)


async def test_what_had_to_wait_before_it_began_is_looked_up_anew(delivery: Delivery, apns: ApnsServer) -> None:
    """As when the store took no outcomes meanwhile: a device that is gone by then gets nothing."""
    await delivery.app()
    bench = delivery.bench
    registered = await bench.device(token_of(5))
    made = await single(delivery, Recipient(user=registered.user_id))
    await bench.store.delete_user(bench.account, registered.user_id, bench.clock.ms)
    bench.clock.advance(YOUNG_S)
    await made.run()
    assert apns.requests == []
    assert (await operation_of(delivery, made._chunk)).stats.unaddressable == 1


async def test_a_token_that_began_to_rest_before_it_began_is_let_rest(delivery: Delivery, apns: ApnsServer) -> None:
    """APNs asked for less of it to another send, after this one was taken up."""
    await delivery.app()
    bench = delivery.bench
    made = await single(delivery)
    token = made._chunk.recipients[0].token
    delivery.tools.resting.rest(bench.account, token, bench.clock.ms + 30_000, bench.clock.ms)
    await made.run()
    assert apns.requests == []
    assert (await operation_of(delivery, made._chunk)).stats.queued == 1


async def test_whatever_is_more_than_one_device_is_a_chunk(delivery: Delivery, apns: ApnsServer) -> None:
    """More recipients, two devices, what was tried, a token that was refused, one that might be of the other
    environment, a credential that was named, and a device that rests."""
    await delivery.app()
    bench, tools = delivery.bench, delivery.tools
    chunk = await held(delivery, recipients_of(1))
    assert isinstance(delivery_of(chunk, tools), SingleDelivery)
    user = (await bench.device(token_of(8))).user_id
    await bench.device(token_of(9), user=user)
    known = chunk.known
    assert known is not None
    record = DeliveryRecord(sequence=0, slot=0, outcome=Outcome.REJECTED, final=False, at=0)
    others = [
        await held(delivery, recipients_of(2)),
        await held(delivery, [Recipient(user=user)]),
        replace(chunk, records=[record]),
        replace(chunk, known=replace(known, app=None)),
        replace(chunk, known=replace(known, renderer=None)),
        replace(chunk, known=replace(known, refused={b"": [RefusedToken(None, "Unregistered", None)]})),
        replace(chunk, spec=replace(chunk.spec, apn=b"c" * 16)),
        replace(chunk, spec=replace(chunk.spec, channel="dHN0")),
    ]
    assert [type(delivery_of(each, tools)) for each in others] == [ChunkDelivery] * len(others)
    tools.resting.rest(bench.account, token_of(3), bench.clock.ms + 1, bench.clock.ms)
    assert type(delivery_of(chunk, tools)) is ChunkDelivery
    tools.resting._rests.clear()
    await delivery.app(type=CredentialType.APN_SANDBOX)
    assert type(delivery_of(await held(delivery, recipients_of(1)), tools)) is ChunkDelivery
