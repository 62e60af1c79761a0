"""Everything, from what is told to the program to what APNs says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..apns.environment import Environment
from ..settings import Address, ServeSettings
from . import credentials, directory, machine, network, proxy, running, shared
from .finding import Finding, State, failed, ok, warning

if TYPE_CHECKING:
    from .. import apns


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is looked at. `configuration` has what `heliogram config check` found; `key` was named on the command line,
    with its `topic` and environment if APNs is to be asked."""

    settings: ServeSettings
    net: network.Net
    configuration: tuple[str | None, Sequence[str], Sequence[str]] = (None, (), ())
    key: apns.SigningKey | apns.Certificate | None = field(default=None, repr=False)
    topic: str | None = None
    environment: str = "production"
    offline: bool = False
    synchronised: Callable[[], bool | None] = machine.is_synchronised
    file_limit: Callable[[], int] = machine.file_limit
    free: Callable[[Path], tuple[int, int]] = directory.free_space


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    """One finding after the other, as they come."""
    settings = patient.settings
    for finding in _configuration(*patient.configuration):
        yield finding
    for finding in _machine(patient):
        yield finding
    sound = True
    async for finding in _kept(patient):
        sound = sound and (finding.state is State.OK or finding.check not in ("database", "data directory"))
        yield finding
    if not patient.offline:
        async for finding in _way(settings, patient.net):
            yield finding
    if patient.key is not None:
        ask = not patient.offline and patient.topic is not None
        async for finding in credentials.of_key(
            patient.key, patient.topic, patient.environment, settings, ask=ask, seconds=patient.net.seconds
        ):
            yield finding
    elif sound:  # opening the database would bring it to a newer schema, or mend its mode: that is the start's to do
        async for finding in credentials.of_store(settings, ask=not patient.offline, seconds=patient.net.seconds):
            yield finding
    async for finding in running.service(settings, patient.net.seconds):
        yield finding


def _configuration(file: str | None, problems: Sequence[str], notes: Sequence[str]) -> Iterator[Finding]:
    for problem in problems:
        yield failed("configuration", problem, "see: heliogram config check")
    for note in notes:
        yield warning("configuration", note, "see: heliogram config check")
    if not problems:
        yield ok("configuration", file or "no file: options, the environment and defaults")


def _machine(patient: Patient) -> Iterator[Finding]:
    yield from machine.versions()
    yield from machine.clock(patient.synchronised())
    yield from machine.open_files(patient.file_limit())


async def _kept(patient: Patient) -> AsyncIterator[Finding]:
    settings = patient.settings
    data = settings.data
    if settings.store is None:
        for look in (
            directory.directory(data),
            directory.room(data, patient.free),
            directory.disk(data),
            directory.database(data),
        ):
            for finding in look:
                yield finding
    else:
        async for finding in shared.database(settings.store, patient.net.seconds):
            yield finding
    for finding in directory.master_key(data, settings.master_key, shared=settings.store is not None):
        yield finding


async def _way(settings: ServeSettings, net: network.Net) -> AsyncIterator[Finding]:
    """To APNs, by way of the proxy if there is one."""
    if settings.apns_proxy is not None:
        found = await proxy.reach(settings.apns_proxy, net)
        yield found
        if found.state is State.FAILED:
            return
        net = proxy.through(settings.apns_proxy, net)
    for target in targets(settings):
        async for finding in network.look(target, net):
            yield finding


def targets(settings: ServeSettings) -> list[network.Target]:
    """Apple's hosts; where another APNs stands in for one of them, that."""
    cafile = None if settings.apns_cacert is None else str(settings.apns_cacert)
    production, sandbox = Environment.PRODUCTION, Environment.SANDBOX
    places = [
        (settings.apns_production, production.endpoint.host, network.PORTS, True),
        (settings.apns_sandbox, sandbox.endpoint.host, network.PORTS, True),
        (settings.apns_manage_production, production.channel_endpoint.host, (production.channel_endpoint.port,), False),
        (settings.apns_manage_sandbox, sandbox.channel_endpoint.host, (sandbox.channel_endpoint.port,), False),
    ]
    return [_target(own, host, ports, speaks, cafile) for own, host, ports, speaks in places]


def _target(own: Address | None, host: str, ports: tuple[int, ...], speaks: bool, cafile: str | None) -> network.Target:
    if own is None:
        return network.Target(host, ports, network.APPLE, speaks=speaks)
    apples = own.host.endswith("push.apple.com")
    return network.Target(
        own.host, (own.port,), network.APPLE if apples else "", None if apples else cafile, speaks=speaks
    )
