"""References as they travel."""

from __future__ import annotations

import msgspec
import pytest

from heliogram.domain.operations import Lane
from heliogram.ports import ChunkRef
from heliogram.queue.nats import Layout
from heliogram.queue.nats.references import BadReference, message_id, pack, unpack
from heliogram.queue.nats.words import delivered, nak, pending, pull_request

LAYOUT = Layout()
REF = ChunkRef(id=bytes(range(16)), lane=Lane.BULK, shard=7, flow=bytes(16) + b"shop", attempt=3)


def test_a_reference_comes_back_as_it_went() -> None:
    """Lane and shard by the subject; small, and with nothing of what is sent."""
    subject = LAYOUT.subject(REF.lane, REF.shard)
    assert subject == "heliogram.bulk.7"
    assert unpack(LAYOUT, subject, pack(REF)) == REF
    assert len(pack(REF)) < 48


def test_a_message_is_known_by_chunk_and_attempt() -> None:
    """A repeat of one attempt is the same message, the next attempt is another."""
    assert message_id(REF) == "000102030405060708090a0b0c0d0e0f:3"


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("heliogram.bulk.7", b""),
        ("heliogram.bulk.7", b"\xff"),
        ("heliogram.bulk.7", msgspec.msgpack.encode([b"short", bytes(16), 1])),
        ("heliogram.bulk.7", msgspec.msgpack.encode([bytes(16), bytes(15), 1])),
        ("heliogram.bulk.7", msgspec.msgpack.encode([bytes(16), bytes(16), 0])),
        ("heliogram.bulk.x", pack(REF)),
        ("heliogram.slow.7", pack(REF)),
        ("elsewhere", pack(REF)),
    ],
)
def test_anything_else_is_none(subject: str, data: bytes) -> None:
    """It is told from a reference, whatever it is."""
    with pytest.raises(BadReference):
        unpack(LAYOUT, subject, data)


def test_a_request_asks_with_a_priority() -> None:
    """The one thing that nats-py cannot say; without one it is for no group."""
    body = msgspec.json.decode(pull_request(5, 10, 3))
    assert body == {"batch": 5, "expires": 10_000_000_000, "group": "workers", "priority": 3}
    assert msgspec.json.decode(pull_request(1, 0.5)) == {"batch": 1, "expires": 500_000_000}


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.heliogram-tx.shard-1.4.70.12.1795369673416458475.31",
        "$JS.ACK._.hash.heliogram-tx.shard-1.4.70.12.17.31.x",
    ],
)
def test_both_forms_of_what_is_answered_to_are_read(reply: str) -> None:
    """How many wait in the shard, and how often this one was delivered."""
    assert (pending(reply), delivered(reply)) == (31, 4)


def test_not_now_has_a_delay() -> None:
    """In nanoseconds; without one it comes again at once."""
    assert nak() == b"-NAK"
    assert nak(1.5) == b'-NAK {"delay": 1500000000}'
