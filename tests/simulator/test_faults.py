"""Faults for requests: each kind on the wire, and what each can be limited to."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from support.sim_client import ALERT, TOPIC, Clock, World

from heliogram.simulator import Conflict, Invalid, Missing, Settings, Simulator

pytestmark = pytest.mark.anyio


async def verdicts(world: World, count: int) -> list[int]:
    """The statuses of ``count`` pushes, one after the other on one connection."""
    client = await world.connect()
    return [(await client.push(world.token, world.bearer)).status for _ in range(count)]


# ---- kinds


async def test_any_status_and_reason(world: World) -> None:
    """Section 5: status, reason, timestamp and retry-after are as asked, and the push is on no device."""
    world.simulator.faults.add(reason="TooManyRequests", timestamp=17, retry_after="30", next=1)
    reply = await world.push()
    assert reply.status == 429
    assert reply.json == {"reason": "TooManyRequests", "timestamp": 17}
    assert reply.headers["retry-after"] == "30"
    assert world.simulator.notifications(world.device.id) == []
    world.simulator.faults.add(status=418, body="<html>", next=1)
    reply = await world.push()
    assert (reply.status, reply.body) == (418, b"<html>")
    assert (await world.push()).status == 200


async def test_a_status_comes_after_all_checks(world: World) -> None:
    """9.3: an injected 503 is step 10; a push that is refused anyway is refused for its own reason."""
    world.simulator.faults.add(reason="ServiceUnavailable")
    assert (await world.push(bearer=None)).reason == "MissingProviderToken"
    assert (await world.push()).verdict == (503, "ServiceUnavailable")
    assert world.simulator.requests(1)[0].reason == "ServiceUnavailable"


async def test_silence(world: World) -> None:
    """CONN-27, SUR-6: a request stays unanswered on a connection that goes on; the device has the push or has not."""
    client = await world.connect()
    world.simulator.faults.add(kind="silence", next=1)
    world.simulator.faults.add(kind="silence", processed=False, next=1)
    unanswered = [client.push(world.token, world.bearer) for _ in range(2)]
    assert (await client.push(world.token, world.bearer)).status == 200
    assert [one.done() for one in unanswered] == [False, False]
    assert len(world.simulator.notifications(world.device.id)) == 2
    assert [one.status for one in world.simulator.requests()] == [200, 0, 200]


@pytest.mark.parametrize(("code", "number", "shown"), [("REFUSED_STREAM", 7, 0), ("CANCEL", 8, 1), (11, 11, 1)])
async def test_reset(world: World, code: str | int, number: int, shown: int) -> None:
    """RFC 9113 §8.7: RST_STREAM with any code; only REFUSED_STREAM says that nothing was done."""
    world.simulator.faults.add(kind="reset", code=code, next=1)
    assert (await world.push()).reset == number
    assert len(world.simulator.notifications(world.device.id)) == shown


async def test_graceful_goaway(world: World) -> None:
    """CONN-20, CONN-22: a reason in compact JSON, the answer still comes, then the end."""
    client = await world.connect()
    world.simulator.faults.add(kind="goaway", reason="Shutdown", timestamp=5, next=1)
    assert (await client.push(world.token, world.bearer)).status == 200
    await client.closed
    assert client.goaways == [(0, 1, b'{"reason":"Shutdown","timestamp":5}')]


async def test_double_goaway(world: World) -> None:
    """CONN-21, SUR-4: the second has no debug data."""
    client = await world.connect()
    world.simulator.faults.add(kind="goaway", style="double", reason="Shutdown", next=1)
    client._quiet = True
    client.push(world.token, world.bearer)
    await client.closed
    assert client.raw.count(b'{"reason":"Shutdown"}') == 1
    assert client.raw.endswith(b"\0\0\x08\7\0\0\0\0\0" + b"\0\0\0\1" + bytes(4))


async def test_announced_goaway(world: World) -> None:
    """RFC 9113 §6.8: first the largest id there is, later the real one."""
    client = await world.connect()
    world.simulator.faults.add(kind="goaway", style="announced", next=1)
    client._quiet = True
    client.push(world.token, world.bearer)
    await client.closed
    first = client.raw.index(b"\0\0\x08\7\0\0\0\0\0\x7f\xff\xff\xff" + bytes(4))
    assert client.raw.index(b"\0\0\x08\7\0\0\0\0\0\0\0\0\1" + bytes(4)) > first


async def test_abrupt_goaway_in_plain_text(world: World) -> None:
    """CONN-18, SUR-4: debug data that is no JSON; what was open has no answer."""
    client = await world.connect()
    world.simulator.faults.add(kind="goaway", style="abrupt", code="ENHANCE_YOUR_CALM", debug="Too much.", next=1)
    with pytest.raises(ConnectionError):
        await client.push(world.token, world.bearer)
    assert client.goaways == [(11, 1, b"Too much.")]


async def test_close(world: World) -> None:
    """SUR-9: the end of the connection without a GOAWAY."""
    client = await world.connect()
    world.simulator.faults.add(kind="close", next=1)
    with pytest.raises(ConnectionError):
        await client.push(world.token, world.bearer)
    assert client.goaways == []


async def test_stream_limit(world: World) -> None:
    """CONN-13: the limit moves while the connection lives."""
    client = await world.connect()
    world.simulator.faults.add(kind="streamLimit", stream_limit=3, next=1)
    assert (await client.push(world.token, world.bearer)).status == 200
    await client.push(world.token, world.bearer)
    assert client.settings_seen[-1] == {3: 3}


async def test_half_open(world: World) -> None:
    """CONN-24, CONN-27: nothing is read and nothing said any more, not even to a PING; other connections go on."""
    client = await world.connect()
    world.simulator.faults.add(kind="halfOpen", next=1)
    first = client.push(world.token, world.bearer)
    client.h2.ping(b"12345678")
    client._flush()
    assert (await world.push()).status == 200
    assert not first.done()
    assert not client.closed.done()
    client.transport.abort()


async def test_wedge_after_an_expired_token(world: World) -> None:
    """TOK-22, SUR-5: after ExpiredProviderToken everything on that connection is 500, with a fresh token too."""
    client = await world.connect()
    world.simulator.faults.add(kind="wedge")
    assert (await client.push(world.token, world.bearer)).status == 200
    world.clock.move(3601)
    fresh = world.signer.token(int(world.clock.now))
    assert (await client.push(world.token, world.bearer)).reason == "ExpiredProviderToken"
    world.simulator.faults.clear()
    replies = [await client.push(world.token, fresh) for _ in range(3)]
    assert {reply.verdict for reply in replies} == {(500, "InternalServerError")}
    assert (await world.push(bearer=fresh)).status == 200
    assert world.simulator.requests(2)[1].reason == "InternalServerError"


async def test_wedge_at_once(world: World) -> None:
    """SUR-5: or from the first request on, without a cause."""
    world.simulator.faults.add(kind="wedge", after_expiry=False, next=1)
    assert await verdicts(world, 3) == [500, 500, 500]
    assert await verdicts(world, 1) == [200]


async def test_split(world: World) -> None:
    """RFC 9113 §4.1: answers in single bytes are the same answers."""
    world.simulator.faults.add(kind="split", next=1)
    client = await world.connect()
    replies = await asyncio.gather(*(client.push(world.token, bearer) for bearer in (world.bearer, None) * 3))
    assert [reply.status for reply in replies] == [200, 403] * 3


async def test_shuffle(world: World) -> None:
    """RFC 9113 §5: answers come in any order, each on its own stream."""
    world.simulator.faults.add(kind="shuffle", hold=8)
    client = await world.connect()
    order: list[int] = []
    waiting = []
    for index in range(20):
        future = client.push(world.token, world.bearer)
        future.add_done_callback(lambda _, index=index: order.append(index))  # type: ignore[misc]
        waiting.append(future)
    assert {reply.status for reply in await asyncio.gather(*waiting)} == {200}
    assert sorted(order) == list(range(20)) != order


async def test_delays_keep_their_order(world: World) -> None:
    """Answers that wait do not overtake each other, and those that do not wait are not held up."""
    client = await world.connect()
    world.simulator.faults.add(delay_ms=10, jitter_ms=20, next=10)
    order: list[int] = []
    waiting = []
    for index in range(12):
        future = client.push(world.token, world.bearer)
        future.add_done_callback(lambda _, index=index: order.append(index))  # type: ignore[misc]
        waiting.append(future)
    await asyncio.gather(*waiting)
    assert order == [10, 11, *range(10)]


async def test_delays_may_reorder(world: World) -> None:
    """Unless asked: with ``reorder`` each answer comes when its own time is over."""
    client = await world.connect()
    world.simulator.faults.add(delay_ms=60, reorder=True, next=1)
    world.simulator.faults.add(delay_ms=5, reorder=True, next=1)
    late, soon = client.push(world.token, world.bearer), client.push(world.token, world.bearer)
    await soon
    assert not late.done()
    assert (await late).status == 200


# ---- scope


async def test_scope_by_device_token_and_device(world: World) -> None:
    """A token in any case, a device by its id; the others do not notice."""
    other = world.simulator.add_device("other", "ios")
    world.simulator.install(other.id, TOPIC, "production")
    token = world.simulator.launch(other.id, TOPIC).device_token
    assert token is not None
    world.simulator.faults.add(reason="Shutdown", token=world.token.upper())
    assert ((await world.push()).status, (await world.push(token=token)).status) == (503, 200)
    world.simulator.faults.clear()
    world.simulator.faults.add(reason="Shutdown", device=other.id)
    assert ((await world.push()).status, (await world.push(token=token)).status) == (200, 503)


async def test_scope_by_connection_and_listener(world: World) -> None:
    """The number of the request log, and the listener's name."""
    first, second = await world.connect(), await world.connect()
    await first.push(world.token, world.bearer)
    number = world.simulator.requests(1)[0].connection
    world.simulator.faults.add(reason="Shutdown", connection=number)
    world.simulator.faults.add(reason="Shutdown", listener="sandbox")
    assert (await first.push(world.token, world.bearer)).status == 503
    assert (await second.push(world.token, world.bearer)).status == 200


