"""One POST and what was said to it: HTTP/1.1, bounded in time and bytes, following nothing and keeping nothing."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import time
from collections.abc import AsyncIterator, Callable, Mapping

import httptools
import msgspec

from .. import __version__
from .connecting import Connection, Connector, Refused, Unreachable
from .urls import Target

ANSWER_S = 10.0
MAX_HEAD = 16_384
MAX_ANSWER = 65_536
"""Bytes of an answer, head and body, that are read; after them the connection is closed."""
DRAIN_S = 1.0
"""How long the rest of an answer is waited for, for the sake of the connection alone."""
USER_AGENT = f"Heliogram-Webhooks/{__version__}"
_READ = 8_192


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a POST ended. `status` is 0 without an answer; `error` says what was wrong, and is empty for a 2xx;
    `retry_after` are the seconds the receiver asked for; `refused` says that nothing was or may be sent."""

    status: int = 0
    error: str = ""
    retry_after: float | None = None
    refused: bool = False
    took_ms: int = 0

    @property
    def taken(self) -> bool:
        """Whether the receiver took it."""
        return 200 <= self.status < 300 and not self.error


class _Reading:
    """What the parser has found of an answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.retry_after = ""
        self.status = 0
        self.headed = False
        self.complete = False
        self.keep_alive = False

    @property
    def enough(self) -> bool:
        """Whether nothing more is worth waiting for: the connection will not be used again."""
        return self.complete or (self.headed and not self.parser.should_keep_alive())

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1")[:64]

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            self.headed, self.status = True, status

    def on_message_complete(self) -> None:
        if self.headed:
            self.complete = True
            self.keep_alive = self.parser.should_keep_alive()


class Session:
    """POSTs to one target, over one connection while it lasts."""

    def __init__(self, connector: Connector, target: Target, seconds: float) -> None:
        self._connector, self._target, self._seconds = connector, target, seconds
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"Session({self._target.host}, open={self._connection is not None})"

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Sends, and waits at most 10 s in all for the answer's head. Never raises for what the receiver does."""
        began = time.monotonic()
        answer = await self._post(_request(self._target, headers, body))
        return msgspec.structs.replace(answer, took_ms=int((time.monotonic() - began) * 1000))

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _post(self, request: bytes) -> Answer:
        reading = _Reading()
        try:
            async with asyncio.timeout(self._seconds):
                if self._connection is not None and self._connection.usable:
                    with contextlib.suppress(_Stale):
                        return await self._exchange(self._connection, request, reading, reused=True)
                    reading = _Reading()
                self.close()
                self._connection = await self._connector.connect(self._target)
                return await self._exchange(self._connection, request, reading, reused=False)
        except Refused as error:
            return Answer(error=str(error), refused=True)
        except Unreachable as error:
            return Answer(error=str(error))
        except TimeoutError:
            self.close()
            return _answer(reading, f"no answer within {self._seconds:g} s")
        except (OSError, EOFError):
            self.close()
            return _answer(reading, "the connection was closed before an answer came")
        except httptools.HttpParserUpgrade:
            self.close()
            return Answer(error="the receiver wants to speak another protocol than HTTP/1.1")
        except httptools.HttpParserError as error:
            self.close()
            return _answer(reading, f"the answer is not HTTP/1.1: {str(error)[:100]}")

    async def _exchange(self, connection: Connection, request: bytes, reading: _Reading, *, reused: bool) -> Answer:
        seen = 0
        try:
            connection.writer.write(request)
            await connection.writer.drain()
            while not reading.enough and seen < MAX_ANSWER:
                data = await self._more(connection, reading.headed)
                if not data:
                    break
                seen += len(data)
                reading.parser.feed_data(data)
                if not reading.headed and seen > MAX_HEAD:
                    self.close()
                    return Answer(error=f"the answer's head is over {MAX_HEAD} bytes")
        except OSError:
            if reused and not seen:
                raise _Stale from None
            raise
        if reused and not seen:
            raise _Stale
        if not (reading.complete and reading.keep_alive):
            self.close()
        return _answer(reading, "the connection was closed before an answer came")

    async def _more(self, connection: Connection, headed: bool) -> bytes:
        if not headed:
            return await connection.reader.read(_READ)
        try:
            async with asyncio.timeout(DRAIN_S):
                return await connection.reader.read(_READ)
        except TimeoutError:
            return b""


class _Stale(Exception):
    """A connection that was kept turned out to be closed: the request may go over a new one."""


class Poster:
    """Makes sessions. `seconds` is how long one POST may take."""

    def __init__(self, connector: Connector, *, seconds: float = ANSWER_S) -> None:
        self._connector, self._seconds = connector, seconds
        self.sessions = 0

    def __repr__(self) -> str:
        return f"Poster({self._connector!r}, sessions={self.sessions})"

    @contextlib.asynccontextmanager
    async def session(self, target: Target) -> AsyncIterator[Session]:
        """A session whose connection is closed at the end."""
        session = Session(self._connector, target, self._seconds)
        self.sessions += 1
        try:
            yield session
        finally:
            session.close()
            self.sessions -= 1


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: {USER_AGENT}",
        "Accept: */*",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _answer(reading: _Reading, otherwise: str) -> Answer:
    """What was found; an answer whose head came counts, however its body ended."""
    if not reading.headed:
        return Answer(error=otherwise)
    status = reading.status
    if 200 <= status < 300:
        return Answer(status=status)
    error = f"the receiver answered {status}"
    if 300 <= status < 400:
        error += ": redirects are not followed, give the address it leads to"
    return Answer(status=status, error=error, retry_after=seconds_of(reading.retry_after))


def seconds_of(text: str, now: Callable[[], float] = time.time) -> float | None:
    """How long a `Retry-After` asks to wait: seconds, or until a date; None for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now())
    except (ValueError, TypeError, OverflowError):
        return None
