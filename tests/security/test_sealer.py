"""Sealing: what is sealed opens only in its own place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.security import AesGcmSealer, KeyRing, KeySource, MasterKey

PLACE: dict[str, Any] = {"table": "credential", "column": "sealed", "row": b"r" * 16, "account": b"a" * 16}


def sealer_of(*numbers: int) -> AesGcmSealer:
    return AesGcmSealer(KeyRing(tuple(MasterKey(bytes([n]) * 32) for n in numbers), KeySource.FILE))


@given(plain=st.binary(max_size=300))
def test_what_was_sealed_opens(plain: bytes) -> None:
    """Any secret comes back; the sealed form is 33 bytes longer and never holds it."""
    sealed = sealer_of(1).seal(plain, **PLACE)
    assert sealer_of(1).open(sealed, **PLACE) == plain
    assert len(sealed) == len(plain) + 33
    assert len(plain) < 4 or plain not in sealed


@pytest.mark.parametrize(
    "other", [{"table": "api_key"}, {"column": "public"}, {"row": b"s" * 16}, {"account": b"b" * 16}]
)
def test_a_secret_moved_elsewhere_does_not_open(other: dict[str, Any]) -> None:
    """Another table, column, row or account: it stays closed."""
    sealed = sealer_of(1).seal(b"secret", **PLACE)
    with pytest.raises(ValueError, match="does not open in this place"):
        sealer_of(1).open(sealed, **{**PLACE, **other})


def test_places_do_not_run_into_each_other() -> None:
    """A boundary between table and column cannot be shifted."""
    sealed = sealer_of(1).seal(b"secret", **PLACE)
    with pytest.raises(ValueError, match="does not open"):
        sealer_of(1).open(sealed, **{**PLACE, "table": "credentials", "column": "ealed"})


def test_any_changed_bit_is_noticed() -> None:
    """Each byte of the sealed form is authenticated."""
    sealed = sealer_of(1).seal(b"secret", **PLACE)
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(ValueError, match=r"credential\.sealed"):
            sealer_of(1).open(bytes(damaged), **PLACE)


@pytest.mark.parametrize("length", [0, 1, 5, 17, 32])
def test_a_short_secret_is_refused(length: int) -> None:
    """Fewer than 33 bytes are no sealed secret."""
    sealed = sealer_of(1).seal(b"", **PLACE)
    assert len(sealed) == 33
    with pytest.raises(ValueError, match="not in a form"):
        sealer_of(1).open(sealed[:length], **PLACE)


def test_the_same_secret_is_never_sealed_alike() -> None:
    """A fresh nonce each time."""
    assert sealer_of(1).seal(b"secret", **PLACE) != sealer_of(1).seal(b"secret", **PLACE)


def test_after_a_rotation_old_secrets_still_open() -> None:
    """The new key seals, the old one still opens, and one can tell which did it."""
    old = sealer_of(1).seal(b"secret", **PLACE)
    rotated = sealer_of(2, 1)
    new = rotated.seal(b"secret", **PLACE)
    assert rotated.open(old, **PLACE) == rotated.open(new, **PLACE) == b"secret"
    assert (rotated.needs_resealing(old), rotated.needs_resealing(new)) == (True, False)


def test_a_key_that_is_not_loaded_is_named() -> None:
    """The error says which master key is missing."""
    sealed = sealer_of(1).seal(b"secret", **PLACE)
    ident = MasterKey(b"\x01" * 32).id.hex()
    with pytest.raises(ValueError, match=f"master key {ident}, which is not loaded"):
        sealer_of(2).open(sealed, **PLACE)


def test_the_sealer_shows_no_key() -> None:
    """Its repr has a count and an id."""
    assert repr(sealer_of(1, 2)) == f"AesGcmSealer(keys=2, first={MasterKey(bytes([1]) * 32).id.hex()})"
