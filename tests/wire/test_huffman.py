"""The Huffman code of RFC 7541 §5.2."""

from __future__ import annotations

import hpack.huffman
import hpack.huffman_constants as constants
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.wire import ErrorCode, ProtocolError, huffman

ORACLE = hpack.huffman.HuffmanEncoder(constants.REQUEST_CODES, constants.REQUEST_CODES_LENGTH)


@pytest.mark.parametrize("symbol", range(256))
def test_every_symbol_has_the_code_of_the_standard(symbol: int) -> None:
    """Each symbol is coded as RFC 7541 Appendix B says."""
    assert huffman.CODES[symbol] == (constants.REQUEST_CODES[symbol], constants.REQUEST_CODES_LENGTH[symbol])
    text = bytes((symbol,))
    assert huffman.encode(text) == ORACLE.encode(text)
    assert huffman.decode(huffman.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_string_survives_both_ways(text: bytes) -> None:
    """Encoding agrees with an independent encoder and decoding gives the string back (RFC 7541 §5.2)."""
    coded = ORACLE.encode(text)
    assert huffman.encode(text) == coded
    assert huffman.decode(coded) == text


@pytest.mark.parametrize("ones", range(8))
def test_padding_of_up_to_seven_ones_is_accepted(ones: int) -> None:
    """Padding is the start of EOS and shorter than eight bits (RFC 7541 §5.2)."""
    text = b"0" * next(count for count in range(8) if -5 * count % 8 == ones)  # the code of "0" has five bits
    assert huffman.decode(huffman.encode(text)) == text


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff", id="eight ones without a symbol"),
        pytest.param(huffman.encode(b"a") + b"\xff", id="a byte of padding too much"),
        pytest.param(b"\x18", id="zeros after the symbol"),
        pytest.param(b"\xff\xff\xff\xff", id="EOS"),
        pytest.param(b"\xff\xff\xff\xfc" + huffman.encode(b"a" * 40), id="EOS in front"),
    ],
)
def test_wrong_endings_are_errors(data: bytes) -> None:
    """Longer or other padding and EOS are decoding errors (RFC 7541 §5.2)."""
    with pytest.raises(ProtocolError) as caught:
        huffman.decode(data)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR
    assert caught.value.section == "RFC 7541 §5.2"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_judged_as_the_oracle_judges_them(data: bytes) -> None:
    """What decodes does so alike; nothing but ProtocolError comes out (RFC 7541 §5.2)."""
    try:
        text = huffman.decode(data)
    except ProtocolError:
        return
    assert huffman.encode(text) == data
