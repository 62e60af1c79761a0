"""A moment as people write it into a form: the clock on their wall, and where that hangs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

MAX_ZONE = 64
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d(?:\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*", re.ASCII)


def zone_of(text: str) -> tzinfo:
    """A time zone's name (`Europe/Berlin`) or offset (`+02:00`); nothing is UTC. Raises ValueError."""
    if text.upper() in ("", "UTC", "Z"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    try:
        if offset is not None:
            size = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return timezone(-size if offset[1] == "-" else size)
        if len(text) <= MAX_ZONE and _NAME.fullmatch(text):
            return ZoneInfo(text)
    except (ValueError, KeyError, OSError):
        pass
    raise ValueError(f"Expected a time zone such as Europe/Berlin, or an offset such as +02:00, got {text[:40]!r}.")


def moment(text: str, zone: tzinfo) -> str:
    """What a date and time in a zone is for the API: `2026-11-24T09:00:00+01:00`. One that has an offset keeps it; of
    an hour that comes twice the first is meant. Raises ValueError with what is wrong."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"Expected a date and a time such as 2026-11-24 09:00, got {text[:40]!r}.")
    date, minutes, seconds, offset = found.groups()
    try:
        local = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}{(offset or '').upper()}")
        there = local.replace(tzinfo=zone) if local.tzinfo is None else local
        exists = there.astimezone(UTC).astimezone(there.tzinfo) == there
    except (ValueError, OverflowError):
        raise ValueError(f"There is no such date or time: {text[:40]!r}.") from None
    if not exists:
        raise ValueError(f"There is no {minutes} on that day in {zone}: the clocks are set forward over it.")
    return there.isoformat()
