"""Webhooks: made, listed, changed, tested, their secrets rotated. What they were not told is in dead_letters.

All of it needs the scope `admin`: who may name a receiver may read everything that is sent to it.
"""

from __future__ import annotations

from typing import Any

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.errors import Code, Conflict, FieldProblem, Invalid
from ..domain.webhooks import SUBSCRIPTIONS, WEBHOOK, Webhook, WebhookState, ordered_types
from ..ports import Backlog, WebhookChange
from ..rest import Call, PageQuery, Result, endpoint, not_found
from .answers import ResourceAccepted, account_of, listing, locate, moment, path_id, window_of
from .audit import audit_event
from .state import ApiState
from .webhook_schemas import (
    BacklogOut,
    CreateWebhook,
    SecretRotated,
    UpdateWebhook,
    WebhookError,
    WebhookMade,
    WebhookOut,
    WebhookPage,
    WebhookTested,
)

ROOT = "/Webhooks"


async def _made(call: Call[ApiState], ident: bytes) -> Result | None:
    """The answer for a webhook that an earlier try with the same Idempotency-Key has made."""
    webhook = await call.state.store.get_webhook(account_of(call), ident)
    sealed = await call.state.store.webhook_secrets(account_of(call), ident)
    if webhook is None or sealed is None:
        return None
    return await _show(call, webhook, call.state.webhooks.shown(account_of(call), ident, sealed))


async def _show(call: Call[ApiState], webhook: Webhook, secret: str) -> Result:
    headers = {"Location": locate(call, _id(webhook.id), root=ROOT), "Cache-Control": "no-store"}
    return Result(WebhookMade(**await _fields(call, webhook), secret=secret), headers=headers)


@endpoint(
    "POST",
    ROOT,
    summary="Make a webhook",
    tag="Webhooks",
    body=CreateWebhook,
    returns=WebhookMade,
    status=201,
    scope=Scope.ADMIN,
    basis="ours",
    response_headers={"Location": "The webhook's address.", "Cache-Control": "no-store: the answer holds a secret."},
    recover=_made,
)
async def create_webhook(call: Call[ApiState]) -> Result:
    """Makes a webhook, which is told what happens from now on: signed POSTs of CloudEvents in batches. At most 10 an
    account."""
    body: CreateWebhook = call.body
    _check(call.state, body.url, body.types)
    account, now, ident = account_of(call), call.state.now(), call.state.ids.new()
    secret, sealed = call.state.webhooks.new_secrets(account, ident)
    webhook = Webhook(
        account_id=account,
        id=ident,
        url=body.url,
        types=ordered_types(body.types),
        description=body.description or "",
        created=now,
        updated=now,
    )
    event = audit_event(call, "webhook.created", _id(ident), types=list(webhook.types))
    await call.state.store.create_webhook(account, webhook, sealed, audit=event)
    return await _show(call, webhook, secret)


