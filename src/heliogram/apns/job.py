"""One push on its way: what the client, the pool and the connections hand to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .outcomes import Outcome

WAITING = 0
"""Not written, or handed back as provably unprocessed."""
WRITTEN = 1
"""On the wire: an answer is owed."""
DONE = 2
"""Its outcome has been given."""


class Template:
    """The header pairs that all pushes of one topic, push type and priority share."""

    __slots__ = ("pairs", "push_type", "topic")

    method = b"POST"
    pairs: tuple[tuple[bytes, bytes], ...]

    def __init__(self, topic: str, push_type: str, priority: int) -> None:
        self.topic = topic
        self.push_type = push_type
        self.pairs = (
            (b"apns-topic", topic.encode("ascii")),
            (b"apns-push-type", push_type.encode("ascii")),
            (b"apns-priority", b"%d" % priority),
        )

    def __repr__(self) -> str:
        return f"<Template {self.topic}>"


class Job(msgspec.Struct, gc=False, eq=False):
    """A push and where it stands. Thousands exist at a time: untracked by the collector, no timer of its own."""

    device_token: str
    apns_id: str
    template: Template
    path: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    deadline: float
    """Monotonic seconds."""
    sink: Callable[[Outcome], object]
    """Called once, with the outcome."""
    tag: Any = None
    state: int = WAITING
    queued: float = 0.0
    """Monotonic seconds of queueing; kept when somebody listens."""
    written: float = 0.0
    """Monotonic seconds of the last write."""
    above: int = 0
    """Only connections with a serial above this one may carry it."""
    sent_again: bool = False
    """It has had the one repetition that some rejections are granted."""
    connection: Any = None
    """The connection it is open on."""


def put_back(job: Job) -> Job:
    """Make a written push one that waits again: it was provably not processed."""
    job.state = WAITING
    job.connection = None
    return job