async def test_share_of_requests_from_the_seed(anyio_backend: str) -> None:
    """A share is drawn from the simulator's seed: the same seed, the same requests."""

    async def drawn(seed: int) -> list[int]:
        simulator = Simulator(clock=Clock(), random=random.Random(seed))
        await simulator.start()
        world = World(simulator, Clock())
        simulator.faults.add(reason="Shutdown", share=0.5)
        seen = await verdicts(world, 40)
        await world.close()
        return seen

    assert await drawn(1) == await drawn(1) != await drawn(2)
    assert 8 < (await drawn(1)).count(503) < 32


async def test_next_and_until(world: World) -> None:
    """For the next N, at the edge and one past it; until a moment of the simulator's clock, and then no more."""
    world.simulator.faults.add(reason="Shutdown", next=2)
    assert await verdicts(world, 3) == [503, 503, 200]
    assert world.simulator.faults.active is False
    world.simulator.faults.add(reason="Shutdown", seconds=10)
    world.simulator.time.advance(9)
    assert await verdicts(world, 1) == [503]
    world.simulator.time.advance(1)
    assert await verdicts(world, 1) == [200]
    assert world.simulator.faults.all() == []


async def test_management_and_broadcasts_meet_faults(world: World) -> None:
    """The listeners for channel management break like the others."""
    client = await world.connect("manage_production")
    world.simulator.faults.add(reason="InternalServerError", listener="manage_production", next=1)
    assert (await client.push("00", world.bearer)).verdict == (500, "InternalServerError")
    assert (await client.push("00", world.bearer)).status == 404


