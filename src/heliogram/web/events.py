"""Figures that go on by themselves: server-sent events, one picture after another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..domain.errors import Unavailable
from ..pacing import pause
from .context import Desk, desk, session
from .inprocess import ApiProblem
from .session import Session

BUSY = (429, 500, 503)
"""Answers of the API after which the next picture is worth a try."""
TICKS = 600
"""Pictures of one stream; then the browser opens the next."""

Picture = Callable[[], Awaitable[Mapping[str, str] | None]]
"""Returns what to show, by the name of its event (HTML as a rule), or None when there is no more to come."""


def live(request: Request, picture: Picture) -> Response:
    """A stream of pictures, one a second, until the browser goes, the service stops, or the session ends. Only what has
    changed is sent; a last event `end` tells that nothing more will come."""
    who = session(request)
    if who is None or not desk(request).streams.has_room(who.account):
        return Response(status_code=503, headers={"Retry-After": "5"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, who, picture), media_type="text/event-stream", headers=headers)


async def _events(request: Request, who: Session, picture: Picture) -> AsyncIterator[str]:
    shared = desk(request)
    yield "retry: 2000\n\n"
    seat = shared.streams.take(who.account)
    if seat is None:
        return
    try:
        before: dict[str, str] = {}
        for _ in range(TICKS):
            if await _is_over(shared, who):
                yield frame("end", "")
                return
            try:
                now = await picture()
            except ApiProblem as problem:
                if problem.status not in BUSY:
                    yield frame("end", problem.title)
                    return
                now = {}
            if now is None:
                yield frame("end", "")
                return
            changed = {name: data for name, data in now.items() if before.get(name) != data}
            before |= changed
            # The comment keeps proxies from closing a quiet connection.
            yield "".join(frame(name, data) for name, data in changed.items()) or ":\n\n"
            await pause(shared.clock, shared.tick_seconds)
            if seat.taken or getattr(shared.readiness, "stopping", False):
                return
    finally:
        shared.streams.give(seat)


async def _is_over(shared: Desk, who: Session) -> bool:
    """Whether somebody signed out of the session; while nobody can be asked it goes on, as the API's own answers do."""
    try:
        return await shared.sessions.is_over(who)
    except Unavailable:
        return False


def frame(event: str, data: str) -> str:
    """One event as it goes over the wire."""
    return f"event: {event}\n" + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"
