"""HPACK (RFC 7541), with `hpack` as the oracle in both directions."""

from __future__ import annotations

import contextlib
from typing import Any

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.wire import ErrorCode, ProtocolError
from heliogram.wire.hpack_decoder import Decoder
from heliogram.wire.hpack_encoder import Encoder, integer, literal, raw_string, short_string

NAMES = st.sampled_from([b"apns-id", b"apns-topic", b"content-type", b":path", b"x" * 40, b"accept", b"authorization"])
VALUES = st.one_of(st.sampled_from([b"", b"application/json", b"10"]), st.binary(max_size=120), st.just(b"v" * 1500))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)


def decoded(oracle: hpack.Decoder, block: bytes) -> list[tuple[Any, Any]]:
    return [(name, value) for name, value in oracle.decode(block, raw=True)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(FIELDS, st.booleans(), st.sampled_from([None, None, 0, 64, 300, 4096])), max_size=12))
def test_blocks_of_the_oracle_decode(blocks: list[tuple[list[tuple[bytes, bytes]], bool, int | None]]) -> None:
    """Indexing, eviction, Huffman coding and size updates are read as they were written (RFC 7541 §2.3, §4, §6)."""
    oracle, ours = hpack.Encoder(), Decoder()
    for fields, huffman, size in blocks:
        if size is not None:
            oracle.header_table_size = size
        assert ours.decode(oracle.encode(fields, huffman=huffman)) == fields


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(FIELDS, st.sampled_from([None, None, None, 0, 64, 300, 4096, 9000])), max_size=12))
def test_the_oracle_decodes_our_blocks(blocks: list[tuple[list[tuple[bytes, bytes]], int | None]]) -> None:
    """References, name references, never-indexed literals and size updates are valid HPACK (RFC 7541 §6)."""
    ours, oracle = Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
    for fields, size in blocks:
        if size is not None:
            ours.resize(size)
            oracle.max_allowed_table_size = size
        block = ours.updates()
        for place, (name, value) in enumerate(fields):
            if place % 3 == 0:
                block += ours.indexed(name, value)
            elif place % 3 == 1:
                block += ours.by_name(name, value)
            else:
                block += literal(name, value, never=True)
        assert decoded(oracle, block) == fields


def test_a_shared_pair_costs_one_byte_the_second_time() -> None:
    """A pair enters the table once and is a reference from then on (RFC 7541 §6.1)."""
    encoder = Encoder()
    assert len(encoder.indexed(b"apns-topic", b"com.example.app")) > 10
    assert encoder.indexed(b"apns-topic", b"com.example.app") == b"\xbe"


def test_a_full_table_takes_nothing_more() -> None:
    """A pair that would push out another one stays a literal; what is in the table keeps its reference."""
    encoder, oracle = Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
    first, last = (b"apns-topic", b"com.example.app"), (b"apns-topic", b"com.example.last")
    decoded(oracle, encoder.indexed(*first))
    for number in range(3):
        decoded(oracle, encoder.indexed(b"filler", b"%d" % number * 1700))
    stamp, block = encoder.stamp, encoder.indexed(*last)
    assert block[0] & 0xF0 == 0
    assert decoded(oracle, block + encoder.indexed(*last)) == [last, last]
    assert encoder.indexed(*first)[0] & 0x80
    assert decoded(oracle, encoder.indexed(*first)) == [first]
    assert encoder.stamp is stamp


def test_what_a_smaller_table_lost_enters_it_again() -> None:
    """After its eviction a pair is a literal with indexing once more, when there is room (RFC 7541 §4.3)."""
    encoder, oracle = Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
    first = (b"apns-topic", b"com.example.app")
    decoded(oracle, encoder.indexed(*first))
    encoder.resize(0)
    encoder.resize(4096)
    block = encoder.updates() + encoder.indexed(*first)
    assert block[len(integer(0x20, 0x1F, 0) + integer(0x20, 0x1F, 4096))] & 0xC0 == 0x40
    assert decoded(oracle, block) == [first]
    assert decoded(oracle, encoder.indexed(*first)) == [first]


def test_room_for_pairs_and_for_names() -> None:
    """Pairs fill seven eighths of the table, names all of it; one byte more stays out of it (RFC 7541 §4.4)."""
    encoder = Encoder()
    encoder.indexed(b"a", b"b")  # counts 34
    assert encoder.indexed(b"big", b"x" * (3584 - 34 - 32 - 3 + 1))[0] & 0xF0 == 0
    assert encoder.indexed(b"big", b"x" * (3584 - 34 - 32 - 3))[0] & 0xC0 == 0x40
    assert encoder.indexed(b"c", b"")[0] & 0xF0 == 0
    assert encoder.by_name(b"name", b"x" * (512 - 32 - 4 + 1))[0] & 0xF0 == 0
    assert not encoder.knows(b"name")
    assert encoder.by_name(b"name", b"x" * (512 - 32 - 4))[0] & 0xC0 == 0x40
    assert encoder.indexed(b"a", b"b") == b"\xc0"