@endpoint(
    "GET",
    ROOT,
    summary="List webhooks",
    tag="Webhooks",
    query=PageQuery,
    returns=WebhookPage,
    scope=Scope.ADMIN,
    basis="ours",
)
async def list_webhooks(call: Call[ApiState]) -> dict[str, Any]:
    """Webhooks of the account, newest first."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_webhooks(account_of(call), window)
    items = [WebhookOut(**await _fields(call, each)) for each in listed.items]
    return listing("webhooks", items, listed, query, cursor)


@endpoint(
    "GET",
    ROOT + "/{webhookId}",
    summary="Get a webhook",
    tag="Webhooks",
    returns=WebhookOut,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def get_webhook(call: Call[ApiState]) -> WebhookOut:
    """A webhook: how it is, when it last took something, what went wrong last, and what it has not taken."""
    webhook = await call.state.store.get_webhook(account_of(call), webhook_in_path(call))
    if webhook is None:
        raise no_webhook(call)
    return WebhookOut(**await _fields(call, webhook))


@endpoint(
    "PATCH",
    ROOT + "/{webhookId}",
    summary="Change a webhook",
    tag="Webhooks",
    body=UpdateWebhook,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def update_webhook(call: Call[ApiState]) -> Result:
    """Changes address, types, description or state. A paused webhook keeps its place for three days; one that was
    disabled starts anew."""
    body: UpdateWebhook = call.body
    _check(call.state, body.url, body.types or [])
    change = WebhookChange(
        url=body.url,
        types=None if body.types is None else ordered_types(body.types),
        description=body.description,
        state=None if body.state is None else WebhookState(body.state),
    )
    ident = webhook_in_path(call)
    changed = [name for name in ("url", "types", "description", "state") if getattr(body, name) is not None]
    event = audit_event(call, "webhook.updated", _id(ident), changed=changed)
    if not await call.state.store.update_webhook(account_of(call), ident, change, call.state.now(), audit=event):
        raise no_webhook(call)
    call.state.webhooks.wake()
    return _pointer(call, ident)


@endpoint(
    "DELETE",
    ROOT + "/{webhookId}",
    summary="Delete a webhook",
    tag="Webhooks",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def delete_webhook(call: Call[ApiState]) -> Result:
    """Removes a webhook with what it has not taken, dead letters too."""
    ident = webhook_in_path(call)
    event = audit_event(call, "webhook.deleted", _id(ident))
    if not await call.state.store.delete_webhook(account_of(call), ident, audit=event):
        raise no_webhook(call)
    return _pointer(call, ident)


@endpoint(
    "POST",
    ROOT + "/{webhookId}/rotateSecret",
    summary="Rotate a webhook's secret",
    tag="Webhooks",
    returns=SecretRotated,
    scope=Scope.ADMIN,
    errors=(404, 409),
    basis="ours",
    response_headers={"Cache-Control": "no-store: the answer holds a secret."},
)
async def rotate_webhook_secret(call: Call[ApiState]) -> Result:
    """Makes a new signing secret. The one before signs beside it for 24 hours, so that receivers can change over in
    peace. So does the one before that to the end of its own 24 hours, should this be asked for again because an answer
    was lost; one older than that ends at once. With an Idempotency-Key a repetition gives the same secret. 409 when two
    rotate at one moment."""
    account, ident = account_of(call), webhook_in_path(call)
    sealed = await call.state.store.webhook_secrets(account, ident)
    if sealed is None:
        raise no_webhook(call)
    secret, turned, until = call.state.webhooks.rotated(account, ident, sealed, call.state.now())
    event = audit_event(call, "webhook.secretRotated", _id(ident))
    if not await call.state.store.set_webhook_secrets(account, ident, sealed, turned, audit=event):
        raise Conflict("the secret was rotated by another request just now", Code.INVALID_VALUE)
    answer = SecretRotated(secret=secret, previous_until=moment(until))
    return Result(answer, headers={"Cache-Control": "no-store"})


@endpoint(
    "POST",
    ROOT + "/{webhookId}/test",
    summary="Test a webhook",
    tag="Webhooks",
    returns=WebhookTested,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def test_webhook(call: Call[ApiState]) -> WebhookTested:
    """Posts an event of the type `com.heliogram.webhook.test` now, in any state of the webhook, and answers what the
    receiver said: within 10 seconds. When it takes it, what was held back for it is tried at once. A webhook is tested
    once at a time: a test beside another is not sent, and says so."""
    tested = await call.state.webhooks.test(account_of(call), webhook_in_path(call))
    if tested is None:
        raise no_webhook(call)
    return WebhookTested(
        delivered=tested.delivered, status=tested.status, error=tested.error or None, took_ms=tested.took_ms
    )


def webhook_in_path(call: Call[ApiState]) -> bytes:
    """The id in the path. Raises a 404."""
    return path_id(call, "webhookId", WEBHOOK, "Webhook")


def no_webhook(call: Call[ApiState]) -> Exception:
    """The 404 of a webhook that is not there."""
    return not_found("Webhook", call.path["webhookId"])


def _check(state: ApiState, url: str | None, types: list[str]) -> None:
    """Raises `Invalid` with everything that is wrong with an address and with types."""
    problems = []
    if url is not None and (problem := state.webhooks.problem_with(url)) is not None:
        problems.append(FieldProblem("$.url", problem, Code.INVALID_WEBHOOK_URL))
    known = [str(each) for each in SUBSCRIPTIONS]
    problems += [
        FieldProblem(f"$.types[{number}]", f"no such event type: {type_[:80]!r}. There are {', '.join(known)}")
        for number, type_ in enumerate(types)
        if type_ not in known
    ]
    if problems:
        raise Invalid(problems)


def _id(ident: bytes) -> str:
    return ids.encode(WEBHOOK, ident)


def _pointer(call: Call[ApiState], ident: bytes) -> Result:
    location = locate(call, _id(ident), root=ROOT)
    return Result(ResourceAccepted(_id(ident), location), headers={"Location": location})


async def _fields(call: Call[ApiState], webhook: Webhook) -> dict[str, Any]:
    backlog = await call.state.store.webhook_backlog(webhook.account_id, webhook.id)
    error = None
    if webhook.last_error_at is not None:
        error = WebhookError(moment(webhook.last_error_at), webhook.last_error)
    return {
        "id": _id(webhook.id),
        "url": webhook.url,
        "types": list(webhook.types),
        "description": webhook.description,
        "state": webhook.state,
        "disabled_reason": webhook.disabled_reason or None,
        "created_at": moment(webhook.created),
        "updated_at": moment(webhook.updated),
        "last_success_at": None if webhook.last_success is None else moment(webhook.last_success),
        "last_error": error,
        "backlog": _backlog(webhook, backlog),
    }


def _backlog(webhook: Webhook, backlog: Backlog) -> BacklogOut:
    return BacklogOut(
        waiting_events=backlog.waiting,
        waiting_results=backlog.waiting_parts,
        retrying_batches=backlog.retrying,
        next_attempt_at=None if backlog.next_attempt is None else moment(backlog.next_attempt),
        dead_letters=backlog.dead_letters,
        skipped_events=webhook.skipped,
    )
