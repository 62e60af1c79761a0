"""The simulator's live events over HTTP, as Server-Sent Events: one subscription of the feed for each reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec
from starlette.responses import Response, StreamingResponse

from heliogram.rest import Call, Problem, endpoint

from ..feed import KEPT, Event, Feed, Subscription, Tally
from .base import Controlled, endpoints_of

READERS = 32
"""How many may read at once."""
PACE = 0.1
"""Seconds between two batches to one reader; the first one after a silence goes at once."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that both sides notice a dead connection."""
RETRY_MS = 1000
"""After how many milliseconds a browser that lost its stream asks again."""

_TOO_MANY = 20503
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Accel-Buffering": "no"}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class EventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    counts: Annotated[bool, msgspec.Meta(description="true: how many of each kind, without their data")] = False


class Batch(msgspec.Struct, frozen=True):
    """What one message carries. ``dropped``: so many older events were thrown away because the reader was slow."""

    dropped: int
    events: list[msgspec.Raw]


class Counts(msgspec.Struct, frozen=True):
    """The same for whoever only counts."""

    counts: dict[str, int]


@endpoint(
    "GET",
    "/events",
    summary="Watch what happens",
    tag="About",
    query=EventQuery,
    returns=str,
    media_type="text/event-stream",
    scope=None,
    errors=(503,),
    basis="ours",
)
async def watch(call: Call[Controlled]) -> Response:
    """Server-Sent Events. First ``event: ready`` with ``{"snapshot": n}``: read what you want to show after it.

    Then, as things happen, ``event: batch`` with ``{"dropped": 0, "events": [{"kind": …, "data": {…}}]}``, at most ten
    a second; its ``id`` counts the events so far. A reader more than 1,000 events behind loses the oldest, is told how
    many by ``dropped``, and reads its snapshot again. Nothing is replayed to whoever comes back: it begins with
    ``ready``. Kinds: request, finding, violation, device, notification, app, connection, channel, portal, fault, clock,
    reset. With ``counts=true`` it is ``event: counts`` with ``{"counts": {"request": 500, …}}``, and never ``dropped``.
    """
    feed = call.state.simulator.apns.feed
    if feed.subscribers >= READERS:
        raise Problem(503, _TOO_MANY, "Too many readers", f"{READERS} programs read the events already; close one.")
    query: EventQuery = call.query
    return StreamingResponse(stream(feed, counts=query.counts), media_type="text/event-stream", headers=_HEADERS)


async def stream(
    feed: Feed, *, counts: bool = False, pace: float = PACE, heartbeat: float = HEARTBEAT
) -> AsyncGenerator[bytes, None]:
    """The stream's bytes, until the feed ends or the reader leaves."""
    watcher: Subscription | Tally = feed.tally() if counts else feed.subscribe()
    try:
        yield b"retry: %d\n" % RETRY_MS + message("ready", feed.serial, {"snapshot": feed.serial, "kept": KEPT})
        while True:
            try:
                async with asyncio.timeout(heartbeat):
                    news = await watcher.take()
            except TimeoutError:
                yield b": nothing happened\n\n"
                continue
            if not news:
                return
            if isinstance(news, dict):
                yield message("counts", feed.serial, Counts(news))
            else:
                yield message("batch", feed.serial, _batch(news))
            await asyncio.sleep(pace)  # what happens meanwhile goes together
    finally:
        watcher.close()


def message(name: str, serial: int, data: object) -> bytes:
    """One event of the stream; JSON has no line ends of its own."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (serial, name.encode("ascii"), _encode(data))


def _batch(events: list[Event]) -> Batch:
    first = events[0]
    if first.kind == "dropped" and isinstance(first.data, int):
        return Batch(first.data, [_raw(event) for event in events[1:]])
    return Batch(0, [_raw(event) for event in events])


def _raw(event: Event) -> msgspec.Raw:
    """The event as JSON, written by whichever reader comes first."""
    if not event.text:
        event.text = _encode({"kind": event.kind, "data": event.data})
    return msgspec.Raw(event.text)


ENDPOINTS = endpoints_of(globals())
