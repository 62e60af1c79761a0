"""Stopping what has not left: one notification, or all that is left of an operation."""

from __future__ import annotations

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.errors import Code, Conflict
from ..ports import Cancellation
from ..rest import Call, Result, endpoint, not_found
from .answers import OperationAccepted, ResourceAccepted, account_of, locate, operation_accepted, path_id
from .state import ApiState


@endpoint(
    "DELETE",
    "/PushNotifications/{pushNotificationId}",
    summary="Cancel a notification",
    tag="PushNotifications",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404, 409),
    basis="ours",
    response_headers={"Location": "The notification's address."},
)
async def cancel_push_notification(call: Call[ApiState]) -> Result:
    """Cancels a notification that has not left: it is SCHEDULED, or QUEUED and not being sent just now, be it for the
    first time or again. Its status is CANCELED when this answers.

    A 409 (70080) says that it has left, or is leaving just now; a QUEUED one may be tried again when its attempt is
    over. Cancelling again answers the same 202.
    """
    ident = path_id(call, "pushNotificationId", ids.NOTIFICATION, "PushNotification")
    state = call.state
    done = await state.store.cancel_notification(account_of(call), ident, state.now())
    if done is Cancellation.UNKNOWN:
        raise not_found("PushNotification", call.path["pushNotificationId"])
    if done is Cancellation.TOO_LATE:
        raise Conflict("the notification has left, or is leaving just now", Code.TOO_LATE_TO_CANCEL)
    operation, sequence, _ = ids.split_notification_id(ident)
    text = ids.encode(ids.NOTIFICATION, ids.notification_id(operation, sequence))
    location = locate(call, text)
    return Result(ResourceAccepted(text, location), headers={"Location": location})


@endpoint(
    "POST",
    "/PushNotifications/Operations/{operationId}/cancel",
    summary="Cancel an operation",
    tag="Operations",
    returns=OperationAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404, 409),
    basis="ours",
    response_headers={
        "Location": "The operation's address.",
        "Operation-Id": "The same as operationId.",
        "Operation-Location": "The same as operationLocation.",
    },
)
async def cancel_operation(call: Call[ApiState]) -> Result:
    """Cancels every notification of an operation that has not left. What no worker holds is CANCELED when this answers;
    what one is sending stops within a second, and every push that was on its way still gets its outcome.

    The operation ends as CANCELED, or as COMPLETED when all of it had left. Cancelling again answers the same 202; an
    operation that is COMPLETED without having been cancelled is a 409 (70080).
    """
    ident = path_id(call, "operationId", ids.OPERATION, "Operation")
    state = call.state
    done = await state.store.cancel_operation(account_of(call), ident, state.now())
    if done is Cancellation.UNKNOWN:
        raise not_found("Operation", call.path["operationId"])
    if done is Cancellation.TOO_LATE:
        raise Conflict("the operation is completed: all of it has left", Code.TOO_LATE_TO_CANCEL)
    state.queue.canceled(ident)
    return operation_accepted(call, ident)
