"""What a test looks at: ordinary lists, oldest first, that explain themselves where an assertion fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .journal import RequestRecord
from .lockscreen import Notification
from .violations import ViolationRecord

LINES = 20
"""How many lines an explanation has at most; the latest are shown."""


class Requests(list[RequestRecord]):
    """The requests APNs was asked, each with its answer, oldest first."""

    def __repr__(self) -> str:
        return f"[{', '.join(map(_request, self))}]"

    def explain(self) -> list[str]:
        """One line each, for a person."""
        return _lines(self, _request)


class Violations(list[ViolationRecord]):
    """What clients did against the rules, oldest first."""

    def __repr__(self) -> str:
        return f"[{', '.join(map(str, self))}]"

    def explain(self) -> list[str]:
        """One line each, for a person."""
        return _lines(self, _violation)


class Notifications(list[Notification]):
    """What has reached a device, oldest first, as it was when it was asked for; `wait_for` asks again."""

    def __init__(
        self, items: Iterable[Notification] = (), *, wait: Callable[[int, float], Notifications] | None = None
    ) -> None:
        super().__init__(items)
        self._wait = wait

    def __repr__(self) -> str:
        return f"[{', '.join(map(_notification, self))}]"

    def explain(self) -> list[str]:
        """One line each, for a person."""
        return _lines(self, _notification)

    def wait_for(self, count: int = 1, timeout: float = 5.0) -> Notifications:
        """Wait until there are ``count`` of them, and give all there are then.

        It waits ``timeout`` seconds at most, and then raises AssertionError. It holds up the thread it is called on: in
        an async test, ``await asyncio.to_thread(notifications.wait_for, 2)``.
        """
        __tracebackhide__ = True
        if self._wait is None:
            raise RuntimeError("these notifications belong to no device")
        return self._wait(count, timeout)


def explain(value: object) -> list[str] | None:
    """The lines that explain one of these lists; None for anything else."""
    return value.explain() if isinstance(value, Requests | Violations | Notifications) else None


def _request(one: RequestRecord) -> str:
    outcome = str(one.status) if one.reason is None else f"{one.status} {one.reason}"
    about = " ".join(part for part in (one.topic, one.push_type) if part)
    path = one.path if len(one.path) < 40 else f"{one.path[:32]}…"
    return f"<{outcome}: {one.listener} {one.method} {path}{' ' * bool(about)}{about}>"


def _violation(one: ViolationRecord) -> str:
    where = f"connection {one.connection}" if one.request is None else f"request {one.request}"
    return f"{one} ({where})" if one.connection or one.request is not None else str(one)


def _notification(one: Notification) -> str:
    said = " / ".join(repr(text) for text in (one.title, one.subtitle, one.body) if text is not None)
    return f"<{one.topic} {one.kind}{' ' * bool(said)}{said}>"


def _lines(items: list[Any], line: Callable[[Any], str]) -> list[str]:
    earlier = len(items) - LINES
    shown = [line(item) for item in items[-LINES:]]
    return [f"({earlier} earlier)", *shown] if earlier > 0 else shown
