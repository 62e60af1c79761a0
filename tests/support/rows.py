"""Every row that a store has of an account, whichever store it is."""

from __future__ import annotations

from typing import Any

from heliogram.ports import Store
from heliogram.store.postgres import PostgresStore

CHANGING_ALONE = frozenset({"last_used"})
"""Columns that change without anybody asking for it."""
OF_NOBODY = frozenset({"heliogram_schema", "instance", "node", "numbering", "going"})
"""Tables of the database that nodes share, of which no row is an account's."""
_IN_FILE = """
SELECT s.name, c.name FROM sqlite_schema s JOIN pragma_table_info(s.name) c
 WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite_%'"""
_SHARED = """
SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND a.attnum > 0 AND NOT a.attisdropped"""


class Rows:
    """Reads them all at one moment, by one statement."""

    def __init__(self, store: Store) -> None:
        self._store: Any = store
        self._statement = ""

    def __repr__(self) -> str:
        return f"Rows(statement={len(self._statement)})"

    async def of(self, account: bytes) -> dict[str, list[str]]:
        """Table by table, each row as text."""
        if not self._statement:
            self._statement = await self._make()
        values = {"account": account}
        rows: Any = await self._store._read(lambda c: c.execute(self._statement, values).fetchall())
        found: dict[str, list[str]] = {}
        for table, row in rows:
            found.setdefault(table, []).append(row)
        return {table: sorted(each) for table, each in found.items()}

    async def _make(self) -> str:
        shared = isinstance(self._store, PostgresStore)
        columns, text = (_SHARED, "coalesce({}::text, 'NULL')") if shared else (_IN_FILE, "quote({})")
        known: Any = await self._store._read(lambda c: c.execute(columns, {}).fetchall())
        tables: dict[str, list[str]] = {}
        for table, column in known:
            tables.setdefault(table, []).append(column)
        parts = []
        for table, names in sorted(tables.items()):
            key = "id" if table == "account" else "account_id"
            assert (key in names) != (shared and table in OF_NOBODY), f"{table}: every table says whose its rows are"
            if key not in names:
                continue
            row = " || ', ' || ".join(text.format(name) for name in names if name not in CHANGING_ALONE)
            parts.append(f"SELECT '{table}', {row} FROM {table} WHERE {key} = :account")  # noqa: S608 - names of ours
        return " UNION ALL ".join(parts)
