"""What a sender asks for over the socket is done to the store, with the same answers."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from support.senders import Pair
from support.stores import known_environments, recipients_of

from heliogram.delivery.refusal import WHOLE, Refusal
from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.history import TokenRefusal
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, OperationStatus
from heliogram.ports import LastAnswer, LeasedChunk, Standing, Window
from heliogram.senders.messages import Alarm, Canceled, Mended, Ready, Refused, Wake, encode
from heliogram.store.errors import StoreError, StoreFull

pytestmark = pytest.mark.anyio

TOKEN = b"\xab" * 32


async def claim(pair: Pair, limit: int = 10, lane: Lane = Lane.TX) -> list[LeasedChunk]:
    now = pair.clock.ms
    return await pair.remote.claim(lane, 0, limit=limit, now=now, until=now + 1000, worker="")


def record(sequence: int, at: int = 5) -> DeliveryRecord:
    return DeliveryRecord(
        sequence=sequence,
        slot=0,
        outcome=Outcome.ACCEPTED,
        final=True,
        at=at,
        token=TOKEN,
        provider=ProviderName.APN,
        environment=Environment.PRODUCTION,
        credential=b"c" * 16,
        status=200,
        attempt=1,
    )


async def test_a_claimed_chunk_is_the_same_as_in_process(pair: Pair) -> None:
    """Recipients, what is sent, and what earlier attempts wrote."""
    made = await pair.bench.accept(recipients_of(3))
    (chunk,) = await claim(pair)
    assert await pair.remote.append_records(chunk, [record(0)], Counts(sent=1))
    assert await pair.remote.release(chunk, pair.clock.ms, pair.clock.ms)
    (theirs,) = await claim(pair)
    assert await pair.remote.release(theirs, pair.clock.ms, pair.clock.ms)
    now = pair.clock.ms
    (ours,) = await pair.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 1000, worker="us")
    assert theirs.records == ours.records == [record(0)]
    assert theirs.recipients == ours.recipients
    assert (theirs.spec, theirs.operation_id, ours.attempt) == (ours.spec, made.id, theirs.attempt + 1)


async def test_a_chunk_is_finished_and_its_operation_with_it(pair: Pair) -> None:
    """Counters as they were given."""
    made = await pair.bench.accept(recipients_of(2))
    (chunk,) = await claim(pair)
    assert await pair.remote.extend(chunk, pair.clock.ms + 5000)
    assert await pair.remote.append_records(chunk, [record(0), record(1)], Counts(sent=2))
    assert await pair.remote.finish(chunk, pair.clock.ms)
    found = await pair.store.get_operation(pair.bench.account, made.id)
    assert found is not None
    assert found.status is OperationStatus.COMPLETED
    assert await pair.desk.give_back() == 0


async def test_an_older_attempt_is_fenced_off(pair: Pair) -> None:
    """Every write of it says so and changes nothing."""
    await pair.bench.accept(recipients_of(1))
    (old,) = await claim(pair)
    pair.clock.advance(2)
    (new,) = await claim(pair)
    assert new.attempt == old.attempt + 1
    assert not await pair.remote.extend(old, pair.clock.ms + 5000)
    assert not await pair.remote.append_records(old, [record(0)], Counts(sent=1))
    assert not await pair.remote.release(old, 0, pair.clock.ms)
    assert not await pair.remote.finish(old, pair.clock.ms)
    assert await pair.remote.finish(new, pair.clock.ms)


async def test_what_a_dead_sender_held_is_due_at_once(pair: Pair) -> None:
    """With the answers it had asked to be written, and nothing that it gave back before."""
    await pair.bench.accept(recipients_of(1))
    await pair.bench.accept(recipients_of(1))
    done, held = await claim(pair)
    assert await pair.remote.finish(done, pair.clock.ms)
    asking = asyncio.ensure_future(pair.remote.append_records(held, [record(0)], Counts(sent=1)))
    while not pair.desk._running:
        await asyncio.to_thread(lambda: None)
    assert await pair.desk.give_back() == 1
    assert await asking
    (again,) = await claim(pair)
    assert (again.id, again.attempt, again.records) == (held.id, held.attempt + 1, [record(0)])


async def test_what_a_dead_sender_held_may_be_anothers_by_now(pair: Pair) -> None:
    """Its lease ran out: the other's attempt is left alone."""
    await pair.bench.accept(recipients_of(1))
    await claim(pair)
    pair.clock.advance(2)
    now = pair.clock.ms
    (other,) = await pair.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 1000, worker="us")
    assert await pair.desk.give_back() == 0
    assert await pair.store.finish(other, now)


async def test_what_cannot_be_given_back_is_a_line_each(pair: Pair) -> None:
    """The store is of no use just now, and says so itself: what was held comes by when its lease ends."""
    await pair.bench.accept(recipients_of(1))
    await claim(pair)
    await pair.store.close()
    with structlog.testing.capture_logs() as lines:
        assert await pair.desk.give_back() == 0
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("sender.not_given_back", "warning")
    assert "exc_info" not in line


