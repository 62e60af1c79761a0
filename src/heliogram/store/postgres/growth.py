"""Plans are kept for as long as a connection lasts. One that was made when a table had a few hundred rows may read all
of an account's from then on: to the planner every index that begins with the account is as good as any. So each
connection looks now and then whether a table has grown, and lets go of its plans: long before the server's autovacuum
comes by, and where that is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable

EVERY = 128
"""So many statements a connection runs between two looks."""
LEAST = 64
MOST = 20_000
"""Tables with less rows are read quickly in any way; what was planned with more is planned well."""
FACTOR = 4
"""So many times as many rows are another table to the planner."""
SIZES = f"""
SELECT coalesce(i.inhparent, c.oid), sum(pg_stat_get_live_tuples(c.oid))::bigint
  FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
 GROUP BY 1 HAVING sum(pg_stat_get_live_tuples(c.oid)) BETWEEN {LEAST} AND {MOST}
"""  # noqa: S608 - our own numbers
"""Of the server's own statistics: no table is locked for it. A table's partitions count as one: what is planned with
those of other days costs the planner so much that it never reads all of them."""


class Growth:
    """How large tables were when a connection made its plans."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._looked = 0
        self.times = 0

    def __repr__(self) -> str:
        return f"Growth(tables={len(self._rows)}, times={self.times})"

    def is_due(self, done: int) -> bool:
        """Whether it is time to look, `done` statements having been run."""
        if done - self._looked < EVERY:
            return False
        self._looked = done
        return True

    def has_grown(self, sizes: Iterable[tuple[int, int]]) -> bool:
        """Whether any of these tables (id, rows) is much larger than when this was true last; tables that become
        smaller are as large as they ever were."""
        grown = {table: rows for table, rows in sizes if rows >= FACTOR * self._rows.get(table, LEAST // FACTOR)}
        self._rows |= grown
        self.times += bool(grown)
        return bool(grown)
