"""Time moved by hand, and what becomes due on the way."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from support.sim_client import TOPIC, Clock, World

from heliogram.simulator import Invalid, Settings, Simulator
from heliogram.simulator.agenda import Agenda
from heliogram.simulator.timing import LATEST

pytestmark = pytest.mark.anyio


def test_the_clock_is_the_real_one_until_moved() -> None:
    """Without a clock of the caller's the simulator lives in real time; what is advanced comes on top."""
    simulator = Simulator()
    assert abs(simulator.time.now() - time.time()) < 5
    simulator.time.advance(3600)
    assert simulator.time.offset == 3600.0
    assert abs(simulator.time.now() - time.time() - 3600) < 5
    assert simulator.apns.clock() - time.time() > 3590
    simulator.time.reset()
    assert abs(simulator.time.now() - time.time()) < 5


def test_a_clock_of_the_callers_is_advanced_on_top() -> None:
    """A clock given by the caller stays the source, and keeps moving the simulator's."""
    clock = Clock(1000.0)
    simulator = Simulator(clock=clock)
    assert simulator.time.advance(10) == 1010.0
    clock.move(5)
    assert simulator.time.now() == 1015.0
    assert simulator.time.offset == 10.0


def test_the_clock_is_set() -> None:
    """A moment can be set, forwards and back."""
    simulator = Simulator(clock=Clock(1000.0))
    assert simulator.time.set(5000.0) == 5000.0
    assert simulator.time.set(10.0) == 10.0
    assert simulator.time.offset == -990.0


@pytest.mark.parametrize("seconds", [-0.001, math.inf, math.nan, LATEST])
def test_no_impossible_advance(seconds: float) -> None:
    """Time does not pass backwards, without end, or beyond the year 3000."""
    simulator = Simulator(clock=Clock(1000.0))
    with pytest.raises(Invalid, match="advance") as caught:
        simulator.time.advance(seconds)
    assert caught.value.field == "advance"
    assert simulator.time.now() == 1000.0


@pytest.mark.parametrize("moment", [-1.0, LATEST + 1, math.inf, math.nan])
def test_no_impossible_moment(moment: float) -> None:
    """The clock stays between the years 1970 and 3000."""
    simulator = Simulator(clock=Clock(1000.0))
    with pytest.raises(Invalid, match="set must leave the clock between"):
        simulator.time.set(moment)
    assert simulator.time.set(LATEST) == LATEST
    assert simulator.time.set(0.0) == 0.0


def test_what_is_due_happens_in_order_each_at_its_moment() -> None:
    """An advance over several moments stops at each of them, also at those added on the way."""
    simulator = Simulator(clock=Clock(1000.0))
    apns, seen = simulator.apns, list[tuple[str, float]]()

    def note(name: str) -> None:
        seen.append((name, apns.clock()))
        if name == "second":
            apns.schedule(1025.0, lambda: note("added"))

    apns.schedule(1030.0, lambda: note("third"))
    apns.schedule(1010.0, lambda: note("first"))
    apns.schedule(1020.0, lambda: note("second"))
    apns.schedule(1020.0, lambda: note("second, made later"))
    apns.schedule(1041.0, lambda: note("never"))
    cancelled = apns.schedule(1015.0, lambda: note("cancelled"))
    assert len(apns.agenda) == 6
    cancelled.cancel()
    assert len(apns.agenda) == 5
    simulator.time.advance(40)
    assert seen == [
        ("first", 1010.0),
        ("second", 1020.0),
        ("second, made later", 1020.0),
        ("added", 1025.0),
        ("third", 1030.0),
    ]
    assert simulator.time.now() == 1040.0


def test_nothing_happens_twice_when_the_clock_goes_back() -> None:
    """A moment passed is passed."""
    simulator = Simulator(clock=Clock(1000.0))
    seen: list[int] = []
    simulator.apns.schedule(1010.0, lambda: seen.append(1))
    simulator.time.advance(20)
    simulator.time.set(1000.0)
    simulator.time.advance(20)
    assert seen == [1]


