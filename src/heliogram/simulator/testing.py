"""`ApnsSimulator`: the simulator for the tests of any project, whatever client they use and however they run it.

It runs on a thread of its own, so that plain tests, async tests of any library and other processes can all use it, and
every call may come from any thread. With pytest it is the fixture ``apns_simulator``; elsewhere a context manager::

    with ApnsSimulator() as apns:
        key = apns.issue_key()
        phone = apns.add_device().install("com.example.app")
        token = phone.launch("com.example.app")
        ...  # push to apns.production, trusting apns.ca_file
        assert phone.notifications.wait_for(1)[0].title == "Hello"
        assert apns.violations == []
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .loopthread import LoopThread
from .seen import Notifications, Requests, Violations
from .simulator import Simulator
from .tables import Environment, Platform, Settings

if TYPE_CHECKING:
    from .control import ControlServer
    from .faultspec import Fault
    from .registry import Device

T = TypeVar("T")

TEAM = "TEAM123456"
"""The team of keys that are issued without one."""


class RegistrationFailed(Exception):
    """The app asked for its device token and got an error instead."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's signing key: the two ids, and the ``.p8`` file as text and as a path."""

    key_id: str
    team_id: str
    p8: str
    path: Path

    def __repr__(self) -> str:
        return f"SigningKey(key_id={self.key_id!r}, team_id={self.team_id!r}, path={str(self.path)!r})"


class ApnsDevice:
    """A virtual device. ``id`` names it in `Simulator` and in the control API."""

    def __init__(self, apns: ApnsSimulator, device: Device) -> None:
        self.id = device.id
        self.name = device.name
        self.platform = device.platform
        self._apns = apns

    def __repr__(self) -> str:
        return f"<ApnsDevice {self.name!r} {self.platform}>"

    def install(
        self, bundle_id: str, environment: Environment = "production", *, entitlement: bool | str = True
    ) -> ApnsDevice:
        """Put an app on it that was signed for this environment; gives the device, so that calls can follow.

        ``entitlement`` False: signed without the right to receive pushes.
        """
        self._apns.call(Simulator.install, self.id, bundle_id, environment, entitlement=entitlement)
        return self

    def launch(self, bundle_id: str) -> str:
        """Start the app: it registers and gets its device token, the same one until it is installed anew (LIFE-1).

        Raises RegistrationFailed where a real app would be told an error.
        """
        answer = self._apns.call(Simulator.launch, self.id, bundle_id)
        if answer.device_token is None:
            raise RegistrationFailed(f"{bundle_id} on {self.name}: {answer.error}")
        return answer.device_token

    def reinstall(self, bundle_id: str) -> ApnsDevice:
        """Delete the app and install it again: its tokens are ``Unregistered``, the next launch gives a new one."""
        self._apns.call(Simulator.reinstall, self.id, bundle_id)
        return self

    def uninstall(self, bundle_id: str) -> ApnsDevice:
        """Delete the app: its tokens are ``Unregistered`` (LIFE-9)."""
        self._apns.call(Simulator.uninstall, self.id, bundle_id)
        return self

    def expire(self, bundle_id: str) -> ApnsDevice:
        """Its token outlives its time: ``ExpiredToken`` (LA-4)."""
        self._apns.call(Simulator.expire, self.id, bundle_id)
        return self

    def go_offline(self) -> ApnsDevice:
        """No network: APNs accepts pushes and stores what may be stored (LIFE-6)."""
        return self._do(lambda device: device.connect(False))

    def go_online(self) -> ApnsDevice:
        """A network again: what was stored arrives."""
        return self._do(lambda device: device.connect(True))

    def sleep(self) -> ApnsDevice:
        """Nobody uses it: what is not urgent waits (LIFE-8)."""
        return self._do(lambda device: device.wake(False))

    def wake(self) -> ApnsDevice:
        """Somebody uses it: what waited arrives."""
        return self._do(lambda device: device.wake(True))

    @property
    def notifications(self) -> Notifications:
        """What has reached it, oldest first, also what only its apps saw; ``wait_for(n)`` waits for more.

        An accepted push is here when its 200 arrives at the client.
        """
        return Notifications(self._apns.call(Simulator.notifications, self.id), wait=self._wait)

    def _do(self, change: Callable[[Device], object]) -> ApnsDevice:
        self._apns.call(lambda simulator: change(simulator.device(self.id)))
        return self

    def _wait(self, count: int, timeout: float) -> Notifications:
        __tracebackhide__ = True
        if self._apns.arrived(self.id, count, timeout):
            return self.notifications
        there = self.notifications
        lines = [f"{self.name} has {len(there)} of {count} notifications after {timeout:g} s", *there.explain()]
        raise AssertionError("\n  ".join(lines))


