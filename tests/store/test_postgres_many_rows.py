"""What the statements of pushes, devices, requests and duties read of large tables, in a database that nobody has ever
analyzed, by plans that were made when there was little."""

from __future__ import annotations

from typing import Any

import pytest
from support.many_rows import NOW, fill, ident, values_at

from heliogram.store.postgres.catalogue import catalogue
from heliogram.store.postgres.link import Link

pytestmark = pytest.mark.anyio

FEW, MANY = 1_000, 20_000
ASKED = 15_015
BLOCKS = 150
"""Blocks that a look-up may read. It finds one or two rows by indexes of two or three levels; to write one takes those
of six indexes and of what it refers to, and a claim of four chunks asks five partitions. What reads an account's rows
reads hundreds."""
_READ = """
SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::bigint FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')
"""
_SEVERAL = ("account", "operation", "first", "attempt", "at", "sent", "failed", "unaddressable", "packed", "part_at")
_NEW: dict[str, dict[str, Any]] = {
    "queueing.accept": {
        **dict.fromkeys(("most", "near", "account_most", "account_near")),
        "alone": 0,
        "loud": False,
        "ids": [ident(99, 0)],
        "of": [1],
        "sizes": [1],
        "prints": [b""],
        **{key: ["text"] for key in ("apps", "statuses", "workers")},
        **{key: [b"bytes"] for key in ("specs", "flows", "packed")},
        **{key: [0] for key in ("recipients", "shards", "states", "due", "attempts", "claimed", "starts")},
        **{key: [NOW] for key in ("created", "updated")},
        **{key: [None] for key in ("send_at", "send_at_text", "tags")},
    },
    "queueing.next_of_several": {"lanes": [0, 0], "shards": [0, 1], "afters": [-1, -1]},
    "devices.renew": {"user": None, "external": None},
    "registrations.dead_devices": {"before": None},
    "registrations.devices_of_users": {"kind": None},
    "history.entries_of_user": {"app": None},
    "history.entries_of_token": {"app": None},
    "history.living_with_token": {"app": None},
    "webhooks.events_after": {"after": ASKED - 300},
    "webhooks.parts_after": {"after": ASKED - 300},
    "retention.ended_operations": {"finished": NOW + ASKED - 50, "before": NOW + MANY},
    "refused.forget_refused": {"before": NOW + 4},
    "history.forget_old": {"before": ident(10, 4)},
    "idempotency.prune": {"before": NOW + 4},
}
_KEYS = """
queueing.append queueing.finish queueing.finish_several queueing.release queueing.extend queueing.flows queueing.take
queueing.parts_of queueing.load queueing.is_there queueing.lock_operation queueing.chunks_after
claims.due_chunks claims.starting_chunks claims.claim_chunk claims.begin_operation
references.take_chunk references.taken_chunk
canceling.operation_to_cancel canceling.chunk_to_cancel canceling.canceled_operations canceling.end_operation
canceling.end_chunk work.stopped work.let_go
operations.get_operation operations.list_operations operations.list_operations_of_status operations.chunk_of
operations.parts operations.chunks_newest_first operations.chunks_of_user_newest_first
registrations.same_token registrations.same_installation registrations.find_registration registrations.renew_device
registrations.place_device registrations.touch_registration registrations.oldest_device registrations.delete_device
registrations.quarantine registrations.learn_environment registrations.get_registration
registrations.list_registrations registrations.registrations_with registrations.devices registrations.token_environments
registrations.sandbox_tokens registrations.later_environments
refused.refuse refused.forget_token refused.refused
users.user_exists users.named_user users.named_users users.missing_users users.registrations_of_user users.list_users
history.newest history.delete_older history.forget_token history.forget_user history.forget_app history.living_of_user
history.arrivals
idempotency.find_key keys.find_caller keys.touch_key apps.select_apps
webhooks.put_off webhooks.delete_batch webhooks.first_due webhooks.list_dead webhooks.chunk_told
webhooks.parts_up_to webhooks.accounts_with_events
retention.chunks_of retention.parts_of retention.last_part_of retention.delete_chunk
"""
_EXTRA = {
    "webhooks.accounts_with_events": 250,  # a look-up for each of 50 accounts
    "queueing.flows": 200,  # for each of 50 queues
    "queueing.next_of_several": 120,  # the same of two shards
    "work.let_go": 120,  # four chunks are written
}


def values_of(key: str, n: int) -> dict[str, Any]:
    values = values_at(n, even=False)
    if key == "queueing.finish_several":
        values |= {name: [values[name]] for name in _SEVERAL}
    return values | _NEW.get(key, {})


async def blocks_of(link: Link, key: str, n: int) -> int:
    """How many blocks of tables and indexes a statement asks for, all that its functions, triggers and references do
    included; nothing of it stays."""
    text = catalogue()[key]
    await link.command("BEGIN")
    try:
        before: int = await link.connection.fetchval(_READ)
        known = link._prepared.get(key)
        if known is None:
            known = link._prepared[key] = text, await link.connection.prepare(text.sql)
        await known[1].fetch(*text.arguments(values_of(key, n)))
        after: int = await link.connection.fetchval(_READ)
        return after - before
    finally:
        await link.command("ROLLBACK")


async def test_what_is_looked_up_is_found_by_its_index_however_early_that_was_planned(
    links: tuple[Link, Link],
) -> None:
    """Neither a table nor an index is read from end to end, nor what an account has: one has nearly all."""
    link, filling = links
    keys = [*_NEW, *_KEYS.split()]
    await fill(filling.connection, 0, FEW, even=False)
    for key in keys:
        await blocks_of(link, key, 15)
    await fill(filling.connection, FEW, MANY, even=False)
    read = {key: await blocks_of(link, key, ASKED) for key in keys}
    assert {key: blocks for key, blocks in read.items() if blocks > _EXTRA.get(key, BLOCKS)} == {}
