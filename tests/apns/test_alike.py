"""`Client.ready` and `send_ready`: pushes that share all but token, id, body and collapse id."""

from __future__ import annotations

import asyncio
import uuid

import msgspec
import pytest
from support.apns_server import ApnsServer, Peer, accept_all, hold
from support.engine import MakeClient

from heliogram.apns import Accepted, Client, InvalidNotification, Notification, Outcome
from heliogram.wire import Received

pytestmark = pytest.mark.anyio
FORM = Notification(payload=b"{}")


class Letter(msgspec.Struct, eq=False):
    """One push of its own."""

    token: bytes = b"\xab" * 32
    apns_id: str = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
    payload: bytes = b'{"aps":{"alert":"Hi"}}'
    collapse_id: str | None = None


def letters(count: int) -> list[Letter]:
    return [
        Letter(token=n.to_bytes(32, "big"), apns_id=str(uuid.UUID(int=n)), payload=b"[%d]" % n) for n in range(count)
    ]


async def send(client: Client, given: list[Letter], form: Notification = FORM) -> list[Outcome]:
    jobs, refused = client.ready(form, given)
    assert refused == []
    return [outcome async for some in client.send_ready(jobs) for outcome in some]


async def test_each_letter_has_one_outcome(server: ApnsServer, make_client: MakeClient) -> None:
    """More than may be queued at a time: each is accepted once, its letter being the tag."""
    given = letters(5_000)
    outcomes = await send(make_client(), given)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert sorted(outcome.tag.token for outcome in outcomes) == [letter.token for letter in given]


async def test_the_request_is_that_of_a_notification(server: ApnsServer, make_client: MakeClient) -> None:
    """Path, headers and body are what `send` makes of the same push."""
    seen: list[Received] = []

    def keep(peer: Peer, request: Received) -> None:
        seen.append(request)
        accept_all(peer, request)

    server.on_request = keep
    client, letter = make_client(), Letter(collapse_id="score")
    form = Notification(payload=b"{}", priority=5, expiration=1_900_000_000)
    await send(client, [letter], form)
    alike = Notification(payload=letter.payload, priority=5, expiration=1_900_000_000, collapse_id="score")
    await client.send(letter.token.hex(), alike, apns_id=letter.apns_id)
    mine, theirs = (
        sorted(pair for pair in map(tuple, request.headers) if pair[0] != b"authorization") for request in seen
    )
    assert mine == theirs
    assert seen[0].body == seen[1].body == letter.payload


@pytest.mark.parametrize(
    ("letter", "field"),
    [
        (Letter(token=b"\0" * 7), "device token"),
        (Letter(token=b"\0" * 201), "device token"),
        (Letter(payload=b""), "payload"),
        (Letter(payload=b"x" * 4097), "4097"),
        (Letter(apns_id="no"), "apns_id"),
        (Letter(collapse_id="x" * 65), "collapse_id"),
        (Letter(collapse_id=""), "collapse_id"),
    ],
)
async def test_what_cannot_be_sent_is_told_apart(make_client: MakeClient, letter: Letter, field: str) -> None:
    """The words are those of `send`; the other letters are ready."""
    jobs, refused = make_client().ready(FORM, [Letter(), letter, Letter()])
    assert len(jobs) == 2
    ((wrong, error),) = refused
    assert wrong is letter
    assert field in str(error)


async def test_the_edges_are_ready(make_client: MakeClient) -> None:
    """The shortest and longest token, the largest payload, the longest collapse id."""
    edges = [
        Letter(token=b"\0" * 8),
        Letter(token=b"\0" * 200),
        Letter(payload=b"x" * 4096),
        Letter(collapse_id="x" * 64),
    ]
    jobs, refused = make_client().ready(FORM, edges)
    assert len(jobs) == 4
    assert refused == []


async def test_what_they_share_is_refused_as_a_whole(make_client: MakeClient) -> None:
    """A priority that the push type does not allow is nobody's own mistake."""
    with pytest.raises(InvalidNotification, match="priority"):
        make_client().ready(Notification(payload=b"{}", push_type="background", priority=10), [Letter()])


async def test_a_stop_lets_nothing_more_leave(server: ApnsServer, make_client: MakeClient) -> None:
    """What is on the wire has its outcome, the rest has none."""
    held: list[tuple[Peer, Received]] = []
    arrived = asyncio.Event()

    def first(peer: Peer, request: Received) -> None:
        held.append((peer, request))
        arrived.set()

    server.on_request = first
    server.stream_limit = 1
    client, stop = make_client(max_connections=1), asyncio.get_running_loop().create_future()
    jobs, _ = client.ready(FORM, letters(3))
    found: list[Outcome] = []

    async def collect() -> None:
        async for some in client.send_ready(jobs, stop=stop):
            found.extend(some)

    task = asyncio.ensure_future(collect())
    await arrived.wait()
    stop.set_result(None)
    accept_all(*held[0])
    await task
    assert [outcome.tag for outcome in found] == [jobs[0].tag]
    assert client.pool.waiting == 0


async def test_a_stop_that_was_before_sends_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """Not even the first leaves."""
    server.on_request = hold
    client, stop = make_client(), asyncio.get_running_loop().create_future()
    stop.set_result(None)
    jobs, _ = client.ready(FORM, letters(2))
    assert [some async for some in client.send_ready(jobs, stop=stop)] == []


async def test_one_by_itself_has_its_outcome(server: ApnsServer, make_client: MakeClient) -> None:
    """As `send_ready` of one job, its letter being the tag."""
    client, (letter,) = make_client(), letters(1)
    jobs, _ = client.ready(FORM, [letter])
    outcome = await client.send_one(jobs[0])
    assert isinstance(outcome, Accepted)
    assert outcome.tag is letter


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_one_that_nobody_waits_for_any_more_does_not_leave(
    server: ApnsServer, make_client: MakeClient, how: str
) -> None:
    """What is on the wire has its outcome; what waits for a stream is forgotten."""
    held: list[tuple[Peer, Received]] = []
    arrived = asyncio.Event()

    def first(peer: Peer, request: Received) -> None:
        held.append((peer, request))
        arrived.set()

    server.on_request = first
    server.stream_limit = 1
    client, stop = make_client(max_connections=1), asyncio.get_running_loop().create_future()
    jobs, _ = client.ready(FORM, letters(2))
    sent = asyncio.ensure_future(client.send_one(jobs[0], stop=stop))
    await arrived.wait()
    waiting = asyncio.ensure_future(client.send_one(jobs[1], stop=stop))
    await asyncio.sleep(0)
    assert client.pool.waiting == 1
    if how == "stopped":
        stop.set_result(None)
        assert await waiting is None
    else:
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert client.pool.waiting == 0
    accept_all(*held[0])
    assert isinstance(await sent, Accepted)
    assert len(server.requests) == 1


async def test_one_that_was_stopped_before_is_not_sent(server: ApnsServer, make_client: MakeClient) -> None:
    """It has no outcome, and nobody heard of it."""
    client, stop = make_client(), asyncio.get_running_loop().create_future()
    stop.set_result(None)
    jobs, _ = client.ready(FORM, letters(1))
    assert await client.send_one(jobs[0], stop=stop) is None
    assert server.requests == []
