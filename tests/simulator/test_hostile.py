"""Clients that mean no good: each gets the right frame and its end, memory stays bounded, others are served.

Raw frames in the manner of h2spec; each test ends with a push on another connection.
"""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from support.hyperframes import frames_of
from support.sim_client import SimClient, World

from heliogram.wire import ErrorCode
from heliogram.wire.frames import PREFACE

pytestmark = pytest.mark.anyio

FIELDS = [(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/3/device/00")]


def block(*extra: tuple[str, str]) -> bytes:
    """A request's header block without entries in the table."""
    return bytes(hpack.Encoder().encode([*FIELDS, *extra], huffman=False))


def headers(stream_id: int, data: bytes | None = None, *flags: str) -> bytes:
    return HeadersFrame(stream_id, data or block(), flags=flags or ("END_HEADERS", "END_STREAM")).serialize()


def status_of(answer: HeadersFrame) -> str:
    """The first field of an answer: its status."""
    (_, status), *_ = hpack.Decoder().decode(answer.data)
    return str(status)


class Raw:
    """A connection on which anything can be said."""

    def __init__(self, world: World, client: SimClient) -> None:
        self.world = world
        self.client = client
        self.asked = 0

    def say(self, *data: bytes) -> None:
        if not self.client.transport.is_closing():
            self.client.transport.write(b"".join(data))

    async def goaway(self) -> GoAwayFrame:
        """The GOAWAY that the connection ends with."""
        await asyncio.wait_for(self.client.closed, 90)
        return [one for one in frames_of(self.client.raw) if isinstance(one, GoAwayFrame)][-1]

    async def answered(self) -> list[Frame]:
        """What it has said once it has acknowledged a PING sent now: the connection lives."""
        self.asked += 1
        question = b"alive%03d" % self.asked
        self.say(PingFrame(0, question).serialize())
        while question not in self.client.raw:
            assert not self.client.closed.done(), "the connection has ended"
            await asyncio.sleep(0)
        return frames_of(self.client.raw)


@pytest.fixture
async def raw(world: World) -> AsyncIterator[Raw]:
    """Preface and SETTINGS have been said; in the end others are served as ever, and nothing is left."""
    client = await world.connect(preface=False)
    one = Raw(world, client)
    one.say(PREFACE, SettingsFrame(0).serialize())
    yield one
    assert (await world.push()).status == 200
    await client.close()


# ---- the beginning


@pytest.mark.parametrize("first", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\0" * 24, b"GET / HTTP/1.0\r\n\r\n" * 99])
async def test_bad_preface(world: World, first: bytes) -> None:
    """RFC 9113 §3.4, CONN-12: anything but the preface is told by GOAWAY and ended."""
    client = await world.connect(preface=False)
    client.transport.write(first)
    end = await Raw(world, client).goaway()
    assert (end.error_code, end.last_stream_id) == (ErrorCode.PROTOCOL_ERROR, 0)
    assert (await world.push()).status == 200


async def test_first_frame_must_be_settings(world: World) -> None:
    """RFC 9113 §3.4: the preface is followed by SETTINGS."""
    client = await world.connect(preface=False)
    client.transport.write(PREFACE + PingFrame(0, b"12345678").serialize())
    assert (await Raw(world, client).goaway()).error_code == ErrorCode.PROTOCOL_ERROR


# ---- frames that must not be


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0\x40\1\0\0\0\0\0\1" + bytes(16385), ErrorCode.FRAME_SIZE_ERROR),  # one byte over MAX_FRAME_SIZE
        (b"\xff\xff\xff\1\4\0\0\0\1", ErrorCode.FRAME_SIZE_ERROR),
        (b"\0\0\5\4\0\0\0\0\0" + bytes(5), ErrorCode.FRAME_SIZE_ERROR),  # SETTINGS not a multiple of 6
        (b"\0\0\6\4\1\0\0\0\0" + bytes(6), ErrorCode.FRAME_SIZE_ERROR),  # SETTINGS ACK with a payload
        (b"\0\0\7\6\0\0\0\0\0" + bytes(7), ErrorCode.FRAME_SIZE_ERROR),  # PING of 7 bytes
        (b"\0\0\3\3\0\0\0\0\1" + bytes(3), ErrorCode.FRAME_SIZE_ERROR),  # RST_STREAM of 3 bytes
        (SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**31}).serialize(), ErrorCode.FLOW_CONTROL_ERROR),
        (SettingsFrame(0, {SettingsFrame.MAX_FRAME_SIZE: 16383}).serialize(), ErrorCode.PROTOCOL_ERROR),
        (SettingsFrame(0, {SettingsFrame.ENABLE_PUSH: 2}).serialize(), ErrorCode.PROTOCOL_ERROR),
        (DataFrame(1, b"x").serialize(), ErrorCode.PROTOCOL_ERROR),  # on an idle stream
        (RstStreamFrame(1).serialize(), ErrorCode.PROTOCOL_ERROR),
        (WindowUpdateFrame(1, 1).serialize(), ErrorCode.PROTOCOL_ERROR),
        (b"\0\0\4\x08\0\0\0\0\0" + bytes(4), ErrorCode.PROTOCOL_ERROR),  # WINDOW_UPDATE of nothing
        (b"\0\0\1\0\0\0\0\0\0x", ErrorCode.PROTOCOL_ERROR),  # DATA on stream 0
        (headers(2), ErrorCode.PROTOCOL_ERROR),
        (headers(3) + headers(1), ErrorCode.STREAM_CLOSED),  # going back
        (PushPromiseFrame(1, 2, block(), flags=["END_HEADERS"]).serialize(), ErrorCode.PROTOCOL_ERROR),
        (ContinuationFrame(1, b"", flags=["END_HEADERS"]).serialize(), ErrorCode.PROTOCOL_ERROR),
        (headers(1, None, "END_STREAM") + PingFrame(0, b"12345678").serialize(), ErrorCode.PROTOCOL_ERROR),
        (headers(1, b"\xff\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
        (headers(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),  # index 0
        (headers(1, b"\x3f\xe2\x1f"), ErrorCode.COMPRESSION_ERROR),  # a table of 4,097 bytes
        (WindowUpdateFrame(0, 2**31 - 1).serialize(), ErrorCode.FLOW_CONTROL_ERROR),
    ],
)
async def test_connection_errors(raw: Raw, data: bytes, code: ErrorCode) -> None:
    """RFC 9113 §4 to §6, RFC 7541: a broken rule ends the connection by GOAWAY with its code."""
    raw.say(data)
    assert (await raw.goaway()).error_code == code


@pytest.mark.parametrize(
    "fields",
    [
        (("X-Upper", "1"),),
        (("connection", "close"),),
        (("te", "gzip"),),
        ((":late", "1"),),
        (("x", "a\r\nb"),),
        (("transfer-encoding", "chunked"),),
    ],
)
async def test_malformed_requests(raw: Raw, fields: tuple[tuple[str, str], ...]) -> None:
    """RFC 9113 §8.1.1, CONN-32: a malformed request ends its stream; the connection goes on."""
    raw.say(headers(1, block(*fields)))
    resets = [one for one in await raw.answered() if isinstance(one, RstStreamFrame)]
    assert [(one.stream_id, one.error_code) for one in resets] == [(1, ErrorCode.PROTOCOL_ERROR)]


async def test_what_is_ignored(raw: Raw) -> None:
    """CONN-16, RFC 9113 §4.1, §5.5: PRIORITY, unknown frame types, unknown settings, reserved bits."""
    raw.say(
        PriorityFrame(1, depends_on=0, stream_weight=1).serialize(),
        b"\0\0\4\xaa\xff\0\0\0\1abcd",
        SettingsFrame(0, {0xAAAA: 1}).serialize(),
        b"\0\0\x08\6\0\x80\0\0\0reserved",
    )
    assert not [one for one in await raw.answered() if isinstance(one, GoAwayFrame | RstStreamFrame)]


# ---- floods


async def test_ping_flood(raw: Raw) -> None:
    """RFC 9113 §10.5: a thousand replies are owed at once at most."""
    raw.say(PingFrame(0, b"12345678").serialize() * 100_000)
    assert (await raw.goaway()).error_code == ErrorCode.ENHANCE_YOUR_CALM


async def test_settings_flood(raw: Raw) -> None:
    """RFC 9113 §10.5: the same for SETTINGS."""
    raw.say(SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 1}).serialize() * 100_000)
    assert (await raw.goaway()).error_code == ErrorCode.ENHANCE_YOUR_CALM


