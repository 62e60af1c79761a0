"""A Live Activity as it stands on a device, and the card people see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .lockscreen import stamp

if TYPE_CHECKING:
    from .device import App, DeviceToken

State = Literal["active", "stale", "ended"]


class Activity(msgspec.Struct, eq=False, kw_only=True):
    """One Live Activity. Times are seconds since the epoch; ``timestamp`` is that of the latest push applied."""

    id: str
    app: App
    attributes_type: str
    attributes: Any
    content_state: Any
    started_at: float
    updated_at: float
    timestamp: float = 0.0
    stale_date: float | None = None
    ended_at: float | None = None
    dismissal_date: float | None = None
    relevance_score: float | None = None
    token: DeviceToken | None = None
    channel: str | None = None

    def __repr__(self) -> str:
        return f"<Activity {self.id} {self.app.bundle_id} {self.attributes_type} ended={self.ended_at is not None}>"

    def state(self, now: float) -> State:
        if self.ended_at is not None:
            return "ended"
        return "stale" if self.stale_date is not None and self.stale_date <= now else "active"


class Card(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An activity as people read it. ``dismissalDate``: when the card goes; known once it has ended."""

    id: str
    bundle_id: str
    state: State
    attributes_type: str
    attributes: Any
    content_state: Any
    device_token: str | None
    channel: str | None
    started_at: str
    updated_at: str
    stale_date: str | None
    ended_at: str | None
    dismissal_date: str | None
    relevance_score: float | None

    @classmethod
    def of(cls, activity: Activity, now: float) -> Card:
        return cls(
            id=activity.id,
            bundle_id=activity.app.bundle_id,
            state=activity.state(now),
            attributes_type=activity.attributes_type,
            attributes=activity.attributes,
            content_state=activity.content_state,
            device_token=None if activity.token is None else activity.token.value.decode("ascii"),
            channel=activity.channel,
            started_at=stamp(activity.started_at),
            updated_at=stamp(activity.updated_at),
            stale_date=_stamp(activity.stale_date),
            ended_at=_stamp(activity.ended_at),
            dismissal_date=_stamp(activity.dismissal_date),
            relevance_score=activity.relevance_score,
        )


def _stamp(seconds: float | None) -> str | None:
    """As text; what no calendar holds is shown as its nearest."""
    return None if seconds is None else stamp(min(max(seconds, 0.0), 32_503_680_000.0))
