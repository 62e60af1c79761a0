"""Chunks and records as a recorder has them, for whoever counts them."""

from __future__ import annotations

from typing import Any

from support.stores import recipients_of

from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import Content, DeliveryRecord, Outcome, SendSpec
from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk


def chunk_of(ids: IdFactory, account: bytes, *, app: str = "shop", size: int = 3) -> LeasedChunk:
    """A chunk of a new operation."""
    operation = ids.new()
    return LeasedChunk(
        account_id=account,
        id=operation,
        operation_id=operation,
        first=0,
        lane=Lane.TX,
        shard=0,
        attempt=1,
        until=0,
        recipients=recipients_of(size),
        records=[],
        spec=SendSpec(app_name=app, content=Content(body="hello")),
        created=0,
        start=0,
        claimed=0,
    )


def record(sequence: int, outcome: Outcome = Outcome.ACCEPTED, **more: Any) -> DeliveryRecord:
    """One attempt, final unless said otherwise."""
    known: dict[str, Any] = {"slot": 0, "final": True, "at": 1_000, "token": bytes.fromhex("0123" + "00" * 28 + "89ab")}
    if outcome is Outcome.ACCEPTED:
        known |= {"status": 200, "wire_ms": 8}
    return DeliveryRecord(**(known | {"sequence": sequence, "outcome": outcome} | more))
