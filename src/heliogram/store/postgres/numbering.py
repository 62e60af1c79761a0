"""The numbers that webhooks go by are made of transactions' numbers, which begin anew in another cluster: one that a
dump was restored to, say. There they go on above all that was given before."""

from __future__ import annotations

import asyncpg
import structlog

log = structlog.get_logger(__name__)

_ELSEWHERE = "SELECT 1 FROM numbering, pg_control_system() c WHERE numbering.cluster <> c.system_identifier FOR UPDATE"
_LAST = """
SELECT greatest(
  (SELECT max(greatest(event_cursor, result_cursor)) FROM webhook),
  (SELECT max((SELECT max(sequence) FROM event e WHERE e.account_id = a.id)) FROM account a),
  (SELECT max((SELECT max(sequence) FROM chunk_result r WHERE r.account_id = a.id)) FROM account a), 0)
"""
_GO_ON = """
UPDATE numbering SET base = greatest(base, ($1::bigint >> 20) + 1),
                     cluster = (SELECT system_identifier FROM pg_control_system())
"""


async def go_on_numbering(connection: asyncpg.Connection) -> bool:
    """Before anything is numbered in a cluster that the database was not made in; whether it is one."""
    async with connection.transaction():
        if await connection.fetchval(_ELSEWHERE) is None:
            return False
        last = int(await connection.fetchval(_LAST))
        await connection.execute(_GO_ON, last)
    log.warning("numbering.goes_on", after=last)
    return True
