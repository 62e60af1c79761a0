"""What administrators look at: the account, its keys, its webhooks, who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from .enums import Lane, Scope, SeenAs, WebhookState
from .outcomes import Pagination
from .structs import Given, Told


class Limits(Told, frozen=True, kw_only=True):
    """What the account may have, and how many requests a second it may make (null: as many as it likes), `burst` of
    them at once. `weight` is its share of the sending beside other accounts; `queuedRecipients` may wait to be sent
    to."""

    apps: int
    credentials_per_app: int
    api_keys: int
    requests_per_second: float | None
    burst: int | None
    weight: int
    queued_recipients: int


class Counts(Told, frozen=True, kw_only=True):
    """What the account has. Of the API keys those that are active; of recipients those that were accepted and have
    not ended."""

    apps: int
    credentials: int
    api_keys: int
    webhooks: int
    queued_recipients: int


class Account(Told, frozen=True, kw_only=True):
    """An account: all that a key can see or change belongs to one."""

    id: str
    name: str
    limits: Limits
    counts: Counts
    created_at: datetime


class ApiKey(Told, frozen=True, kw_only=True):
    """An API key without its secret. `state`: `active`, `expired` or `revoked`. `lastUsedAt` is right to the minute."""

    id: str
    name: str
    scopes: list[Scope]
    state: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class ApiKeyMade(ApiKey, frozen=True, kw_only=True):
    """A new API key with its secret, which is shown this once and kept nowhere."""

    hidden: ClassVar[frozenset[str]] = frozenset({"secret"})

    secret: str


class ApiKeyPage(Told, frozen=True, kw_only=True):
    """A page of API keys, newest first."""

    api_keys: list[ApiKey]
    pagination: Pagination


class CreateApiKey(Given, frozen=True, kw_only=True):
    """A key to make. `scopes` is what it may do: `send`, `register`, `users`, `read`, `credentials`, or `admin` for
    everything. Without `expiresAt` (a date-time in the future) it is good until it is revoked."""

    name: str = ""
    """What it is for; only people read it."""
    scopes: list[Scope]
    expires_at: str | None = None


class RotateApiKey(Given, frozen=True, kw_only=True):
    """How long the old key goes on beside its successor: 0 seconds to 30 days."""

    grace_seconds: int = 86400


class AuditEvent(Told, frozen=True, kw_only=True):
    """One change. `actor` is the id of the API key that made it, or `cli`; `subject` the id of what was changed."""

    id: str
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(Told, frozen=True, kw_only=True):
    """A page of changes, newest first."""

    audit_events: list[AuditEvent]
    pagination: Pagination


class Backlog(Told, frozen=True, kw_only=True):
    """What the webhook has not taken. `waitingEvents` were not tried yet, `waitingResults` are parts of results that
    may hold more; both count to 10,000. `retryingBatches` are tried again, the next at `nextAttemptAt`; `deadLetters`
    are batches that were given up. `skippedEvents` were dropped in all, because the backlog was at its bound."""

    waiting_events: int
    waiting_results: int
    retrying_batches: int
    next_attempt_at: datetime | None
    dead_letters: int
    skipped_events: int


class WebhookError(Told, frozen=True, kw_only=True):
    """What went wrong at the last attempt that failed."""

    at: datetime
    message: str


class Webhook(Told, frozen=True, kw_only=True):
    """A webhook, without its secret. `state`: `active`, `paused`, or `disabled` with its reason."""

    id: str
    url: str
    types: list[str]
    description: str
    state: WebhookState
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime
    last_success_at: datetime | None
    last_error: WebhookError | None
    backlog: Backlog


class WebhookMade(Webhook, frozen=True, kw_only=True):
    """A new webhook with its signing secret, which is shown this once."""

    hidden: ClassVar[frozenset[str]] = frozenset({"secret"})

    secret: str


class WebhookPage(Told, frozen=True, kw_only=True):
    """A page of webhooks, newest first."""

    webhooks: list[Webhook]
    pagination: Pagination


class CreateWebhook(Given, frozen=True, kw_only=True):
    """A webhook to make."""

    url: str
    """Where events are posted to: https, a public host, no user name, password or fragment."""
    types: list[str]
    """Event types, groups such as `notification.*`, or `*` for all; groups take in what later versions add."""
    description: str = ""
    """Only people read it."""


class UpdateWebhook(Given, frozen=True, kw_only=True):
    """What to change; what is left out stays. `active` also revives a webhook that was disabled, and tries at once what
    waits."""

    url: str | None = None
    types: list[str] | None = None
    description: str | None = None
    state: Literal["active", "paused"] | None = None


class SecretRotated(Told, frozen=True, kw_only=True):
    """The new signing secret, shown this once. Until `previousUntil` every request is signed by the secret before, too,
    and by the one before that until its own 24 hours are over."""

    hidden: ClassVar[frozenset[str]] = frozenset({"secret"})

    secret: str
    previous_until: datetime


class WebhookTested(Told, frozen=True, kw_only=True):
    """What the receiver said to the test: its status (null when there was no answer), and what was wrong."""

    delivered: bool
    status: int | None
    error: str | None
    took_ms: int


class DeadLetter(Told, frozen=True, kw_only=True):
    """A batch that was given up: `id` is the `webhook-id` it was sent under, `error` what was wrong the last time."""

    id: str
    events: int
    event_ids: list[str]
    attempts: int
    error: str
    created_at: datetime
    given_up_at: datetime


class DeadLetterPage(Told, frozen=True, kw_only=True):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetter]
    pagination: Pagination


class Redeliver(Given, frozen=True, kw_only=True):
    """Which dead letters to send again; without `ids` all of them."""

    ids: list[str] | None = None


class Redelivered(Told, frozen=True, kw_only=True):
    """How many batches are due again."""

    batches: int


class Health(Told, frozen=True, kw_only=True):
    """The server answers."""

    status: str


class Second(Told, frozen=True, kw_only=True):
    """Recipients that ended within one second, and how long APNs took to answer: half of its answers came within
    `p50_ms`, 99 of 100 within `p99_ms`; None when none came."""

    at: datetime
    sent: int
    failed: int
    unaddressable: int
    p50_ms: int | None
    p99_ms: int | None


class Reason(Told, frozen=True, kw_only=True):
    """How many attempts did not succeed for this reason in the seconds shown; some of them are tried again."""

    reason: str
    count: int


class LaneLoad(Told, frozen=True, kw_only=True):
    """What a lane holds, in recipients. `waiting` are due, or just being sent to; `later` are scheduled, or put off
    until they are tried again. `oldest_seconds` is for how long the first that nobody took has been due."""

    lane: Lane
    waiting: int
    later: int
    oldest_seconds: float | None


class Activity(Told, frozen=True, kw_only=True):
    """The last five minutes of the account: the seconds in which something ended, the oldest first, and why attempts
    did not succeed. `node` is who answers; `sends` is false when that node neither sends nor hears of those that do:
    its seconds and reasons are empty then. `nodes` are those whose pushes are counted: on a shared store all that send,
    also one that is gone since."""

    node: str
    nodes: list[str]
    sends: bool
    seconds: list[Second]
    reasons: list[Reason]
    lanes: list[LaneLoad]


class SeenOutcome(Told, frozen=True, kw_only=True):
    """How one attempt at one device ended. `status` is APNs' (0 when it never answered); `token` is masked; `node` sent
    it."""

    sequence: int
    at: datetime
    node: str
    notification_id: str
    operation_id: str
    outcome: SeenAs
    status: int
    reason: str
    token: str


class SeenOutcomes(Told, frozen=True, kw_only=True):
    """Outcomes in the order in which they came. Give `last` as `after` of the next question; `missed` are those in
    between that are not kept."""

    outcomes: list[SeenOutcome]
    last: int
    missed: int
