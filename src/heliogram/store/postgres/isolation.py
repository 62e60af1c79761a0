"""Which jobs do without SERIALIZABLE, and why each of them may.

Unless it is named here, a writing job runs in a SERIALIZABLE transaction, one at a time in a process: nothing about it
has to be proven. That is for what happens seldom. PostgreSQL tells conflicts there by pages of indexes, so two sends of
different tokens would often be taken for one, and one of them be run again.

The jobs named here run under REPEATABLE READ, as many at once as there are connections. They see one moment of the
database; whoever changes a row that another has changed since is run again, and so is whoever makes a key that another
has made since. What is left is that two transactions each read what the other writes, without writing the same row. So
of every job it is said here which rows or keys those who must not overlap have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"
REPEATABLE_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ"
READ_COMMITTED = "BEGIN ISOLATION LEVEL READ COMMITTED"
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

ONE = "one statement"

BY_ROWS: dict[str, str] = {
    # Whoever changes a registration's devices changes its row: the slots in it, or when it was changed. Two who make
    # the same registration, or keep the same token or installation, make the same key. A user's first registration in
    # an app writes the user's row (see the text of `insert_registration`), as deleting the user does. An app that is
    # being removed is looked for registrations in slices until none is left, and a reference keeps it while there are.
    "Registrations.register_device": "registration, device_by_token, device_by_installation, user",
    "Registrations.delete_registration": "registration",
    "Registrations.delete_devices": "registration",
    "Registrations.learn_environments": "device",
    # What is remembered of a token that nobody has registered counts for nothing when it was registered since: the
    # text of `refused` compares the times.
    "Registrations.remove_device": "registration",
    "Registrations.quarantine_device": "device",
    "RefusedTokens.forget_refused": ONE,
    # What happened to a device is written by whoever changes its row, or keeps it because of another's.
    "History.forget_history": ONE,
    # What one node says of itself; several keep the last answer of a credential, whichever is the latest.
    "Standings.tell_troubles": "credential_trouble of one node, credential",
    "Standings.tell_answers": ONE,
    "Standings.forget_troubles": ONE,
    "Users.ensure_user": "user_external",
    "Users.name_user": "user, user_external",
    "Users.delete_user": "user, registration",
    "_remove_leaving": "app, registration",
    # A key is one row, made by one of two, changed by one of two.
    "Idempotency.reserve_key": "idempotency",
    "Idempotency.keep_answer": ONE,
    "Idempotency.free_key": ONE,
    "Idempotency.forget_idempotency": ONE,
    "Webhooks.begin_webhook_test": ONE,
    "Webhooks.end_webhook_test": ONE,
    "Keys.touch_api_key": ONE,
    "Keys.prune_api_keys": ONE,
    "EndedSessions.forget_sessions": ONE,
    "Audit.record_audit": ONE,
    "Audit.prune_audit": ONE,
}
"""Where a job is written, and the rows or keys in common. What is one statement, which does no harm when it is done
twice, needs no transaction around it."""


def code_of(job: Callable[..., Any]) -> Any:
    """What tells one kind of job from another: its code."""
    while isinstance(job, partial):
        job = job.func
    return getattr(job, "__code__", None)


def isolation_of(code: Any) -> str | None:
    """How the transaction of a job with this code begins, None for none."""
    why = None if code is None else BY_ROWS.get(code.co_qualname.partition(".<locals>")[0])
    if why is None:
        return SERIALIZABLE
    return None if why == ONE else REPEATABLE_READ