async def test_rapid_reset(raw: Raw) -> None:
    """RFC 9113 §10.5: streams opened only to be reset; 200 resets beyond the answers and no more."""
    small = block()
    raw.say(
        *[headers(n, small, "END_HEADERS") + RstStreamFrame(n, error_code=8).serialize() for n in range(1, 1001, 2)]
    )
    end = await raw.goaway()
    assert end.error_code == ErrorCode.ENHANCE_YOUR_CALM
    assert end.last_stream_id == 401


async def test_continuation_flood(raw: Raw) -> None:
    """RFC 9113 §10.5.1: a header block without an end is cut off after 32 frames, empty ones too."""
    raw.say(headers(1, block(), "END_STREAM"), ContinuationFrame(1, b"").serialize() * 10_000)
    assert (await raw.goaway()).error_code == ErrorCode.ENHANCE_YOUR_CALM


async def test_endless_header_block(raw: Raw) -> None:
    """RFC 9113 §10.5.1: and so is one of large frames."""
    raw.say(headers(1, block(), "END_STREAM"), *[ContinuationFrame(1, bytes(16384)).serialize()] * 4)
    assert (await raw.goaway()).error_code == ErrorCode.ENHANCE_YOUR_CALM


async def test_empty_data_flood(raw: Raw) -> None:
    """RFC 9113 §10.5: DATA frames that hold nothing."""
    raw.say(headers(1, block(), "END_HEADERS"), DataFrame(1).serialize() * 10_000)
    assert (await raw.goaway()).error_code == ErrorCode.ENHANCE_YOUR_CALM


