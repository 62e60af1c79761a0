"""Every token APNs has given: how one begins, and how it ends (LIFE-2, LIFE-9)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from .agenda import Agenda
from .deliverylog import UNREGISTERED, DeliveryLog
from .device import App, Device, DeviceToken
from .kinds import KINDS, TokenKind
from .lockscreen import Arrival
from .tables import Settings


class Tokens:
    """The tokens by their hex digits, dead ones too, and the log of what was sent to them."""

    def __init__(self, clock: Callable[[], float], rng: random.Random, settings: Settings, agenda: Agenda) -> None:
        self.clock = clock
        self.settings = settings
        self.agenda = agenda
        self.tokens: dict[bytes, DeviceToken] = {}
        self.log = DeliveryLog(settings.deliveries, clock)
        self._random = rng
        self._topics: dict[str, bytes] = {}

    def issue(
        self,
        device: Device,
        app: App,
        kind: TokenKind = "device",
        *,
        name: str = "",
        token_bytes: int | None = None,
        value: bytes | None = None,
    ) -> DeviceToken:
        """A new token of an app, known to APNs from now on; ``value`` when it is not to be made up."""
        token = DeviceToken(
            value=value or self.made_id(token_bytes or app.token_bytes).encode("ascii"),
            device=device,
            app=app,
            environment=app.signed_for,
            topic=self._topic(app.bundle_id + KINDS[kind].suffix),
            kind=kind,
            name=name,
        )
        self.tokens[token.value] = token
        if kind != "device":
            app.others = app.others if app.others is not None else {}
            app.others[kind, name] = token
        return token

    def end_token(
        self, token: DeviceToken, state: Literal["unregistered", "expired"] = "unregistered", at: float | None = None
    ) -> None:
        """It is dead. APNs knows at once, or some time after the first push to it (LIFE-9)."""
        if token.state != "active":
            return
        if state == "unregistered" and self.settings.unregistered_after:
            token.state = "leaving"
        else:
            token.state = state
            token.ended_at = int((self.clock() if at is None else at) * 1000)

    def discard(self, arrival: Arrival, token: DeviceToken) -> None:
        """A push was accepted for a token whose app has gone; with the first of them APNs begins to notice (LIFE-9)."""
        self.log.add(arrival, token.device.id, UNREGISTERED)
        if token.ended_at == 0:
            confirmed = arrival.received_at + self.settings.unregistered_after
            token.ended_at = int(confirmed * 1000)
            self.agenda.at(confirmed, lambda: _confirm(token))

    def made_id(self, size: int) -> str:
        """Random hex digits for ``size`` bytes."""
        return f"{self._random.getrandbits(size * 8):0{size * 2}x}"

    def _topic(self, topic: str) -> bytes:
        """As bytes that all tokens of the topic share."""
        known = self._topics.get(topic)
        if known is None:
            known = self._topics[topic] = topic.encode("ascii")
        return known


def _confirm(token: DeviceToken) -> None:
    if token.state == "leaving":
        token.state = "unregistered"