async def test_faults_are_bounded(world: World) -> None:
    """A thousand can be set; one more is refused."""
    for _ in range(1000):
        world.simulator.faults.add(kind="silence")
    with pytest.raises(Conflict, match="1000 faults"):
        world.simulator.faults.add(kind="silence")


async def test_reset_mends_everything(world: World) -> None:
    """A fresh start has no faults."""
    world.simulator.faults.add(kind="silence")
    world.simulator.faults.add(kind="drop")
    world.simulator.reset()
    faults = world.simulator.faults
    assert (faults.all(), faults.active, faults.opening) == ([], False, False)


async def test_export_and_import(world: World) -> None:
    """A scenario keeps what is left of the faults."""
    faults = world.simulator.faults
    faults.add(reason="Shutdown", next=3, seconds=60)
    faults.add(kind="reset", code=7, listener="sandbox")
    assert (await world.push()).status == 503
    kept = faults.export()
    faults.clear()
    faults.import_(kept)
    assert faults.export() == kept
    assert kept[0] == {"kind": "status", "reason": "Shutdown", "next": 2, "until": 1_800_000_060.0}
    with pytest.raises(Invalid, match="kind"):
        faults.import_([{}])
    with pytest.raises(Invalid, match="faults"):
        faults.import_("nonsense")


