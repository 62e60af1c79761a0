"""What the engine's tests speak of: a device, a notification, a client factory, a list of outcomes."""

from __future__ import annotations

from collections.abc import Callable

from heliogram.apns import Accepted, Alert, Client, Notification, Outcome

MakeClient = Callable[..., Client]
TOKEN = "ab" * 32
HELLO = Notification(alert=Alert(title="Hi", body="There"))


def tokens(count: int) -> list[str]:
    """Distinct device tokens."""
    return [f"{i:064x}" for i in range(count)]


def all_accepted(outcomes: list[Outcome], count: int) -> bool:
    """Exactly one `Accepted` for each of `tokens(count)`."""
    whose = sorted(one.device_token for one in outcomes)
    return whose == tokens(count) and all(isinstance(one, Accepted) for one in outcomes)
