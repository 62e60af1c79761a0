"""Operations: one accepted send and its counters."""

from __future__ import annotations

from typing import Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.notifications import Notification, NotificationStatus
from ..domain.operations import Operation, OperationStatus, Stats
from ..ports import NotificationFilter
from ..rest import Call, PageQuery, Pagination, endpoint, not_found
from .answers import DatedQuery, account_of, listing, moment, path_id, window_of
from .failures import failure_of
from .state import ApiState


class OperationOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An operation. In `stats`, total = recipients = scheduled + queued + sent + failed + canceled + unaddressable."""

    id: str
    status: OperationStatus
    stats: Stats
    created_at: str
    updated_at: str


class OperationPage(msgspec.Struct, frozen=True):
    """A page of operations, newest first."""

    operations: list[OperationOut]
    pagination: Pagination


class OperationQuery(DatedQuery, kw_only=True):
    """Filters of the list of operations."""

    status: OperationStatus | None = None


class FailureOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a notification failed. `reason` is the provider's word, or the cause of no answer; `cure` what to do."""

    notification_id: str
    code: int
    reason: str
    cure: str


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
    """Operations of the account, newest first."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_operations(account_of(call), window, status=query.status)
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
    )


def _out(operation: Operation) -> OperationOut:
    return OperationOut(
        id=ids.encode(ids.OPERATION, operation.id),
        status=operation.status,
        stats=operation.stats,
        created_at=moment(operation.created),
        updated_at=moment(operation.updated),
    )
