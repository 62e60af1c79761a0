"""The target's indexes and references: they are taken down before rows are copied, and made again when all are there.
So copying takes half the time, and rows that were read at different moments may contradict each other until the notes
of what changed between are worked off."""

from __future__ import annotations

from typing import Any

import asyncpg

_INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition
   AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
 ORDER BY 1
"""
_REFERENCES = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conparentid = 0
 ORDER BY 1, 2
"""
_LOOSE = """
SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
 WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conparentid = 0 AND condeferrable
"""


async def take_down(connection: asyncpg.Connection) -> list[list[str]]:
    """Takes down indexes (but those of keys) and references; what makes them again, in order: a kind and the text."""
    made: list[list[str]] = []
    references: list[Any] = await connection.fetch(_REFERENCES)
    for table, name, _ in references:
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, text in await connection.fetch(_INDEXES):
        await connection.execute(f"DROP INDEX {name}")
        made.append(["index", text.replace(" ON ONLY ", " ON ", 1)])  # of partitions, too
    for table, name, text in references:
        made.append(["reference", f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}"])
    return made


def loosely(made: list[str]) -> str:
    """The text that makes it. References are looked at when a transaction ends: within it rows that are replaced are
    gone for a moment."""
    kind, text = made
    return f"{text} DEFERRABLE INITIALLY DEFERRED" if kind == "reference" else text


async def tighten(connection: asyncpg.Connection) -> None:
    """References are as the migrations made them."""
    for table, name in await connection.fetch(_LOOSE):
        await connection.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {name} NOT DEFERRABLE")
