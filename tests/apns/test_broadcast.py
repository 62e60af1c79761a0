"""Broadcasts over TLS: headers, bounds, outcomes, and what is sent again (apns-rules 6.3 and 6.4)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.apns_server import ApnsServer, Peer, header, hold
from support.callers import BUNDLE, CHANNEL, REFUSALS, UUID, answer, close_all, names, refuse, respond
from support.manual_clock import ManualClock
from support.tls import Authority, key_pem

from heliogram.apns import (
    Accepted,
    BroadcastClient,
    Certificate,
    Endpoint,
    Environment,
    InvalidChannelRequest,
    InvalidNotification,
    MessageStoragePolicy,
    Notification,
    NotSent,
    PayloadTooLarge,
    PushType,
    Rejected,
    SigningKey,
    Unknown,
    environment,
)
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

MakeBroadcasts = Callable[..., BroadcastClient]
OK = answer(200)
HOWTO = Path(__file__).parents[2] / "docs/howto/broadcast.md"


def goal(**fields: Any) -> Notification:
    """An update of a Live Activity."""
    chosen = {"event": "update", "timestamp": 1_750_000_000, "content_state": {"home": 1}, "expiration": 0, **fields}
    return Notification(**chosen)


def raw(payload: bytes | dict[str, Any], **fields: Any) -> Notification:
    return Notification(payload=payload, expiration=0, **fields)


@pytest.fixture
async def make(
    anyio_backend: str, server: ApnsServer, authority: Authority, signing_key: SigningKey, clock: ManualClock
) -> AsyncIterator[MakeBroadcasts]:
    made: list[BroadcastClient] = []

    def make_one(**options: object) -> BroadcastClient:
        chosen: dict[str, Any] = {"bundle_id": BUNDLE, "endpoint": server.endpoint, "clock": clock, **options}
        client = BroadcastClient(chosen.pop("credential", signing_key), cafile=authority.cafile, **chosen)
        made.append(client)
        return client

    server.on_request = OK
    yield make_one
    await close_all(made, clock)


# ---- what is sent


async def test_request_and_outcome(server: ApnsServer, make: MakeBroadcasts) -> None:
    """POST to the bundle's path, without a topic; 200 is `Accepted` with channel, request id and unique id."""
    server.on_request = answer(200, b"", (b"apns-unique-id", b"4084a6e4"))
    outcome = await make().send(CHANNEL, goal(expiration=1_750_003_600), request_id=UUID.upper(), tag="mine")
    assert outcome == Accepted(CHANNEL, UUID, "4084a6e4", "mine", outcome.wire_ms)
    [request] = server.requests
    assert header(request, b"authorization").startswith(b"bearer ")
    assert dict(request.headers) == {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": server.endpoint.encode(),
        b":path": b"/4/broadcasts/apps/com.example.app",
        b"authorization": header(request, b"authorization"),
        b"apns-push-type": b"liveactivity",
        b"apns-priority": b"10",
        b"apns-request-id": UUID.encode(),
        b"apns-channel-id": CHANNEL.encode(),
        b"apns-expiration": b"1750003600",
    }
    assert len(names(request)) == 10
    assert msgspec.json.decode(request.body) == {
        "aps": {"timestamp": 1_750_000_000, "event": "update", "content-state": {"home": 1}}
    }


async def test_request_id_of_our_own(server: ApnsServer, make: MakeBroadcasts) -> None:
    """Without an id given each broadcast gets another one, a UUID in lower case."""
    client = make()
    outcomes = [await client.send(CHANNEL, goal()) for _ in range(2)]
    ids = [header(one, b"apns-request-id").decode() for one in server.requests]
    assert [one.apns_id for one in outcomes] == ids
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids)


async def test_certificate_in_place_of_a_key(server: ApnsServer, make: MakeBroadcasts, authority: Authority) -> None:
    """With a certificate there is no `authorization`, and no wait for the first answer."""
    pair = authority.issue([(NameOID.COMMON_NAME, "Apple Push Services"), (NameOID.USER_ID, BUNDLE)], [])
    server.on_request = hold
    client = make(credential=Certificate.from_pem(*pair))
    sent = [client.send(CHANNEL, goal()) for _ in range(3)]
    await server.received(3)
    assert all(b"authorization" not in names(one) for one in server.requests)
    for request in server.requests:
        respond(server.peers[0], request, 200)
    assert all(one.ok for one in await asyncio.gather(*sent))


