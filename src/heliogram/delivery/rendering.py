"""From the devices to be tried to the pushes for them: payload, id, headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..domain import ids
from ..domain.render import Renderer
from ..ports import LeasedChunk, Push
from .plan import Target


class Rendered(NamedTuple):
    """Pushes to send, and targets that are not even tried, each with the reason."""

    pushes: list[Push]
    refused: list[tuple[Target, str]]


def render(
    chunk: LeasedChunk, targets: Sequence[Target], *, limit: int, now: int, deadline: int, collapse_by_id: bool
) -> Rendered:
    """The pushes for targets of one chunk. `limit` is the most bytes of a payload; `now` and `deadline` are ms."""
    renderer, spec = Renderer(chunk.spec), chunk.spec
    expiration = None if spec.expires_at is None else spec.expires_at // 1000
    rendered = Rendered([], [])
    sequence, payload = -1, b""
    for target in targets:
        if target.sequence != sequence:  # once for all devices of a recipient, which come one after another
            sequence = target.sequence
            payload = renderer.payload(chunk.recipients[sequence - chunk.first].variables)
        refusal = _refusal(payload, limit, now, deadline)
        if refusal is not None:
            rendered.refused.append((target, refusal))
            continue
        notification = ids.notification_id(chunk.operation_id, target.sequence)
        rendered.pushes.append(
            Push(
                tag=target,
                token=target.token,
                apns_id=ids.uuid_text(ids.notification_id(chunk.operation_id, target.sequence, target.slot)),
                payload=payload,
                priority=spec.priority.apns,
                expiration=expiration,
                collapse_id=ids.uuid_text(notification) if collapse_by_id else None,
            )
        )
    return rendered


def _refusal(payload: bytes, limit: int, now: int, deadline: int) -> str | None:
    """Why a rendered push is not even tried."""
    if len(payload) > limit:
        return f"PayloadTooLarge: {len(payload)} bytes after rendering, the limit is {limit}"
    if now >= deadline:
        return "Expired: its time was over before it could be sent"
    return None
