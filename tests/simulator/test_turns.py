"""Connections that say much take turns: nobody waits for all of it, and nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import hpack
import pytest
from hyperframe.frame import GoAwayFrame, HeadersFrame, PriorityFrame, SettingsFrame
from support.hyperframes import frames_of
from support.sim_client import Reply, SimClient, World

from heliogram.simulator import Settings
from heliogram.simulator.connection import Connection
from heliogram.simulator.turns import SLICE, Turns
from heliogram.wire.frames import PREFACE

pytestmark = pytest.mark.anyio

MANY = 300
SMALL = 2048
"""A slice that holds a fraction of MANY pushes."""


class Talker:
    """Something with so many bytes to answer."""

    def __init__(self, turns: Turns, size: int, log: list[tuple[str, int]], name: str = "") -> None:
        self.turns, self.size, self.log, self.name = turns, size, log, name
        self.fails = False
        turns.add(self)

    def proceed(self, most: int) -> int:
        if self.fails:
            raise ValueError("broken")
        taken = min(most, self.size)
        self.size -= taken
        self.log.append((self.name, taken))
        if self.size:
            self.turns.add(self)
        return taken


async def test_small_reads_are_answered_at_once_up_to_a_slice() -> None:
    """In one turn of the loop a slice is granted, not a byte more; the next turn has its own."""
    turns = Turns()
    assert turns.grants(SLICE - 1)
    assert turns.grants(1)
    assert not turns.grants(1)
    await asyncio.sleep(0)
    assert not Turns().grants(SLICE + 1)
    assert turns.grants(SLICE)
    assert repr(turns) == f"<Turns waiting=0 spent={SLICE} of {SLICE}>"


async def test_who_waits_is_not_overtaken() -> None:
    """A short read does not jump the queue: turns go round, one slice each time."""
    log: list[tuple[str, int]] = []
    turns = Turns(10)
    Talker(turns, 25, log, "a")
    b = Talker(turns, 4, log, "b")
    turns.add(b)
    assert not turns.grants(1)
    await asyncio.sleep(0)
    assert log == [("a", 10)]
    await asyncio.sleep(0)
    assert log == [("a", 10), ("b", 4), ("a", 10)]
    await asyncio.sleep(0)
    assert log[3:] == [("a", 5)]
    await asyncio.sleep(0)
    assert turns.grants(10)


async def test_one_that_fails_does_not_stop_the_others() -> None:
    """An exception is the loop's affair; the turns go on."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    log: list[tuple[str, int]] = []
    turns = Turns(10)
    Talker(turns, 5, log).fails = True
    Talker(turns, 5, log, "b")
    for _ in range(3):
        await asyncio.sleep(0)
    assert log == [("b", 5)]
    assert [type(context["exception"]) for context in told] == [ValueError]


# ---- on real connections


def talk(world: World, client: SimClient, count: int = MANY) -> list[asyncio.Future[Reply]]:
    """That many pushes, written before the simulator reads any."""
    for listener in world.simulator.listeners.values():
        listener.turns.size = SMALL
    return [client.push(world.token, world.bearer) for _ in range(count)]


def requests() -> bytes:
    """The beginning of a connection, and many requests without a body."""
    fields = [(":method", "POST"), (":scheme", "https"), (":path", "/3/device/00")]
    small = bytes(hpack.Encoder().encode(fields, huffman=False))
    frames = [HeadersFrame(2 * at + 1, small, flags=["END_HEADERS", "END_STREAM"]) for at in range(MANY)]
    return b"".join([PREFACE, SettingsFrame(0).serialize(), *(frame.serialize() for frame in frames)])


def note_order(waiting: list[asyncio.Future[Reply]]) -> list[int]:
    """The numbers of these pushes, in the order of their answers."""
    order: list[int] = []

    def note(number: int, _: asyncio.Future[Reply]) -> None:
        order.append(number)

    for number, future in enumerate(waiting):
        future.add_done_callback(partial(note, number))
    return order


def answered(world: World) -> int:
    return world.simulator.apns.journal.answered


async def until(true: Callable[[], bool]) -> None:
    """Let the loop turn until this is so."""
    for _ in range(100_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def begun(world: World) -> Connection:
    """The only connection, when some of what it said is answered and the most is not."""
    (connection,) = world.simulator.listeners["production"].connections
    await until(lambda: answered(world) > 0)
    assert 0 < answered(world) < MANY // 2
    return connection


async def test_others_are_served_between_slices(world: World) -> None:
    """A push on another connection does not wait for hundreds that came before it; those are answered in order."""
    busy, other = await world.connect(), await world.connect()
    waiting = talk(world, busy)
    order = note_order(waiting)
    assert (await other.push(world.token, world.bearer)).status == 200
    assert len(order) < MANY // 2
    assert {reply.status for reply in await asyncio.gather(*waiting)} == {200}
    await asyncio.sleep(0)
    assert order == list(range(MANY))


class HalfClosing:
    """TLS by hand: asyncio's own does not read on after it has said the end."""

    def __init__(self, world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cadata=world.simulator.ca_pem.decode())
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="api.push.apple.com")

    async def repeat(self, step: Callable[[], object]) -> None:
        """Take this step of TLS as often as it wants to read."""
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                self.writer.write(self.outgoing.read())
                self.incoming.write(await self.reader.read(65536))
        self.writer.write(self.outgoing.read())

    def read(self) -> bytes:
        """All that the server said up to its own end of TLS."""
        said = []
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while True:
                said.append(self.tls.read(65536))
        return b"".join(said)


