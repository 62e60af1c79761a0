"""The templates, and what they may say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec

from .plain import name_of
from .static import StaticFiles, at

NAVIGATION: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Watch", "watch", (("Overview", "/"), ("Operations", "/operations"), ("Notifications", "/notifications"))),
    ("Send", "send", (("Compose", "/compose"),)),
    ("Reach", "reach", (("Users", "/users"), ("Devices", "/devices"), ("Channels", "/channels"))),
    (
        "Set up",
        "set-up",
        (
            ("Credentials", "/credentials"),
            ("Apps", "/apps"),
            ("Webhooks", "/webhooks"),
            ("API keys", "/api-keys"),
            ("Audit", "/audit"),
        ),
    ),
)
"""Groups of entries: heading, id, and (name, path) of each."""

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def environment(static: StaticFiles) -> jinja2.Environment:
    """Jinja2 with autoescape, and an error for every name that is not there."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("heliogram.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"at": at, "static": static.url, "navigation": NAVIGATION}
    made.filters |= {
        "when": when,
        "clock": clock_text,
        "wall": wall,
        "span": span,
        "number": number,
        "query": query,
        "pretty": pretty,
        "field_name": name_of,
    }
    return made


def parsed(timestamp: str) -> datetime:
    """An RFC 3339 moment of the API's, which may be one that a caller wrote: small letters are allowed there."""
    return datetime.fromisoformat(timestamp.upper()).astimezone(UTC)


def when(timestamp: str, now: float) -> str:
    """`3 min ago`, or `in 2 h`, of an RFC 3339 moment; `now` in seconds since 1970."""
    seconds = now - parsed(timestamp).timestamp()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def clock_text(timestamp: str) -> str:
    """A moment in full, in UTC: `2026-11-22 20:50:00 UTC`."""
    return parsed(timestamp).strftime("%Y-%m-%d %H:%M:%S UTC")


def wall(timestamp: str) -> str:
    """A moment as it was written, where its clock hangs: `2026-11-24 09:00 +01:00`."""
    at = datetime.fromisoformat(timestamp.upper())
    zone = at.isoformat()[-6:] if at.utcoffset() else "UTC"
    return f"{at:%Y-%m-%d %H:%M}{f':{at:%S}' if at.second else ''} {zone}"


def span(seconds: float) -> str:
    """A length of time in its largest unit: `4 min`."""
    for size, name in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return "less than 1 s"


def number(value: float) -> str:
    """A count with its thousands apart."""
    return f"{value:,}"


def counted(value: int, thing: str) -> str:
    """`1 recipient`, `2,000 recipients`."""
    return f"{number(value)} {thing}" if value == 1 else f"{number(value)} {thing}s"


def query(values: dict[str, Any]) -> str:
    """`?a=b` of what is there; nothing of nothing."""
    told = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(told)}" if told else ""


def pretty(value: Any) -> str:
    """Data as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
