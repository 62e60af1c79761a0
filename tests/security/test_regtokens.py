"""Registration tokens: signed, short-lived, for one user of one app."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.domain.accounts import RegistrationGrant
from heliogram.security import KeyRing, KeySource, MasterKey, RegistrationTokens

NOW = 1_800_000_000


def tokens_of(*numbers: int) -> RegistrationTokens:
    return RegistrationTokens(KeyRing(tuple(MasterKey(bytes([n]) * 32) for n in numbers), KeySource.FILE))


def grant_of(app_name: str = "shop", expires: int = NOW + 60) -> RegistrationGrant:
    return RegistrationGrant(
        account_id=b"a" * 16, key_id=b"k" * 16, app_name=app_name, user_id=b"u" * 16, expires=expires
    )


def raw_of(token: str) -> bytes:
    text = token.removeprefix("hgr_")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(raw: bytes) -> str:
    return "hgr_" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


ids = st.binary(min_size=16, max_size=16)


@settings(max_examples=50, deadline=None)
@given(
    grant=st.builds(
        RegistrationGrant,
        account_id=ids,
        key_id=ids,
        user_id=ids,
        app_name=st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True),
        expires=st.integers(NOW + 1, 2**40 - 1),
    )
)
def test_a_token_says_what_it_grants(grant: RegistrationGrant) -> None:
    """What was made is read back whole, whatever the ids, the name and the end."""
    token = tokens_of(1).make(grant)
    assert tokens_of(1).read(token, NOW) == grant
    assert re.fullmatch(r"hgr_[A-Za-z0-9_-]{120,256}", token)


def test_every_changed_byte_is_noticed() -> None:
    """No byte of a token may be another: not of what it grants, nor of the signature."""
    tokens = tokens_of(1)
    raw = raw_of(tokens.make(grant_of()))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        assert tokens.read(text_of(bytes(changed)), NOW) is None, place


def test_a_token_cut_or_lengthened_is_none() -> None:
    """Nor may it be shorter or longer."""
    tokens = tokens_of(1)
    raw = raw_of(tokens.make(grant_of()))
    for length in range(len(raw)):
        assert tokens.read(text_of(raw[:length]), NOW) is None
    assert tokens.read(text_of(raw + b"\0"), NOW) is None


@pytest.mark.parametrize("text", ["", "hgr_", "hgs_AAAA", "hgr_é", "hgr_\ud800", "hgr_!!!!", "hgr_" + "A" * 10_000])
def test_what_is_no_token_is_none(text: str) -> None:
    """Anything else is refused without an exception."""
    assert tokens_of(1).read(text, NOW) is None


def test_one_token_has_one_text() -> None:
    """Bits of the last character that mean nothing must be zero, and padding is not taken."""
    tokens = tokens_of(1)
    token = next(each for app in ("a", "ab", "abc") if len(raw_of(each := tokens.make(grant_of(app)))) % 3 == 1)
    twin = token[:-1] + chr(ord(token[-1]) + 1)
    assert raw_of(twin) == raw_of(token)
    assert tokens.read(token, NOW) is not None
    assert tokens.read(twin, NOW) is None
    assert tokens.read(token + "==", NOW) is None


def test_a_token_ends_at_its_end() -> None:
    """The moment before it opens, at the moment it does not."""
    token = tokens_of(1).make(grant_of(expires=NOW + 60))
    assert tokens_of(1).read(token, NOW + 59.999) is not None
    assert tokens_of(1).read(token, NOW + 60) is None


def test_a_token_outlives_a_rotation_of_the_master_key() -> None:
    """With the old master key still on the ring old tokens go on; without it they do not."""
    token = tokens_of(1).make(grant_of())
    assert tokens_of(2, 1).read(token, NOW) is not None
    assert tokens_of(2).read(token, NOW) is None


def test_a_token_of_another_version_is_none() -> None:
    """Even with a good signature: what it means is not known."""
    tokens = tokens_of(1)
    signed = b"\x02" + raw_of(tokens.make(grant_of()))[1:-32]
    mac = tokens._mac(signed[1:5], signed)
    assert tokens.read(text_of(signed + mac), NOW) is None
    good = b"\x01" + signed[1:]
    assert tokens.read(text_of(good + tokens._mac(good[1:5], good)), NOW) == grant_of()


def test_no_repr_shows_a_key() -> None:
    """The master key and what is derived from it stay out of sight."""
    assert repr(tokens_of(1, 2)) == f"RegistrationTokens(keys=2, first={MasterKey(bytes([1]) * 32).id.hex()})"
