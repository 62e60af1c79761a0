"""One description of a method, two kinds of it: a builder of calls becomes a method that answers, or one to await.

    class Apps(Resource[Mode]):
        @operation
        def get(self, name: str) -> Call[App]: ...

`Apps[Sync].get(name)` is an `App`, `Apps[Async].get(name)` a coroutine of one; signature and docstring are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from .calls import Call, Pages
from .exchange import Steps
from .transports import Async, AsyncPager, Pager, Sync

P = ParamSpec("P")
T = TypeVar("T")
Mode = TypeVar("Mode", Sync, Async)


class Resource(Generic[Mode]):
    """Methods of one part of the API, over a transport."""

    def __init__(self, transport: Mode) -> None:
        self._transport: Mode = transport

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.talk.url})"


class _Described(Generic[P, T]):
    def __init__(self, build: Callable[Concatenate[Any, P], Any]) -> None:
        self.build = build
        update_wrapper(self, build)  # type: ignore[arg-type]

    def _bound(self, run: Callable[..., Any]) -> Any:
        return update_wrapper(run, self.build)


class operation(_Described[P, T]):  # noqa: N801 - a decorator
    """A method that makes one call."""

    def __init__(self, build: Callable[Concatenate[Any, P], Call[T]]) -> None:
        super().__init__(build)

    @overload
    def __get__(self, at: None, owner: object) -> operation[P, T]: ...
    @overload
    def __get__(self, at: Resource[Sync], owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, at: Resource[Async], owner: object) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, at: Any, owner: object) -> Any:
        if at is None:
            return self
        transport = at._transport
        return self._bound(
            lambda *args, **named: transport.run(transport.talk.exchange(self.build(at, *args, **named)))
        )


class listing(_Described[P, T]):  # noqa: N801 - a decorator
    """A method that walks over a list."""

    def __init__(self, build: Callable[Concatenate[Any, P], Pages[T]]) -> None:
        super().__init__(build)

    @overload
    def __get__(self, at: None, owner: object) -> listing[P, T]: ...
    @overload
    def __get__(self, at: Resource[Sync], owner: object) -> Callable[P, Pager[T]]: ...
    @overload
    def __get__(self, at: Resource[Async], owner: object) -> Callable[P, AsyncPager[T]]: ...
    def __get__(self, at: Any, owner: object) -> Any:
        if at is None:
            return self
        return self._bound(lambda *args, **named: at._transport.walk(self.build(at, *args, **named)))


class conversation(_Described[P, T]):  # noqa: N801 - a decorator
    """A method that makes several calls, as a generator of steps."""

    def __init__(self, build: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        super().__init__(build)

    @overload
    def __get__(self, at: None, owner: object) -> conversation[P, T]: ...
    @overload
    def __get__(self, at: Resource[Sync], owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, at: Resource[Async], owner: object) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, at: Any, owner: object) -> Any:
        if at is None:
            return self
        return self._bound(lambda *args, **named: at._transport.run(self.build(at, *args, **named)))
