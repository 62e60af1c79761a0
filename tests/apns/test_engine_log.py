"""The engine's log lines: which there are, at which level, and that none holds a secret."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client import CollectorRegistry, generate_latest
from support.apns_server import ApnsServer, Peer, header
from support.engine import HELLO, MakeClient, tokens
from support.manual_clock import ManualClock

from heliogram.apns import SigningKey, Tuning
from heliogram.apns.prometheus import PrometheusListener
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and event of each line."""
    return [(one.levelname, one.__dict__["apns_event"]) for one in caplog.records if one.name == "heliogram.apns"]


async def test_the_lines_of_a_quiet_life(
    server: ApnsServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Opened and closed are INFO, token and stream limit DEBUG; the fields are in the record for programs."""
    caplog.set_level(logging.DEBUG, "heliogram.apns")
    client = make_client()
    await client.send(tokens(1)[0], HELLO)
    await client.close()
    assert lines(caplog) == [
        ("DEBUG", "token_changed"),
        ("INFO", "connection_opened"),
        ("DEBUG", "stream_limit_changed"),
        ("INFO", "connection_closed"),
    ]
    closed = caplog.records[-1]
    assert f"connection 1 to {server.endpoint} closed after 0 s and 1 pushes: the client was closed" in caplog.text
    assert (closed.__dict__["apns_kind"], closed.__dict__["apns_pushes"]) == ("closed", 1)


async def test_what_deserves_a_look_is_a_warning(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """GOAWAY with a reason, silence and failed attempts are WARNING; a GOAWAY without a reason is INFO (CONN-20)."""
    caplog.set_level(logging.INFO, "heliogram.apns")
    client = make_client(connect_attempts=1)
    for debug in (b"", b'{"reason":"Shutdown\\nINFO forged"}'):
        await client.send(tokens(1)[0], HELLO)
        server.peers[-1].goaway(99, 0, debug)
        await server.until(lambda: server.peers[-1].closed)
    await client.send(tokens(1)[0], HELLO)
    server.peers[-1].deaf = True
    clock.advance(60)
    clock.advance(10)
    await server.until(lambda: server.peers[-1].closed)
    await make_client(endpoint="127.0.0.1:1", connect_attempts=1).send(tokens(1)[0], HELLO)
    warned = [event for level, event in lines(caplog) if level == "WARNING"]
    assert warned == ["goaway_received", "connection_closed", "connection_failed"]
    assert ("INFO", "goaway_received") in lines(caplog)
    assert "Shutdown?INFO forged" in caplog.text


def test_nothing_is_printed_where_logging_is_not_configured() -> None:
    """A warning of the engine does not end up on the standard error of a program that has not asked for logs."""
    code = "import heliogram.apns, logging; logging.getLogger('heliogram.apns').warning('seen')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""


class Troubles:
    """Answers in all ways there are, says goodbye, cuts."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()

    def __call__(self, peer: Peer, request: Received) -> None:
        self.tokens.add(header(request, b"authorization").removeprefix(b"bearer ").decode())
        match len(peer.server.requests) % 10:
            case 3:
                peer.reject(request, 400, "BadDeviceToken")
            case 5:
                peer.reject(request, 403, "ExpiredProviderToken")
            case 7:
                peer.goaway(request.stream_id, 0, b'{"reason":"Shutdown"}')
                peer.accept(request)
            case 9:
                peer.cut()
            case _:
                peer.accept(request)


async def test_no_secret_in_a_log_or_metric(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """However eventful the run: no provider token, no part of the key and no device token is logged or counted."""
    caplog.set_level(logging.DEBUG)
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    registry = CollectorRegistry()
    listener = PrometheusListener(registry)
    key = SigningKey(private, key_id="ABC123DEFG", team_id="DEF123GHIJ")
    server.on_request = troubles = Troubles()
    # By its clock a real handshake takes ages; what is silent is found out by PING.
    client = make_client(credential=key, listener=listener, timeout=1e6, tuning=Tuning(connect_timeout=1e6))
    devices = tokens(60)
    pending = [client.send(device, HELLO) for device in devices]
    while not all(one.done() for one in pending):
        clock.advance(0.1)
        await asyncio.sleep(0)
    client.revoke()
    client.rotate(key)
    [_ async for _ in client.send_many([("not a token " + devices[1], HELLO)])]
    await client.close()
    said = generate_latest(registry).decode() + repr([one.__dict__ for one in caplog.records]) + caplog.text
    assert len(lines(caplog)) > 20
    assert troubles.tokens
    body = [line for line in pem.splitlines() if "-----" not in line]
    for secret in (*troubles.tokens, *(one.split(".")[2] for one in troubles.tokens), *body, *devices):
        assert secret not in said
