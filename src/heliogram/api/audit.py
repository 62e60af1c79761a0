"""The record of who changed accounts, keys and credentials."""

from __future__ import annotations

from typing import Any

from ..domain import ids
from ..domain.accounts import AuditEvent, Principal
from ..rest import Call
from .answers import account_of
from .state import ApiState


def audit_event(call: Call[ApiState], action: str, subject: str, **detail: Any) -> AuditEvent:
    """An event by this caller, now, for a store method that keeps it together with the change it tells of."""
    principal: Principal = call.auth
    return AuditEvent(
        id=call.state.ids.new(),
        at=call.state.now(),
        actor=ids.encode(ids.API_KEY, principal.key_id),
        action=action,
        subject=subject,
        detail=detail,
    )


async def audit(call: Call[ApiState], action: str, subject: str, **detail: Any) -> None:
    """Records a change that this caller has just made. `action` such as `credential.created`, `subject` the id of what
    was changed, `detail` more of it as JSON: never a secret, never a device token."""
    await call.state.store.record_audit(account_of(call), audit_event(call, action, subject, **detail))