class ApnsSimulator:
    """An APNs in the background of a test. ``settings``: where Apple is silent, as it shall behave.

    Use it as a context manager, or call `close` in the end.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._cleanup = contextlib.ExitStack()
        self._keys = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-keys-")))
        self._simulator = Simulator(settings=settings)
        self._control: ControlServer | None = None
        self._thread = LoopThread("apns-simulator")
        self._cleanup.callback(self._thread.stop)
        try:
            self._thread.run(self._simulator.start())
        except BaseException:
            self._cleanup.close()
            raise
        self._cleanup.callback(lambda: self._thread.run(self._stop()))
        self.ca_file: Path = self._simulator.ca_path
        """The CA that a client has to trust, as a PEM file."""
        self.ca_pem: str = self._simulator.ca_pem.decode("ascii")
        """The same as text."""

    def __repr__(self) -> str:
        return f"<ApnsSimulator production={self.production} sandbox={self.sandbox}>"

    def __enter__(self) -> ApnsSimulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it; harmless twice."""
        self._cleanup.close()

    # --- where it is ---

    @property
    def production(self) -> str:
        """``host:port`` in place of ``api.push.apple.com:443``."""
        return self._address("production")

    @property
    def sandbox(self) -> str:
        """``host:port`` in place of ``api.sandbox.push.apple.com:443``."""
        return self._address("sandbox")

    @property
    def control_url(self) -> str:
        """The control API, for programs that are not Python; it is started when this is first asked for.

        Raises RuntimeError without ``heliogram[server]``.
        """
        if self._control is None:
            try:
                from .control import ControlServer, build_control
                from .forward import Forwarder
            except ImportError as error:
                raise RuntimeError(f"the control API needs {error.name}: install heliogram[server]") from error

            async def start() -> ControlServer:
                forwarder = Forwarder(self._simulator.apns.registry)
                self._cleanup.callback(lambda: self._thread.run(forwarder.close()))
                server = ControlServer("127.0.0.1", 0)
                server.start(build_control(self._simulator, forwarder))
                return server

            self._control = self._thread.run(start())
        return self._control.url

    # --- what is in it ---

    def issue_key(
        self, team_id: str = TEAM, topics: Iterable[str] | None = None, environment: Environment | None = None
    ) -> SigningKey:
        """Make a signing key, as the developer portal does: for all topics of the team and both environments, or
        for those given (TOK-11)."""
        made = self.call(Simulator.issue_key, team_id, topics=topics, environment=environment)
        path = self._keys / f"AuthKey_{made.key_id}.p8"
        path.touch(mode=0o600)
        path.write_text(made.p8, "ascii")
        return SigningKey(key_id=made.key_id, team_id=made.team_id, p8=made.p8, path=path)

    def revoke_key(self, key: SigningKey | str) -> None:
        """Its tokens are ``InvalidProviderToken`` from now on (TOK-19)."""
        self.call(Simulator.revoke_key, key if isinstance(key, str) else key.key_id)

    def add_device(self, name: str = "iPhone", platform: Platform = "ios") -> ApnsDevice:
        """A new device without apps."""
        return ApnsDevice(self, self.call(Simulator.add_device, name, platform))

    @property
    def requests(self) -> Requests:
        """What APNs was asked and what it answered, oldest first; the latest 10,000, or as the settings say."""
        return Requests(reversed(self.call(Simulator.requests, self._simulator.apns.settings.journal)))

    @property
    def violations(self) -> Violations:
        """What clients did against the rules, oldest first; the latest 1,000."""
        return Violations(reversed(self.call(lambda simulator: simulator.apns.violations.latest(1000))))

    # --- what happens to it ---

    def advance(self, seconds: float) -> None:
        """Let time pass at once: provider tokens grow old, stored notifications expire."""
        self.call(lambda simulator: simulator.time.advance(seconds))

    def fault(self, **members: Any) -> Fault:
        """Let something go wrong, as `Faults.add` says: ``fault(reason="Shutdown", next=1)``,
        ``fault(kind="silence", token=token)``, ``fault(kind="goaway")``. It ends with the test.
        """

        def add(simulator: Simulator) -> Fault:
            return simulator.faults.add(**members)

        return self.call(add)

    def disconnect(self) -> None:
        """Cut every connection, as a network that fails does."""
        self.call(_disconnect)

    def reset(self) -> None:
        """As new: connections are cut; keys, devices, requests and violations are forgotten, the clock is set back."""
        self.disconnect()
        self.call(Simulator.reset)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``function(simulator, …)`` with the `Simulator` behind this, on its thread: for all that has no method
        here."""
        return self._thread.call(function, self._simulator, *args, **kwargs)

    def report(self) -> list[str]:
        """What a person wants to know of a test that failed: the latest requests and the violations."""
        parts = (("requests to APNs", self.requests), ("violations of APNs' rules", self.violations))
        return [line for title, items in parts for line in (f"{title}: {len(items)}", *_indented(items))]

    def arrived(self, device_id: str, count: int, timeout: float) -> bool:
        """Wait until a device has had ``count`` notifications; False when ``timeout`` seconds were not enough."""
        return self._thread.run(_arrived(self._simulator, device_id, count, timeout))

    def _address(self, listener: str) -> str:
        host, port = self._simulator.ports[listener]
        return f"{host}:{port}"

    async def _stop(self) -> None:
        if self._control is not None:
            await self._control.stop()
        _disconnect(self._simulator)  # nobody waits for clients that a test has left behind
        await self._simulator.stop()


def _disconnect(simulator: Simulator) -> None:
    for listener in simulator.listeners.values():
        for connection in list(listener.connections):
            connection.abort()


def _indented(items: Requests | Violations) -> list[str]:
    return [f"  {line}" for line in items.explain()]


async def _arrived(simulator: Simulator, device_id: str, count: int, timeout: float) -> bool:
    # Where everything can pass by, somebody listens: no asking again and again.
    events = simulator.apns.feed.subscribe()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while simulator.device(device_id).notification_count < count and await events.take():
                    pass
        return simulator.device(device_id).notification_count >= count
    finally:
        events.close()
