"""Users: list, get, name, delete. They are made by registering a device.

Where a path takes a user's id it takes `externalId:` and the user's external id as well, percent-encoded.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.devices import MAX_EXTERNAL_ID, User
from ..domain.errors import Invalid
from ..rest import Call, PageQuery, Pagination, Result, endpoint, not_found
from . import examples
from .answers import ResourceAccepted, account_of, listing, moment, path_id, resource_accepted, window_of
from .registering import ExternalId, external_id_problem
from .state import ApiState

BY_EXTERNAL_ID = "externalId:"

UserPath = Annotated[
    str, msgspec.Meta(description="The user's id, or `externalId:` and the user's external id, percent-encoded.")
]


class UserOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A user. `deletedAt` is null as long as it is not deleted, `externalId` as long as it has none."""

    id: str
    external_id: str | None
    created_at: str
    updated_at: str
    deleted_at: str | None


class UserPage(msgspec.Struct, frozen=True):
    """A page of users, newest first."""

    users: list[UserOut]
    pagination: Pagination


class UserQuery(PageQuery, kw_only=True):
    """Filters of the list of users."""

    external_id: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=MAX_EXTERNAL_ID, description="Only the user, not deleted, that has this external id."
            ),
        ]
        | None
    ) = None


class UpdateUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The user's new external id; null takes it away."""

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.UPDATE_USER}

    external_id: ExternalId | None


@endpoint(
    "GET",
    "/PushNotifications/Users",
    summary="List users",
    tag="Users",
    query=UserQuery,
    returns=UserPage,
    scope=Scope.READ,
)
async def list_users(call: Call[ApiState]) -> dict[str, Any]:
    """Users of the account, newest first. Deleted ones are among them, with the time in `deletedAt`."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_users(account_of(call), window, external_id=query.external_id)
    return listing("users", [_out(each) for each in listed.items], listed, query, cursor)


@endpoint(
    "GET",
    "/PushNotifications/Users/{userId}",
    summary="Get a user",
    tag="Users",
    returns=UserOut,
    scope=Scope.READ,
    errors=(404,),
    params={"userId": UserPath},
)
async def get_user(call: Call[ApiState]) -> UserOut:
    """A user, by id or by external id. A deleted one is still found by its id."""
    user = await call.state.store.get_user(account_of(call), await user_in_path(call))
    if user is None:
        raise not_found("User", call.path["userId"])
    return _out(user)


@endpoint(
    "PATCH",
    "/PushNotifications/Users/{userId}",
    summary="Name a user",
    tag="Users",
    body=UpdateUser,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.USERS,
    errors=(404, 409),
    basis="ours",
    params={"userId": UserPath},
)
async def update_user(call: Call[ApiState]) -> Result:
    """Gives a user an external id, another one, or none. 409 when another user has it."""
    wanted: str | None = call.body.external_id
    if wanted is not None and (problems := external_id_problem(wanted)):
        raise Invalid(problems)
    ident = await user_in_path(call)
    if not await call.state.store.name_user(account_of(call), ident, wanted, call.state.now()):
        raise not_found("User", call.path["userId"])
    return resource_accepted(call, "Users", ids.encode(ids.USER, ident))


@endpoint(
    "DELETE",
    "/PushNotifications/Users/{userId}",
    summary="Delete a user",
    tag="Users",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.USERS,
    errors=(404,),
    params={"userId": UserPath},
)
async def delete_user(call: Call[ApiState]) -> Result:
    """Removes a user's devices and registrations in all apps; nothing is sent to the user any more.

    The user itself stays readable by its id, with `deletedAt`. Its external id is free for another user. Deleting it
    again is a 404.
    """
    ident = await user_in_path(call)
    if not await call.state.store.delete_user(account_of(call), ident, call.state.now()):
        raise not_found("User", call.path["userId"])
    return resource_accepted(call, "Users", ids.encode(ids.USER, ident))


async def user_in_path(call: Call[ApiState]) -> bytes:
    """The id of the user that a path names, by id or by external id. Raises a 404 where nobody has that name."""
    text = call.path["userId"]
    if not text.startswith(BY_EXTERNAL_ID):
        return path_id(call, "userId", ids.USER, "User")
    name = text.removeprefix(BY_EXTERNAL_ID)
    found = await call.state.store.users_by_external_id(account_of(call), [name])
    if name not in found:
        raise not_found("User", text)
    return found[name]


def _out(user: User) -> UserOut:
    return UserOut(
        id=ids.encode(ids.USER, user.id),
        external_id=user.external_id,
        created_at=moment(user.created),
        updated_at=moment(user.updated),
        deleted_at=None if user.deleted is None else moment(user.deleted),
    )
