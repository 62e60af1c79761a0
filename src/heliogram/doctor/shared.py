"""The database that several nodes share: whether it can be reached and used, without changing it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..settings import Url
from ..store.errors import StoreError
from .finding import Finding, failed, ok, warning

SLOW_MS = 20.0
NAME = "database"


async def database(url: Url, seconds: float, timer: Callable[[], float] = time.perf_counter) -> AsyncIterator[Finding]:
    """The server, its version, the schema in it, and how far away it is."""
    try:
        import asyncpg

        from ..store.postgres.connecting import require_sessions
        from ..store.postgres.migrate import migrations, require_server
    except ModuleNotFoundError as error:
        cure = "pip install 'heliogram[server,cluster]'"
        yield failed(NAME, f"--store {url} needs {error.name}, which is not installed", cure)
        return
    try:
        connection = await asyncpg.connect(url.text, timeout=seconds, command_timeout=seconds)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        yield failed(
            NAME, f"{url}: {str(error) or type(error).__name__}", "see that it runs, and the name and password"
        )
        return
    try:
        pooled = await require_sessions(url.text, str(url))
        await require_server(connection, str(url))
        version = await _schema(connection)
        begun = timer()
        for _ in range(10):
            await connection.execute("SELECT 1")
        took = (timer() - begun) * 100
        text = f"{url}: PostgreSQL {connection.get_server_version().major}, a round trip takes {took:.1f} ms"
        text += ", through a pooler" if pooled else ""
    except (StoreError, OSError, asyncpg.PostgresError) as error:
        yield failed(NAME, str(error), "mend that; nodes do not start on it")
        return
    finally:
        await connection.close(timeout=seconds)
    if took > SLOW_MS:
        yield warning("round trip", text, "have nodes and the database in one data centre")
    if version < len(migrations()):
        yield warning(NAME, f"{text}; schema {version}", f"the next start brings it to schema {len(migrations())}")
    else:
        yield ok(NAME, f"{text}; schema {version}")


async def _schema(connection: Any) -> int:
    """The schema's version, 0 when there is none."""
    if await connection.fetchval("SELECT to_regclass('heliogram_schema') IS NULL"):
        return 0
    return int(await connection.fetchval("SELECT version FROM heliogram_schema") or 0)
