"""What can go wrong with a database, whichever it is. The messages say what to do."""

from __future__ import annotations

from ..domain.errors import Unavailable


class StoreError(Exception):
    """The store cannot do its work."""


class StoreClosed(StoreError, Unavailable):
    """The store was closed; nothing was written."""


class StoreUnavailable(StoreError, Unavailable):
    """The database cannot be used just now (locked, disk full, I/O error); nothing was written."""


class NotADatabase(StoreError):
    """The file is damaged, or is not a database of this program."""


class SchemaTooNew(StoreError):
    """A newer version of this program has used the database."""


class UnsupportedDatabase(StoreError):
    """The database software is too old to be trusted with the data."""


class Conflict(StoreError):
    """What was to be written is there already, or refers to something that is not."""
