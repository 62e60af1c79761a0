"""Packed recipients and results."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain import packing
from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.notifications import DeliveryRecord, Outcome, Recipient
from heliogram.domain.packing import (
    Unpackable,
    pack_recipients,
    pack_records,
    unpack_recipients,
    unpack_records,
)

INTEGERS = st.integers(-(2**63), 2**64 - 1)
VARIABLES = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text(max_size=20),
    max_size=4,
)
RECIPIENTS = st.builds(
    Recipient,
    token=st.binary(max_size=200),
    user=st.sampled_from([b"", b"u" * 16]),
    provider=st.sampled_from(ProviderName),
    variables=st.none() | VARIABLES,
)
RECORDS = st.builds(
    DeliveryRecord,
    sequence=st.integers(0, 16_383),
    slot=st.integers(0, 63),
    outcome=st.sampled_from(Outcome),
    final=st.booleans(),
    at=st.integers(0, 2**48),
    token=st.binary(max_size=200),
    provider=st.sampled_from(ProviderName),
    environment=st.none() | st.sampled_from(Environment),
    credential=st.sampled_from([b"", b"c" * 16]),
    status=st.integers(0, 599),
    reason=st.text(max_size=20),
    timestamp=st.none() | st.integers(0, 2**48),
    unique_id=st.text(max_size=40),
    attempt=st.integers(1, 1000),
    queued_ms=st.integers(0, 2**40),
    wire_ms=st.integers(0, 2**40),
    retry_at=st.none() | st.integers(0, 2**48),
    of=st.integers(1, 50),
)


@given(recipients=st.lists(RECIPIENTS, max_size=20))
def test_recipients_come_back(recipients: list[Recipient]) -> None:
    """Tokens, users, providers and variables of any kind."""
    assert unpack_recipients(pack_recipients(recipients)) == recipients


@given(records=st.lists(RECORDS, max_size=20))
def test_records_come_back(records: list[DeliveryRecord]) -> None:
    """Every field of every record."""
    assert unpack_records(pack_records(records)) == records


def test_little_is_kept_plain_and_much_is_compressed() -> None:
    """From 256 bytes on it pays to compress; the first byte says which it is."""
    around = len(msgspec.msgpack.encode([Recipient(token=b"t" * 200)])) - 200
    edge = [pack_recipients([Recipient(token=b"t" * (size - around))]) for size in (255, 256)]
    assert [packed[5] for packed in edge] == [1, 2]
    assert len(pack_recipients([Recipient(token=b"t" * 32, variables={"name": "Ann"}) for _ in range(500)])) < 1000


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x03abc", b"\x01", b"\x01\xc1", b"\x02", b"\x02garbage", b"\x01\x81\xa1a\x01"]
)
def test_damaged_rows_are_told(data: bytes) -> None:
    """Anything that was not packed by this is `Unpackable`, never another error."""
    with pytest.raises(Unpackable):
        unpack_recipients(data)
    with pytest.raises(Unpackable):
        unpack_records(data)


@given(data=st.binary(max_size=60), form=st.sampled_from([b"", b"\x01", b"\x02", b"\x02\x28\xb5\x2f\xfd"]))
def test_any_bytes_unpack_or_are_told(data: bytes, form: bytes) -> None:
    """Random bytes raise nothing but `Unpackable`."""
    for unpack in (unpack_recipients, unpack_records):
        try:
            unpack(form + data)
        except Unpackable:
            continue


def test_a_cut_row_is_told() -> None:
    """Half a compressed row is no shorter list."""
    packed = pack_recipients([Recipient(token=n.to_bytes(32, "big")) for n in range(500)])
    for length in range(1, len(packed), 97):
        with pytest.raises(Unpackable):
            unpack_recipients(packed[:length])


def test_a_row_that_unpacks_to_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few damaged bytes cannot fill the memory."""
    packed = pack_recipients([Recipient(token=b"t" * 200) for _ in range(500)])
    assert len(unpack_recipients(packed)) == 500
    monkeypatch.setattr(packing, "_MAX_UNPACKED", 50_000)
    with pytest.raises(Unpackable):
        unpack_recipients(packed)
