"""What goes in and comes out of the endpoints of webhooks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ..domain.webhooks import MAX_DESCRIPTION, MAX_URL, SUBSCRIPTIONS, WebhookState
from ..rest import Pagination
from . import examples
from .answers import NO_NUL

_URL_SCHEMA = {"format": "uri"}
Url = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_URL,
        description="Where events are posted to: https, a public host, no user name, password or fragment.",
        extra_json_schema=_URL_SCHEMA,
    ),
]
Subscription = Annotated[
    str, msgspec.Meta(max_length=128, extra_json_schema={"enum": [str(each) for each in SUBSCRIPTIONS]})
]
Types = Annotated[
    list[Subscription],
    msgspec.Meta(
        min_length=1,
        max_length=len(SUBSCRIPTIONS),
        description="Event types, groups such as `notification.*`, or `*` for all; groups take in what later versions"
        " add.",
    ),
]
Description = Annotated[
    str, msgspec.Meta(max_length=MAX_DESCRIPTION, pattern=NO_NUL, description="Only people read it.")
]


class CreateWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A webhook to make."""

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.CREATE_WEBHOOK}

    url: Url
    types: Types
    description: Description | None = ""


class UpdateWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What to change; what is left out stays. `active` also revives a webhook that was disabled, and tries at once what
    waits."""

    url: Url | None = None
    types: Types | None = None
    description: Description | None = None
    state: Literal["active", "paused"] | None = None


class WebhookError(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong at the last attempt that failed."""

    at: str
    message: str


class BacklogOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the webhook has not taken. `waitingEvents` were not tried yet, `waitingResults` are parts of results that
    may hold more; both count to 10,000. `retryingBatches` are tried again, the next at `nextAttemptAt`; `deadLetters`
    are batches that were given up. `skippedEvents` were dropped in all, because the backlog was at its bound."""

    waiting_events: int
    waiting_results: int
    retrying_batches: int
    next_attempt_at: str | None
    dead_letters: int
    skipped_events: int


class WebhookOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A webhook, without its secret. `state`: `active`, `paused`, or `disabled` with its reason."""

    id: str
    url: str
    types: list[str]
    description: str
    state: WebhookState
    disabled_reason: str | None
    created_at: str
    updated_at: str
    last_success_at: str | None
    last_error: WebhookError | None
    backlog: BacklogOut


class WebhookMade(WebhookOut, frozen=True, kw_only=True, rename="camel"):
    """A new webhook with its signing secret, which is shown this once."""

    secret: str


class WebhookPage(msgspec.Struct, frozen=True):
    """A page of webhooks, newest first."""

    webhooks: list[WebhookOut]
    pagination: Pagination


class SecretRotated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The new signing secret, shown this once. Until `previousUntil` every request is signed by the secret before, too,
    and by the one before that until its own 24 hours are over."""

    secret: str
    previous_until: str


class WebhookTested(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the receiver said to the test: its status (null when there was no answer), and what was wrong."""

    delivered: bool
    status: int | None
    error: str | None
    took_ms: int
