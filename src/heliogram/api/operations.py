"""Operations: one accepted send and its counters."""

from __future__ import annotations

from typing import Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.operations import Operation, OperationStatus, Stats
from ..rest import Call, Pagination, endpoint, not_found
from .answers import DatedQuery, account_of, listing, moment, path_id, window_of
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


def _out(operation: Operation) -> OperationOut:
    return OperationOut(
        id=ids.encode(ids.OPERATION, operation.id),
        status=operation.status,
        stats=operation.stats,
        created_at=moment(operation.created),
        updated_at=moment(operation.updated),
    )
