"""What clients do against the rules, noticed on the wire and in what they send; good clients are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.sim_client import KEY_ID, TEAM, TOPIC, Signer, SimClient, World

from heliogram.simulator import Settings
from heliogram.simulator.conduct import ALIKE
from heliogram.wire import frames

pytestmark = pytest.mark.anyio

MINIMAL = b"\x83\x87\x04\x01x\x01\x01x"
"""POST, https, a path and an authority of one letter, in HPACK."""
AN_ID = "8e4d1f0a-0000-4000-8000-000000000001"


def told(world: World) -> list[str]:
    """The rules that were broken, oldest first."""
    return [one.rule for one in reversed(world.simulator.apns.violations.latest())]


def last(world: World) -> str:
    return str(world.simulator.apns.violations.latest(1)[0])


async def turns(until: Callable[[], object]) -> None:
    """Turns of the event loop until it is so."""
    async with asyncio.timeout(90):
        while not until():  # noqa: ASYNC110 - it is seen on a socket, and no event tells of it
            await asyncio.sleep(0)


async def heard(client: SimClient) -> None:
    """Until the simulator has taken all that was sent so far: it has answered a PING behind it."""
    before = len(client.raw)
    client.transport.write(frames.frame(frames.PING, 0, 0, bytes(8)))
    await turns(lambda: frames.frame(frames.PING, frames.ACK, 0, bytes(8)) in client.raw[before:])


async def test_a_good_client_breaks_nothing(world: World) -> None:
    """CONN-14, TOK-9: one push first, then many at once over the same connection, with one provider token."""
    client = await world.connect()
    await client.push(world.token, world.bearer, ("apns-push-type", "alert"))
    await asyncio.gather(*(client.push(world.token, world.bearer, ("apns-push-type", "alert")) for _ in range(50)))
    world.clock.move(1201)
    await client.push(world.token, world.signer.token(int(world.clock.now)), ("apns-push-type", "alert"))
    assert told(world) == []


async def test_streams_before_the_first_answer(world: World) -> None:
    """CONN-14, CONN-15: more than one stream before a request with a good provider token was answered; told once."""
    client = await world.connect()
    client.transport.pause_reading()
    written: list[bytes] = []
    client.transport.write = written.append  # type: ignore[method-assign, assignment]
    first, second = client.push(world.token, world.bearer), client.push(world.token, world.bearer)
    del client.transport.write
    client.transport.write(b"".join(written))
    client.transport.resume_reading()
    await asyncio.gather(first, second)
    assert told(world) == ["CONN-14"]
    assert world.simulator.apns.violations.latest(1)[0].details == {"streams": 2}


async def test_a_provider_token_changed_early(world: World) -> None:
    """TOK-9, TOK-10: the second token within 20 minutes is accepted as traced, and noted; the third is refused."""
    client = await world.connect()
    now = int(world.clock.now)
    for age in (0, 1, 2):
        await client.push(world.token, world.signer.token(now - age))
    assert told(world) == ["TOK-9", "TOK-9"]
    assert last(world) == "TOK-9: provider tokens change too often; keep one for 20 to 60 minutes"
    assert [len(one.violations) for one in world.simulator.requests()] == [1, 1, 0]


async def test_keys_and_teams(world: World) -> None:
    """TOK-12, TOK-16, TOK-17: a second team, an unrelated key, a key of the other environment."""
    now = int(world.clock.now)
    stranger, sandbox = Signer("KEYOTHER01", "TEAMOTHER1"), Signer("KEYSANDBOX")
    topical = Signer("KEYTOPIC01")
    world.simulator.add_key(stranger.key_id, stranger.team_id, stranger.public_pem)
    world.simulator.add_key(sandbox.key_id, TEAM, sandbox.public_pem, environment="sandbox")
    world.simulator.add_key(topical.key_id, TEAM, topical.public_pem, topics=[TOPIC])
    for signer, rule in ((stranger, "TOK-12"), (topical, "TOK-16"), (sandbox, "TOK-17")):
        client = await world.connect()
        await client.push(world.token, world.bearer)
        await client.push(world.token, signer.token(now))
        assert told(world)[-1] == rule


@pytest.mark.parametrize(
    ("options", "extra", "rule"),
    [
        ({"bearer": None}, (), "TOK-21"),
        ({"bearer": "junk"}, (), "TOK-19"),
        ({"method": "GET"}, (), "4.1"),
        ({"path": "/2/device/00"}, (), "CONN-1"),
        ({"path": "/3/device/"}, (), "4.1"),
        ({"topic": None}, (), "4.1"),
        ({"body": b""}, (), "SIZE-2"),
        ({"body": b"x" * 4097}, (), "SIZE-1"),
        ({}, (("x-twice", "1"), ("x-twice", "2")), "REQ-4"),
        ({}, (("apns-id", "x"),), "REQ-1"),
        ({}, (("apns-expiration", "1.5"),), "REQ-2"),
        ({}, (("apns-priority", "7"),), "TYPE-2"),
        ({}, (("apns-collapse-id", "x" * 65),), "4.1"),
        ({}, (("apns-push-type", "voip"),), "REQ-5"),
        ({}, (("apns-prio", "5"),), "4.1"),
        ({}, (("content-encoding", "gzip"),), "CONN-32"),
    ],
)
async def test_requests_at_fault(world: World, options: Any, extra: tuple[tuple[str, str], ...], rule: str) -> None:
    """TOK-19, TOK-21, CONN-1, CONN-32, SIZE-1, SIZE-2, REQ-1, REQ-2, REQ-4, REQ-5, TYPE-2: whatever was answered."""
    await world.push(*extra, **options)
    assert told(world) == [rule]
    (one,) = world.simulator.apns.violations.latest()
    assert (one.connection, one.request) == (1, 1)


async def test_an_old_provider_token(world: World) -> None:
    """TOK-8: a token older than an hour."""
    await world.push(bearer=world.signer.token(int(world.clock.now) - 3601))
    assert told(world) == ["TOK-8"]


async def test_no_secret_is_in_the_list(world: World) -> None:
    """A provider token never stands in a violation."""
    bearer = world.signer.token(int(world.clock.now) - 3601)
    await world.push(bearer=bearer)
    await world.push(bearer="not-a-token-but-secret")
    text = repr(world.simulator.apns.violations.latest())
    assert bearer not in text
    assert "not-a-token-but-secret" not in text


async def test_one_rule_does_not_fill_the_list(world: World) -> None:
    """The bound on violations of one rule on one connection."""
    client = await world.connect()
    for _ in range(ALIKE + 1):
        await client.push(world.token, None)
    assert told(world) == ["TOK-21"] * ALIKE


async def test_a_connection_for_each_push(world: World) -> None:
    """CONN-25: the eleventh connection within a minute that carries one request is one too many."""
    for number in range(11):
        assert told(world) == []
        client = await world.connect()
        await client.push(world.token, world.bearer)
        await client.close()
        await turns(lambda: not world.simulator.connections)
        world.clock.move(0.01 * number)
    assert told(world) == ["CONN-25"]
    assert last(world).startswith("CONN-25: 11 connections within a minute carried one request or none")


async def test_connections_that_carry_something_are_fine(world: World) -> None:
    """CONN-25, CONN-26: many connections are fine, and so are brief ones now and then."""
    for number in range(22):
        client = await world.connect()
        await client.push(world.token, world.bearer)
        if number % 2:
            await client.push(world.token, world.bearer)
        await client.close()
        world.clock.move(6)
    await turns(lambda: not world.simulator.connections)
    assert told(world) == []


async def test_pings(world: World) -> None:
    """CONN-24: a second PING within ten seconds, told once; every ten seconds is fine."""
    client = await world.connect()
    await heard(client)
    world.clock.move(10)
    await heard(client)
    assert told(world) == []
    for _ in range(3):
        world.clock.move(9.9)
        await heard(client)
    assert told(world) == ["CONN-24"]


async def test_a_request_after_an_hour_of_silence(world: World) -> None:
    """CONN-24: a PING goes before a request on a connection that was idle for more than an hour."""
    client = await world.connect()
    await client.push(world.token, world.bearer)
    world.clock.move(3600)
    bearer = world.signer.token(int(world.clock.now))
    await client.push(world.token, bearer)
    world.clock.move(3601)
    await heard(client)
    bearer = world.signer.token(int(world.clock.now))
    await client.push(world.token, bearer)
    assert told(world) == []
    world.clock.move(3601)
    await client.push(world.token, world.signer.token(int(world.clock.now)))
    assert told(world) == ["CONN-24"]


async def test_names_in_upper_case(world: World) -> None:
    """CONN-32: the request is malformed, reset by HTTP/2, and told."""
    client = await world.connect()
    reply = await client.push(world.token, world.bearer, ("Apns-Push-Type", "alert"))
    assert reply.reset == 1
    assert told(world) == ["CONN-32"]


async def test_other_malformed_requests(world: World) -> None:
    """RFC 9113 §8.1.1: what else is malformed is told with what is wrong."""
    client = await world.connect()
    await client.push(world.token, world.bearer, ("content-length", "7"))
    assert last(world).startswith("RFC 9113 §8.1.1: a malformed request was reset: content-length")


async def test_too_many_header_fields(world: World) -> None:
    """CONN-13: a header list above MAX_HEADER_LIST_SIZE."""
    assert (await world.push(("x-long", "x" * 8000))).status == 431
    assert told(world) == ["CONN-13"]


class TestStreamLimit:
    """A limit of one stream."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(stream_limit=1)

    async def test_a_stream_above_the_limit(self, world: World) -> None:
        """CONN-13, CONN-18: a stream above MAX_CONCURRENT_STREAMS, which the client has acknowledged, is refused."""
        client = await world.connect()
        client._quiet = True
        for stream_id in (1, 3):
            client.transport.write(frames.frame(frames.HEADERS, 4, stream_id, MINIMAL))
        await heard(client)
        assert told(world)[-1] == "CONN-13"
        assert frames.reset_frame(3, 7) in client.raw


