"""The transport: TLS, SETTINGS, HTTP/1.1, limits, and a clean end."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import h2.settings
import pytest
from support.sim_client import ALERT, SimClient, World

from heliogram.simulator import Invalid, PortTaken, Settings, Simulator

pytestmark = pytest.mark.anyio

CODES = h2.settings.SettingCodes


async def test_first_settings(world: World) -> None:
    """CONN-13: the SETTINGS seen in traces."""
    client = await world.connect()
    seen = await client.settled
    assert seen[CODES.MAX_CONCURRENT_STREAMS] == 1000
    assert seen.get(CODES.HEADER_TABLE_SIZE, 4096) == 4096
    assert seen.get(CODES.INITIAL_WINDOW_SIZE, 65535) == 65535
    assert seen.get(CODES.MAX_FRAME_SIZE, 16384) == 16384
    assert seen[CODES.MAX_HEADER_LIST_SIZE] == 8000


@pytest.mark.parametrize("alpn", [("h2",), (), ("http/1.1",)])
async def test_alpn_is_not_required(world: World, alpn: tuple[str, ...]) -> None:
    """CONN-11, SUR-2: h2 by ALPN, or prior knowledge without it."""
    client = await world.connect(alpn=alpn)
    chosen = client.transport.get_extra_info("ssl_object").selected_alpn_protocol()
    assert chosen == ("h2" if alpn == ("h2",) else None)
    assert (await client.push(world.token, world.bearer)).status == 200


async def test_tls_below_1_2_is_refused(world: World) -> None:
    """CONN-8: TLS 1.1 does not connect."""
    context = ssl.create_default_context(cadata=world.simulator.ca_pem.decode())
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*world.simulator.ports["production"], ssl=context)


async def test_tls_1_2_is_served(world: World) -> None:
    """CONN-8: TLS 1.2 is enough."""
    context = ssl.create_default_context(cadata=world.simulator.ca_pem.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await asyncio.open_connection(*world.simulator.ports["production"], ssl=context)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
    writer.close()
    await writer.wait_closed()


async def test_http1_is_answered_in_frames(world: World) -> None:
    """CONN-12, SUR-2: SETTINGS, then GOAWAY quoting the request, last-stream-id 0, code 1, and the end."""
    client = await world.connect(alpn=(), preface=False)
    client.transport.write(b"POST /3/device/0011 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.closed
    assert client.raw[3] == 4  # the first frame is SETTINGS
    debug = b"Unexpected HTTP/1.x request: POST /3/device/0011"
    header = (8 + len(debug)).to_bytes(3, "big") + b"\x07\x00" + bytes(4)
    assert client.raw.endswith(header + bytes(4) + b"\x00\x00\x00\x01" + debug)


async def test_preface_in_single_bytes(world: World) -> None:
    """RFC 9113 §3.4: the preface may come in any pieces."""
    client = await world.connect(preface=False)
    client._quiet = False
    client.h2.initiate_connection()
    for byte in client.h2.data_to_send():
        client.transport.write(bytes([byte]))
    assert (await client.push(world.token, world.bearer)).status == 200


async def test_garbage_after_the_preface_ends_the_connection(world: World) -> None:
    """RFC 9113 §5.4.1: a connection error is told by GOAWAY, then the connection ends."""
    client = await world.connect()
    client.transport.write(b"\xff" * 100)
    await client.closed
    assert client.goaways
    assert client.goaways[0][0] != 0


async def test_garbage_behind_a_request_ends_the_connection_too(world: World) -> None:
    """The request in front of it is answered, and nobody waits for more bytes before closing."""
    client = await world.connect()
    client.h2.send_headers(1, [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")], True)
    client.transport.write(client.h2.data_to_send() + b"\0\0\3\6\0\0\0\0\0bad")  # a PING of three bytes
    client._quiet = True
    await asyncio.wait_for(client.closed, 90)
    assert world.simulator.requests()[0].status == 405


async def test_client_that_says_goodbye_gets_its_answers_first(world: World) -> None:
    """GOAWAY with an answer still held back by a window: it goes out when the window opens, then the end."""
    client = await world.connect()
    client.h2.update_settings({CODES.INITIAL_WINDOW_SIZE: 0})
    client._flush()
    answer = client.push(world.token, None)
    client.transport.write(b"\0\0\x08\7\0\0\0\0\0" + bytes(8))
    await world.push()  # on another connection; by now the simulator has read all that came on this one
    client.h2.increment_flow_control_window(256, stream_id=1)
    client._flush()
    assert (await answer).reason == "MissingProviderToken"
    await asyncio.wait_for(client.closed, 90)


async def test_many_streams_at_once(world: World) -> None:
    """CONN-13: a thousand requests in flight are all answered."""
    client = await world.connect()
    replies = await asyncio.gather(*(client.push(world.token, world.bearer) for _ in range(300)))
    assert {reply.status for reply in replies} == {200}
    assert world.simulator.apns.journal.outcomes == {"Accepted": 300}


async def test_header_list_over_8000(world: World) -> None:
    """9.3: a header list over the limit is refused before any check; the connection lives on."""
    client = await world.connect()
    reply = await client.push(world.token, world.bearer, ("x-long", "x" * 8000))
    assert reply.status == 431
    assert (await client.push(world.token, world.bearer)).status == 200


async def test_slow_reader_is_not_read_from(world: World) -> None:
    """The bound on answers waiting: while the client does not read, no more of its requests are taken."""
    client = await world.connect()
    await client.push(world.token, world.bearer)
    (connection,) = world.simulator._listeners["production"].connections
    connection.pause_writing()
    waiting = client.push(world.token, world.bearer)
    await world.push()  # another connection is served meanwhile
    assert not waiting.done()
    connection.resume_writing()
    assert (await waiting).status == 200


async def test_unfinished_handshake_does_not_hold_up_the_end(world: World) -> None:
    """A client that never speaks TLS is no reason to stay."""
    _, writer = await asyncio.open_connection(*world.simulator.ports["production"])
    await world.push()
    await world.simulator.stop()
    writer.close()


async def test_client_that_says_goodbye_is_let_go(world: World) -> None:
    """RFC 9113 §6.8: after the client's GOAWAY and its last answer the connection ends."""
    client = await world.connect()
    await client.push(world.token, world.bearer)
    client.h2.close_connection()
    client.transport.write(client.h2.data_to_send())
    await client.closed


