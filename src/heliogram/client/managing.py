"""Apps, their credentials and their channels."""

from __future__ import annotations

from datetime import date, datetime

from .binding import Mode, Resource, listing, operation
from .calls import Call, Pages, moment
from .content import BroadcastRequest, Content
from .enums import CredentialType, Environment, Priority, StoragePolicy
from .holdings import (
    App,
    AppPage,
    Channel,
    ChannelItem,
    ChannelPage,
    CreateChannel,
    CreateCredential,
    Credential,
    CredentialCheck,
    CredentialContent,
    CredentialPage,
    DefaultFlag,
    RotateCredential,
)
from .outcomes import OperationAccepted, ResourceAccepted, Trial
from .sending import PUSH, schedule

APPS = PUSH + "/Apps"
CREDENTIALS = PUSH + "/Credentials"
CHANNELS = APPS + "/{appName}/Channels"
BROADCASTS = CHANNELS + "/{channelId}/Broadcasts"


class Apps(Resource[Mode]):
    """Apps: each has credentials, and users with devices. It comes with its first credential and goes with its last."""

    @listing
    def list(
        self,
        *,
        is_default: bool | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[App]:
        """Apps, the newest first."""
        query = {
            "isDefault": is_default,
            "startDate": start_date,
            "endDate": end_date,
            "pageSize": page_size,
            "pageToken": page_token,
        }
        call = Call[AppPage](method="GET", route=APPS, query=query, returns=AppPage)
        return Pages(call=call, entries="apps")

    @operation
    def get(self, name: str) -> Call[App]:
        """One app."""
        return Call(
            method="GET",
            route=APPS + "/{appName}",
            path={"appName": name},
            returns=App,
        )

    @operation
    def make_default(self, name: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Makes it the app of sends that name none."""
        return Call(
            method="PATCH",
            route=APPS + "/{appName}",
            path={"appName": name},
            body=DefaultFlag(is_default=True),
            returns=ResourceAccepted,
            key=idempotency_key,
        )


class Credentials(Resource[Mode]):
    """What APNs knows you by. Secrets go in and never come out."""

    @listing
    def list(
        self,
        *,
        app: str | None = None,
        credential_type: CredentialType | str | None = None,
        is_default: bool | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[Credential]:
        """Credentials, the newest first."""
        query = {
            "appName": app,
            "credentialType": credential_type,
            "isDefault": is_default,
            "startDate": start_date,
            "endDate": end_date,
            "pageSize": page_size,
            "pageToken": page_token,
        }
        call = Call[CredentialPage](method="GET", route=CREDENTIALS, query=query, returns=CredentialPage)
        return Pages(call=call, entries="credentials")

    @operation
    def get(self, credential_id: str) -> Call[Credential]:
        """One credential, without its secrets."""
        return Call(
            method="GET",
            route=CREDENTIALS + "/{credentialId}",
            path={"credentialId": credential_id},
            returns=Credential,
        )

    @operation
    def create(
        self,
        credential_type: CredentialType,
        content: CredentialContent,
        *,
        app: str | None = None,
        is_default: bool = False,
        idempotency_key: str | None = None,
    ) -> Call[ResourceAccepted]:
        """Uploads a credential; an `app` that is not there yet is made with it."""
        return Call(
            method="POST",
            route=CREDENTIALS,
            body=CreateCredential(
                credential_type=credential_type, content=content, app_name=app, is_default=is_default
            ),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def make_default(self, credential_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Makes it the default of its app and type."""
        return Call(
            method="PATCH",
            route=CREDENTIALS + "/{credentialId}",
            path={"credentialId": credential_id},
            body=DefaultFlag(is_default=True),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def rotate(
        self, credential_id: str, content: CredentialContent, *, idempotency_key: str | None = None
    ) -> Call[ResourceAccepted]:
        """Puts new content under the same id: a key of the same team and bundle id, or a certificate of the same
        topic."""
        return Call(
            method="POST",
            route=CREDENTIALS + "/{credentialId}/rotate",
            path={"credentialId": credential_id},
            body=RotateCredential(content=content),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def revoke(self, credential_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Lets it send nothing from now on. It stays listed."""
        return Call(
            method="POST",
            route=CREDENTIALS + "/{credentialId}/revoke",
            path={"credentialId": credential_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def reconnect(self, credential_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Closes its connections, so that new ones are made, and tries at once what waits for it."""
        return Call(
            method="POST",
            route=CREDENTIALS + "/{credentialId}/reconnect",
            path={"credentialId": credential_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def check(self, credential_id: str, *, idempotency_key: str | None = None) -> Call[CredentialCheck]:
        """Asks APNs whether it takes the credential."""
        return Call(
            method="POST",
            route=CREDENTIALS + "/{credentialId}/check",
            path={"credentialId": credential_id},
            returns=CredentialCheck,
            key=idempotency_key,
        )

    @operation
    def delete(self, credential_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Deletes it; with the last one of an app the app goes, and its registrations."""
        return Call(
            method="DELETE",
            route=CREDENTIALS + "/{credentialId}",
            path={"credentialId": credential_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )


class Channels(Resource[Mode]):
    """Broadcast channels of an app. APNs keeps them, so each question is asked of APNs."""

    @listing
    def list(
        self,
        app: str,
        *,
        environment: Environment | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[ChannelItem]:
        """The app's channels in one environment, in the order of their ids."""
        query = {"environment": environment, "pageSize": page_size, "pageToken": page_token}
        call = Call[ChannelPage](method="GET", route=CHANNELS, path={"appName": app}, query=query, returns=ChannelPage)
        return Pages(call=call, entries="channels")

    @operation
    def get(self, app: str, channel_id: str, *, environment: Environment | str | None = None) -> Call[Channel]:
        """One channel, with its storage policy."""
        return Call(
            method="GET",
            route=CHANNELS + "/{channelId}",
            path={"appName": app, "channelId": channel_id},
            query={"environment": environment},
            returns=Channel,
        )

    @operation
    def create(
        self,
        app: str,
        storage_policy: StoragePolicy,
        *,
        environment: Environment | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ResourceAccepted]:
        """Makes a channel. Its policy cannot be changed later."""
        return Call(
            method="POST",
            route=CHANNELS,
            path={"appName": app},
            body=CreateChannel(storage_policy=storage_policy, environment=environment),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def delete(
        self,
        app: str,
        channel_id: str,
        *,
        environment: Environment | str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ResourceAccepted]:
        """Deletes a channel."""
        return Call(
            method="DELETE",
            route=CHANNELS + "/{channelId}",
            path={"appName": app, "channelId": channel_id},
            query={"environment": environment},
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def broadcast(
        self,
        app: str,
        channel_id: str,
        content: Content,
        *,
        environment: Environment | None = None,
        priority: Priority | None = None,
        send_at: datetime | str | None = None,
        ttl: int | None = None,
        expires_at: datetime | str | None = None,
        tags: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[OperationAccepted]:
        """Sends to everybody who follows the channel; the pointer of the operation."""
        body = _broadcast(content, environment, priority, send_at, ttl, expires_at, tags)
        path = {"appName": app, "channelId": channel_id}
        return Call(
            method="POST", route=BROADCASTS, path=path, body=body, returns=OperationAccepted, key=idempotency_key
        )

    @operation
    def validate_broadcast(
        self,
        app: str,
        channel_id: str,
        content: Content,
        *,
        environment: Environment | None = None,
        priority: Priority | None = None,
        send_at: datetime | str | None = None,
        ttl: int | None = None,
        expires_at: datetime | str | None = None,
        tags: dict[str, str] | None = None,
    ) -> Call[Trial]:
        """The same, checked and rendered, but neither kept nor sent: the payload and headers that would be."""
        body = _broadcast(content, environment, priority, send_at, ttl, expires_at, tags, validate_only=True)
        path = {"appName": app, "channelId": channel_id}
        return Call(method="POST", route=BROADCASTS, path=path, body=body, returns=Trial)


def _broadcast(
    content: Content,
    environment: Environment | None,
    priority: Priority | None,
    send_at: datetime | str | None,
    ttl: int | None,
    expires_at: datetime | str | None,
    tags: dict[str, str] | None,
    *,
    validate_only: bool = False,
) -> BroadcastRequest:
    return BroadcastRequest(
        content=content,
        environment=environment,
        priority=priority,
        schedule=schedule(send_at),
        ttl=ttl,
        expires_at=moment(expires_at),
        tags=tags,
        validate_only=validate_only,
    )
