"""What the control API reads and writes of an app's tokens and Live Activities."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ..activities import Updates
from ..cards import Card
from ..device import DeviceToken
from ..kinds import Permission, TokenKind
from ..tables import Environment

Moment = Annotated[float, Meta(ge=0, le=32_503_680_000, description="Seconds since the epoch")]


class AppChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What the user allows: ``provisional`` alerts are shown quietly, the last two not at all."""

    permission: Permission


class TokenIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """``name`` tells several of one kind apart: the channel joined, the control, the type of activity."""

    kind: TokenKind
    name: Annotated[str, Meta(max_length=100)] = ""


class TokenOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A token an app holds, and what to send to it."""

    device_token: str
    kind: TokenKind
    name: str
    environment: Environment
    topic: str

    @classmethod
    def of(cls, token: DeviceToken) -> TokenOut:
        return cls(
            device_token=token.value.decode("ascii"),
            kind=token.kind,
            name=token.name,
            environment=token.environment,
            topic=token.topic.decode("ascii"),
        )


class TokenList(Struct, frozen=True):
    """The device token first."""

    tokens: list[TokenOut]


class ActivityIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A Live Activity as an app starts it: with an update token, a channel to listen to, or no updates at all."""

    attributes_type: Annotated[str, Meta(min_length=1, max_length=200, examples=["DeliveryAttributes"])]
    attributes: dict[str, Any] = {}
    content_state: dict[str, Any] = {}
    stale_date: Moment | None = None
    channel: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    updates: Updates = "token"


class ActivityEnd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """``dismissalDate``: when the card goes; in the past: at once; absent: 4 h from now."""

    dismissal_date: Moment | None = None


class CardList(Struct, frozen=True):
    activities: list[Card]
