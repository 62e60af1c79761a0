"""Registrations against a model in memory: whatever is called in whatever order, both say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from support.clock import FakeClock
from support.postgres import require_postgres
from support.registration_model import BUNDLES, PRODUCTION, Model, ModelDevice, Saying
from support.stores import FACTORIES, Bench, StoreFactory, token_of

from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import DeviceRegistration, Registered, TokenKind
from heliogram.domain.errors import Code, Conflict
from heliogram.domain.ids import IdFactory
from heliogram.ports import Store, Window

T = TypeVar("T")
APN = ProviderName.APN
# Few of each, and registering more often than anything else: what matters happens when things meet.
APPS = st.sampled_from(["shop", "shop", "shop", "news", "bank"])
TOKENS = st.integers(0, 2)
ENVIRONMENTS = st.sampled_from([None, PRODUCTION, Environment.SANDBOX])
KINDS = st.sampled_from([TokenKind.ALERT, TokenKind.ALERT, TokenKind.VOIP])
INSTALLATIONS = st.sampled_from([None, "i", "i", "j"])
NAMES = st.sampled_from([None, None, None, "ann", "bob"])
SAYING = st.builds(
    lambda app, token, kind, environment, installation: Saying(app, token, kind, environment, installation),
    APPS, TOKENS, KINDS, ENVIRONMENTS, INSTALLATIONS,
)  # fmt: skip


class RegistrationMachine(RuleBasedStateMachine):
    """Registers, moves, quarantines, learns and removes a few tokens among a few users of three apps."""

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
        self.account = self.bench.account
        self.model = Model(self.clock)
        self.names: dict[bytes, str | None] = {}
        self.deleted: set[bytes] = set()

    def run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    @initialize()
    def apps(self) -> None:
        for name, bundle in BUNDLES.items():
            self.run(self.bench.app(name, bundleId=bundle))

    # --- what is called

    def call(self, said: Saying, user: bytes | None, name: str | None) -> Registered:
        return self.run(
            self.bench.device(
                token_of(said.token), user, app_name=said.app, environment=said.environment, kind=said.kind,
                installation_id=said.installation, external_id=name,
            )
        )  # fmt: skip

    def attempt(self, said: Saying, user: bytes | None, name: str | None) -> Registered | None:
        """Registers, and holds what is refused against the model."""
        before = self.names.get(user) if user is not None else None
        owner = next((each for each, known in self.names.items() if name is not None and known == name), None)
        taken = user is not None and name is not None and (owner not in (None, user) or before not in (None, name))
        other = self.model.is_of_other_app(said)
        if not (taken or other):
            return self.call(said, user, name)
        with pytest.raises(Conflict) as raised:
            self.call(said, user, name)
        assert raised.value.code is (Code.TOKEN_OF_OTHER_APP if other else Code.EXTERNAL_ID_TAKEN)
        return None

    @rule(target=users, said=SAYING, name=NAMES)
    def register_without_a_user(self, said: Saying, name: str | None) -> Any:
        made = self.attempt(said, None, name)
        if made is None:
            return multiple()
        known = self.model.known(said)
        current = known or self.model.holder(said, known)
        if name is not None:
            expected = next((user for user, known_as in self.names.items() if known_as == name), None)
        else:
            expected = current[0].user if current else None
        assert made.created_user is (expected is None)
        assert made.user_id == (expected or made.user_id)
        assert made.slot == self.model.register(said, made.user_id).slot
        if not made.created_user:
            return multiple()
        self.names[made.user_id] = name
        return made.user_id

    @rule(user=users, said=SAYING, name=NAMES)
    def register_for_a_user(self, user: bytes, said: Saying, name: str | None) -> None:
        made = self.attempt(said, user, name)
        if made is None:
            return
        assert (made.user_id, made.created_user) == (user, False)
        assert made.slot == self.model.register(said, user).slot
        self.names[user] = name or self.names[user]

    @rule(data=st.data(), app=APPS, token=TOKENS, what=st.sampled_from(["removed", "quarantined", "learned"]))
    def answer(self, data: st.DataObject, app: str, token: int, what: str) -> None:
        """What APNs said of a token."""
        if what == "removed":
            ago = data.draw(st.sampled_from([None, 0, 1500]), "ago")
            self.remove(app, token, ago, data.draw(ENVIRONMENTS, "environment"))
        elif what == "quarantined":
            self.quarantine(app, token)
        else:
            self.learn(app, token)

    def remove(self, app: str, token: int, ago: int | None, environment: Environment | None) -> None:
        dead = None if ago is None else self.clock.ms - ago
        gone = [
            held
            for held in self.model.where(app, token)
            if (dead is None or held[1].registered < dead)
            and (environment is None or held[1].environment in (None, environment))
        ]
        remove = self.store.remove_device
        done = self.run(remove(self.account, app, APN, token_of(token), dead_since=dead, environment=environment))
        assert done is bool(gone)
        for held in sorted(gone, key=lambda held: (held[1].kind, held[1].environment or "")):
            self.model.take_out(app, held)

    def quarantine(self, app: str, token: int) -> None:
        at = self.clock.ms
        done = self.run(self.store.quarantine_device(self.account, app, APN, token_of(token), reason="bad", at=at))
        found = self.model.where(app, token)
        assert done is bool(found)
        for _, device in found:
            device.quarantined = True

    def learn(self, app: str, token: int) -> None:
        unsure = [device for _, device in self.model.where(app, token) if device.environment is None]
        learned = self.run(self.store.learn_environments(self.account, app, {token_of(token): PRODUCTION}))
        assert learned == len(unsure)
        for device in unsure:
            device.environment, device.learned = PRODUCTION, True

    @rule(user=users, app=APPS, token=TOKENS, kind=st.none() | KINDS, whole=st.booleans())
    def delete(self, user: bytes, app: str, token: int, kind: TokenKind | None, whole: bool) -> None:
        """What callers ask for."""
        if whole:
            self.delete_a_registration(user, app)
        else:
            self.delete_a_device(app, token, kind)

    def delete_a_device(self, app: str, token: int, kind: TokenKind | None) -> None:
        for user in {registration.user for registration, _ in self.model.where(app, token)}:
            (registration,) = self.listed(user, app)
            gone = [h for h in self.model.where(app, token) if h[0].user == user and kind in (None, h[1].kind)]
            tokens = {(APN, token_of(token))}
            count = self.run(self.store.delete_devices(self.account, registration.id, tokens, kind=kind))
            assert count == len(gone)
            for held in sorted(gone, key=lambda held: held[1].slot):
                self.model.take_out(app, held)

    def delete_a_registration(self, user: bytes, app: str) -> None:
        gone = self.model.registrations.pop((app, user), None)
        listed = self.listed(user, app)
        assert len(listed) == (gone is not None)
        for registration in listed:
            assert self.run(self.store.delete_registration(self.account, registration.id))

    @rule(user=consumes(users))
    def delete_a_user(self, user: bytes) -> None:
        assert self.run(self.store.delete_user(self.account, user, self.clock.ms))
        del self.names[user]
        self.deleted.add(user)
        for app in BUNDLES:
            self.model.registrations.pop((app, user), None)

    @rule(user=users, name=NAMES)
    def name_a_user(self, user: bytes, name: str | None) -> None:
        call = self.store.name_user(self.account, user, name, self.clock.ms)
        if name is not None and any(known == name for other, known in self.names.items() if other != user):
            with pytest.raises(Conflict):
                self.run(call)
            return
        assert self.run(call)
        self.names[user] = name

    @rule(seconds=st.sampled_from([1, 2]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # --- what must hold

    def listed(self, user: bytes, app: str | None = None) -> Any:
        found = self.store.list_registrations(self.account, Window(), user_id=user, app_name=app)
        return self.run(found).items

    @invariant()
    def both_say_the_same(self) -> None:
        everything = [each for user in (*self.names, *self.deleted) for each in self.listed(user)]
        self.is_there_once(everything)
        found = {
            (each.app_name, each.user_id): [ModelDevice.of(device) for device in each.devices] for each in everything
        }
        assert found == {
            place: sorted(registration.devices, key=lambda device: device.slot)
            for place, registration in self.model.registrations.items()
        }
        alive = self.run(self.store.devices_of_users(self.account, "shop", self.names, kind=TokenKind.ALERT))
        assert {(user, device.slot) for user, devices in alive.items() for device in devices} == {
            (registration.user, device.slot)
            for registration, device in self.model.held("shop")
            if device.kind is TokenKind.ALERT and not device.quarantined
        }

    def is_there_once(self, everything: list[DeviceRegistration]) -> None:
        """One device for a token of a kind in an environment; one token of a kind for an installation."""
        devices = [(registration.app_name, device) for registration in everything for device in registration.devices]
        tokens = [(app, device.token, device.kind, device.environment) for app, device in devices]
        assert len(set(tokens)) == len(tokens)
        named = [(app, device.installation_id, device.kind) for app, device in devices if device.installation_id]
        assert len(set(named)) == len(named)

    @invariant()
    def names_are_whose_they_are(self) -> None:
        expected = {name: user for user, name in self.names.items() if name is not None}
        assert self.run(self.store.users_by_external_id(self.account, ["ann", "bob"])) == expected
        assert self.run(self.store.missing_users(self.account, [*self.names, *self.deleted])) == self.deleted


@pytest.mark.timeout(600)  # on a busy machine it takes five times as long
@pytest.mark.parametrize("kind", sorted(FACTORIES))
def test_registrations_follow_the_model(kind: str) -> None:
    """Slots, environments, owners, names and quarantine are what the model says after every step."""
    if kind == "postgres":
        require_postgres()  # before a machine has a loop that nobody would close
    machine = type("Machine", (RegistrationMachine,), {"factory": staticmethod(FACTORIES[kind])})
    machine.TestCase.settings = settings(  # type: ignore[attr-defined] # made by hypothesis
        max_examples=50 if kind == "sqlite" else 20,  # which takes longer, with the same logic
        stateful_step_count=35,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case = machine.TestCase()  # type: ignore[attr-defined] # made by hypothesis
    case.runTest()
