"""What one page leaves for the next to show: a sentence in a sealed cookie, so that nobody else puts words there."""

from __future__ import annotations

import base64
import binascii

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..ports import Clock, Sealer
from .static import at

COOKIE = "heliogram-message"
SECONDS = 30
"""How long a message waits to be shown."""
MAX_MESSAGE = 500
"""Characters: sealed, and four bytes each, they fit into a cookie."""


class _Message(msgspec.Struct, array_like=True):
    expires: float
    text: str


class Messages:
    """Leaves messages and reads them."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer, self._clock = sealer, clock

    def __repr__(self) -> str:
        return "Messages()"

    def leave(self, response: Response, text: str, *, secure: bool) -> None:
        """Puts a message on an answer that leads to another page."""
        plain = msgspec.msgpack.encode(_Message(self._clock.time() + SECONDS, text[:MAX_MESSAGE]))
        sealed = self._sealer.seal(plain, table="web_message", column=COOKIE, row=b"", account=b"")
        response.set_cookie(
            COOKIE,
            base64.urlsafe_b64encode(sealed).rstrip(b"=").decode(),
            max_age=SECONDS,
            path=at("/"),
            secure=secure,
            httponly=True,
            samesite="strict",
        )

    def read(self, connection: HTTPConnection) -> str:
        """The message that was left; empty when there is none, or it is too old, or it was not made here."""
        text = connection.cookies.get(COOKIE, "")
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._sealer.open(sealed, table="web_message", column=COOKIE, row=b"", account=b"")
            message = msgspec.msgpack.decode(plain, type=_Message)
        except (ValueError, binascii.Error, msgspec.DecodeError):
            return ""
        return message.text if message.expires > self._clock.time() else ""


def shown(response: Response) -> None:
    """Has the browser drop the message."""
    response.delete_cookie(COOKIE, path=at("/"), httponly=True, samesite="strict")
