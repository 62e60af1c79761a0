"""The record of who changed accounts, keys and credentials."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..domain import ids
from ..domain.accounts import AuditEvent, Principal, Scope
from ..rest import Call, Pagination, endpoint
from .answers import DatedQuery, account_of, listing, precise_moment, window_of
from .state import ApiState


def audit_event(call: Call[ApiState], action: str, subject: str, **detail: Any) -> AuditEvent:
    """An event by this caller, now, for a store method that keeps it together with the change it tells of."""
    principal: Principal = call.auth
    return AuditEvent(
        id=call.state.ids.new(),
        at=call.state.now(),
        actor=ids.encode(ids.API_KEY, principal.key_id),
        action=action,
        subject=subject,
        detail=detail,
    )


async def audit(call: Call[ApiState], action: str, subject: str, **detail: Any) -> None:
    """Records what this caller has just done outside of the store, such as a channel at APNs: changes of what the store
    keeps take an `audit_event` with them, so that no crash comes between. `action` such as `channel.created`, `subject`
    the id of what was changed, `detail` more of it as JSON: never a secret, never a device token."""
    await call.state.store.record_audit(account_of(call), audit_event(call, action, subject, **detail))


class AuditEventOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One change. `actor` is the id of the API key that made it, or `cli`; `subject` the id of what was changed."""

    id: str
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of changes, newest first."""

    audit_events: list[AuditEventOut]
    pagination: Pagination


class AuditQuery(DatedQuery, kw_only=True):
    """Filters of the audit log."""

    action: Annotated[
        Annotated[str, msgspec.Meta(max_length=64)] | None,
        msgspec.Meta(description="Only this action, such as `apiKey.created`."),
    ] = None
    actor: Annotated[
        Annotated[str, msgspec.Meta(max_length=64)] | None,
        msgspec.Meta(description="Only what this actor did: an API key's id, or `cli`."),
    ] = None
    subject: Annotated[
        Annotated[str, msgspec.Meta(max_length=256)] | None,
        msgspec.Meta(description="Only what was done to this: the id of a key, credential or webhook, an app's name."),
    ] = None


@endpoint(
    "GET",
    "/AuditEvents",
    summary="List changes of keys, credentials and the account",
    tag="AuditEvents",
    query=AuditQuery,
    returns=AuditPage,
    scope=Scope.ADMIN,
    basis="ours",
)
async def list_audit_events(call: Call[ApiState]) -> dict[str, Any]:
    """Who changed API keys, credentials, and the account's limits, and when; newest first. Kept for 400 days. There is
    never a secret in it."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_audit(
        account_of(call), window, action=query.action, actor=query.actor, subject=query.subject
    )
    items = [
        AuditEventOut(
            id=ids.encode(ids.AUDIT_EVENT, each.id),
            at=precise_moment(each.at),
            actor=each.actor,
            action=each.action,
            subject=each.subject,
            detail=each.detail,
        )
        for each in listed.items
    ]
    return listing("auditEvents", items, listed, query, cursor)
