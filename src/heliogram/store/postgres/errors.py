"""What PostgreSQL's errors mean to the operator: as `StoreError`, each with what to do."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import asyncpg

from ..errors import (
    Conflict,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    StoreUnavailable,
)

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says of a connection that ended while it was idle
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # the primary became a standby: another host is it now
    ConnectionError,
)
AGAIN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,  # another wrote the same key since this transaction looked
    asyncpg.ForeignKeyViolationError,  # another removed, or made, what this refers to
    asyncpg.InvalidCachedStatementError,
)
"""Somebody else's transaction was in the way, or the schema changed: the job may be run again."""
_DATABASE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


def is_of_database(error: BaseException) -> bool:
    """Whether an error is the database's, not the job's own."""
    return isinstance(error, _DATABASE)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no use any more, and another may be."""
    return isinstance(error, _LOST) and not isinstance(error, ValueError)  # an argument that cannot be sent


def place_of(url: str) -> str:
    """Which database a URL names, without user and password."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "PostgreSQL"
    return f"postgresql://{host}{parts.path}"


def wrong_url() -> StoreError:
    """For a URL that the driver does not understand. What it says itself may hold a part of the password."""
    return StoreUnavailable(
        "the URL of the database is wrong: expected postgresql://user:password@host:port/database, with %25 for %, %40"
        " for @, %23 for # and %2F for / in names and passwords"
    )


def as_store_error(error: BaseException, place: str) -> StoreError:
    """What an error of the driver means; `place` says which database, without any secret."""
    if isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.PostgresConnectionError):
        return _of_server(error, place)
    match error:
        case TimeoutError():
            return StoreUnavailable(
                f"{place} did not answer in time: see whether it is overloaded, waits for a lock or cannot be reached"
            )
        case socket.gaierror():
            return StoreUnavailable(f"cannot reach {place}: its host name is not found ({error.strerror})")
        case asyncpg.InterfaceError() | asyncpg.PostgresConnectionError():
            return StoreUnavailable(
                f"the connection to {place} was lost ({error}): see the server's log if it stays so"
            )
        case OSError():
            return StoreUnavailable(
                f"cannot reach {place} ({error.strerror or error}): see whether PostgreSQL runs, listens there"
                " (listen_addresses) and no firewall is between"
            )
    return StoreUnavailable(f"{place} failed: {type(error).__name__}: {error}")


def _of_server(error: asyncpg.PostgresError, place: str) -> StoreError:
    code = str(error.sqlstate or "")
    message = str(error).partition("\n")[0]
    found = _BY_CODE.get(code) or _BY_CLASS.get(code[:2])
    if found is None:
        return StoreUnavailable(f"{place} refused it ({code}): {message}")
    kind, advice = found
    return kind(f"{place}: {message}: {advice}")


_POOLER = (
    StoreUnavailable,
    "a pooler between keeps no prepared statements, nor what nodes hold by LISTEN and advisory locks: connect to"
    " PostgreSQL directly",
)
_BY_CODE: dict[str, tuple[type[StoreError], str]] = {
    "28P01": (StoreUnavailable, "check the user and the password in the URL (or PGPASSWORD, ~/.pgpass)"),
    "28000": (StoreUnavailable, "let this user in: pg_hba.conf needs a line for its host, database and name"),
    "3D000": (StoreGone, "make it first: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"),
    "42501": (StoreUnavailable, "make the user the owner of the database, or GRANT CREATE ON SCHEMA public to it"),
    "42P01": (StoreGone, "the tables are not there: was the database dropped or restored? restart heliogram"),
    "53100": (StoreFull, "make room on the server's disk; nothing was written"),
    "53200": (StoreUnavailable, "give the server more memory, or lower work_mem and max_connections"),
    "53300": (StoreUnavailable, "raise max_connections there, or lower the pool size of the nodes"),
    "25006": (StoreReadOnly, "this is a standby, or read-only: name the primary, or all hosts with"
                             " target_session_attrs=read-write"),
    "55P03": (StoreUnavailable, "something else keeps a row or table locked; see pg_stat_activity"),
    "57014": (StoreUnavailable, "the statement took too long or was canceled; see pg_stat_activity"),
    "57P01": (StoreUnavailable, "the server is stopping or restarting"),
    "57P02": (StoreUnavailable, "the server crashed and recovers; see its log"),
    "57P03": (StoreUnavailable, "the server is starting or recovering; it is tried again"),
    "58030": (StoreUnavailable, "the server's disk failed; see its log"),
    "XX001": (StoreDamaged, "a page of the database is damaged; restore a backup"),
    "XX002": (StoreDamaged, "an index is damaged: REINDEX it, or restore a backup"),
    "26000": _POOLER,
    "42P05": _POOLER,
    "40001": (StoreUnavailable, "too many others changed the same rows at once; try again"),
    "40P01": (StoreUnavailable, "too many others changed the same rows at once; try again"),
}  # fmt: skip
_BY_CLASS: dict[str, tuple[type[StoreError], str]] = {
    "08": (StoreUnavailable, "the connection was lost; see the server's log if it stays so"),
    "22": (Conflict, "the database cannot keep this value"),
    "23": (Conflict, "the database refused it"),
    "28": (StoreUnavailable, "check the user and the password in the URL"),
    "53": (StoreUnavailable, "the server is short of resources; see its log"),
    "57": (StoreUnavailable, "an operator stepped in; see the server's log"),
    "58": (StoreUnavailable, "the server's system failed; see its log"),
}
