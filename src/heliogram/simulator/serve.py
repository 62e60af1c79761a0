"""Runs the simulator as a program: listeners, control API, one ready line, a clean end on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from .control import ControlServer, build_control
from .forward import Forwarder
from .listener import option
from .simulator import Simulator, parse_address
from .tables import Settings


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen (``HOST:PORT``; port 0: a free one) and where the CA is kept (None: nowhere, made anew).

    ``retry_seconds``: how often apps whose token did not reach their server try again. ``scenario``: a document to
    begin with (see `heliogram.simulator.scenario`); its settings are the caller's to put into ``settings``. ``names``:
    hosts and addresses by which clients reach it beside those of this machine and Apple's; its certificate has them.
    """

    production: str = "127.0.0.1:2197"
    sandbox: str = "127.0.0.1:2198"
    manage_production: str = "127.0.0.1:2196"
    manage_sandbox: str = "127.0.0.1:2195"
    control: str = "127.0.0.1:8090"
    data: Path | None = None
    settings: Settings = Settings()
    retry_seconds: float = 30.0
    scenario: dict[str, Any] | None = None
    names: tuple[str, ...] = ()


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A simulator that is up. ``ports``: listener name to host and port; as text it is the ready line."""

    simulator: Simulator
    ports: dict[str, tuple[str, int]]
    control_url: str
    ca_path: Path

    def __str__(self) -> str:
        listeners = " ".join(f"{name}={host}:{port}" for name, (host, port) in self.ports.items())
        return f"simulator ready: {listeners} control={self.control_url} ca={self.ca_path}"


def say(running: Running) -> None:
    """Print the ready line."""
    sys.stdout.write(f"{running}\n")
    sys.stdout.flush()


async def run(options: Options, *, ready: Callable[[Running], None] = say, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT, or ``stop`` is set. ``ready`` is called once, when every port is open.

    Raises PortTaken and Invalid naming the option to change; then nothing stays open.
    """
    ended = stop or asyncio.Event()
    async with running(options) as state:
        with _signals(ended):
            ready(state)
            await ended.wait()


@contextlib.asynccontextmanager
async def running(options: Options) -> AsyncIterator[Running]:
    """The simulator and its control API for the length of a block, without touching signals."""
    simulator = Simulator(options.data, settings=options.settings, names=options.names)
    if options.scenario is not None:
        simulator.scenario.load(options.scenario, settings=False)
    forwarder = Forwarder(simulator.apns.registry)
    async with contextlib.AsyncExitStack() as stack:
        host, port = parse_address(options.control, option("control"))
        control = ControlServer(host, port)
        stack.push_async_callback(control.stop)
        stack.push_async_callback(simulator.stop)
        await simulator.start(options.production, options.sandbox, options.manage_production, options.manage_sandbox)
        stack.push_async_callback(forwarder.close)
        control.start(build_control(simulator, forwarder, host=host))
        retries = asyncio.create_task(_retry_forever(forwarder, options.retry_seconds), name="simulator-forward")
        stack.push_async_callback(_cancel, retries)
        yield Running(
            simulator=simulator, ports=simulator.ports, control_url=control.url, ca_path=simulator.ca_path.resolve()
        )


@contextlib.contextmanager
def _signals(ended: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for each in caught:
        loop.add_signal_handler(each, ended.set)
    try:
        yield
    finally:
        for each in caught:
            loop.remove_signal_handler(each)


async def _retry_forever(forwarder: Forwarder, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await forwarder.retry()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