def test_mistakes_in_python() -> None:
    """The same errors as over HTTP."""
    faults = Simulator(clock=Clock()).faults
    with pytest.raises(Invalid, match="delayMs"):
        faults.add(kind="delay")
    with pytest.raises(Invalid) as caught:
        faults.add(status="many")
    assert caught.value.field == "status"
    with pytest.raises(Missing):
        faults.remove(1)


# ---- in a payload


def payload(simulator: Any) -> bytes:
    import json

    return json.dumps({"aps": {"alert": "x"}, "simulator": simulator}).encode()


async def test_a_payload_brings_its_own_fault(world: World) -> None:
    """A top-level key ``simulator`` in a push is a fault for that push alone."""
    client = await world.connect()
    wanted = payload({"status": 503, "reason": "Shutdown", "delayMs": 5})
    assert (await client.push(world.token, world.bearer, body=wanted)).verdict == (503, "Shutdown")
    reply = await client.push(world.token, world.bearer, body=payload({"kind": "reset", "code": "CANCEL"}))
    assert reply.reset == 8
    assert (await client.push(world.token, world.bearer)).status == 200


@pytest.mark.parametrize("body", [b'{"aps":{"simulator":1}}', b'{"aps":{}, "a": "\\"simulator\\""}', b'["simulator"]'])
async def test_only_the_top_level_key_counts(world: World, body: bytes) -> None:
    """The word elsewhere in a payload means nothing."""
    assert (await world.push(body=body)).status == 200


@pytest.mark.parametrize(
    ("simulator", "says"),
    [
        (1, "object"),
        ({"status": 99}, "status"),
        ({}, "kind must be"),
        ({"kind": "tls"}, "kind"),
        ({"status": 503, "next": 1}, "next"),
    ],
)
async def test_a_payload_with_a_mistake_says_so(world: World, simulator: Any, says: str) -> None:
    """400, with the field in the detail."""
    reply = await world.push(body=payload(simulator))
    assert reply.verdict == (400, "InvalidSimulatorKey")
    assert says in reply.json["detail"]


async def test_nothing_is_asked_while_no_fault_is_set(world: World) -> None:
    """The answer path costs nothing then: no fault is looked for."""

    def never(*_: object) -> None:
        raise AssertionError("asked")

    world.simulator.faults.for_request = never  # type: ignore[method-assign, assignment]
    assert (await world.push(body=ALERT)).status == 200


class TestRoundTrip:
    """A delay on the wire as a whole."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(round_trip_ms=20)

    async def test_round_trip(self, world: World) -> None:
        """Everything waits, TLS and SETTINGS and answers, in order, and pushes in flight wait together."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        client = await world.connect()
        connected = loop.time()
        assert connected - start >= 0.04
        replies = await asyncio.gather(*(client.push(world.token, world.bearer) for _ in range(50)))
        assert {reply.status for reply in replies} == {200}
        assert loop.time() - connected >= 0.02
        await world.simulator.stop()
        await client.closed
        assert client.goaways
