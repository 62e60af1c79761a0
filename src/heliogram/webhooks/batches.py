"""What a webhook is told next: two streams merged by time, cut into batches."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from ..domain import ids
from ..domain.webhooks import KEPT_MS, OF_NOTIFICATIONS, Event, EventType
from ..ports import Batch, Ended, Feed, Place, WebhookStore
from .envelopes import batch_body, envelope, event_of, type_of

MAX_BATCH_EVENTS = 100
MAX_BATCH_BYTES = 256 * 1024


class Step(NamedTuple):
    """Something to tell, its type and its time, and the place after it. What ended is made an event when its turn
    comes."""

    type: str
    at: int
    what: Event | Ended
    place: Place

    def event(self) -> Event:
        """It as an event."""
        return event_of(self.what) if isinstance(self.what, Ended) else self.what


class Drawn(NamedTuple):
    """A batch, or None when nothing that is wanted was found; the place after it; how many events were too old to be
    sent; and whether there may be more."""

    batch: Batch | None
    to: Place
    skipped: int
    more: bool


def merged(feed: Feed, place: Place) -> Iterator[Step]:
    """Both streams in one, the earlier first, each keeping its own order; at one moment notifications go first, so that
    an operation's end comes after those of its notifications.

    It ends where one of the streams was cut off: what comes next there is not known, and might be earlier.
    """
    events, ended = deque(feed.events), deque(feed.ended)
    while (events or not feed.more_events) and (ended or not feed.more_ended):
        if not events and not ended:
            return
        if ended and (not events or ended[0].ending.at <= events[0][1].at):
            told = ended.popleft()
            place = Place(event=place.event, result=told.result, offset=told.offset)
            yield Step(type_of(told), told.ending.at, told, place)
        else:
            sequence, event = events.popleft()
            place = Place(event=sequence, result=place.result, offset=place.offset)
            yield Step(event.type, event.at, event, place)


def end_of(feed: Feed, place: Place, steps: list[Step]) -> Place:
    """The place after all of `steps`, and after what follows them in a stream that was read to its end."""
    last = steps[-1].place if steps else place
    event_done = not feed.events or last.event == feed.events[-1][0]
    after = (feed.ended[-1].result, feed.ended[-1].offset) if feed.ended else None
    ended_done = after is None or after == (last.result, last.offset)
    return Place(
        event=feed.to.event if event_done else last.event,
        result=feed.to.result if ended_done else last.result,
        offset=feed.to.offset if ended_done else last.offset,
    )


class Reel:
    """Draws batches for one webhook, reading ahead. What was read and not drawn is forgotten when the webhook turns out
    to stand elsewhere."""

    def __init__(self, store: WebhookStore, account: bytes, webhook: bytes, wanted: frozenset[EventType], source: str):
        self._store, self._account, self._webhook = store, account, webhook
        self._wanted = frozenset(each.value for each in wanted)
        self._reads_events, self._reads_results = bool(wanted - OF_NOTIFICATIONS), bool(wanted & OF_NOTIFICATIONS)
        self._source = source
        self._steps: deque[Step] = deque()
        self._place: Place | None = None
        self._end = Place()
        self._more = False

    def __repr__(self) -> str:
        return f"Reel({self._webhook.hex()}, ahead={len(self._steps)})"

    async def draw(self, place: Place, now: int) -> Drawn:
        """The next batch after a place: at most 100 events or 256 KiB, what comes first."""
        if place != self._place or not self._steps:
            await self._load(place)
        texts: list[bytes] = []
        size, skipped, first = 2, 0, 0
        while self._steps and len(texts) < MAX_BATCH_EVENTS:
            step = self._steps[0]
            if step.type in self._wanted:
                if step.at <= now - KEPT_MS:
                    skipped += 1
                else:
                    text = envelope(step.event(), self._source)
                    size += len(text) + 1
                    if texts and size > MAX_BATCH_BYTES:
                        break
                    texts.append(text)
                    first = first or step.at
            self._steps.popleft()
            place = step.place
        if not self._steps:
            place = self._end
        self._place = place
        batch = self._batch(texts, first, now) if texts else None
        return Drawn(batch, place, skipped, self._more or bool(self._steps))

    async def _load(self, place: Place) -> None:
        feed = await self._store.webhook_feed(
            self._account, place, events=self._reads_events, results=self._reads_results
        )
        steps = list(merged(feed, place))
        self._steps = deque(steps)
        self._end = end_of(feed, place, steps)
        self._more = feed.more_events or feed.more_ended

    def _batch(self, texts: list[bytes], first: int, now: int) -> Batch:
        """The same events make the same id: it says when the first of them was, and what they are."""
        body = batch_body(texts)
        digest = hashlib.sha256(self._webhook + body).digest()
        number = int.from_bytes(digest[:8], "big")
        ident = ids.make(first, number & 0xFFF, number >> 12 & (1 << 42) - 1)
        return Batch(id=ident, body=body, events=len(texts), created=now)