@pytest.mark.parametrize(("given", "sent"), [(None, b"10"), (1, b"1"), (5, b"5"), (10, b"10")])
async def test_priorities(server: ApnsServer, make: MakeBroadcasts, given: int | None, sent: bytes) -> None:
    """A broadcast may have priority 1 too, which a Live Activity push to a device may not."""
    await make().send(CHANNEL, goal(priority=given))
    assert header(server.requests[0], b"apns-priority") == sent


@pytest.mark.parametrize("event", ["update", "end"])
@pytest.mark.parametrize("form", ["typed", "dict", "bytes"])
async def test_events(server: ApnsServer, make: MakeBroadcasts, event: str, form: str) -> None:
    """Update and end are broadcast, from typed fields, a dict, or bytes that stay untouched (LA-3)."""
    text = b'{ "aps" : {"event": "%b", "more": [1, {"x": null}]}, "own": 1 }' % event.encode()
    made = {"typed": goal(event=event), "dict": raw(msgspec.json.decode(text)), "bytes": raw(text)}
    await make().send(CHANNEL, made[form])
    [request] = server.requests
    assert msgspec.json.decode(request.body)["aps"]["event"] == event
    assert (request.body == text) == (form == "bytes")


@pytest.mark.parametrize("push_type", [None, "liveactivity", PushType.LIVEACTIVITY])
async def test_push_type(server: ApnsServer, make: MakeBroadcasts, push_type: str | None) -> None:
    """The push type need not be said."""
    await make().send(CHANNEL, goal(push_type=push_type))
    assert header(server.requests[0], b"apns-push-type") == b"liveactivity"


@pytest.mark.parametrize(
    ("policy", "expiration", "sent"),
    [(None, 0, b"0"), (None, 9, b"9"), (0, None, b"0"), (0, 0, b"0"), (1, 0, b"0"), (1, 9, b"9")],
)
async def test_expirations(
    server: ApnsServer, make: MakeBroadcasts, policy: int | None, expiration: int | None, sent: bytes
) -> None:
    """`apns-expiration` always goes out; for a channel that stores nothing it is 0 by itself."""
    await make().send(CHANNEL, goal(expiration=expiration), policy=policy)
    assert header(server.requests[0], b"apns-expiration") == sent


async def test_largest_payload(server: ApnsServer, make: MakeBroadcasts) -> None:
    """5,120 bytes are sent, though a push to one device may have 4,096."""
    body = b'{"aps":{"event":"end"}}'.ljust(5120)
    await make().send(CHANNEL, raw(body))
    assert server.requests[0].size == 5120


async def test_same_notification_as_push_and_broadcast(make: MakeBroadcasts) -> None:
    """What is prepared as a broadcast is encoded once, and is not confused with a push to a device."""
    client = make()
    notification = goal(push_type=PushType.LIVEACTIVITY)
    device = notification.prepare()
    assert (await client.send(CHANNEL, notification)).ok
    prepared = notification.__dict__["_broadcast"]
    assert (await client.send("another", notification)).ok
    assert notification.__dict__["_broadcast"] is prepared
    assert notification.prepare() is device


# ---- what is refused here


@pytest.mark.parametrize(
    ("notification", "field"),
    [
        (goal(event="start", alert="Go", attributes_type="A", attributes={}), "event"),
        (goal(event="start"), "event"),
        (goal(event=None), "event"),
        (raw({"aps": {"event": "start"}}), "event"),
        (raw(b'{"aps":{"event":"start"}}'), "event"),
        (raw({"aps": {}}), "event"),
        (raw({"aps": {"event": 1}}), "payload"),
        (raw({}), "payload"),
        (raw(b"[]"), "payload"),
        (raw(b"no JSON"), "payload"),
        (raw(b""), "payload"),
        (raw(b"[" * 5120), "payload"),
        (raw(b'{"aps":{"event":"end"}}'.ljust(5121)), "payload"),
        (goal(push_type=PushType.ALERT), "push_type"),
        (goal(push_type="background"), "push_type"),
        (goal(topic=BUNDLE), "topic"),
        (goal(collapse_id="x"), "collapse_id"),
        (goal(priority=0), "priority"),
        (goal(priority=True), "priority"),
        (goal(priority=11), "priority"),
        (goal(expiration=None), "expiration"),
        (goal(expiration=-1), "expiration"),
        (goal(content_state=None), "content_state"),
    ],
)
async def test_refused_before_the_wire(
    server: ApnsServer, make: MakeBroadcasts, notification: Notification, field: str
) -> None:
    """What APNs would refuse raises from `send` itself, naming the field (6.3, LA-3)."""
    with pytest.raises(InvalidNotification) as caught:
        make().send(CHANNEL, notification)
    assert caught.value.field == field
    assert server.peers == []


