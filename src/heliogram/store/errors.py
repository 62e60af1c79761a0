"""What can go wrong with a database, whichever it is. The messages say what to do."""

from __future__ import annotations

from ..domain.errors import Code, Unavailable, Unreadable


class StoreError(Exception):
    """The store cannot do its work."""


class StoreClosed(StoreError, Unavailable):
    """The store was closed; nothing was written."""


class StoreUnavailable(StoreError, Unavailable):
    """The database cannot be used just now (locked, disk full, I/O error); nothing was written."""


class StoreFull(StoreUnavailable):
    """There is no room for what was to be written."""

    code = Code.STORE_FULL


class StoreReadOnly(StoreUnavailable):
    """The database, or the file system it is on, cannot be written to."""

    code = Code.STORE_READ_ONLY


class StoreGone(StoreUnavailable):
    """The database is not where it was: what would be written now, nobody would find again."""

    code = Code.STORE_GONE


class NotADatabase(StoreError):
    """The file is damaged, or is not a database of this program."""


class StoreDamaged(NotADatabase, Unreadable):
    """A page of the database is not what was written to it."""


class SchemaTooNew(StoreError):
    """A newer version of this program has used the database."""


class UpgradeRefused(StoreError):
    """An older version of this program is using the database, and would go on as if nothing had changed."""


class UnsupportedDatabase(StoreError):
    """The database software is too old to be trusted with the data."""


class Conflict(StoreError):
    """What was to be written is there already, or refers to something that is not."""
