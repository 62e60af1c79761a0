"""Ids of broadcast channels, in paths and out of them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.channels import MAX_ID, channel_of, path_of


@given(st.binary(min_size=1, max_size=96))
def test_an_id_comes_back_from_its_path(raw: bytes) -> None:
    """Base64 to base64url and back, with the padding or without; and a path holds nothing that needs escaping."""
    channel_id = base64.b64encode(raw).decode()
    path = path_of(channel_id)
    assert channel_of(path) == channel_of(path.rstrip("=")) == channel_of(channel_id.replace("/", "_")) == channel_id
    assert not set(path) & set("/+%?#")


@pytest.mark.parametrize("text", ["", "a b", "ä", "a%2Fb", "a=b", "===", "a" * (MAX_ID + 1)])
def test_what_cannot_be_an_id_is_none(text: str) -> None:
    """Other characters, padding in the middle, too many."""
    assert channel_of(text) is None


def test_the_longest_id_is_taken() -> None:
    """256 characters."""
    assert channel_of("a" * MAX_ID) == "a" * MAX_ID
