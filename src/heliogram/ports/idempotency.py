"""Idempotency keys: a write that is repeated with its key is not done twice."""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was given; its body is sealed. `ident` is the id that was reserved for its request."""

    ident: bytes
    status: int
    headers: list[tuple[str, str]]
    sealed: bytes

    def __repr__(self) -> str:
        return f"KeptAnswer(status={self.status}, bytes={len(self.sealed)})"


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """The key is the caller's to use: what the request makes is to get the id `ident`. `again`: the request was begun
    before, and nobody knows how far it came; what it was to make may be there. `owner` tells who took it over from the
    one that began, whose it is empty."""

    ident: bytes
    again: bool = False
    owner: str = ""


class KeyTaken(enum.Enum):
    """Why a key cannot be used now."""

    IN_USE = enum.auto()
    """The same request is being handled."""
    REUSED = enum.auto()
    """It belongs to another request."""


class IdempotencyStore(Protocol):
    """Keys of the last 24 hours. Each belongs to one request, known by its fingerprint."""

    async def reserve_key(
        self, account: bytes, key: str, fingerprint: bytes, *, ident: bytes, now: int, until: int
    ) -> Reserved | KeptAnswer | KeyTaken:
        """Takes a key for a request that is to be handled by `until` (ms), with `ident` for what it makes; or what is
        known of the key. When this returns, it is on disk."""

    async def keep_answer(self, account: bytes, key: str, answer: KeptAnswer, *, owner: str = "") -> bool:
        """Keeps the answer to the request that holds the key, as whom `reserve_key` said. False, and nothing is kept,
        when another has taken it over: what that one makes of it counts."""

    async def free_key(self, account: bytes, key: str, ident: bytes, *, owner: str = "") -> None:
        """The request was not done, and nobody has taken it over: any other may use the key. If it is this one again,
        it gets the same id."""

    async def forget_idempotency(self, now: int) -> int:
        """Forgets some of the keys that are older than 24 hours at `now` (ms); how many, 0 when none is left."""
