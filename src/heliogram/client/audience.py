"""Users and their devices."""

from __future__ import annotations

from .binding import Mode, Resource, listing, operation
from .calls import Call, Pages
from .enums import Environment, Provider, TokenKind
from .history import DeviceHistory, DeviceHistoryPage
from .holdings import (
    CreateRegistrationToken,
    RegisterDevice,
    Registration,
    RegistrationPage,
    RegistrationToken,
    UpdateUser,
    User,
    UserPage,
)
from .outcomes import ResourceAccepted
from .sending import PUSH

REGISTRATIONS = PUSH + "/DeviceRegistrations"
USERS = PUSH + "/Users"


def _whose(
    user_id: str | None,
    external_id: str | None,
    token: str | None,
    app: str | None,
    page_size: int | None,
    page_token: str | None,
) -> dict[str, object]:
    """The query for what a user has, or whoever holds a token."""
    return {
        "userId": user_id,
        "externalId": external_id,
        "token": token,
        "appName": app,
        "pageSize": page_size,
        "pageToken": page_token,
    }


class Registrations(Resource[Mode]):
    """A user's devices in one app."""

    @listing
    def list(
        self,
        *,
        user_id: str | None = None,
        external_id: str | None = None,
        token: str | None = None,
        app: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[Registration]:
        """A user's registrations (`user_id`, or `external_id`), or those that hold a device token."""
        query = _whose(user_id, external_id, token, app, page_size, page_token)
        call = Call[RegistrationPage](method="GET", route=REGISTRATIONS, query=query, returns=RegistrationPage)
        return Pages(call=call, entries="device_registrations")

    @operation
    def get(self, registration_id: str) -> Call[Registration]:
        """One registration with its devices."""
        return Call(
            method="GET",
            route=REGISTRATIONS + "/{deviceRegistrationId}",
            path={"deviceRegistrationId": registration_id},
            returns=Registration,
        )

    @listing
    def history(
        self,
        *,
        user_id: str | None = None,
        external_id: str | None = None,
        token: str | None = None,
        app: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pages[DeviceHistory]:
        """What happened to a user's devices (`user_id`, or `external_id`), or to a device token, newest first: why a
        phone gets nothing."""
        query = _whose(user_id, external_id, token, app, page_size, page_token)
        route = PUSH + "/DeviceHistory"
        call = Call[DeviceHistoryPage](method="GET", route=route, query=query, returns=DeviceHistoryPage)
        return Pages(call=call, entries="device_history")

    @operation
    def create(
        self,
        app: str,
        token: str,
        *,
        provider: Provider = Provider.APN,
        user_id: str | None = None,
        external_id: str | None = None,
        environment: Environment | None = None,
        kind: TokenKind = TokenKind.ALERT,
        activity_id: str | None = None,
        installation_id: str | None = None,
        app_version: str | None = None,
        locale: str | None = None,
        time_zone: str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ResourceAccepted]:
        """Registers a device, or renews it: what the app forwards at each launch."""
        return Call(
            method="POST",
            route=REGISTRATIONS,
            body=RegisterDevice(
                app_name=app,
                token=token,
                provider=provider,
                user_id=user_id,
                external_id=external_id,
                environment=environment,
                kind=kind,
                activity_id=activity_id,
                installation_id=installation_id,
                app_version=app_version,
                locale=locale,
                time_zone=time_zone,
            ),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def delete(self, registration_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Removes all devices of the user from the app."""
        return Call(
            method="DELETE",
            route=REGISTRATIONS + "/{deviceRegistrationId}",
            path={"deviceRegistrationId": registration_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def delete_device(
        self,
        registration_id: str,
        token: str,
        *,
        kind: TokenKind | str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ResourceAccepted]:
        """Removes one device; with the last one the registration goes."""
        return Call(
            method="DELETE",
            route=REGISTRATIONS + "/{deviceRegistrationId}/devices/{token}",
            path={"deviceRegistrationId": registration_id, "token": token},
            query={"kind": kind},
            returns=ResourceAccepted,
            key=idempotency_key,
        )


class RegistrationTokens(Resource[Mode]):
    """What a phone may register itself with, and do nothing else."""

    @operation
    def create(
        self,
        app: str,
        *,
        user_id: str | None = None,
        external_id: str | None = None,
        expires_in: int = 3600,
        idempotency_key: str | None = None,
    ) -> Call[RegistrationToken]:
        """A token for one user of one app, good for `expires_in` seconds. Give it to the app after sign-in."""
        return Call(
            method="POST",
            route=PUSH + "/RegistrationTokens",
            body=CreateRegistrationToken(app_name=app, user_id=user_id, external_id=external_id, expires_in=expires_in),
            returns=RegistrationToken,
            key=idempotency_key,
        )


class Users(Resource[Mode]):
    """Users come with their first device. Where a `user_id` is taken, `externalId:` and your own name for the user is
    taken too."""

    @listing
    def list(
        self, *, external_id: str | None = None, page_size: int | None = None, page_token: str | None = None
    ) -> Pages[User]:
        """Users, the newest first."""
        query = {"externalId": external_id, "pageSize": page_size, "pageToken": page_token}
        call = Call[UserPage](method="GET", route=USERS, query=query, returns=UserPage)
        return Pages(call=call, entries="users")

    @operation
    def get(self, user_id: str) -> Call[User]:
        """One user."""
        return Call(
            method="GET",
            route=USERS + "/{userId}",
            path={"userId": user_id},
            returns=User,
        )

    @operation
    def update(
        self, user_id: str, external_id: str | None, *, idempotency_key: str | None = None
    ) -> Call[ResourceAccepted]:
        """Sets your own name for the user; None takes it away."""
        return Call(
            method="PATCH",
            route=USERS + "/{userId}",
            path={"userId": user_id},
            body=UpdateUser(external_id=external_id),
            returns=ResourceAccepted,
            key=idempotency_key,
        )

    @operation
    def delete(self, user_id: str, *, idempotency_key: str | None = None) -> Call[ResourceAccepted]:
        """Deletes a user with all registrations."""
        return Call(
            method="DELETE",
            route=USERS + "/{userId}",
            path={"userId": user_id},
            returns=ResourceAccepted,
            key=idempotency_key,
        )
