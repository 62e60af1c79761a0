"""Forgetting what is too old to be asked for: the audit log, and keys that ended."""

from __future__ import annotations

from ..domain.accounts import AUDIT_DAYS
from ..ports import AccountStore, AuditStore, KeyStore

SLICE = 500
"""The most rows of one write: whoever writes beside it never waits for more."""
_DAY_MS = 86_400_000


async def forget_old(accounts: AccountStore, audit: AuditStore, keys: KeyStore, now: int) -> int:
    """Removes audit events older than 400 days, and API keys that ended so long ago; how many rows went.

    `now` is in ms. It writes in slices of 500 rows: call it once a day, it may run beside anything.
    """
    before = now - AUDIT_DAYS * _DAY_MS
    gone = 0
    for account in await accounts.list_accounts():
        for prune in (audit.prune_audit, keys.prune_api_keys):
            removed = SLICE
            while removed == SLICE:
                removed = await prune(account.id, before, limit=SLICE)
                gone += removed
    return gone
