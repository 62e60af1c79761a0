"""Webhooks: what is kept of them, what they are still to be told, and who tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ..domain.accounts import AuditEvent
from ..domain.endings import Ending
from ..domain.notifications import Recipient
from ..domain.webhooks import Event, Webhook, WebhookState
from .basics import Listed, Window


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a webhook has been told: the last event, the last result part in whole, and how many notifications of
    the part after it."""

    event: int = 0
    result: int = 0
    offset: int = 0


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change about a webhook; None leaves it."""

    url: str | None = None
    types: tuple[str, ...] | None = None
    description: str | None = None
    state: WebhookState | None = None


class WebhookWork(msgspec.Struct, frozen=True, kw_only=True):
    """Where the telling of an active webhook stands.

    `sealed` has its secrets. `failures` are the attempts that failed one after another, `held_until` (ms) when it may
    be tried again. `kept` batches wait to be tried again, the first of them at `due`. `news` says that there may be
    more after its place.
    """

    webhook: Webhook
    sealed: bytes
    place: Place
    failures: int
    held_until: int
    kept: int
    due: int | None
    news: bool

    def __repr__(self) -> str:
        return f"WebhookWork({self.webhook.id.hex()}, kept={self.kept}, failures={self.failures}, news={self.news})"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that ended, with its place after it was told."""

    result: int
    offset: int
    operation_id: bytes
    app_name: str
    tags: dict[str, str] | None
    recipient: Recipient
    ending: Ending


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What comes after a place, in two streams, each in its own order: all of it was read at one moment.

    `to` is the place after both streams. `more_events` and `more_ended` say that a stream goes on.
    """

    events: tuple[tuple[int, Event], ...]
    ended: tuple[Ended, ...]
    to: Place
    more_events: bool
    more_ended: bool


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events on their way, as the JSON that is sent. `created` is when it was made (ms)."""

    id: bytes
    body: bytes
    events: int
    created: int
    attempts: int = 0

    def __repr__(self) -> str:
        return f"Batch({self.id.hex()}, events={self.events}, bytes={len(self.body)}, attempts={self.attempts})"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed at `at` (ms). `due` is when to try the batch again, None makes it a dead letter."""

    error: str
    at: int
    due: int | None
    held_until: int = 0


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook has not taken yet. `waiting` events have not been tried, and of `waiting_parts` results it is not
    known yet how many events they make; `retrying` and `dead_letters` are batches. Counts end at 10,000."""

    waiting: int
    waiting_parts: int
    retrying: int
    dead_letters: int
    next_attempt: int | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is not tried any more."""

    id: bytes
    events: int
    attempts: int
    error: str
    created: int
    updated: int
    body: bytes

    def __repr__(self) -> str:
        return f"DeadLetter({self.id.hex()}, events={self.events}, attempts={self.attempts})"


class WebhookStore(Protocol):
    """Webhooks and what they are still to be told. An `audit` event is kept in the same transaction as the change, and
    only if there was one; that of `redeliver`, made of how many batches there were, always."""

    async def create_webhook(
        self, account: bytes, webhook: Webhook, sealed: bytes, *, audit: AuditEvent | None = None
    ) -> None:
        """Keeps a webhook with its secrets. It is told what happens from now on. Raises `LimitReached` at 10."""

    async def get_webhook(self, account: bytes, webhook_id: bytes) -> Webhook | None:
        """A webhook."""

    async def list_webhooks(self, account: bytes, window: Window) -> Listed[Webhook]:
        """Webhooks, newest first."""

    async def update_webhook(
        self, account: bytes, webhook_id: bytes, change: WebhookChange, at: int, *, audit: AuditEvent | None = None
    ) -> bool:
        """Changes a webhook; False when there is none. Events it newly subscribes to are told from now on; one that
        is made active, or gets another address, is tried at once, and one that was disabled is not told what happened
        meanwhile."""

    async def delete_webhook(self, account: bytes, webhook_id: bytes, *, audit: AuditEvent | None = None) -> bool:
        """Removes a webhook with its batches; False when there is none."""

    async def webhook_secrets(self, account: bytes, webhook_id: bytes) -> bytes | None:
        """The sealed secrets of a webhook."""

    async def set_webhook_secrets(
        self, account: bytes, webhook_id: bytes, before: bytes, sealed: bytes, *, audit: AuditEvent | None = None
    ) -> bool:
        """Puts other sealed secrets in the place of those `before`; False when they are not those any more."""

    async def begin_webhook_test(self, account: bytes, webhook_id: bytes, now: int, until: int) -> bool:
        """A test begins, which is over at `until` (ms) whatever becomes of it; False while another is under way."""

    async def end_webhook_test(self, account: bytes, webhook_id: bytes, until: int) -> None:
        """The test that was to be over at `until` is over."""

    async def webhook_backlog(self, account: bytes, webhook_id: bytes) -> Backlog:
        """What a webhook has not taken yet."""

    async def list_dead_letters(self, account: bytes, webhook_id: bytes, window: Window) -> Listed[DeadLetter]:
        """Batches that were given up, newest first."""

    async def redeliver(
        self,
        account: bytes,
        webhook_id: bytes,
        batches: Sequence[bytes] | None,
        at: int,
        *,
        audit: Callable[[int], AuditEvent] | None = None,
    ) -> int:
        """Makes dead letters due again (None: all) for another three days; tells how many there were."""

    # --- the telling

    async def webhook_work(self) -> list[WebhookWork]:
        """The active webhooks of all accounts that have something to be told, or something to be tried again."""

    async def webhook_work_of(self, account: bytes, webhook_id: bytes) -> WebhookWork | None:
        """How one active webhook stands; None when it is gone or not active."""

    async def webhook_feed(self, account: bytes, after: Place, *, events: bool, results: bool) -> Feed:
        """What comes after a place: a bounded number of events and of notifications that ended. A stream that is not
        wanted is empty, and its place is at its end."""

    async def due_batch(self, account: bytes, webhook_id: bytes, now: int | None) -> Batch | None:
        """The batch that is longest due; without `now` the one that falls due first."""

    async def batch_taken(
        self, account: bytes, webhook_id: bytes, before: Place, to: Place, *, at: int | None, skipped: int = 0
    ) -> bool:
        """Moves a webhook's place on, with how many events were given up; at `at` it took a new batch (None: there was
        nothing to send). False, and nothing is changed, when its place was not `before` any more."""

    async def batch_refused(
        self,
        account: bytes,
        webhook_id: bytes,
        before: Place,
        to: Place,
        batch: Batch,
        failure: Failure,
        *,
        skipped: int,
    ) -> bool:
        """The same for a new batch that was not taken: it is kept."""

    async def kept_batch_taken(self, account: bytes, webhook_id: bytes, batch_id: bytes, at: int) -> None:
        """A kept batch was taken: it goes, and if the receiver was down, the others are due now."""

    async def kept_batch_refused(self, account: bytes, webhook_id: bytes, batch_id: bytes, failure: Failure) -> None:
        """A kept batch was not taken again."""

    async def webhook_reached(self, account: bytes, webhook_id: bytes, at: int) -> None:
        """The receiver took something outside of its turn: what was held back is due now."""

    async def disable_webhook(self, account: bytes, webhook_id: bytes, reason: str, at: int) -> None:
        """The receiver wants no more: what waited becomes dead letters."""

    async def sweep_webhooks(self, now: int) -> int:
        """Keeps the backlogs within their bounds: events nobody waits for and those past the bound go, batches past
        three days become dead letters, old dead letters go. A slice at a time: tells how many events went, to be called
        again while there were any."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver said to a test: its status (None when there was no answer), what went wrong, and how long it
    took (ms)."""

    delivered: bool
    status: int | None
    error: str
    took_ms: int


class Webhooks(Protocol):
    """Who tells webhooks, as the API sees it."""

    def problem_with(self, url: str) -> str | None:
        """What is wrong with an address, None when it can be used."""

    def new_secrets(self, account: bytes, webhook_id: bytes) -> tuple[str, bytes]:
        """A new signing secret: as it is shown once, and sealed."""

    def shown(self, account: bytes, webhook_id: bytes, sealed: bytes) -> str:
        """The signing secret that was sealed, as it is shown once."""

    def rotated(self, account: bytes, webhook_id: bytes, sealed: bytes, now: int) -> tuple[str, bytes, int]:
        """The same with the one before, which goes on signing until the time (ms) that is the last of the three."""

    async def test(self, account: bytes, webhook_id: bytes) -> Probe | None:
        """Sends a test event now; None when there is no such webhook."""

    def wake(self) -> None:
        """A hint that there is something to tell."""
