"""Figures that go on by themselves: server-sent events, one picture after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..pacing import pause
from .context import desk
from .inprocess import ApiProblem

MAX_STREAMS = 100
"""Open streams of one node; a browser that finds no place asks again."""
TICKS = 600
"""Pictures of one stream; then the browser opens the next."""

Picture = Callable[[], Awaitable[str | None]]
"""Returns what to show (data of the event, HTML or JSON) or None when there is no more to come."""


class Streams:
    """Counts what is open."""

    def __init__(self) -> None:
        self.open = 0

    def __repr__(self) -> str:
        return f"Streams(open={self.open})"


_streams = Streams()


def live(request: Request, picture: Picture, *, event: str = "message") -> Response:
    """A stream of pictures, one a second, until the browser goes, the service stops, or the session ends. A last event
    `end` tells that nothing more will come."""
    if _streams.open >= MAX_STREAMS:
        return Response(status_code=503, headers={"Retry-After": "5"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, picture, event), media_type="text/event-stream", headers=headers)


async def _events(request: Request, picture: Picture, event: str) -> AsyncIterator[str]:
    shared = desk(request)
    _streams.open += 1
    try:
        yield "retry: 2000\n\n"
        before: str | None = None
        for _ in range(TICKS):
            try:
                data = await picture()
            except ApiProblem as problem:
                if problem.status not in (429, 500, 503):
                    yield frame("end", problem.title)
                    return
                data = before  # said again by the next picture, if it can be had
            if data is None:
                yield frame("end", "")
                return
            # What is the same as before is not sent again; a comment keeps proxies from closing the connection.
            yield ":\n\n" if data == before else frame(event, data)
            before = data
            await pause(shared.clock, shared.tick_seconds)
            if await _is_stopping(request):
                return
    except asyncio.CancelledError:
        raise
    finally:
        _streams.open -= 1


async def _is_stopping(request: Request) -> bool:
    return bool(getattr(desk(request).readiness, "stopping", False))


def frame(event: str, data: str) -> str:
    """One event as it goes over the wire."""
    return f"event: {event}\n" + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"
