"""Removing what is over, a slice at a time."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What one slice removed: whole `operations`, and `rows` of any kind. `next` is where the following slice goes on,
    None when nothing is left."""

    operations: int = 0
    rows: int = 0
    next: bytes | None = None


class RetentionStore(Protocol):
    """Every call is one slice: bounded rows and bytes, so that whoever writes beside it never waits for long."""

    async def remove_ended(self, before: int, now: int, *, after: bytes | None = None) -> Removal:
        """Removes operations that ended at `before` (ms) or earlier, with all that belongs to them; never one that has
        not ended. One that ended within a webhook's backlog bound stays until every webhook was told its results;
        what a webhook was not told by then counts as skipped. `after` is the `next` of the slice before."""

    async def remove_deleted_users(self, before: int) -> int:
        """Removes the entries of users that were deleted at `before` (ms) or earlier; how many, 0 when none is left."""

    async def forget_refused(self, now: int) -> int:
        """Removes refused tokens that are no longer believed (`DeviceStore.look_up`); how many, 0 when none is
        left."""

    async def forget_history(self, before: int) -> int:
        """Removes entries of devices' history older than `before` (ms); how many, 0 when none is left."""

    async def remove_leaving_apps(self) -> int:
        """Removes registrations of apps whose last credential was deleted (`AppStore.delete_credential`), and then the
        apps; how many rows, 0 when none is left."""

    async def compact(self) -> int:
        """Gives space that is not needed back to the file system; how many pages, 0 when there is none to give."""

    async def checkpoint(self) -> None:
        """Brings what was written to its place, without keeping anybody waiting."""
