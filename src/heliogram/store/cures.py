"""What to do about a problem that `heliogram check` found and that no repair puts right."""

from __future__ import annotations

_RESTORE = "restore a backup: what was sent since it was made may be sent again"

CURES = (
    ("is no database of heliogram", "give the data directory or the URL of a database that heliogram made"),
    ("use the newer", "run the newer heliogram, which knows this schema"),
    ("integrity: ", "stop the service, look after the disk and the memory, and restore a backup"),
    ("is damaged", "stop the service, look after the disk and the memory, and restore a backup"),
    ("let `heliogram migrate-store` end first", "run the same heliogram migrate-store again, or with --abort"),
    (
        "schema: ",
        "make it as it is in a new database of this version (pg_dump --schema-only of one), or restore a backup",
    ),
    ("what follows was not looked at", "mend what stands before it, then check again"),
    (
        "partitions: ",
        "where one alone is missing, make it as another day's; start a dispatcher, which makes whole days",
    ),
    ("is not valid: REINDEX", "run that command as the tables' owner; where it fails, two rows have the same key"),
    ("left by a REINDEX", "run that command as the tables' owner, when nobody makes that index anew just now"),
    ("VALIDATE CONSTRAINT", "first put right the rows that name what is not there"),
    ("leases: ", "start a worker: it takes over whatever nobody sends any more"),
    (
        "references: ",
        "restore a backup, or put the missing row back from one; do not remove rows by hand that users own",
    ),
    ("counts of waiting recipients", "run --repair again: it is counted anew"),
    ("chunks belong to no operation", "run --repair again"),
    ("chunks have no recipients", f"who they were for is lost: {_RESTORE}"),
    ("belong to no chunk", f"their operation is there, and a chunk of it is lost: {_RESTORE}"),
    ("webhooks were told more", "run --repair again"),
    ("entries of devices' history", "run --repair again"),
    ("devices can be sent to", "register these devices again: each app does so when it is started"),
    ("entries of what can be sent to", "run --repair again"),
    ("it has no device", "run --repair again"),
    ("do not make up its 63", "run --repair again"),
    ("a chunk begins at recipient", f"a chunk is lost: {_RESTORE}"),
    ("its chunks hold", f"a chunk is lost: {_RESTORE}"),
    ("a chunk is not done", "workers send it; cancel the operation if they should not, then check again"),
    ("recipients have ended", f"what became of the others is lost: {_RESTORE}"),
    ("its results make", f"what became of some recipients is lost: {_RESTORE}"),
    ("result parts, it says", f"what became of some recipients is lost: {_RESTORE}"),
    ("it holds other recipients", f"who it was for is lost: {_RESTORE}"),
    ("packed ", f"what is packed there cannot be read any more: {_RESTORE}"),
)
"""By a part of the problem's words."""


def cure_of(problem: str) -> str:
    """What to do about a problem that is left."""
    return next((cure for words, cure in CURES if words in problem), _RESTORE)
