"""What administrators do: the account, its keys, its webhooks, who changed what, and whether the service works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Literal, TypeVar

from .binding import Mode, Resource, listing, operation
from .calls import Call, Pages, moment
from .enums import Scope
from .outcomes import ResourceAccepted
from .upkeep import (
    Account,
    ApiKey,
    ApiKeyMade,
    ApiKeyPage,
    AuditEvent,
    AuditPage,
    CreateApiKey,
    CreateWebhook,
    DeadLetter,
    DeadLetterPage,
    Health,
    Redeliver,
    Redelivered,
    RotateApiKey,
    SecretRotated,
    UpdateWebhook,
    Webhook,
    WebhookMade,
    WebhookPage,
    WebhookTested,
)

T = TypeVar("T")

KEYS = "/ApiKeys"
WEBHOOKS = "/Webhooks"


class Accounts(Resource[Mode]):
    """The account of the key."""

    @operation
    def get(self) -> Call[Account]:
        """Its limits, and how much it has."""
        return Call(
            method="GET",
            route="/Account",
            returns=Account,
        )


class ApiKeys(Resource[Mode]):
    """Keys of the account."""

    @listing
    def list(self, *, page_size: int | None = None, page_token: str | None = None) -> Pages[ApiKey]:
        """Keys, the newest first; those that ended stay listed for 400 days."""
        query = {"pageSize": page_size, "pageToken": page_token}
        call = Call[ApiKeyPage](method="GET", route=KEYS, query=query, returns=ApiKeyPage)
        return Pages(call=call, entries="api_keys")

    @operation
    def get(self, key_id: str) -> Call[ApiKey]:
        """One key, without its secret."""
        return Call(
            method="GET",
            route=KEYS + "/{keyId}",
            path={"keyId": key_id},
            returns=ApiKey,
        )

    @operation
    def create(
        self,
        scopes: Sequence[Scope],
        *,
        name: str = "",
        expires_at: datetime | str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ApiKeyMade]:
        """Makes a key. Its secret is in this answer and nowhere else."""
        return Call(
            method="POST",
            route=KEYS,
            body=CreateApiKey(name=name, scopes=_all(scopes), expires_at=moment(expires_at)),
            returns=ApiKeyMade,
            key=idempotency_key,
        )

    @operation
    def rotate(
        self, key_id: str, *, grace_seconds: int = 86400, idempotency_key: str | None = None
    ) -> Call[ApiKeyMade]:
        """Makes a successor; the old key goes on for `grace_seconds`."""
        return Call(
            method="POST",
            route=KEYS + "/{keyId}/rotate",
            path={"keyId": key_id},
            body=RotateApiKey(grace_seconds=grace_seconds),
            returns=ApiKeyMade,
            key=idempotency_key,
        )

    @operation
    def revoke(self, key_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Ends a key at once."""
        return Call(
            method="DELETE",
            route=KEYS + "/{keyId}",
            path={"keyId": key_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )


class Audit(Resource[Mode]):
    """Who changed what."""

    @listing
    def list(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[AuditEvent]:
        """Changes, the newest first."""
        query = {
            "action": action,
            "actor": actor,
            "subject": subject,
            "startDate": start_date,
            "endDate": end_date,
            "pageSize": page_size,
            "pageToken": page_token,
        }
        call = Call[AuditPage](method="GET", route="/AuditEvents", query=query, returns=AuditPage)
        return Pages(call=call, entries="audit_events")


class Webhooks(Resource[Mode]):
    """Receivers of events."""

    @listing
    def list(self, *, page_size: int | None = None, page_token: str | None = None) -> Pages[Webhook]:
        """Webhooks, the newest first."""
        query = {"pageSize": page_size, "pageToken": page_token}
        call = Call[WebhookPage](method="GET", route=WEBHOOKS, query=query, returns=WebhookPage)
        return Pages(call=call, entries="webhooks")

    @operation
    def get(self, webhook_id: str) -> Call[Webhook]:
        """One webhook and its backlog."""
        return Call(
            method="GET",
            route=WEBHOOKS + "/{webhookId}",
            path={"webhookId": webhook_id},
            returns=Webhook,
        )

    @operation
    def create(
        self, url: str, types: Sequence[str], *, description: str = "", idempotency_key: str | None = None
    ) -> Call[WebhookMade]:
        """Makes a webhook. Its signing secret is in this answer and nowhere else."""
        return Call(
            method="POST",
            route=WEBHOOKS,
            body=CreateWebhook(url=url, types=_all(types), description=description),
            returns=WebhookMade,
            key=idempotency_key,
        )

    @operation
    def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        description: str | None = None,
        state: Literal["active", "paused"] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ResourceAccepted]:
        """Changes what is given. The state `active` also revives one that was disabled."""
        return Call(
            method="PATCH",
            route=WEBHOOKS + "/{webhookId}",
            path={"webhookId": webhook_id},
            body=UpdateWebhook(
                url=url, types=None if types is None else _all(types), description=description, state=state
            ),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def delete(self, webhook_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Deletes a webhook with its backlog."""
        return Call(
            method="DELETE",
            route=WEBHOOKS + "/{webhookId}",
            path={"webhookId": webhook_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def rotate_secret(self, webhook_id: str, *, idempotency_key: str | None = None) -> Call[SecretRotated]:
        """Makes a new signing secret; the old one signs along for a day."""
        return Call(
            method="POST",
            route=WEBHOOKS + "/{webhookId}/rotateSecret",
            path={"webhookId": webhook_id},
            returns=SecretRotated,
            key=idempotency_key,
        )

    @operation
    def test(self, webhook_id: str, *, idempotency_key: str | None = None) -> Call[WebhookTested]:
        """Posts a test event, and tells what the receiver said."""
        return Call(
            method="POST",
            route=WEBHOOKS + "/{webhookId}/test",
            path={"webhookId": webhook_id},
            returns=WebhookTested,
            key=idempotency_key,
        )

    @listing
    def dead_letters(
        self, webhook_id: str, *, page_size: int | None = None, page_token: str | None = None
    ) -> Pages[DeadLetter]:
        """Batches that were given up, the newest first."""
        query = {"pageSize": page_size, "pageToken": page_token}
        call = Call[DeadLetterPage](
            method="GET",
            route=WEBHOOKS + "/{webhookId}/DeadLetters",
            path={"webhookId": webhook_id},
            query=query,
            returns=DeadLetterPage,
        )
        return Pages(call=call, entries="dead_letters")

    @operation
    def redeliver(
        self, webhook_id: str, ids: Sequence[str] | None = None, *, idempotency_key: str | None = None
    ) -> Call[Redelivered]:
        """Makes dead letters due again: those with these ids, or all."""
        return Call(
            method="POST",
            route=WEBHOOKS + "/{webhookId}/DeadLetters/redeliver",
            path={"webhookId": webhook_id},
            body=Redeliver(ids=None if ids is None else _all(ids)),
            returns=Redelivered,
            key=idempotency_key,
        )


class HealthOf(Resource[Mode]):
    """Whether the service is there. Needs no key, and is asked once."""

    @operation
    def get(self) -> Call[Health]:
        """The server answers."""
        return Call(
            method="GET",
            alone=True,
            route="/health",
            returns=Health,
        )

    @operation
    def live(self) -> Call[Health]:
        """The process is alive."""
        return Call(
            method="GET",
            alone=True,
            route="/health/live",
            returns=Health,
        )

    @operation
    def ready(self) -> Call[Health]:
        """It can work. Raises `HeliogramError` (503), whose `detail` says what is missing."""
        return Call(
            method="GET",
            alone=True,
            route="/health/ready",
            returns=Health,
        )


def _all(items: Iterable[T]) -> list[T]:
    return [*items]