def test_what_fails_does_not_hold_up_the_rest() -> None:
    """An exception comes out where time was moved; what waits behind it is due still."""
    clock = Clock(0.0)
    agenda = Agenda(clock)
    seen: list[int] = []
    agenda.at(1.0, lambda: 1 // 0)
    agenda.at(2.0, lambda: seen.append(2))
    clock.move(5)
    with pytest.raises(ZeroDivisionError):
        agenda.look()
    agenda.look()
    assert seen == [2]
    assert agenda.due == math.inf


async def test_the_agenda_rings_by_itself() -> None:
    """While an event loop runs, a timer on it notices that the real clock has got there."""
    simulator = Simulator()
    rung = asyncio.Event()
    simulator.apns.schedule(simulator.time.now() + 0.01, rung.set)
    await asyncio.wait_for(rung.wait(), 5)


async def test_the_agenda_made_before_the_loop_rings_once_started() -> None:
    """What was put down before there was a loop is armed by start, and disarmed by stop."""
    simulator = Simulator()
    rung = asyncio.Event()

    def put_down() -> None:
        simulator.apns.schedule(simulator.time.now() + 0.01, rung.set)

    await asyncio.to_thread(put_down)
    async with simulator:
        await asyncio.wait_for(rung.wait(), 5)


async def test_a_push_looks_at_the_agenda(world: World) -> None:
    """What time has brought about is there before the next push is judged."""
    world.simulator.apns.schedule(world.clock.now + 60, lambda: world.simulator.uninstall(world.device.id, TOPIC))
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.clock.move(60)
    assert (await client.push(world.token, world.bearer)).reason == "Unregistered"


async def test_tok_8_a_token_ages_on_an_open_connection(world: World) -> None:
    """TOK-8: an hour on, a token verified on this connection before is expired, and was not a second earlier."""
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.time.advance(3600)
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.time.advance(1)
    assert (await client.push(world.token, world.bearer)).reason == "ExpiredProviderToken"


async def test_tok_8_a_token_is_young_again_when_the_clock_goes_back(world: World) -> None:
    """TOK-8: nothing of a token's age is remembered but when it was issued."""
    client = await world.connect()
    world.simulator.time.advance(3601)
    assert (await client.push(world.token, world.bearer)).reason == "ExpiredProviderToken"
    world.simulator.time.reset()
    assert (await client.push(world.token, world.bearer)).status == 200


async def test_tok_9_the_floor_passes_without_waiting(world: World) -> None:
    """TOK-9: 20 minutes advanced are 20 minutes for the connection's floor."""
    client = await world.connect()
    now = int(world.clock.now)
    bearers = [world.signer.token(now - age) for age in (0, 1, 2)]
    verdicts = [(await client.push(world.token, bearer)).reason for bearer in bearers]
    assert verdicts == [None, None, "TooManyProviderTokenUpdates"]
    world.simulator.time.advance(1199)
    assert (await client.push(world.token, bearers[2])).reason == "TooManyProviderTokenUpdates"
    world.simulator.time.advance(1)
    assert (await client.push(world.token, bearers[2])).status == 200


async def test_tok_9_the_floor_forgets_the_future(world: World) -> None:
    """TOK-9: a floor reached in a future that was taken back holds nobody up."""
    client = await world.connect()
    now = int(world.clock.now)
    world.simulator.time.advance(3000)
    for age in (0, 1):
        assert (await client.push(world.token, world.signer.token(now - age))).status == 200
    assert (await client.push(world.token, world.signer.token(now - 2))).status == 429
    world.simulator.time.reset()
    for age in (3, 4):
        assert (await client.push(world.token, world.signer.token(now - age))).status == 200
    assert (await client.push(world.token, world.signer.token(now - 5))).status == 429


@pytest.mark.parametrize("settings", [Settings(token_rate=1)])
async def test_life_13_a_minute_passes_at_once(world: World) -> None:
    """LIFE-13: the minute of a device token's rate is the simulator's minute."""
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    assert (await client.push(world.token, world.bearer)).reason == "TooManyRequests"
    world.simulator.time.advance(60)
    assert (await client.push(world.token, world.bearer)).status == 200


async def test_the_feed_tells_of_the_clock() -> None:
    """Who watches sees each move, and only then."""
    simulator = Simulator(clock=Clock(1000.0))
    watching = simulator.apns.feed.subscribe()
    simulator.time.advance(60)
    (event,) = await watching.take()
    assert event.kind == "clock"
    assert event.data == {"now": 1060.0, "at": "1970-01-01T00:17:40.000Z", "offset": 60.0, "waiting": 0}


def test_a_reset_is_a_fresh_start() -> None:
    """After a reset nothing waits and the clock is the unmoved one."""
    simulator = Simulator(clock=Clock(1000.0))
    seen: list[int] = []
    simulator.apns.schedule(1010.0, lambda: seen.append(1))
    simulator.time.advance(5)
    simulator.reset()
    assert simulator.time.now() == 1000.0
    simulator.time.advance(100)
    assert seen == []