async def test_payload_too_large(make: MakeBroadcasts) -> None:
    """The error has the limit and the actual size."""
    with pytest.raises(PayloadTooLarge) as caught:
        make().send(CHANNEL, raw(b'{"aps":{"event":"end"}}'.ljust(5121)))
    assert (caught.value.limit, caught.value.actual) == (5120, 5121)


async def test_expiration_of_a_channel_that_stores_nothing(make: MakeBroadcasts) -> None:
    """A policy-0 channel takes the expiration 0 alone (`BadExpirationDate`)."""
    policy = MessageStoragePolicy.NO_MESSAGE_STORED
    with pytest.raises(InvalidNotification, match="expiration: 1, but the channel stores no message"):
        make().send(CHANNEL, goal(expiration=1), policy=policy)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [("channel_id", {"channel_id": "a b"}), ("policy", {"policy": 2}), ("request_id", {"request_id": "42"})],
)
async def test_bad_arguments(make: MakeBroadcasts, field: str, arguments: dict[str, Any]) -> None:
    """A channel id, a policy or a request id that makes no sense raises from `send` itself."""
    chosen: dict[str, Any] = {"channel_id": CHANNEL, "notification": goal(), **arguments}
    with pytest.raises(InvalidChannelRequest, match=field):
        make().send(**chosen)


# ---- outcomes


async def test_each_reason(server: ApnsServer, make: MakeBroadcasts) -> None:
    """Every row of 6.4 is a `Rejected` with APNs' own word, known to the table, and nothing is repeated."""
    client = make()
    for count, (status, reason) in enumerate(REFUSALS, 1):
        server.on_request = OK
        await client.send(CHANNEL, goal())
        server.on_request = refuse(status, reason)
        outcome = await client.send(CHANNEL, goal())
        assert isinstance(outcome, Rejected)
        assert (outcome.device_token, outcome.status, outcome.reason) == (CHANNEL, status, reason)
        assert outcome.policy.name == reason
        assert status in outcome.policy.statuses
        assert len(server.requests) == 2 * count


async def test_expired_token_is_repeated_once(server: ApnsServer, make: MakeBroadcasts) -> None:
    """`ExpiredProviderToken` goes once more, on a new connection with the same id."""
    client = make()
    await client.send(CHANNEL, goal())

    def expired(peer: Peer, request: Received) -> None:
        if peer is server.peers[0]:
            refuse(403, "ExpiredProviderToken")(peer, request)
        else:
            respond(peer, request, 200)

    server.on_request = expired
    assert (await client.send(CHANNEL, goal(), request_id=UUID)).ok
    assert [header(one, b"apns-request-id") for one in server.requests[1:]] == [UUID.encode()] * 2


async def test_refused_stream_is_sent_again(server: ApnsServer, make: MakeBroadcasts) -> None:
    """REFUSED_STREAM is not processed: the same request again (CONN-17)."""

    def refuse_once(peer: Peer, request: Received) -> None:
        if len(server.requests) == 1:
            peer.refuse(request)
        else:
            respond(peer, request, 200)

    server.on_request = refuse_once
    assert (await make().send(CHANNEL, goal())).ok
    first, second = server.requests
    assert (first.headers, first.body) == (second.headers, second.body)


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_what_was_written_is_not_sent_again(server: ApnsServer, make: MakeBroadcasts, how: str) -> None:
    """Without an answer a broadcast is `Unknown`: everybody may have it."""
    server.on_request = lambda peer, request: peer.cut() if how == "cut" else peer.reset(request, 2)
    outcome = await make().send(CHANNEL, goal(), tag=7)
    assert isinstance(outcome, Unknown)
    assert (outcome.device_token, outcome.tag) == (CHANNEL, 7)
    assert len(server.requests) == 1


async def test_deadlines(server: ApnsServer, make: MakeBroadcasts, clock: ManualClock) -> None:
    """At its deadline a written broadcast is `Unknown`, one that waits is `NotSent`."""
    server.on_request = hold
    client = make(max_connections=1)
    written = client.send(CHANNEL, goal(), timeout=6)
    await server.received(1)
    waiting = client.send(CHANNEL, goal(), timeout=5)
    clock.advance(5)
    assert isinstance(waiting.result(), NotSent)
    assert not written.done()
    clock.advance(1)
    assert isinstance(written.result(), Unknown)


