"""Operations: one accepted send and its counters."""

from __future__ import annotations

from typing import Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.notifications import NOT_STORED, Notification, NotificationStatus
from ..domain.operations import Operation, OperationStatus, Stats
from ..ports import NotificationFilter
from ..rest import Call, PageQuery, Pagination, endpoint, not_found
from .answers import DatedQuery, account_of, listing, moment, path_id, window_of
from .failures import failure_of
from .schedule import ScheduleOut, schedule_out
from .state import ApiState
from .tags import TagFilter, read_tag_filter


class OperationOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An operation. In `stats`, total = recipients = scheduled + queued + sent + failed + canceled + unaddressable.

    `schedule` is as it was given, null for what was sent at once. `expiresAt` is when the last attempt is over, null
    without an end of its own. `canceledAt` is when it was asked to stop.
    """

    id: str
    status: OperationStatus
    stats: Stats
    schedule: ScheduleOut | None
    tags: dict[str, str]
    expires_at: str | None
    canceled_at: str | None
    created_at: str
    updated_at: str


class OperationPage(msgspec.Struct, frozen=True):
    """A page of operations, newest first."""

    operations: list[OperationOut]
    pagination: Pagination


class OperationQuery(DatedQuery, kw_only=True):
    """Filters of the list of operations."""

    status: OperationStatus | None = None
    tags: TagFilter | None = None


class FailureOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a notification failed. `reason` is the provider's word, or the cause of no answer; `cure` what to do; `rule`
    names the rule in docs/reference/apns-rules.md that tells more, null when none does."""

    notification_id: str
    code: int
    reason: str
    cure: str
    rule: str | None


class FailurePage(msgspec.Struct, frozen=True):
    """A page of failures, in the order of recipients."""

    errors: list[FailureOut]
    pagination: Pagination


@endpoint(
    "GET",
    "/PushNotifications/Operations",
    summary="List operations",
    tag="Operations",
    query=OperationQuery,
    returns=OperationPage,
    scope=Scope.READ,
)
async def list_operations(call: Call[ApiState]) -> dict[str, Any]:
    """Operations of the account, newest first. With `tags` a page may be short, even empty, and still have a `next`."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_operations(
        account_of(call), window, status=query.status, tags=read_tag_filter(query.tags)
    )
    return listing("operations", [_out(each) for each in listed.items], listed, query, cursor)


@endpoint(
    "GET",
    "/PushNotifications/Operations/{operationId}",
    summary="Get an operation",
    tag="Operations",
    returns=OperationOut,
    scope=Scope.READ,
    errors=(404,),
)
async def get_operation(call: Call[ApiState]) -> OperationOut:
    """An operation and its counters. `SENT` means accepted by the provider, which is not delivery."""
    ident = path_id(call, "operationId", ids.OPERATION, "Operation")
    operation = await call.state.store.get_operation(account_of(call), ident)
    if operation is None:
        raise not_found("Operation", call.path["operationId"])
    return _out(operation)


@endpoint(
    "GET",
    "/PushNotifications/Operations/{operationId}/Errors",
    summary="List why notifications of an operation failed",
    tag="Operations",
    query=PageQuery,
    returns=FailurePage,
    scope=Scope.READ,
    errors=(404,),
    basis="ours",
)
async def list_operation_errors(call: Call[ApiState]) -> dict[str, Any]:
    """One entry for each notification of the operation that is FAILED, with a code, the reason and a cure.

    A page may be short, even empty, and still have a `next`.
    """
    account, store = account_of(call), call.state.store
    ident = path_id(call, "operationId", ids.OPERATION, "Operation")
    if await store.get_operation(account, ident) is None:
        raise not_found("Operation", call.path["operationId"])
    query, cursor, window = window_of(call.query)
    wanted = NotificationFilter(operation_id=ident, status=NotificationStatus.FAILED)
    listed = await store.list_notifications(account, window, wanted)
    return listing("errors", [_failure(each) for each in listed.items], listed, query, cursor)


def _failure(notification: Notification) -> FailureOut:
    failure = failure_of(notification)
    return FailureOut(
        notification_id=ids.encode(ids.NOTIFICATION, notification.id),
        code=failure.code,
        reason=failure.reason,
        cure=failure.cure,
        rule=failure.rule,
    )


def _out(operation: Operation) -> OperationOut:
    return OperationOut(
        id=ids.encode(ids.OPERATION, operation.id),
        status=operation.status,
        stats=operation.stats,
        schedule=schedule_out(operation.send_at_text),
        tags=operation.tags or {},
        expires_at=_expiry(operation),
        canceled_at=None if operation.canceled is None else moment(operation.canceled),
        created_at=moment(operation.created),
        updated_at=moment(operation.updated),
    )


def _expiry(operation: Operation) -> str | None:
    """When its time is over; what is not to be stored is over as soon as it leaves."""
    expires = operation.spec.expires_at
    if expires is None:
        return None
    return moment(operation.start if expires == NOT_STORED else expires)
