"""A send to one device that waited for a worker: what is to be known is looked up first."""

from __future__ import annotations

import pytest
from delivery.conftest import Delivery
from delivery.test_single import came_of, operation_of, rejecting
from msgspec.structs import replace
from support.apns_server import ApnsServer, accept_all
from support.stores import recipients_of, token_of

from heliogram.delivery.chunk import ChunkDelivery
from heliogram.delivery.single import SingleDelivery, delivery_of
from heliogram.domain.apps import CredentialType
from heliogram.domain.errors import Unavailable
from heliogram.domain.lookups import Known, Wanted
from heliogram.domain.notifications import Recipient
from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk

pytestmark = pytest.mark.anyio


async def _leased(delivery: Delivery, recipient: Recipient) -> LeasedChunk:
    """A send that waited for a worker."""
    bench = delivery.bench
    await bench.accept([recipient])
    (chunk,) = await bench.store.claim(
        Lane.TX, 0, limit=1, now=bench.clock.ms, until=bench.clock.ms + 60_000, worker="w"
    )
    return chunk


async def _prepare(delivery: Delivery, apns: ApnsServer, there: str) -> Recipient:
    bench, recipient = delivery.bench, Recipient(token=token_of(1))
    if there != "no app":
        await delivery.app()
    if there == "either environment":
        await delivery.app(type=CredentialType.APN_SANDBOX)
    if there in ("two devices", "no device"):
        user = (await bench.device(token_of(8))).user_id
        await bench.device(token_of(9), user=user)
        recipient = Recipient(user=user)
        if there == "no device":
            await bench.store.delete_user(bench.account, user, bench.clock.ms)
    if there == "refused":
        apns.on_request = rejecting(410, "Unregistered")
        await ChunkDelivery(await _leased(delivery, recipient), delivery.tools).run()
        apns.on_request = accept_all
    return recipient


@pytest.mark.parametrize("there", ["two devices", "no device", "no app", "refused", "either environment", "a template"])
async def test_what_is_found_to_be_more_is_delivered_as_a_chunk(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """What was looked up for it is not asked for again."""
    recipient, found, asked = await _prepare(delivery, apns, there), [], list[Wanted]()
    store = delivery.bench.store
    look_up = store.look_up

    async def counted(account: bytes, wanted: Wanted) -> Known:
        asked.append(wanted)
        return await look_up(account, wanted)

    monkeypatch.setattr(store, "look_up", counted)
    for kind in (ChunkDelivery, SingleDelivery):
        chunk = await _leased(delivery, recipient)
        if there == "a template":
            content = replace(chunk.spec.content, body="{% if name %}{{ name | upcase }}{% else %}You{% endif %}")
            chunk = replace(chunk, spec=replace(chunk.spec, content=content))
        made = ChunkDelivery(chunk, delivery.tools) if kind is ChunkDelivery else delivery_of(chunk, delivery.tools)
        assert type(made) is kind
        apns.requests.clear()
        asked.clear()
        await made.run()
        assert len(asked) == 1
        found.append((len(apns.requests), await came_of(delivery, chunk)))
    assert found[0] == found[1]


async def test_a_look_up_that_fails_is_raised_and_leaves_it_as_it_was(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is away: whoever works on it puts it off."""
    await delivery.app()
    chunk = await _leased(delivery, recipients_of(1)[0])

    async def away(account: bytes, wanted: Wanted) -> Known:
        raise Unavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(delivery.bench.store, "look_up", away)
        with pytest.raises(Unavailable, match="the database is away"):
            await delivery_of(chunk, delivery.tools).run()
    assert apns.requests == []
    assert (await operation_of(delivery, chunk)).stats.queued == 1
    await delivery_of(chunk, delivery.tools).run()
    assert (await operation_of(delivery, chunk)).stats.sent == 1


async def test_what_is_stopped_while_it_is_looked_up_stays(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has left when it is known whom it would go to, and nothing leaves then."""
    await delivery.app()
    bench, chunk = delivery.bench, await _leased(delivery, recipients_of(1)[0])
    made, look_up = delivery_of(chunk, delivery.tools), bench.store.look_up
    assert isinstance(made, SingleDelivery)

    async def stopped(account: bytes, wanted: Wanted) -> Known:
        known = await look_up(account, wanted)
        await bench.store.cancel_operation(account, chunk.operation_id, bench.clock.ms)
        made.stop()
        return known

    monkeypatch.setattr(bench.store, "look_up", stopped)
    await made.run()
    assert apns.requests == []
    stats = (await operation_of(delivery, chunk)).stats
    assert (stats.canceled, stats.sent) == (1, 0)
