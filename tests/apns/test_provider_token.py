"""Provider tokens: their bytes, and when a connection changes them (TOK-1 to TOK-10)."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given
from hypothesis import strategies as st
from support.apns_server import ApnsServer, header
from support.engine import HELLO, TOKEN, MakeClient
from support.manual_clock import ManualClock
from support.tls import key_pem

from heliogram.apns import SigningKey, TokenSource
from heliogram.apns.providertoken import FLOOR, MAX_AGE, SLOT, slot_start

PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEY = SigningKey(PRIVATE, key_id="ABC123DEFG", team_id="DEF123GHIJ")
MIDNIGHT = 1_750_032_000.0 // SLOT * SLOT


def unpack(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def test_shape() -> None:
    """Only alg, kid, iss and iat; a raw 64-byte signature that the public key verifies (TOK-2, TOK-4, TOK-5, TOK-3)."""
    token = KEY.provider_token(1_750_000_000)
    head, claims, signature = token.split(b".")
    assert json.loads(unpack(head)) == {"alg": "ES256", "kid": "ABC123DEFG"}
    assert json.loads(unpack(claims)) == {"iss": "DEF123GHIJ", "iat": 1_750_000_000}
    raw = unpack(signature)
    assert len(raw) == 64
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    PRIVATE.public_key().verify(der, head + b"." + claims, ec.ECDSA(hashes.SHA256()))
    assert b"=" not in token


def test_deterministic() -> None:
    """Two processes with the same key mint the same bytes (TOK-10)."""
    twin = SigningKey.from_p8(key_pem(PRIVATE), key_id="ABC123DEFG", team_id="DEF123GHIJ")
    assert twin.provider_token(1_750_000_000) == KEY.provider_token(1_750_000_000)


@pytest.mark.parametrize(("offset", "slots"), [(119.9, -1), (120, 0), (1919.9, 0), (1920, 1)])
def test_slot_edges(offset: float, slots: int) -> None:
    """A slot is entered two minutes after its start."""
    assert slot_start(MIDNIGHT + offset) == MIDNIGHT + slots * SLOT


@given(st.floats(min_value=0, max_value=4e9, allow_nan=False))
def test_issued_between_2_and_32_minutes_ago(now: float) -> None:
    """A fresh token is at least 2 and less than 32 minutes old, so never from the future."""
    assert 120 <= now - slot_start(now) < 1920


def test_changes_at_the_next_slot() -> None:
    """A connection that is older than the floor changes as soon as the next slot is entered."""
    clock = ManualClock(MIDNIGHT + 130)
    token = TokenSource(KEY, clock).connect()
    clock.advance(1920 - 130 - 1)
    assert not token.refresh()
    clock.advance(1)
    assert token.refresh()
    assert token.issued_at == MIDNIGHT + SLOT


def test_a_young_connection_keeps_its_token_for_the_floor() -> None:
    """A connection opened just before a slot changes 21 minutes after its own start, not at the slot (TOK-9)."""
    clock = ManualClock(MIDNIGHT + 1919)
    token = TokenSource(KEY, clock).connect()
    clock.advance(FLOOR - 1)
    assert not token.refresh()
    assert token.issued_at == MIDNIGHT
    clock.advance(1)
    assert token.refresh()


@given(st.floats(min_value=0, max_value=SLOT), st.lists(st.floats(min_value=1, max_value=3 * 3600), max_size=30))
def test_floor_and_age_hold_whatever_the_traffic(start: float, pauses: list[float]) -> None:
    """No two changes within 21 minutes, and nothing older than 55 minutes presented, however traffic falls."""
    clock = ManualClock(MIDNIGHT + start)
    token = TokenSource(KEY, clock).connect()
    changed = clock.monotonic()
    for pause in pauses:
        clock.advance(pause)
        if token.refresh():
            assert clock.monotonic() - changed >= FLOOR
            changed = clock.monotonic()
        assert token.usable
        assert 0 <= token.age < MAX_AGE


@pytest.mark.parametrize("skew", [-240, 0, 240])
@pytest.mark.parametrize("start", [0, 119, 120, 900, 1919])
def test_clocks_off_by_four_minutes(skew: float, start: float) -> None:
    """With a clock 4 minutes off, APNs sees a token within an hour of its own time, always (TOK-8)."""
    clock = ManualClock(MIDNIGHT + start + skew)
    token = TokenSource(KEY, clock).connect()
    for _ in range(600):
        clock.advance(60)
        token.refresh()
        assert token.usable
        true_age = clock.time() - skew - token.issued_at
        assert -180 < true_age < 3600


def test_three_idle_hours() -> None:
    """After three idle hours the first push carries a fresh token (TOK-22)."""
    clock = ManualClock(MIDNIGHT + 500)
    token = TokenSource(KEY, clock).connect()
    clock.advance(3 * 3600)
    assert token.refresh()
    assert token.age < 1920


def test_a_clock_set_forward_makes_the_connection_useless() -> None:
    """A token that is too old to present and too young to change is not usable."""
    clock = ManualClock(MIDNIGHT + 500)
    token = TokenSource(KEY, clock).connect()
    clock.wall += 3600
    assert not token.refresh()
    assert not token.usable


def test_a_clock_set_back_makes_the_connection_useless() -> None:
    """A token from a time yet to come, which APNs refuses, is not presented; a new connection has a good one."""
    clock = ManualClock(MIDNIGHT + 500)
    source = TokenSource(KEY, clock)
    token = source.connect()
    clock.wall -= 3600
    assert not token.refresh()
    assert not token.usable
    assert source.connect().usable


@pytest.mark.anyio
async def test_connections_share_the_token(
    server: ApnsServer, make_client: MakeClient, signing_key: SigningKey, clock: ManualClock
) -> None:
    """Two clients with one key present the same bytes, and a new slot new ones on the same connection."""
    one, two = make_client(), make_client(topic="com.example.second")
    await one.send(TOKEN, HELLO)
    await two.send(TOKEN, HELLO)
    clock.advance(10)
    clock.wall += SLOT
    clock.elapsed += FLOOR
    await one.send(TOKEN, HELLO)
    first, second, third = (header(request, b"authorization") for request in server.requests)
    assert first == second == b"bearer " + signing_key.provider_token(slot_start(clock.time()) - SLOT)
    assert third == b"bearer " + signing_key.provider_token(slot_start(clock.time()))


@pytest.mark.anyio
async def test_an_unusable_token_costs_the_connection_not_the_push(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """After a leap of the clock the push goes out on a new connection with a fresh token."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    clock.wall += 3600
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 2


def test_repr_has_no_secret() -> None:
    """Neither key nor token shows."""
    token = TokenSource(KEY, ManualClock()).connect()
    for shown in (repr(KEY), repr(token), repr(TokenSource(KEY, ManualClock()))):
        assert "ey" not in shown.replace("SigningKey key", "")
        assert "PRIVATE" not in shown
