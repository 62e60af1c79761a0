"""The store of several nodes: PostgreSQL, by the same jobs as the embedded one."""

from .store import PostgresStore

__all__ = ["PostgresStore"]
