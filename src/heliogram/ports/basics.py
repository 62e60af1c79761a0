"""Time, sealing, authentication, and pages of lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from ..domain.accounts import Principal


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """Time as a parameter: tests bring their own."""

    def time(self) -> float:
        """Seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never step."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Calls back once, `delay` seconds from now."""


class Sealer(Protocol):
    """Keeps secrets closed at rest. What is sealed opens only in its own place."""

    def seal(self, plain: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The sealed bytes."""

    def open(self, sealed: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The plain bytes; raises `ValueError` when the place or the key is another."""


class Authenticator(Protocol):
    """Tells who is calling."""

    async def authenticate(self, key_id: str, secret: str) -> Principal | None:
        """The principal of a key id and its secret; None for anything wrong. Revocation acts within a second."""


T = TypeVar("T")


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """One page, newest first. `next` is an opaque cursor of the store, None on the last page."""

    items: tuple[T, ...]
    next: bytes | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a list that is wanted: `after` a cursor, at most `limit` items, made in [start, end)."""

    limit: int = 50
    after: bytes | None = None
    start: int | None = None
    end: int | None = None
