"""Reading a request body within bounds of type, size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Message

from .eager import resumed, started
from .problem import BODY_TOO_LARGE, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE, Problem
from .request import Request

DEFAULT_BODY_LIMIT = 16 * 1024 * 1024
DEFAULT_BODY_SECONDS = 60.0
_FORM = "application/x-www-form-urlencoded"
"""What `curl -d` declares by itself. Not taken for JSON: any web page may make a browser send it."""


async def read_body(request: Request, *, limit: int, seconds: float | None) -> bytes:
    """The body, at most `limit` bytes, arriving within `seconds`.

    Raises `Problem` 413 past the limit (before reading, when Content-Length tells), 408 past the time,
    415 when it is declared to be something else than plain UTF-8 JSON.
    """
    _check_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    # Most bodies came with their head: no timer is set for these, and a server may give them in one piece.
    whole = getattr(getattr(request.receive, "__self__", None), "whole_body", None)
    body: bytes | None = None if whole is None else whole()
    if body is not None:
        if len(body) > limit:
            raise _too_large(limit)
        return body
    reading = started(_read(request, limit))
    if reading.is_done:
        return reading.result
    try:
        async with asyncio.timeout(seconds):
            return await resumed(reading)
    except TimeoutError:
        detail = f"The body did not arrive within {seconds:g} seconds."
        raise Problem(408, REQUEST_TIMEOUT, "Request timeout", detail, headers={"Connection": "close"}) from None


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message: Message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_type(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise _unsupported(f"Content-Encoding {encoding[:40]!r} is not supported: send the JSON uncompressed.")
    kind, *parameters = request.headers.get("content-type", "application/json").lower().split(";")
    kind = kind.strip()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        hint = " With curl: --json, or -H 'content-type: application/json'." if kind == _FORM else ""
        raise _unsupported(f"Content-Type {kind[:80]!r} is not supported: send application/json.{hint}")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise _unsupported(f"Charset {value[:40]!r} is not supported: send UTF-8.")


def _too_large(limit: int) -> Problem:
    detail = f"The body is larger than the limit of {limit} bytes. Split the request."
    return Problem(413, BODY_TOO_LARGE, "Content too large", detail, headers={"Connection": "close"})


def _unsupported(detail: str) -> Problem:
    return Problem(415, UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", detail)
