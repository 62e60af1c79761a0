"""Live events of the simulator, for whoever watches: the page, the tests, a program in another language."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

import msgspec

KEPT = 1000
"""Events a subscriber may be behind; then the oldest are dropped and it is told how many."""


class Event(msgspec.Struct, gc=False):
    """Something that happened, one object for all subscribers. ``kind``: what; ``data``: a struct or a dict that
    becomes JSON.

    Whoever publishes much gives a function that makes the data, or None for no event: it is called once, when the first
    subscriber takes the event, and never for one that all have dropped. ``text`` is for whoever writes events as JSON,
    to do it once for all readers.
    """

    kind: str
    data: object
    text: bytes = b""


class Subscription:
    """One watcher's events, oldest first."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Subscription waiting={len(self._events)} dropped={self.dropped}>"

    def put(self, event: Event) -> None:
        if len(self._events) >= KEPT:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._news.set()

    async def take(self) -> list[Event]:
        """What has happened since the last call; waits until something has. ``Event("dropped", n)`` marks a gap.

        Empty: the feed has ended, and nothing comes any more.
        """
        events: list[Event] = []
        while not events:
            await self._news.wait()
            if not self._ended:
                self._news.clear()
            events = [event for event in self._events if _is_made(event)]
            self._events.clear()
            if self._ended or self.dropped:
                break
        if self.dropped:
            events.insert(0, Event("dropped", self.dropped))
            self.dropped = 0
        return events

    def end(self) -> None:
        """Nothing comes after what is waiting."""
        self._ended = True
        self._news.set()

    def close(self) -> None:
        self._feed.forget(self)


class Tally:
    """A watcher that only wants to know what kinds of things happen, and how often: it never falls behind."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._counts: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._ended = False

    def __repr__(self) -> str:
        return f"<Tally waiting={self._counts.total()}>"

    def put(self, event: Event) -> None:
        self._counts[event.kind] += 1
        self._news.set()

    async def take(self) -> dict[str, int]:
        """How many events of each kind since the last call; waits until there is one. Empty: the feed has ended."""
        await self._news.wait()
        if not self._ended:
            self._news.clear()
        counts = dict(self._counts)
        self._counts.clear()
        return counts

    def end(self) -> None:
        """Nothing comes after what is waiting."""
        self._ended = True
        self._news.set()

    def close(self) -> None:
        self._feed.forget(self)


class Feed:
    """Hands every event to every subscriber. Publishers ask ``live`` first where it is hot.

    ``live``: whether anybody listens. ``serial`` counts the events somebody heard.
    """

    def __init__(self) -> None:
        self._subscriptions: set[Subscription | Tally] = set()
        self.serial = 0
        self.live = False

    def __repr__(self) -> str:
        return f"<Feed subscribers={len(self._subscriptions)}>"

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def subscribe(self) -> Subscription:
        """Hear everything from now on; close it in the end."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        self.live = True
        return subscription

    def tally(self) -> Tally:
        """Count everything from now on; close it in the end."""
        tally = Tally(self)
        self._subscriptions.add(tally)
        self.live = True
        return tally

    def forget(self, subscription: Subscription | Tally) -> None:
        self._subscriptions.discard(subscription)
        self.live = bool(self._subscriptions)

    def publish(self, kind: str, data: object) -> None:
        if self._subscriptions:
            self.serial += 1
            event = Event(kind, data)
            for subscription in self._subscriptions:
                subscription.put(event)

    def end(self) -> None:
        """Let every subscriber know that it is over, when the simulator's doors close."""
        for subscription in self._subscriptions:
            subscription.end()


def _is_made(event: Event) -> bool:
    """Make the data of an event, unless that is done; False when there is none."""
    if callable(event.data):
        event.data = event.data()
    return event.data is not None