async def test_stop_sends_goaway_and_leaves_nothing_open(world: World) -> None:
    """CONN-22: an orderly end is GOAWAY NO_ERROR."""
    client = await world.connect()
    await client.push(world.token, world.bearer)
    await world.simulator.stop()
    await client.closed
    assert client.goaways[0][0] == 0
    assert world.simulator.connections == 0
    assert world.simulator.ports == {}


async def test_reset_keeps_connections(world: World) -> None:
    """A reset forgets keys and tokens, and the verdicts connections had on them."""
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.reset()
    assert (await client.push(world.token, world.bearer)).reason == "InvalidProviderToken"
    world.simulator.add_key(world.signer.key_id, world.signer.team_id, world.signer.public_pem)
    assert (await client.push(world.token, world.bearer)).reason == "BadDeviceToken"


async def test_port_taken(world: World) -> None:
    """A port in use is an error that names the option to change, and nothing stays open."""
    host, port = world.simulator.ports["production"]
    other = Simulator()
    with pytest.raises(PortTaken, match=rf"{host}:{port} is taken.*--sandbox HOST:PORT"):
        await other.start(production="127.0.0.1:0", sandbox=f"{host}:{port}")
    assert other.ports == {}


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", ":1", "a..b:1", f"{64 * 'a'}:1", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"]
)
async def test_bad_address(address: str) -> None:
    """An address that is none names its option."""
    with pytest.raises(Invalid, match=r"--manage-sandbox must be HOST:PORT"):
        await Simulator().start(manage_sandbox=address)


async def test_start_twice_and_use_before_start() -> None:
    """Misuse is told at once."""
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="before start"):
        _ = simulator.ca_pem
    async with simulator:
        with pytest.raises(RuntimeError, match="running already"):
            await simulator.start()


async def test_ipv6(tmp_path: Path) -> None:
    """A listener on [::1] works and the certificate is good for it."""
    simulator = Simulator(tmp_path)
    try:
        await simulator.start(production="[::1]:0")
    except PortTaken as error:
        pytest.skip(f"no IPv6 loopback on this machine: {error}")
    client = await SimClient.connect(simulator.ports["production"], simulator.ca_pem)
    assert (await client.push("00", None, body=ALERT)).status == 403
    await client.close()
    await simulator.stop()


class TestSettings:
    """Other readings of the documents, by settings."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            one_stream_first=True,
            strict_json=True,
            error_content_type=True,
            token_rate=2,
            connections=1,
            window=1000,
            update_after=1,
        )

    async def test_one_stream_until_authenticated(self, world: World) -> None:
        """CONN-14, CONN-15: one stream is advertised until a request was authenticated, then all."""
        client = await world.connect()
        assert (await client.settled)[CODES.MAX_CONCURRENT_STREAMS] == 1
        await client.push(world.token, None)
        assert len(client.settings_seen) == 1
        await client.push(world.token, world.bearer)
        assert client.settings_seen[1] == {CODES.MAX_CONCURRENT_STREAMS: 1000}

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"'])
    async def test_strict_json(self, world: World, body: bytes) -> None:
        """SIZE-3: with the strict flag a body that is no JSON object is PayloadEmpty, with a content-type."""
        reply = await world.push(body=body)
        assert reply.verdict == (400, "PayloadEmpty")
        assert reply.headers["content-type"] == "application/json"

    async def test_token_rate(self, world: World) -> None:
        """LIFE-13: past the rate a device token answers TooManyRequests, until the minute is over."""
        client = await world.connect()
        statuses = [(await client.push(world.token, world.bearer)).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        world.clock.move(60)
        assert (await client.push(world.token, world.bearer)).status == 200

    async def test_connections_beyond_the_limit_are_closed(self, world: World) -> None:
        """The bound on open connections: one is served, the next is closed at once, before any work for TLS."""
        client = await world.connect()
        with pytest.raises(ConnectionError):
            await world.connect(preface=False)
        assert (await client.push(world.token, world.bearer)).status == 200

    async def test_small_window(self, world: World) -> None:
        """RFC 9113 §6.9: a body larger than the stream window arrives as the window opens again."""
        client = await world.connect()
        assert (await client.settled)[CODES.INITIAL_WINDOW_SIZE] == 1000
        assert (await client.push(world.token, world.bearer, body=b'{"x":"' + b"y" * 900 + b'"}')).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_changes": 0},
        {"future_skew": -1},
        {"stream_limit": 0},
        {"window": 2**31},
        {"min_token_digits": 300, "max_token_digits": 200},
        {"token_rate": 0},
        {"journal": 0},
        {"held": 0},
        {"connections": 0},
        {"connection_window": 65534},
        {"update_after": 0},
    ],
)
def test_settings_have_bounds(wrong: dict[str, int]) -> None:
    """A setting out of bounds is refused by name."""
    with pytest.raises(ValueError, match="|".join(wrong)):
        Settings(**wrong)  # type: ignore[arg-type]