async def test_hpack_bomb(raw: Raw) -> None:
    """RFC 7541 §7.3: one entry of 4,000 bytes and sixteen thousand references to it are 431, and little memory."""
    entry = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000
    bomb = block() + entry + b"\xbe" * 12_000
    tracemalloc.start()
    raw.say(headers(1, bomb, "END_HEADERS", "END_STREAM"))
    seen = await raw.answered()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (answer,) = [one for one in seen if isinstance(one, HeadersFrame)]
    assert status_of(answer) == "431"
    assert peak < 8_000_000


@pytest.mark.parametrize(("value", "status"), [(7700, "403"), (8000, "431")])
async def test_header_list_size(raw: Raw, value: int, status: str) -> None:
    """CONN-13: 8,000 bytes of header fields are taken, more are 431."""
    raw.say(headers(1, block(("x", "y" * value))))
    (answer,) = [one for one in await raw.answered() if isinstance(one, HeadersFrame)]
    assert status_of(answer) == status


async def test_streams_beyond_the_limit(raw: Raw) -> None:
    """CONN-13, CONN-18: the 1,001st open stream is refused; those before it stay."""
    raw.say(SettingsFrame(0, flags=["ACK"]).serialize())
    small = block()
    raw.say(*[headers(n, small, "END_HEADERS") for n in range(1, 2003, 2)])
    resets = [one for one in await raw.answered() if isinstance(one, RstStreamFrame)]
    assert [(one.stream_id, one.error_code) for one in resets] == [(2001, ErrorCode.REFUSED_STREAM)]


async def test_huge_body_is_not_kept(raw: Raw) -> None:
    """SIZE-1: a body of megabytes within the windows is counted and refused, not kept."""
    raw.say(headers(1, block(), "END_HEADERS"))
    for _ in range(200):
        raw.say(DataFrame(1, bytes(8192)).serialize())
        await raw.answered()
        raw.client.raw = b""
    raw.say(DataFrame(1, b"", flags=["END_STREAM"]).serialize())
    (answer,) = [one for one in await raw.answered() if isinstance(one, HeadersFrame)]
    assert status_of(answer) == "403"


# ---- slow ones


async def test_client_that_reads_nothing(raw: Raw) -> None:
    """What waits for a client that reads nothing is bounded: its requests are not taken any more."""
    raw.say(WindowUpdateFrame(0, 2**30).serialize())
    await raw.answered()
    raw.client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.client.transport.pause_reading()
    (connection,) = raw.world.simulator.listeners["production"].connections
    journal = raw.world.simulator.apns.journal
    small = block()
    for first in range(1, 1_000_000, 1000):
        raw.say(*[headers(stream_id, small) for stream_id in range(first, first + 1000, 2)])
        await asyncio.sleep(0)
        if connection._paused:
            break
    assert connection._paused
    for _ in range(100):
        await asyncio.sleep(0)
    answered = journal.answered
    raw.say(*[headers(stream_id, small) for stream_id in range(1_000_001, 1_001_001, 2)])
    for _ in range(100):
        await asyncio.sleep(0)
    assert journal.answered == answered
    assert connection._transport is not None
    assert connection._transport.get_write_buffer_size() < 2_000_000
    raw.client.transport.abort()


async def test_closed_window_holds_answers_within_the_stream_limit(raw: Raw) -> None:
    """RFC 9113 §6.9: with a window of 0 no body goes out; past 1,000 such answers streams are refused."""
    raw.say(SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 0}).serialize())
    raw.say(SettingsFrame(0, flags=["ACK"]).serialize())
    small = block()
    raw.say(*[headers(n, small) for n in range(1, 3001, 2)])
    seen = await raw.answered()
    assert not [one for one in seen if isinstance(one, DataFrame)]
    refused = [one for one in seen if isinstance(one, RstStreamFrame)]
    assert len(refused) == 500
    assert {one.error_code for one in refused} == {ErrorCode.REFUSED_STREAM}


async def test_many_bad_connections_at_once(world: World) -> None:
    """Fifty broken connections and a good one: it is served while they end."""
    good = await world.connect()
    bad = [await world.connect(preface=False) for _ in range(50)]
    for client in bad:
        client.transport.write(PREFACE + b"\xff" * 1000)
    assert (await good.push(world.token, world.bearer)).status == 200
    await asyncio.gather(*(client.closed for client in bad))
    assert (await good.push(world.token, world.bearer)).status == 200
