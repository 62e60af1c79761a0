"""What the control API reads of requests and of what was wrong with them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..journal import AnswerRecord, RequestRecord
from ..violations import ViolationRecord


class RequestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many of the latest requests")] = 100


class RequestList(Struct, frozen=True):
    """``requests`` newest first; ``outcomes`` counts every request since the start or the last reset."""

    requests: list[RequestRecord]
    outcomes: dict[str, int]


class AnswerQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: Annotated[int, Meta(ge=0, description="Only those with higher numbers")] = 0
    limit: Annotated[int, Meta(ge=1, le=100_000, description="How many of them at most")] = 10_000


class AnswerList(Struct, frozen=True):
    """``answers`` oldest first. Numbers count on from 1: a gap after the number asked for means that the simulator
    remembers no more (``--set journal=…``)."""

    answers: list[AnswerRecord]


class ViolationQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many of the latest violations")] = 100
    rule: Annotated[str, Meta(max_length=100, description="Only those of this rule")] | None = None
    connection: Annotated[int, Meta(ge=0, description="Only those on the connection of this number")] | None = None


class ViolationList(Struct, frozen=True, kw_only=True, rename="camel"):
    """``violations`` newest first; ``byRule`` counts every one since the start or the last reset."""

    violations: list[ViolationRecord]
    by_rule: dict[str, int]