async def test_the_end_of_tls_waits_for_its_turn(world: World) -> None:
    """What a client said before it ended TLS is answered first, whole; then the server ends it too."""
    reader, writer = await asyncio.open_connection(*world.simulator.ports["production"])
    client = HalfClosing(world, reader, writer)
    await client.repeat(client.tls.do_handshake)
    world.simulator.listeners["production"].turns.size = SMALL
    small = hpack.Encoder().encode(
        [(":method", "POST"), (":scheme", "https"), (":path", "/3/device/00")], huffman=False
    )
    requests = [HeadersFrame(2 * at + 1, small, flags=["END_HEADERS", "END_STREAM"]) for at in range(MANY)]
    client.tls.write(b"".join([PREFACE, SettingsFrame(0).serialize(), *(one.serialize() for one in requests)]))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    writer.write(client.outgoing.read())
    await begun(world)
    while data := await reader.read(65536):
        client.incoming.write(data)
    ended = sum("END_STREAM" in frame.flags for frame in frames_of(client.read()))
    assert ended == answered(world) == MANY
    writer.close()


async def test_goaway_leaves_out_what_has_not_had_its_turn(world: World) -> None:
    """CONN-22: requests above the last stream id of GOAWAY were not processed, and none below it is unanswered."""
    client = await world.connect(preface=False)
    world.simulator.listeners["production"].turns.size = SMALL
    client.transport.write(requests())
    (await begun(world)).goaway()
    await client.closed
    said = frames_of(client.raw)
    (end,) = [one for one in said if isinstance(one, GoAwayFrame)]
    answers = [one.stream_id for one in said if isinstance(one, HeadersFrame)]
    assert answers == list(range(1, end.last_stream_id + 1, 2))
    assert len(answers) == answered(world) < MANY


async def test_a_lost_connection_takes_no_more_turns(world: World) -> None:
    """What had not had its turn when a connection broke is never answered; others are."""
    client = await world.connect()
    waiting = talk(world, client)
    connection = await begun(world)
    before = answered(world)
    connection.abort()
    assert (await world.push()).status == 200
    assert answered(world) == before + 1
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_slow_reader_gets_no_more_turns_until_it_has_read(world: World) -> None:
    """The bound on answers waiting holds for what was received already."""
    client = await world.connect()
    waiting = talk(world, client)
    connection = await begun(world)
    connection.pause_writing()
    before = answered(world)
    assert (await world.push()).status == 200
    assert answered(world) == before + 1
    connection.resume_writing()
    assert {reply.status for reply in await asyncio.gather(*waiting)} == {200}


async def test_a_silent_connection_forgets_what_waits(world: World) -> None:
    """CONN-27: one that was told to fall silent reads nothing of what it had received."""
    client = await world.connect()
    waiting = talk(world, client)
    connection = await begun(world)
    connection.fall_silent()
    before = answered(world)
    assert (await world.push()).status == 200
    assert answered(world) == before + 1
    connection.abort()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_broken_answerer_ends_its_connection(world: World) -> None:
    """A failure amid a turn closes the connection, as asyncio does for one in a read, and nothing hangs."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client = await world.connect()
    waiting = talk(world, client)
    connection = await begun(world)

    def broken(*_: Any) -> Any:
        raise ValueError("broken")

    connection.answerer = broken
    await connection.lost
    assert (await world.push()).status == 200
    assert [type(context["exception"]) for context in told] == [ValueError]
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_client_that_is_gone_at_the_end_of_its_turns(world: World) -> None:
    """The end of a connection whose client has left meanwhile is no error."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client = await world.connect(preface=False)
    (connection,) = world.simulator.listeners["production"].connections
    for listener in world.simulator.listeners.values():
        listener.turns.size = SMALL
    client.transport.write(PREFACE + SettingsFrame(0).serialize())
    await until(lambda: b"\0\0\0\x04\x01" in client.raw)  # SETTINGS are acknowledged: nothing is left to be said
    client.transport.write(PriorityFrame(1).serialize() * 3000 + GoAwayFrame(0).serialize())
    client.transport.abort()
    await connection.lost
    assert (await world.push()).status == 200
    assert told == []


class TestRoundTrip:
    """A wire that takes its time."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(round_trip_ms=1)

    async def test_turns_and_a_round_trip(self, world: World) -> None:
        """Answers that are paced come all, and in order."""
        client = await world.connect()
        waiting = talk(world, client)
        order = note_order(waiting)
        assert {reply.status for reply in await asyncio.gather(*waiting)} == {200}
        await asyncio.sleep(0)
        assert order == list(range(MANY))
