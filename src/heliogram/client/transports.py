"""The two ways to hold a conversation: waiting for it, or with `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from .calls import Pages
from .exchange import Ask, Lost, Reply, Steps, Talk

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def options(url: str, timeout: float, verify: Any) -> dict[str, Any]:
    """What both HTTP clients are made with. Proxies of the environment are not for this machine; a key never follows
    a redirect."""
    import httpx2

    if not timeout > 0:
        raise ValueError(f"timeout: expected more than 0 seconds, got {timeout}")
    address = urlsplit(url)
    here = address.hostname in _HERE
    if here and address.scheme == "http" and verify is True:
        verify = False  # there is no TLS in it, and reading all CAs takes longer than the request
    return {
        "timeout": httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
        "verify": verify,
        "trust_env": not here,
        "follow_redirects": False,
    }


def lost(error: httpx2.TransportError) -> Lost:
    """Why no reply came, in words."""
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return Lost("it did not answer in time")
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return Lost(str(error), again=False)
    return Lost(str(error) or type(error).__name__)


class Sync:
    """Holds conversations over an `httpx2.Client`, which keeps its connections."""

    def __init__(self, talk: Talk, http: httpx2.Client, pause: Callable[[float], None]) -> None:
        self.talk, self.http, self._pause = talk, http, pause

    def __repr__(self) -> str:
        return f"Sync({self.talk!r})"

    def run(self, steps: Steps[T]) -> T:
        """Holds one to its end."""
        reply: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = None
            if isinstance(step, Ask):
                reply = self._ask(step)
            else:
                self._pause(step.seconds)

    def walk(self, pages: Pages[T]) -> Pager[T]:
        """All entries of a list."""
        return Pager(self, pages)

    def _ask(self, ask: Ask) -> Reply | Lost:
        import httpx2

        try:
            answer = self.http.request(ask.method, ask.url, headers=ask.headers, content=ask.content)
        except httpx2.TransportError as error:
            return lost(error)
        return Reply(answer.status_code, answer.headers, answer.content)


class Async:
    """Holds conversations over an `httpx2.AsyncClient`, which keeps its connections."""

    def __init__(self, talk: Talk, http: httpx2.AsyncClient, pause: Callable[[float], Awaitable[None]]) -> None:
        self.talk, self.http, self._pause = talk, http, pause

    def __repr__(self) -> str:
        return f"Async({self.talk!r})"

    async def run(self, steps: Steps[T]) -> T:
        """Holds one to its end."""
        reply: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = None
            if isinstance(step, Ask):
                reply = await self._ask(step)
            else:
                await self._pause(step.seconds)

    def walk(self, pages: Pages[T]) -> AsyncPager[T]:
        """All entries of a list."""
        return AsyncPager(self, pages)

    async def _ask(self, ask: Ask) -> Reply | Lost:
        import httpx2

        try:
            answer = await self.http.request(ask.method, ask.url, headers=ask.headers, content=ask.content)
        except httpx2.TransportError as error:
            return lost(error)
        return Reply(answer.status_code, answer.headers, answer.content)


class Pager(Generic[T]):
    """Iterates over all entries of a list, asking for a page when it is reached; `pages()` gives them page by page."""

    def __init__(self, transport: Sync, pages: Pages[T]) -> None:
        self._transport, self._pages = transport, pages

    def __repr__(self) -> str:
        return f"Pager({self._pages.call.route})"

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[list[T]]:
        """The entries of each page."""
        token: str | None = None
        while True:
            page = self._transport.run(self._transport.talk.exchange(self._pages.after(token)))
            entries, token = self._pages.read(page)
            yield entries
            if token is None:
                return


class AsyncPager(Generic[T]):
    """Iterates over all entries of a list, asking for a page when it is reached; `pages()` gives them page by page."""

    def __init__(self, transport: Async, pages: Pages[T]) -> None:
        self._transport, self._pages = transport, pages

    def __repr__(self) -> str:
        return f"AsyncPager({self._pages.call.route})"

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for entry in page:
                yield entry

    async def pages(self) -> AsyncIterator[list[T]]:
        """The entries of each page."""
        token: str | None = None
        while True:
            page = await self._transport.run(self._transport.talk.exchange(self._pages.after(token)))
            entries, token = self._pages.read(page)
            yield entries
            if token is None:
                return
