"""How a request is asked and asked again: a conversation as a generator, which two thin transports hold.

A conversation yields `Ask` and `Pause`; it is sent the `Reply` to the one, or that it was `Lost`, and None after the
other.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from .calls import Call
from .errors import FieldError, HeliogramError, Problem, Unreachable

T = TypeVar("T")

PREFIX = "/v1"
FIRST_PAUSE = 0.5
"""Seconds that the first pause before asking again has at most; each next one may be twice as long."""
LONGEST_PAUSE = 30.0
LONGEST_ASKED = 300.0
"""A service that asks to wait longer than that is not waited for."""
IN_USE = 70071
"""The code that says: the first try of this write is still being handled."""
_AGAIN = frozenset({429, 502, 503, 504})
_URL = re.compile(r"https?://[^/?#@\s]+(?:/[^?#@\s]*)?")
_KEY = re.compile(r"[A-Za-z0-9_]+[.:][!-~]+")


class Ask(msgspec.Struct, frozen=True):
    """A request to put on the wire."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None

    def __repr__(self) -> str:
        return f"Ask({self.method} {self.url})"


class Pause(msgspec.Struct, frozen=True):
    """Wait so many seconds."""

    seconds: float


class Reply(msgspec.Struct, frozen=True):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Lost(msgspec.Struct, frozen=True):
    """No reply came, and why. `again`: it may come another time."""

    cause: str
    again: bool = True


Steps: TypeAlias = Generator[Ask | Pause, Reply | Lost | None, T]


class Talk:
    """What every conversation with one service has in common. With `raw` answers stay as JSON decodes."""

    def __init__(
        self, url: str, api_key: str, *, retries: int, random: Callable[[], float], raw: bool = False, agent: str = ""
    ) -> None:
        if not _KEY.fullmatch(api_key):
            raise ValueError("api_key: expected the key's id and its secret, as keyId.secret or keyId:secret")
        if retries < 0:
            raise ValueError(f"retries: expected 0 or more, got {retries}")
        self.url = _base(url)
        self.retries, self.raw = retries, raw
        self.repeated = 0
        """Writes that had been done before, under the same idempotency key: their first answers were given again."""
        self._random = random
        ident, secret = re.split("[.:]", api_key, maxsplit=1)
        self._headers = {"Accept": "application/json", "User-Agent": agent, "Authorization": f"Bearer {ident}.{secret}"}

    def __repr__(self) -> str:
        return f"Talk({self.url!r}, retries={self.retries})"

    def exchange(self, call: Call[T]) -> Steps[T]:
        """The conversation of one call. Raises `HeliogramError`."""
        ask = self._ask(call)
        for attempt in range(self.retries + 1):
            reply = yield ask
            if isinstance(reply, Reply) and 200 <= reply.status < 300:
                self.repeated += _is_repeated(reply)
                return self._answer(call, reply)
            error = self._error(reply)
            if attempt == self.retries or call.alone or not _may_be_repeated(reply, error):
                raise error
            yield Pause(self._pause(attempt, error.retry_after))
        raise AssertionError("unreachable")

    def _ask(self, call: Call[Any]) -> Ask:
        headers = dict(self._headers)
        if call.alone:
            del headers["Authorization"]
        if call.writes:
            headers["Idempotency-Key"] = call.key or str(uuid.uuid4())
        content = call.content()
        if content is not None:
            headers["Content-Type"] = "application/json"
        return Ask(call.method, f"{self.url}{'' if call.alone else PREFIX}{call.target()}", headers, content)

    def _pause(self, attempt: int, asked: float | None) -> float:
        """A share of a time that doubles, so that callers do not come back together; on top of what was asked for."""
        jitter: float = self._random() * min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        return jitter if asked is None else asked + jitter

    def _error(self, reply: Reply | Lost | None) -> HeliogramError:
        if isinstance(reply, Reply):
            return problem_of(reply)
        return Unreachable(0, 0, f"no answer from {self.url}", reply.cause if reply else "nothing was asked")

    def _answer(self, call: Call[T], reply: Reply) -> T:
        try:
            answer: T = cast(T, msgspec.json.decode(reply.content, type=Any if self.raw else call.returns))
        except msgspec.DecodeError as error:
            detail = f"{call.method} {call.route}: {error}. Is it Heliogram, and of a version that this client knows?"
            raise HeliogramError(reply.status, 0, "The answer cannot be read", detail) from None
        return answer


def problem_of(reply: Reply) -> HeliogramError:
    """The error that a reply tells. Something in between, as a proxy, may tell less."""
    after = _seconds(reply.headers.get("retry-after"))
    try:
        told = msgspec.json.decode(reply.content, type=Problem)
    except msgspec.DecodeError:
        text = " ".join(reply.content[:200].decode("utf-8", "replace").split())
        detail = f"The answer is none of Heliogram's: {text!r}" if text else "The answer is empty."
        return HeliogramError(reply.status, 0, "Not done", detail, retry_after=after)
    errors: list[FieldError] = told.errors
    repeated = _is_repeated(reply)
    return HeliogramError(told.status, told.code, told.title, told.detail, errors, retry_after=after, repeated=repeated)


def _is_repeated(reply: Reply) -> bool:
    return reply.headers.get("idempotent-replayed") == "true"


def _may_be_repeated(reply: Reply | Lost | None, error: HeliogramError) -> bool:
    if isinstance(reply, Lost):
        return reply.again
    if error.retry_after is not None and error.retry_after > LONGEST_ASKED:
        return False
    return error.status in _AGAIN or error.code == IN_USE


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; the form with a date, which Heliogram does not use, counts as none."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _base(url: str) -> str:
    if not _URL.fullmatch(url):
        hint = " without user name and password" if "@" in url else f", got {url!r}"
        raise ValueError(f"url: expected http://host:port or https://host{hint}")
    return url.rstrip("/").removesuffix(PREFIX).rstrip("/")
