"""Registrations in memory: what the stores must say, in as few words as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from support.clock import FakeClock

from heliogram.domain.apps import Environment
from heliogram.domain.devices import Device, DeviceState, TokenKind

PRODUCTION = Environment.PRODUCTION
BUNDLES = {"shop": "com.example.shop", "news": "com.example.shop", "bank": "com.example.bank"}
"""Two apps that may share tokens, and one that may not."""


@dataclass(frozen=True)
class Saying:
    """What an app says when it registers."""

    app: str
    token: int
    kind: TokenKind
    environment: Environment | None
    installation: str | None


@dataclass
class ModelDevice:
    """What must be true of one device."""

    token: int
    kind: TokenKind
    slot: int = 0
    environment: Environment | None = None
    learned: bool = False
    installation: str | None = None
    registered: int = 0
    quarantined: bool = False

    @classmethod
    def of(cls, device: Device) -> ModelDevice:
        """The same of a device of the store."""
        return cls(
            token=int.from_bytes(device.token, "big"),
            kind=device.kind,
            slot=device.slot,
            environment=device.environment,
            learned=device.environment_learned,
            installation=device.installation_id,
            registered=device.registered_at,
            quarantined=device.state is DeviceState.QUARANTINED,
        )


@dataclass
class ModelRegistration:
    """A user's devices in an app, and the free slots in the order they will be used."""

    user: bytes
    devices: list[ModelDevice] = field(default_factory=list)
    free: list[int] = field(default_factory=lambda: list(range(1, 64)))


Held = tuple[ModelRegistration, ModelDevice]


class Model:
    """The registrations of one account."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.registrations: dict[tuple[str, bytes], ModelRegistration] = {}

    def held(self, app: str) -> Iterator[Held]:
        """All devices of an app."""
        for (name, _), registration in self.registrations.items():
            if name == app:
                yield from ((registration, device) for device in registration.devices)

    def where(self, app: str, token: int) -> list[Held]:
        return [held for held in self.held(app) if held[1].token == token]

    def give_back(self, app: str, registration: ModelRegistration, slot: int) -> None:
        registration.free.append(slot)
        if not registration.devices:
            del self.registrations[app, registration.user]

    def take_out(self, app: str, held: Held) -> None:
        registration, device = held
        registration.devices.remove(device)
        self.give_back(app, registration, device.slot)

    def known(self, said: Saying) -> Held | None:
        """The device a registration is about: this environment's, or the one whose own was not known or only learned;
        named none, the latest there is, and production's of two that came at the same moment."""
        found = [held for held in self.where(said.app, said.token) if held[1].kind is said.kind]
        if said.environment is not None:
            exact = [held for held in found if held[1].environment is said.environment]
            unsure = [held for held in found if held[1].environment is None or held[1].learned]
            return next(iter(exact + unsure), None)
        return max(found, key=lambda held: (held[1].registered, held[1].environment is PRODUCTION), default=None)

    def holder(self, said: Saying, known: Held | None) -> Held | None:
        """Another device that is this kind's of the installation."""
        installation = said.installation or (known[1].installation if known else None)
        return next(
            (
                held
                for held in self.held(said.app)
                if installation is not None and held[1].installation == installation and held[1].kind is said.kind
                if known is None or held[1] is not known[1]
            ),
            None,
        )

    def is_of_other_app(self, said: Saying) -> bool:
        """Whether the token is alive under an app with another bundle id, and not here."""
        known = self.known(said)
        if known is not None and not known[1].quarantined:
            return False
        others = [app for app, bundle in BUNDLES.items() if bundle != BUNDLES[said.app]]
        return any(not held[1].quarantined for app in others for held in self.where(app, said.token))

    def register(self, said: Saying, user: bytes) -> ModelDevice:
        """Does it in the model; the device as it is then."""
        known = self.known(said)
        holder = self.holder(said, known)
        stays = known is not None and known[0].user == user
        about = [held[1] for held in (known, holder) if held is not None]
        for held in self.where(said.app, said.token):
            if held[1].kind is said.kind and held[0].user != user and not any(held[1] is each for each in about):
                self.take_out(said.app, held)
        slot = None
        if holder is not None:
            if holder[0].user == user and not stays:
                holder[0].devices.remove(holder[1])
                slot = holder[1].slot
            else:
                self.take_out(said.app, holder)
        device = known[1] if known is not None else ModelDevice(said.token, said.kind)
        if not stays:
            target = self.registrations.setdefault((said.app, user), ModelRegistration(user))
            target.devices.append(device)
            old, device.slot = device.slot, target.free.pop(0) if slot is None else slot
            if known is not None:
                known[0].devices.remove(device)
                self.give_back(said.app, known[0], old)
        if said.environment is not None:
            device.environment, device.learned = said.environment, False
        device.installation = said.installation or device.installation
        device.registered, device.quarantined = self.clock.ms, False
        return device
