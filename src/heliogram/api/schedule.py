"""When a send leaves and when it is no longer worth sending: `schedule`, `ttl`, `expiresAt`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec

from ..domain.errors import Code, FieldProblem
from ..domain.notifications import NOT_STORED

DAY_MS = 24 * 3600 * 1000
MAX_AHEAD_MS = 30 * DAY_MS
"""How far ahead a send may be scheduled."""
MAX_TTL = 30 * 24 * 3600
"""Seconds that a notification may stay worth sending, counted from its send time: APNs keeps none longer."""
GRACE_MS = 5_000
"""A time to send at may have passed by so much: it is then sent at once. Clocks differ, and requests travel."""
_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d(?:\.\d{1,9})?)([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
"""RFC 3339, with as many digits of a second as Go and Java write (9) and .NET (7)."""
_EXAMPLE = "2026-03-19T09:30:00+01:00"


class ScheduleIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """When to send. `sendAt` holds exactly one date-time with its offset, such as `2026-03-19T09:30:00+01:00`, at most
    30 days ahead. One that passed no more than 5 seconds ago is sent at once."""

    send_at: Annotated[
        list[str], msgspec.Meta(extra_json_schema={"minItems": 1, "maxItems": 1, "items": {"format": "date-time"}})
    ]


class ScheduleOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When it is, or was, to be sent: as it was given, offset and all."""

    send_at: list[str]


def schedule_out(send_at_text: str | None) -> ScheduleOut | None:
    """The schedule as an answer, None for what was sent at once."""
    return None if send_at_text is None else ScheduleOut(send_at=[send_at_text])


TtlIn = Annotated[
    int,
    msgspec.Meta(
        ge=0,
        le=MAX_TTL,
        description="Seconds from the send time for which the notification is worth sending, 0 to 2,592,000 (30 days)."
        " 0: one attempt, and a device that cannot be reached just then never gets it. Not beside `expiresAt`.",
    ),
]
ExpiresAtIn = Annotated[
    str,
    msgspec.Meta(
        description="The date-time, with its offset, from which on the notification is not sent any more: later than"
        " the send time, and at most 30 days after it. Not beside `ttl`.",
        extra_json_schema={"format": "date-time"},
    ),
]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When to send and until when, in ms since 1970. `send_at` None means now; `send_at_text` is as the caller wrote
    it. `expires_at` is `NOT_STORED` for a time to live of 0, None without an end of its own."""

    send_at: int | None = None
    send_at_text: str | None = None
    expires_at: int | None = None


def read_timing(
    schedule: ScheduleIn | None, ttl: int | None, expires_at: str | None, now: int
) -> tuple[Timing, list[FieldProblem]]:
    """The timing of a send accepted at `now` (ms), and what is wrong with it."""
    problems: list[FieldProblem] = []
    send_at = None if schedule is None else _send_at(schedule.send_at, now, problems)
    start = now if send_at is None else send_at
    expires: int | None = None
    if ttl is not None and expires_at is not None:
        problems.append(FieldProblem("$.ttl", "give either ttl or expiresAt, not both"))
    elif ttl is not None:
        expires = start + ttl * 1000 if ttl else NOT_STORED
    elif expires_at is not None:
        expires = _expires_at(expires_at, now, start, problems)
    text = None if schedule is None or send_at is None else schedule.send_at[0]
    return Timing(send_at=send_at, send_at_text=text, expires_at=expires), problems


def _send_at(given: list[str], now: int, problems: list[FieldProblem]) -> int | None:
    """The time to send at, None when it is wrong."""
    path = "$.schedule.sendAt"
    if len(given) != 1:
        message = f"give exactly one date-time, this has {len(given)}"
        problems.append(FieldProblem(path, message, Code.INVALID_SCHEDULE))
        return None
    moment = _moment(given[0])
    message = moment if isinstance(moment, str) else ""
    if isinstance(moment, int):
        if moment < now - GRACE_MS:
            message = "this time has passed: give one that is to come, or leave `schedule` out to send now"
        elif moment > now + MAX_AHEAD_MS:
            message = "this is more than 30 days ahead: give a time within 30 days"
        else:
            return moment
    problems.append(FieldProblem(f"{path}[0]", message, Code.INVALID_SCHEDULE))
    return None


def _expires_at(given: str, now: int, start: int, problems: list[FieldProblem]) -> int | None:
    """The end of its time, None when it is wrong."""
    moment = _moment(given)
    message = moment if isinstance(moment, str) else ""
    if isinstance(moment, int):
        if moment <= now:
            message = "this time has passed, so nothing would be sent: give one that is to come"
        elif moment <= start:
            message = "this is not later than schedule.sendAt, so nothing would be sent: give a later time"
        elif moment > start + MAX_TTL * 1000:
            message = "this is more than 30 days after the send time: give an earlier time, or leave it out"
        else:
            return moment
    problems.append(FieldProblem("$.expiresAt", message))
    return None


def _moment(text: str) -> int | str:
    """A date-time in ms since 1970, or what is wrong with the text."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return f"expected a date-time with its offset, such as {_EXAMPLE}"
    date, time, offset = found.groups()
    if offset is None:
        return f"the offset is missing, and no time zone of a recipient is known: add it, such as {_EXAMPLE}, or a Z"
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset.replace('z', 'Z')}")
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return f"there is no such date, time or offset: expected one such as {_EXAMPLE}"
