"""What a webhook did not take within three days: listed, and sent again when asked."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..domain import ids
from ..domain.accounts import AuditEvent, Scope
from ..domain.errors import FieldProblem, Invalid
from ..domain.webhooks import MAX_DEAD, MESSAGE, WEBHOOK
from ..ports import DeadLetter
from ..rest import Call, PageQuery, Pagination, endpoint
from .answers import account_of, listing, moment, window_of
from .audit import audit_event
from .state import ApiState
from .webhooks import ROOT, no_webhook, webhook_in_path


class DeadLetterOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A batch that was given up: `id` is the `webhook-id` it was sent under, `error` what was wrong the last time."""

    id: str
    events: int
    event_ids: list[str]
    attempts: int
    error: str
    created_at: str
    given_up_at: str


class DeadLetterPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetterOut]
    pagination: Pagination


class Redeliver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which dead letters to send again; without `ids` all of them."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_DEAD)] | None = None


class Redelivered(msgspec.Struct, frozen=True):
    """How many batches are due again."""

    batches: int


@endpoint(
    "GET",
    ROOT + "/{webhookId}/DeadLetters",
    summary="List a webhook's dead letters",
    tag="Webhooks",
    query=PageQuery,
    returns=DeadLetterPage,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def list_dead_letters(call: Call[ApiState]) -> dict[str, Any]:
    """Batches that the receiver did not take within three days, or that waited when it was disabled. At most 100 are
    kept, for 30 days."""
    await _require(call)
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_dead_letters(account_of(call), webhook_in_path(call), window)
    return listing("deadLetters", [_out(each) for each in listed.items], listed, query, cursor)


@endpoint(
    "POST",
    ROOT + "/{webhookId}/DeadLetters/redeliver",
    summary="Send dead letters again",
    tag="Webhooks",
    body=Redeliver,
    returns=Redelivered,
    status=202,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def redeliver_dead_letters(call: Call[ApiState]) -> Redelivered:
    """Makes dead letters due again, for another three days, under the same ids. Ids that are no dead letters (any more)
    are not counted. Nothing is sent while the webhook is paused or disabled."""
    await _require(call)
    body: Redeliver = call.body
    wanted = None if body.ids is None else _ids(body.ids)
    ident = webhook_in_path(call)

    def event(count: int) -> AuditEvent:
        return audit_event(call, "webhook.redelivered", ids.encode(WEBHOOK, ident), batches=count)

    count = await call.state.store.redeliver(account_of(call), ident, wanted, call.state.now(), audit=event)
    call.state.webhooks.wake()
    return Redelivered(count)


async def _require(call: Call[ApiState]) -> None:
    if await call.state.store.get_webhook(account_of(call), webhook_in_path(call)) is None:
        raise no_webhook(call)


def _ids(texts: list[str]) -> list[bytes]:
    found, problems = [], []
    for number, text in enumerate(texts):
        try:
            found.append(ids.decode(MESSAGE, text))
        except ids.InvalidId as error:
            problems.append(FieldProblem(f"$.ids[{number}]", f"not the id of a dead letter: {error}"))
    if problems:
        raise Invalid(problems)
    return found


def _out(letter: DeadLetter) -> DeadLetterOut:
    return DeadLetterOut(
        id=ids.encode(MESSAGE, letter.id),
        events=letter.events,
        event_ids=[event["id"] for event in msgspec.json.decode(letter.body)],
        attempts=letter.attempts,
        error=letter.error,
        created_at=moment(letter.created),
        given_up_at=moment(letter.updated),
    )
