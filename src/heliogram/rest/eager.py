"""Coroutines that are begun at once, and waited for only if they have to wait."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Started(Generic[T]):
    """A coroutine up to where it waits for the first time, or to its end."""

    __slots__ = ("coroutine", "is_done", "result", "waits_for")
    result: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.coroutine = coroutine
        self.waits_for: Any = None
        self.is_done = False
        try:
            self.waits_for = coroutine.send(None)
        except StopIteration as end:
            self.result, self.is_done = end.value, True

    def __repr__(self) -> str:
        return f"Started(is_done={self.is_done})"


def started(coroutine: Coroutine[Any, Any, T]) -> Started[T]:
    """Runs a coroutine up to where it has to wait. Raises what it raises before that."""
    return Started(coroutine)


@types.coroutine
def resumed(begun: Started[T]) -> Generator[Any, Any, T]:
    """To be awaited: the rest of a coroutine that waits; what it returns."""
    coroutine, waits_for = begun.coroutine, begun.waits_for
    while True:
        try:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(sent)
        except StopIteration as end:
            value: T = end.value
            return value