def test_shrinking_and_growing_between_blocks_announces_both_sizes() -> None:
    """The least size and the last one are announced at the start of the next block (RFC 7541 §4.2)."""
    encoder = Encoder()
    encoder.resize(100)
    encoder.resize(2000)
    assert encoder.updates() == integer(0x20, 0x1F, 100) + integer(0x20, 0x1F, 2000)
    assert encoder.updates() == b""


def test_an_oversized_entry_empties_the_decoders_table() -> None:
    """An entry larger than the whole table leaves it empty and is no error (RFC 7541 §4.4)."""
    decoder = Decoder()
    decoder.decode(b"\x40" + raw_string(b"a") + raw_string(b"b"))
    big = b"x" * 5000
    assert decoder.decode(b"\x40" + raw_string(b"a") + raw_string(big)) == [(b"a", big)]
    with pytest.raises(ProtocolError):
        decoder.decode(b"\xbe")


def test_an_entry_may_take_its_name_from_the_one_it_evicts() -> None:
    """The name is read before the eviction (RFC 7541 §4.4)."""
    decoder = Decoder()
    decoder.decode(b"\x40" + raw_string(b"name") + raw_string(b"x" * 4000))
    assert decoder.decode(b"\x7e" + raw_string(b"y" * 4000)) == [(b"name", b"y" * 4000)]
    assert decoder.decode(b"\xbe") == [(b"name", b"y" * 4000)]


@pytest.mark.parametrize(
    ("block", "section"),
    [
        pytest.param(b"\x80", "6.1", id="index 0"),
        pytest.param(b"\xbe", "2.3.3", id="index beyond an empty table"),
        pytest.param(b"\xff\x80\x01", "2.3.3", id="large index"),
        pytest.param(b"\x7e\x01a", "2.3.3", id="name index beyond the table"),
        pytest.param(b"\x00", "2.3.3", id="no name"),
        pytest.param(b"\x00\x01a", "2.3.3", id="no value"),
        pytest.param(b"\x00\x01a\x05abcd", "2.3.3", id="value cut"),
        pytest.param(b"\x00\x05a", "2.3.3", id="name cut"),
        pytest.param(b"\x00\x7f\xff\xff\xff\x07", "2.3.3", id="string longer than the block"),
        pytest.param(b"\xff\xff\xff\xff\xff\x0f", "5.1", id="integer above 2^31-1"),
        pytest.param(b"\xff\x80\x80\x80\x80\x80\x01", "5.1", id="integer of too many bytes"),
        pytest.param(b"\xff", "2.3.3", id="integer cut"),
        pytest.param(b"\x3f\xe2\x1f", "6.3", id="size update one above the limit"),
        pytest.param(b"\x88\x20", "4.2", id="size update after a field"),
        pytest.param(b"\x00\x81\xff\x00", "5.2", id="bad Huffman padding"),
    ],
)
def test_broken_blocks_are_compression_errors(block: bytes, section: str) -> None:
    """A block that cannot be decoded ends the connection (RFC 9113 §4.3), naming the rule of RFC 7541."""
    with pytest.raises(ProtocolError) as caught:
        Decoder().decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR
    assert caught.value.section == f"RFC 7541 §{section}"


def test_a_size_update_up_to_the_limit_is_accepted() -> None:
    """The new size may equal the limit (RFC 7541 §6.3)."""
    assert Decoder().decode(b"\x3f\xe1\x1f\x88") == [(b":status", b"200")]


def test_a_lowered_limit_must_be_confirmed_by_the_next_block() -> None:
    """After a lower limit is acknowledged a block without a size update is an error (RFC 7541 §4.2)."""
    decoder = Decoder(100)
    decoder.decode(b"\x40\x01a\x01b")
    decoder.limit(100)
    with pytest.raises(ProtocolError) as caught:
        decoder.decode(b"\xbe")
    assert caught.value.section == "RFC 7541 §4.2"
    confirmed = Decoder(100)
    confirmed.limit(100)
    assert confirmed.decode(integer(0x20, 0x1F, 100) + b"\x88") == [(b":status", b"200")]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_blocks_only_raise_protocol_errors(block: bytes) -> None:
    """Whatever arrives, a decoder gives pairs or raises ProtocolError (RFC 9113 §4.3)."""
    with contextlib.suppress(ProtocolError):
        Decoder().decode(block)


def test_long_values_are_huffman_coded_when_that_is_shorter() -> None:
    """A string goes out in the shorter of its two forms (RFC 7541 §5.2)."""
    assert short_string(b"\x00\x01\x02") == raw_string(b"\x00\x01\x02")
    assert len(short_string(b"a" * 200)) < 200
