"""A database into which an embedded instance is being moved holds a half of it: no node may work on that.

The move (`store/moving`) keeps how far it is in a table of its own, which is there from its first moment on.
"""

from __future__ import annotations

import asyncpg

from ..errors import StoreUnavailable

TABLE = "heliogram_move"
DONE = "done"


async def require_whole(connection: asyncpg.Connection, place: str) -> None:
    """Raises `StoreUnavailable` for a database that an instance is being moved into, or that a move was given up in."""
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", TABLE):
        return
    row = await connection.fetchrow(f"SELECT state, origin FROM {TABLE}")  # noqa: S608 - our own name
    if row is not None and row["state"] != DONE:
        raise StoreUnavailable(
            f"{place} holds a part of {row['origin']}, which is being moved into it or was, before the move was given"
            " up: let `heliogram migrate-store` end first, or make the database anew"
        )