async def test_streams_after_goaway(world: World) -> None:
    """CONN-22: a stream opened when the GOAWAY must have been read; what crosses it on its way is no violation."""
    apns = world.simulator.apns
    real = [0.0]
    apns.conduct.monotonic = lambda: real[0]
    client = await world.connect()
    client._quiet = True  # h2 takes a GOAWAY for the end of everything
    client.transport.write(frames.frame(frames.HEADERS, 4, 1, MINIMAL))
    await heard(client)
    (connection,) = world.simulator._listeners["production"].connections
    connection.goaway()
    for stream_id, moment in ((3, 0.0), (5, 0.9), (7, 1.1)):
        real[0] = moment
        client.transport.write(frames.frame(frames.HEADERS, 5, stream_id, MINIMAL))
        await heard(client)
    assert [one for one in told(world) if one == "CONN-22"] == ["CONN-22"]
    assert apns.violations.latest(rule="CONN-22")[0].details == {"stream": 7}


async def test_priority_frames(world: World) -> None:
    """CONN-16: they are ignored, and told."""
    client = await world.connect()
    client.h2.prioritize(1, weight=7)
    client.transport.write(client.h2.data_to_send())
    await heard(client)
    assert told(world) == ["CONN-16"]


async def test_http1(world: World) -> None:
    """CONN-12: HTTP/1.1 text, with its first line."""
    client = await world.connect(alpn=(), preface=False)
    client.transport.write(b"POST /3/device/0011 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.closed
    assert told(world) == ["CONN-12"]
    assert world.simulator.apns.violations.latest()[0].details == {"request_line": "POST /3/device/0011"}


async def test_broken_frames(world: World) -> None:
    """RFC 9113 §6.7: what ends the connection is told with the section that was broken."""
    client = await world.connect()
    client.transport.write(b"\0\0\3\6\0\0\0\0\0bad")
    await client.closed
    assert told(world) == ["RFC 9113 §6.7"]


async def test_a_dead_token_again(world: World) -> None:
    """ERR-1, LIFE-9: after a 410 the token is not to be used again; pushes that were on their way are forgiven."""
    world.simulator.uninstall(world.device.id, TOPIC)
    client = await world.connect()
    await client.push(world.token, world.bearer)
    await client.push(world.token, world.bearer)
    assert told(world) == []
    world.clock.move(1)
    await client.push(world.token, world.bearer, ("apns-id", AN_ID))
    assert told(world) == ["ERR-1"]
    (one,) = world.simulator.apns.violations.latest()
    assert (one.apns_id, one.request, one.details) == (AN_ID, 3, {"token": world.token})


async def test_a_bad_token_again(world: World) -> None:
    """Section 5: BadDeviceToken and DeviceTokenNotForTopic are never retried."""
    client = await world.connect()
    for _ in range(2):
        await client.push("00" * 32, world.bearer)
        world.clock.move(1)
    assert told(world) == ["5"]


@pytest.mark.parametrize(
    ("status", "wait", "rule"),
    [(503, 899, "ERR-3"), (503, 900, None), (500, 1, "ERR-3"), (429, 0.5, "LIFE-13"), (429, 1, None)],
)
async def test_a_retry_without_a_pause(world: World, status: int, wait: float, rule: str | None) -> None:
    """ERR-3, LIFE-13: a push answered 5xx comes again after 15 minutes at the earliest, one answered 429 later."""
    reason = {503: "ServiceUnavailable", 500: "InternalServerError", 429: "TooManyRequests"}[status]
    world.simulator.apns.faults.add(kind="status", status=status, reason=reason, next=1)
    client = await world.connect()
    assert (await client.push(world.token, world.bearer, ("apns-id", AN_ID))).status == status
    world.clock.move(wait)
    assert (await client.push(world.token, world.bearer, ("apns-id", AN_ID))).status == 200
    assert told(world) == ([] if rule is None else [rule])


async def test_an_id_for_two_pushes(world: World) -> None:
    """Section 4.1: apns-id names one push; another connection may repeat it, as its answer may have been lost."""
    client = await world.connect()
    await client.push(world.token, world.bearer, ("apns-id", AN_ID))
    await world.push(("apns-id", AN_ID))
    assert told(world) == []
    await client.push(world.token, world.bearer, ("apns-id", AN_ID))
    assert told(world) == ["4.1"]


async def test_what_a_fault_answered_is_not_the_clients_doing(world: World) -> None:
    """A reason that somebody asked for is no violation."""
    world.simulator.apns.faults.add(kind="status", status=403, reason="InvalidProviderToken", next=1)
    assert (await world.push()).status == 403
    assert told(world) == []


async def test_reset_forgets_what_clients_were_told(world: World) -> None:
    """After a reset a token's first 410 is the first again."""
    for _ in range(2):
        world.simulator.add_key(KEY_ID, TEAM, world.signer.public_pem)
        await world.push(token="00" * 32)
        world.clock.move(2)
        world.simulator.reset()
    world.simulator.add_key(KEY_ID, TEAM, world.signer.public_pem)
    await world.push(token="00" * 32)
    assert told(world) == []


class TestIndexing:
    """HPACK looked at."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(report_indexing=True)

    async def test_fields_in_the_header_table(self, world: World) -> None:
        """CONN-29: :path and authorization that enter the header table, once each, when asked for."""
        client = await world.connect()
        for _ in range(2):
            await client.push(world.token, world.bearer)
        assert told(world) == ["CONN-29", "CONN-29"]
