"""`Simulator`: APNs on your own machine, four listeners over one world of keys and devices."""

from __future__ import annotations

import contextlib
import random as random_module
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .answering import Apns
from .certificates import Certificates
from .errors import Invalid
from .journal import RequestRecord
from .keys import IssuedKey, Key
from .listener import Listener, option
from .lockscreen import Notification
from .registry import App, Device, Forward, Launch
from .scenario import Scenario
from .tables import Environment, Platform, Settings


class Simulator:
    """A stand-alone APNs.

    ``data_dir`` keeps the CA and the server's certificate between runs; without it they live in a temporary
    directory that goes at `stop`. Keys, devices and requests live in memory. ``clock`` gives seconds since the
    epoch, ``random`` everything random but private keys.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        clock: Callable[[], float] | None = None,
        random: random_module.Random | None = None,
        settings: Settings | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.apns = Apns(settings=settings, clock=clock or time.time, rng=random)
        self.time = self.apns.time
        self.registry = self.apns.registry
        self.portal = self.apns.portal
        self.channels = self.apns.channels
        self.scenario = Scenario(self.apns)
        self.faults = self.apns.faults
        self._data_dir = data_dir
        self._names = tuple(names)
        self._listeners: dict[str, Listener] = {}
        self._certificates: Certificates | None = None
        self._cleanup = contextlib.ExitStack()

    def __repr__(self) -> str:
        return f"<Simulator listeners={list(self._listeners.values())!r} {self.apns!r}>"

    # --- running ---

    async def start(
        self,
        production: str | None = "127.0.0.1:0",
        sandbox: str | None = "127.0.0.1:0",
        manage_production: str | None = None,
        manage_sandbox: str | None = None,
    ) -> None:
        """Open the listeners given as ``HOST:PORT`` (port 0: a free one; None: not opened).

        Raises PortTaken, or Invalid for an address that is none; then nothing stays open.
        """
        if self._listeners:
            raise RuntimeError("the simulator is running already")
        wanted = {
            "production": production,
            "sandbox": sandbox,
            "manage_production": manage_production,
            "manage_sandbox": manage_sandbox,
        }
        addresses = {name: parse_address(at, option(name)) for name, at in wanted.items() if at is not None}
        directory = self._data_dir
        if directory is None:
            directory = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-apns-")))
        try:
            self._certificates = Certificates(directory, names=self._names)
            self.portal.certificates.authority = self._certificates
            context = self._certificates.server_context(self.apns.settings.certificate_refusal)
            self.portal.certificates.publish_revocations()
            for name, (host, port) in addresses.items():
                listener = Listener(name, self.apns)
                await listener.open(host, port, context)
                self._listeners[name] = listener
            self.apns.agenda.arm()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every listener and connection; what the devices hold stays readable."""
        listeners, self._listeners = list(self._listeners.values()), {}
        self.apns.agenda.disarm()
        for listener in listeners:
            await listener.close()
        self._certificates = self.portal.certificates.authority = None
        self._cleanup.close()

    async def __aenter__(self) -> Simulator:
        if not self._listeners:
            await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """Listener name to the host and port it really has."""
        return {name: listener.address for name, listener in self._listeners.items()}

    @property
    def ca_path(self) -> Path:
        """The CA certificate a client must trust, as a file. Raises RuntimeError unless started."""
        if self._certificates is None:
            raise RuntimeError("the simulator has no CA before start()")
        return self._certificates.ca_path

    @property
    def ca_pem(self) -> bytes:
        """The CA certificate as PEM. Raises RuntimeError unless started."""
        return self.ca_path.read_bytes()

    @property
    def listeners(self) -> dict[str, Listener]:
        """The open listeners by name."""
        return self._listeners

    @property
    def connections(self) -> int:
        """Connections open now, over all listeners."""
        return sum(len(listener.connections) for listener in self._listeners.values())

    # --- keys ---

    def add_key(
        self,
        key_id: str,
        team_id: str,
        public_key: str,
        *,
        topics: Iterable[str] | None = None,
        environment: Environment | None = None,
        related_key_id: str | None = None,
    ) -> Key:
        """Import the public half (PEM) of a signing key; see `KeyRing.add`."""
        return self.apns.keys.add(
            key_id,
            team_id,
            public_key,
            topics=topics,
            environment=environment,
            related_key_id=related_key_id,
        )

    def issue_key(
        self,
        team_id: str,
        *,
        topics: Iterable[str] | None = None,
        environment: Environment | None = None,
        related_key_id: str | None = None,
    ) -> IssuedKey:
        """Make a signing key as the developer portal does; see `Portal.issue_key`."""
        return self.portal.issue_key(team_id, topics=topics, environment=environment, related_key_id=related_key_id)

    def revoke_key(self, key_id: str) -> None:
        """Make every token of this key ``InvalidProviderToken``, on open connections too (TOK-19)."""
        self.apns.keys.revoke(key_id)

    def signing_keys(self) -> list[Key]:
        return self.apns.keys.all()

    # --- devices ---

    def add_device(self, name: str, platform: Platform = "ios") -> Device:
        """See `Registry.add_device`."""
        return self.apns.registry.add_device(name, platform)

    def device(self, device_id: str) -> Device:
        return self.apns.registry.device(device_id)

    def devices(self) -> list[Device]:
        return list(self.apns.registry.devices.values())

    def install(
        self,
        device_id: str,
        bundle_id: str,
        environment: Environment = "production",
        *,
        entitlement: bool | str = True,
        forward: Forward | None = None,
        token_bytes: int = 32,
    ) -> App:
        """See `Registry.install`."""
        return self.apns.registry.install(
            device_id,
            bundle_id,
            environment,
            entitlement=entitlement,
            forward=forward,
            token_bytes=token_bytes,
        )

    def launch(self, device_id: str, bundle_id: str) -> Launch:
        """Start the app; it registers, and forwards nothing (that is `heliogram.simulator.forward`)."""
        return self.apns.registry.launch(device_id, bundle_id)

    def reinstall(self, device_id: str, bundle_id: str) -> App:
        """See `Registry.reinstall`."""
        return self.apns.registry.reinstall(device_id, bundle_id)

    def uninstall(self, device_id: str, bundle_id: str) -> None:
        """See `Registry.uninstall`."""
        self.apns.registry.uninstall(device_id, bundle_id)

    def expire(self, device_id: str, bundle_id: str) -> None:
        """See `Registry.expire`."""
        self.apns.registry.expire(device_id, bundle_id)

    def notifications(self, device_id: str) -> list[Notification]:
        """What the device shows, oldest first."""
        return self.apns.registry.device(device_id).screen.read()

    # --- the log ---

    def requests(self, limit: int = 100) -> list[RequestRecord]:
        """The latest requests, newest first."""
        return self.apns.journal.latest(limit)

    def reset(self) -> None:
        """Forget what every part holds: keys, devices, tokens, requests, counters; the clock is the unmoved one.

        Listeners and open connections stay.
        """
        self.apns.parts.clear()
        self.apns.feed.publish("reset", {})


def parse_address(text: str, name: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPv6]:PORT``; port 0 is a free one. Raises Invalid naming ``name``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not _can_be_asked_for(host) or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"{name} must be HOST:PORT with a port of 0 to 65535, not {text!r}", field=name)
    return host, int(port)


def _can_be_asked_for(host: str) -> bool:
    """Whether a resolver can be asked for the name at all: no label is empty or above 63 bytes."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False
