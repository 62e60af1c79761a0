"""Device tokens as they come in and as they are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.apps import ProviderName
from heliogram.domain.devices import InvalidDeviceToken, normalize_token, token_text

APN, FCM = ProviderName.APN, ProviderName.FCM


@given(raw=st.binary(min_size=8, max_size=200))
def test_a_token_comes_back_in_lower_case(raw: bytes) -> None:
    """REQ-6, REQ-7: any even number of digits from 16 to 400, in either case."""
    assert normalize_token(APN, raw.hex()) == normalize_token(APN, raw.hex().upper()) == raw
    assert token_text(APN, raw) == raw.hex()


@pytest.mark.parametrize(
    "text",
    [
        "<01234567 89abcdef>",
        "01 23 45 67 89 ab cd ef",
        "<0123456789ABCDEF>",
        " 0123456789abcdef ",
    ],
)
def test_the_description_of_nsdata_is_understood(text: str) -> None:
    """Old apps send the token with brackets and spaces."""
    assert normalize_token(APN, text) == bytes.fromhex("0123456789abcdef")


@pytest.mark.parametrize(
    ("digits", "good"), [(14, False), (15, False), (16, True), (17, False), (400, True), (402, False)]
)
def test_the_length_is_bounded(digits: int, good: bool) -> None:
    """16 to 400 digits, an even number of them; the message counts those given."""
    if good:
        assert len(normalize_token(APN, "a" * digits)) == digits // 2
    else:
        with pytest.raises(InvalidDeviceToken, match=f"this has {digits}"):
            normalize_token(APN, "a" * digits)


@pytest.mark.parametrize(
    "text", ["", "<>", "xyz" * 10, "0123456789abcdeg", "\u0661" * 16, "0123456789abcdef\n", "0x" + "a" * 16]
)
def test_what_is_not_hexadecimal_is_refused(text: str) -> None:
    """Neither other letters nor other alphabets' digits, nor line ends."""
    with pytest.raises(InvalidDeviceToken, match="hexadecimal digits"):
        normalize_token(APN, text)


@given(text=st.text(max_size=60))
def test_any_text_is_a_token_or_is_refused(text: str) -> None:
    """Nothing else happens, and what is accepted is stable."""
    for provider in ProviderName:
        try:
            raw = normalize_token(provider, text)
        except InvalidDeviceToken:
            continue
        assert normalize_token(provider, token_text(provider, raw)) == raw


def test_an_fcm_token_is_kept_as_it_is() -> None:
    """1 to 4,096 printable ASCII characters without spaces; case matters."""
    assert normalize_token(FCM, "aB:c_-") == b"aB:c_-"
    assert len(normalize_token(FCM, "x" * 4096)) == 4096
    for text in ("", "x" * 4097, "a b", "ü", "a\n"):
        with pytest.raises(InvalidDeviceToken, match="4096"):
            normalize_token(FCM, text)
