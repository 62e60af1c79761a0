"""Sending, and what becomes of it: notifications, operations, live figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Literal

from .binding import Mode, Resource, conversation, listing, operation
from .calls import Call, Pages, moment
from .content import Content, Recipient, Schedule, Sender, SendRequest
from .enums import NotificationStatus, OperationStatus, Priority, Provider
from .errors import OperationTimeout
from .exchange import Pause, Steps
from .outcomes import (
    Failure,
    FailurePage,
    Notification,
    NotificationPage,
    Operation,
    OperationAccepted,
    OperationPage,
    Payload,
    ResourceAccepted,
    Trial,
)
from .upkeep import Activity, SeenOutcomes

PUSH = "/PushNotifications"
OPERATION = PUSH + "/Operations/{operationId}"
FIRST_LOOK, LONGEST_LOOK = 0.1, 5.0
"""Seconds between two looks at an operation that is waited for: from, to."""


class Notifications(Resource[Mode]):
    """Sending, and one entry for each recipient of what was sent."""

    @operation
    def send(
        self,
        to: Recipient | Iterable[Recipient],
        content: Content | str,
        *,
        app: str | None = None,
        sender: Sender | None = None,
        priority: Priority | None = None,
        sound: str | None = None,
        send_at: datetime | str | None = None,
        ttl: int | None = None,
        expires_at: datetime | str | None = None,
        tags: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[OperationAccepted]:
        """Sends to 1 to 10,000 recipients; the pointer of the operation, once it is durable.

        A text as `content` is the body of an alert. `app` (or `sender`) says who sends, by default the account's
        default app. `ttl` is in seconds. Without an `idempotency_key` one is made, so that no try sends twice.
        """
        body = _request(to, content, app, sender, priority, sound, send_at, ttl, expires_at, tags)
        return Call(method="POST", route=PUSH, body=body, returns=OperationAccepted, key=idempotency_key)

    @operation
    def validate(
        self,
        to: Recipient | Iterable[Recipient],
        content: Content | str,
        *,
        app: str | None = None,
        sender: Sender | None = None,
        priority: Priority | None = None,
        sound: str | None = None,
        send_at: datetime | str | None = None,
        ttl: int | None = None,
        expires_at: datetime | str | None = None,
        tags: dict[str, str] | None = None,
    ) -> Call[Trial]:
        """The same, checked and rendered to the last recipient, but neither kept nor sent: what would become of it."""
        body = _request(to, content, app, sender, priority, sound, send_at, ttl, expires_at, tags, validate_only=True)
        return Call(method="POST", route=PUSH, body=body, returns=Trial)

    @listing
    def list(
        self,
        *,
        operation_id: str | None = None,
        status: NotificationStatus | str | None = None,
        user: str | None = None,
        external_id: str | None = None,
        provider: Provider | str | None = None,
        token: str | None = None,
        tags: Mapping[str, str] | str | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        include: Literal["deliveries"] | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[Notification]:
        """Notifications without their content, the newest operation first; `include="deliveries"` adds what became of
        each device. `token`: what was sent to a device token, or tried at it."""
        query = {
            "operationId": operation_id,
            "status": status,
            "user": user,
            "externalId": external_id,
            "provider": provider,
            "token": token,
            "tags": tags,
            "startDate": start_date,
            "endDate": end_date,
            "include": include,
            "pageSize": page_size,
            "pageToken": page_token,
        }
        call = Call[NotificationPage](method="GET", route=PUSH, query=query, returns=NotificationPage)
        return Pages(call=call, entries="push_notifications")

    @operation
    def get(self, notification_id: str) -> Call[Notification]:
        """A notification with its content and what became of each of the recipient's devices."""
        return Call(
            method="GET",
            route=PUSH + "/{pushNotificationId}",
            path={"pushNotificationId": notification_id},
            returns=Notification,
        )

    @operation
    def payload(self, notification_id: str) -> Call[Payload]:
        """The payload and headers that APNs gets, or got, for a notification, made anew from what is kept of it."""
        return Call(
            method="GET",
            route=PUSH + "/{pushNotificationId}/Payload",
            path={"pushNotificationId": notification_id},
            returns=Payload,
        )

    @operation
    def cancel(self, notification_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Stops one notification that has not been sent. Raises `HeliogramError` (409) when it is too late."""
        return Call(
            method="DELETE",
            route=PUSH + "/{pushNotificationId}",
            path={"pushNotificationId": notification_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )


class Operations(Resource[Mode]):
    """One entry for each send, with its counters."""

    @listing
    def list(
        self,
        *,
        status: OperationStatus | str | None = None,
        tags: Mapping[str, str] | str | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[Operation]:
        """Operations, the newest first."""
        query = {
            "status": status,
            "tags": tags,
            "startDate": start_date,
            "endDate": end_date,
            "pageSize": page_size,
            "pageToken": page_token,
        }
        call = Call[OperationPage](method="GET", route=PUSH + "/Operations", query=query, returns=OperationPage)
        return Pages(call=call, entries="operations")

    @operation
    def get(self, operation_id: str) -> Call[Operation]:
        """How far an operation is."""
        return _operation(operation_id)

    @listing
    def errors(
        self, operation_id: str, *, page_size: int | None = None, page_token: str | None = None
    ) -> Pages[Failure]:
        """Why notifications of an operation failed, and what to do: one entry for each that is FAILED."""
        call = Call[FailurePage](
            method="GET",
            route=OPERATION + "/Errors",
            path={"operationId": operation_id},
            query={"pageSize": page_size, "pageToken": page_token},
            returns=FailurePage,
        )
        return Pages(call=call, entries="errors")

    @operation
    def cancel(self, operation_id: str, *, idempotency_key: str | None = None) -> Call[OperationAccepted]:
        """Stops what an operation has not sent yet."""
        return Call(
            method="POST",
            route=OPERATION + "/cancel",
            path={"operationId": operation_id},
            returns=OperationAccepted,
            key=idempotency_key,
        )

    @conversation
    def wait(
        self,
        operation_id: str,
        *,
        timeout: float | None = None,
        progress: Callable[[Operation], object] | None = None,
    ) -> Steps[Operation]:
        """The operation once it is COMPLETED or CANCELED, asking at growing intervals of up to 5 seconds. `progress` is
        called with each look at it.

        Raises `OperationTimeout` when that takes more than `timeout` seconds of waiting; the operation goes on.
        """
        waited, pause = 0.0, FIRST_LOOK
        while True:
            found = yield from self._transport.talk.exchange(_operation(operation_id))
            if progress is not None:
                progress(found)
            if found.status in (OperationStatus.COMPLETED, OperationStatus.CANCELED):
                return found
            if timeout is not None and waited >= timeout:
                raise OperationTimeout(0, 0, "not finished", f"{operation_id} is {found.status} after {waited:g} s")
            pause = pause if timeout is None else min(pause, timeout - waited)
            yield Pause(pause)
            waited, pause = waited + pause, min(LONGEST_LOOK, pause * 1.5)


class ActivityNow(Resource[Mode]):
    """What happens just now."""

    @operation
    def get(self) -> Call[Activity]:
        """The last five minutes of the account: what ended in each second, why attempts failed, what waits."""
        return Call(method="GET", route="/Activity", returns=Activity)

    @operation
    def outcomes(self, *, after: int | None = None, limit: int | None = None) -> Call[SeenOutcomes]:
        """The latest outcomes; give `last` of one answer as `after` of the next question."""
        query = {"after": after, "limit": limit}
        return Call(method="GET", route="/Activity/Outcomes", query=query, returns=SeenOutcomes)


def _operation(operation_id: str) -> Call[Operation]:
    return Call(method="GET", route=OPERATION, path={"operationId": operation_id}, returns=Operation)


def _request(
    to: Recipient | Iterable[Recipient],
    content: Content | str,
    app: str | None,
    sender: Sender | None,
    priority: Priority | None,
    sound: str | None,
    send_at: datetime | str | None,
    ttl: int | None,
    expires_at: datetime | str | None,
    tags: dict[str, str] | None,
    *,
    validate_only: bool = False,
) -> SendRequest:
    if app is not None and sender is not None:
        raise ValueError("app and sender: give one of them")
    return SendRequest(
        to=[to] if isinstance(to, Recipient) else [*to],
        content=Content(body=content) if isinstance(content, str) else content,
        sender=sender if app is None else Sender(app_name=app),
        priority=priority,
        sound=sound,
        schedule=schedule(send_at),
        ttl=ttl,
        expires_at=moment(expires_at),
        tags=tags,
        validate_only=validate_only,
    )


def schedule(send_at: datetime | str | None) -> Schedule | None:
    """When to send, as the API takes it."""
    at = moment(send_at)
    return None if at is None else Schedule(send_at=[at])