async def test_many_channels(server: ApnsServer, make: MakeBroadcasts) -> None:
    """One notification to hundreds of channels at once: an outcome each, one stream until authenticated."""
    client = make()
    notification = goal()
    sent = [client.send(f"channel{i}", notification) for i in range(500)]
    outcomes = await asyncio.gather(*sent)
    assert [one.device_token for one in outcomes] == [f"channel{i}" for i in range(500)]
    assert all(one.ok for one in outcomes)
    reached = sorted(header(one, b"apns-channel-id") for one in server.requests)
    assert reached == sorted(b"channel%d" % i for i in range(500))


async def test_close(server: ApnsServer, make: MakeBroadcasts) -> None:
    """What is open finishes; after that a broadcast is `NotSent`."""
    server.on_request = hold
    client = make()
    sent = client.send(CHANNEL, goal())
    await server.received(1)
    closing = asyncio.ensure_future(client.close())
    await asyncio.sleep(0)
    respond(server.peers[0], server.requests[0], 200)
    await closing
    assert sent.result().ok
    late = await client.send(CHANNEL, goal())
    assert isinstance(late, NotSent)
    assert "closed" in late.cause


# ---- hosts, and the how-to


@pytest.mark.parametrize(
    ("chosen", "endpoint", "host"),
    [
        (Environment.PRODUCTION, None, "api.push.apple.com"),
        ("sandbox", None, "api.sandbox.push.apple.com"),
        ("production", "api-broadcast.push.apple.com", "api-broadcast.push.apple.com"),
    ],
)
async def test_hosts(make: MakeBroadcasts, chosen: Environment | str, endpoint: str | None, host: str) -> None:
    """The host is the one of device pushes, and can be set (CONN-4, CONN-4a)."""
    dialed: list[Endpoint] = []

    async def note(factory: object, where: Endpoint, context: object) -> object:
        dialed.append(where)
        raise OSError("enough")

    client = make(environment=chosen, endpoint=endpoint, connect=note, connect_attempts=1)
    assert isinstance(await client.send(CHANNEL, goal()), NotSent)
    assert dialed == [Endpoint(host, 443)]


def test_repr(signing_key: SigningKey) -> None:
    """The text for people has the app and the counts."""
    shown = repr(BroadcastClient(signing_key, bundle_id=BUNDLE))
    assert shown == (
        "<BroadcastClient com.example.app, <Pool api.push.apple.com: 0 of 4 connections, "
        "0 leaving, 0 in flight, 0 waiting>>"
    )


async def test_the_howto_runs(
    server: ApnsServer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The how-to's program does what it says, against a server in Apple's place."""

    def apple(peer: Peer, request: Received) -> None:
        match header(request, b":method"), header(request, b":path").rpartition(b"/")[2]:
            case b"POST", b"channels":
                respond(peer, request, 201, b"", (b"apns-channel-id", CHANNEL.encode()))
            case b"GET", b"channels":
                respond(peer, request, 200, b'{"message-storage-policy":1,"push-type":"LiveActivity"}')
            case b"GET", _:
                respond(peer, request, 200, b'{"channels":["%b"]}' % CHANNEL.encode())
            case b"DELETE", _:
                respond(peer, request, 204)
            case _:
                respond(peer, request, 200)

    server.on_request = apple
    (tmp_path / "AuthKey_ABC123DEFG.p8").write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", authority.cafile)
    here = Endpoint.parse(server.endpoint)
    monkeypatch.setitem(environment._ENDPOINTS, Environment.SANDBOX, here)
    monkeypatch.setitem(environment._CHANNEL_ENDPOINTS, Environment.SANDBOX, here)
    [program] = re.findall(r"```python\n(.*?)```", HOWTO.read_text("utf-8"), re.DOTALL)
    definitions, _, last = program.partition("asyncio.run(main())")
    assert not last.strip()
    scope: dict[str, Any] = {}
    exec(definitions, scope)  # noqa: S102 - the project's own page
    await scope["main"]()
    methods = [header(one, b":method") for one in server.requests]
    assert methods == [b"POST", b"GET", b"GET", b"POST", b"DELETE"]
    assert f"device_token='{CHANNEL}'" in capsys.readouterr().out
