"""Registrations against a model in memory: whatever is called in whatever order, both say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from support.clock import FakeClock
from support.stores import FACTORIES, Bench, StoreFactory, token_of

from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import DeviceState
from heliogram.domain.ids import IdFactory
from heliogram.ports import Store, Window

T = TypeVar("T")
APPS = ("shop", "news")
TOKENS = st.integers(0, 5)
ENVIRONMENTS = st.sampled_from([None, Environment.PRODUCTION, Environment.SANDBOX])


@dataclass
class ModelDevice:
    """What must be true of one device."""

    slot: int
    environment: Environment | None
    registered: int
    quarantined: bool = False


@dataclass
class ModelRegistration:
    """A user's devices in an app, and the free slots in the order they will be used."""

    user: bytes
    devices: dict[tuple[int, Environment | None], ModelDevice] = field(default_factory=dict)
    free: list[int] = field(default_factory=lambda: list(range(1, 64)))


class RegistrationMachine(RuleBasedStateMachine):
    """Registers, moves, quarantines and removes a few tokens among a few users of two apps."""

    factory: StoreFactory
    users = Bundle("users")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        ids = IdFactory(lambda: self.clock.ms)
        self.store: Store = self.run(type(self).factory(self.directory, ids, self.clock))
        self.bench = Bench(self.store, self.clock, ids, self.run(self.store.default_account()).id)
        self.model: dict[tuple[str, bytes], ModelRegistration] = {}

    def run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    def where(self, app: str, token: int) -> list[tuple[ModelRegistration, tuple[int, Environment | None]]]:
        return [
            (registration, key)
            for (name, _), registration in self.model.items()
            if name == app
            for key in registration.devices
            if key[0] == token
        ]

    def take_out(self, app: str, registration: ModelRegistration, key: tuple[int, Environment | None]) -> None:
        registration.free.append(registration.devices.pop(key).slot)
        if not registration.devices:
            del self.model[app, registration.user]

    @initialize()
    def apps(self) -> None:
        for name in APPS:
            self.run(self.bench.app(name))

    @rule(target=users, app=st.sampled_from(APPS), token=TOKENS, environment=ENVIRONMENTS)
    def register_without_a_user(self, app: str, token: int, environment: Environment | None) -> Any:
        made = self.run(self.bench.device(token_of(token), app_name=app, environment=environment))
        known = self.known(app, token, environment)
        assert made.created_user is (known is None)
        self.register(app, made.user_id, token, environment, made.slot)
        return made.user_id if made.created_user else multiple()

    @rule(user=users, app=st.sampled_from(APPS), token=TOKENS, environment=ENVIRONMENTS)
    def register_for_a_user(self, user: bytes, app: str, token: int, environment: Environment | None) -> None:
        made = self.run(self.bench.device(token_of(token), user, app_name=app, environment=environment))
        assert (made.user_id, made.created_user) == (user, False)
        self.register(app, user, token, environment, made.slot)

    def known(
        self, app: str, token: int, environment: Environment | None
    ) -> tuple[ModelRegistration, tuple[int, Environment | None]] | None:
        """The device a registration is about: this environment's, or the one that did not know its own yet; named
        none, the latest there is, and production's of two that came at the same moment."""
        found = self.where(app, token)
        exact = [each for each in found if each[1][1] is environment]
        if exact:
            return exact[0]
        if environment is not None:
            return next((each for each in found if each[1][1] is None), None)
        production = Environment.PRODUCTION
        return max(
            found, key=lambda each: (each[0].devices[each[1]].registered, each[1][1] is production), default=None
        )

    def register(self, app: str, user: bytes, token: int, environment: Environment | None, slot: int) -> None:
        known = self.known(app, token, environment)
        learned = environment or (known[1][1] if known else None)
        if known is not None and known[0].user == user:
            device = known[0].devices.pop(known[1])
            known[0].devices[token, learned] = device
        else:
            if known is not None:
                self.take_out(app, *known)
            registration = self.model.setdefault((app, user), ModelRegistration(user))
            device = ModelDevice(registration.free.pop(0), learned, 0)
            registration.devices[token, learned] = device
        device.environment, device.registered, device.quarantined = learned, self.clock.ms, False
        assert slot == device.slot

    @rule(app=st.sampled_from(APPS), token=TOKENS, ago=st.sampled_from([None, 0, 1500]))
    def remove(self, app: str, token: int, ago: int | None) -> None:
        dead = None if ago is None else self.clock.ms - ago
        gone = [each for each in self.where(app, token) if dead is None or each[0].devices[each[1]].registered < dead]
        done = self.run(
            self.store.remove_device(self.bench.account, app, ProviderName.APN, token_of(token), dead_since=dead)
        )
        assert done is bool(gone)
        for each in sorted(gone, key=lambda pair: pair[1][1] or ""):
            self.take_out(app, *each)

    @rule(app=st.sampled_from(APPS), token=TOKENS)
    def quarantine(self, app: str, token: int) -> None:
        done = self.run(
            self.store.quarantine_device(
                self.bench.account, app, ProviderName.APN, token_of(token), reason="bad", at=self.clock.ms
            )
        )
        found = self.where(app, token)
        assert done is bool(found)
        for registration, key in found:
            registration.devices[key].quarantined = True

    @rule(user=consumes(users), app=st.sampled_from(APPS))
    def delete(self, user: bytes, app: str) -> None:
        listed = self.run(self.bench.store.list_registrations(self.bench.account, Window(), user_id=user, app_name=app))
        gone = self.model.pop((app, user), None)
        assert len(listed.items) == (gone is not None)
        for registration in listed.items:
            assert self.run(self.store.delete_registration(self.bench.account, registration.id))

    @rule(seconds=st.sampled_from([1, 2]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def both_say_the_same(self) -> None:
        for app in APPS:
            wanted = [user for name, user in self.model if name == app]
            found = self.run(self.store.devices_of_users(self.bench.account, app, wanted))
            for user in wanted:
                expected = self.model[app, user].devices
                assert {
                    (device.slot, device.token, device.environment, device.registered_at)
                    for device in found.get(user, [])
                } == {
                    (device.slot, token_of(token), device.environment, device.registered)
                    for (token, _), device in expected.items()
                    if not device.quarantined
                }
                (registration,) = self.run(
                    self.store.list_registrations(self.bench.account, Window(), user_id=user, app_name=app)
                ).items
                assert len(registration.devices) == len(expected)
                held = {device.slot for device in registration.devices if device.state is DeviceState.QUARANTINED}
                assert held == {device.slot for device in expected.values() if device.quarantined}


@pytest.mark.parametrize("kind", sorted(FACTORIES))
def test_registrations_follow_the_model(kind: str) -> None:
    """Slots, environments, owners and quarantine are what the model says after every step."""
    machine = type("Machine", (RegistrationMachine,), {"factory": staticmethod(FACTORIES[kind])})
    machine.TestCase.settings = settings(  # type: ignore[attr-defined] # made by hypothesis
        max_examples=40,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case = machine.TestCase()  # type: ignore[attr-defined] # made by hypothesis
    case.runTest()
