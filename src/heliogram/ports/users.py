"""Users, by id or by the caller's own name for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..domain.devices import User
from ..domain.lookups import Wanted
from .basics import Listed, Window


class UserStore(Protocol):
    """Users, by id or by the caller's own name for them (`external_id`, unique among an account's users that are not
    deleted)."""

    async def get_user(self, account: bytes, user_id: bytes) -> User | None:
        """A user, deleted ones too."""

    async def list_users(self, account: bytes, window: Window, *, external_id: str | None = None) -> Listed[User]:
        """Users, newest first, deleted ones too; with `external_id` the one, not deleted, that has it."""

    async def users_by_external_id(self, account: bytes, external_ids: Iterable[str]) -> dict[str, bytes]:
        """The users with these external ids, in one query; those that nobody has, or a deleted user had, are not in
        it."""

    async def ensure_user(self, account: bytes, external_id: str, at: int) -> bytes:
        """The user with this external id; made if nobody has it."""

    async def missing_users(self, account: bytes, user_ids: Iterable[bytes]) -> set[bytes]:
        """Which of these the account does not have (deleted ones count as missing)."""

    async def look_ahead(self, account: bytes, wanted: Wanted) -> set[bytes]:
        """As `missing_users`, of the users of a large send that is about to be planned: a store may keep what it reads
        of them for the `look_up` that comes then, as long as it has not changed."""

    async def name_user(self, account: bytes, user_id: bytes, external_id: str | None, at: int) -> bool:
        """Gives a user an external id, another one, or none. False when there is no such user, or it is deleted.
        Raises `Conflict` (EXTERNAL_ID_TAKEN) when another user has it."""

    async def delete_user(self, account: bytes, user_id: bytes, at: int) -> bool:
        """Marks a user as deleted and removes its registrations with their devices in all apps. False when there is no
        such user, or it is deleted already."""