async def test_what_answers_say_of_devices_is_done(pair: Pair) -> None:
    """Learned, removed, quarantined."""
    bench, store = pair.bench, pair.store
    await bench.app()
    user = await store.ensure_user(bench.account, "ada", pair.clock.ms)
    for token in (TOKEN, b"\xcd" * 32):
        await bench.device(token, user)
    assert await pair.remote.learn_environments(bench.account, "shop", {TOKEN: Environment.SANDBOX}) == 1
    known = await known_environments(pair.store, bench.account, "shop", [TOKEN])
    assert known == {TOKEN: Environment.SANDBOX}
    pair.clock.advance(1)
    assert await pair.remote.quarantine_device(
        bench.account, "shop", ProviderName.APN, TOKEN, reason="BadDeviceToken", at=pair.clock.ms
    )
    assert await pair.remote.remove_device(
        bench.account,
        "shop",
        ProviderName.APN,
        b"\xcd" * 32,
        dead_since=pair.clock.ms,
        reason="Unregistered",
        refusal=TokenRefusal(410, 7),
    )
    told = await store.device_history(bench.account, Window(), tokens={(ProviderName.APN, b"\xcd" * 32)})
    assert [(each.status, each.invalid_since) for each in told.items] == [(410, 7)]
    assert await pair.remote.devices_of_users(bench.account, "shop", [user]) == {}


async def test_what_is_read_is_read_here(pair: Pair) -> None:
    """Nothing of it is asked over the socket."""
    bench = pair.bench
    made = await bench.app()
    assert await pair.remote.get_credential(bench.account, made.id) is not None
    assert await pair.remote.sealed_credential(bench.account, made.id) is not None
    assert await pair.remote.get_app(bench.account, "shop") is not None
    assert list(await pair.remote.credential_states(bench.account)) == [made.id]
    assert await pair.remote.next_due(Lane.BULK, 0) is None
    assert await pair.remote.canceled_of([]) == set()
    assert "called=0" in repr(pair.remote)


@pytest.mark.parametrize("error", [StoreFull("no room"), RuntimeError("a mistake")])
async def test_what_the_store_raises_is_raised_here(
    pair: Pair, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full store as what it is, so that the delivery waits for room; a mistake of ours as a failure of the store."""
    await pair.bench.accept(recipients_of(1))
    (chunk,) = await claim(pair)

    async def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(pair.store, "extend", fail)
    with pytest.raises(StoreError, match=str(error)) as raised:
        await pair.remote.extend(chunk, 5)
    assert type(raised.value) is (StoreFull if isinstance(error, StoreFull) else StoreError)


async def test_what_works_again_is_due_and_the_others_hear_of_it(pair: Pair) -> None:
    """The serving process forgets that it failed; whoever told it is not told."""
    made = await pair.bench.app()
    refusal = Refusal(
        account=pair.bench.account, credential_id=made.id, place=WHOLE, reason="R", since=1, probe_at=2, step=0
    )
    pair.wire.send(encode(Refused(refusal)))
    pair.wire.send(encode(Alarm(made, "R")))
    await pair.bench.accept(recipients_of(1))
    (chunk,) = await claim(pair)
    assert pair.breakers.failing(pair.bench.account, made.id) is not None
    assert pair.alarms == [(made, "R")]
    assert await pair.remote.release(chunk, pair.clock.ms + 60_000, pair.clock.ms, held=made.id)
    assert await pair.remote.let_go_held(pair.bench.account, made.id, 0) == 1
    assert pair.breakers.failing(pair.bench.account, made.id) is None
    assert len(await claim(pair)) == 1
    assert [told for told in pair.told if not isinstance(told, Wake)] == []


async def test_trying_one_chunk_is_no_news(pair: Pair) -> None:
    """Of a credential that still fails, one chunk is let go to try it: the breakers stay as they are."""
    made = await pair.bench.app()
    pair.breakers.hear(
        Refusal(account=pair.bench.account, credential_id=made.id, place=WHOLE, reason="R", since=1, probe_at=2, step=0)
    )
    assert await pair.remote.let_go_held(pair.bench.account, made.id, 0, most=1) == 0
    assert pair.breakers.failing(pair.bench.account, made.id) is not None


async def test_senders_are_told_what_the_serving_process_knows(pair: Pair) -> None:
    """New work in their lane, what was cancelled, what fails and what works again."""
    made = await pair.bench.app()
    pair.queue.wake(Lane.TX)
    pair.queue.wake(Lane.BULK)
    pair.queue.canceled(b"o" * 16)
    await pair.queue.let_go(pair.bench.account, made.id)
    gate = pair.breakers.gate(pair.bench.account, made.id, None)
    gate.refused(made, "InvalidProviderToken", 7)
    gate.close(7)
    told = await pair.hear(4)
    assert told[:3] == [Wake(Lane.BULK), Canceled(b"o" * 16), Mended(pair.bench.account, made.id)]
    assert isinstance(told[3], Refused)
    assert (told[3].refusal.reason, told[3].refusal.credential) == ("InvalidProviderToken", made)
    assert pair.breakers.refusals() == [told[3].refusal]


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x93\x01\x02", encode(Wake(Lane.TX)), encode({"type": "Claim"})])
async def test_a_sender_that_speaks_garbage_is_ended(pair: Pair, garbage: bytes) -> None:
    """It is one of ours: then something is badly wrong with it, and what it holds is better given to another."""
    pair.wire.send(garbage)
    async with asyncio.timeout(90):
        await pair.desk.ended.wait()
        await pair.lost.wait()


async def test_a_sender_says_when_it_is_ready(pair: Pair) -> None:
    """Once it works; the service is ready when all are."""
    assert not pair.desk.ready.is_set()
    pair.wire.send(encode(Ready()))
    async with asyncio.timeout(90):
        await pair.desk.ready.wait()


async def test_what_the_provider_said_of_credentials_is_written_down(pair: Pair) -> None:
    """By the serving process, for all who ask."""
    bench, now = pair.bench, pair.clock.ms
    made = await bench.app()
    answer = LastAnswer(at=now, status=403, reason="InvalidProviderToken", succeeded=now - 1)
    await pair.remote.tell_answers({(bench.account, made.id): answer})
    assert await pair.store.credential_standings(bench.account, now) == {made.id: Standing(answer=answer)}
