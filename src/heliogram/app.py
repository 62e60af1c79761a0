"""`heliogram serve` as a process: from its settings to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import structlog
import uvloop

from .backing import open_backing
from .datadir import StartError
from .http import CannotListen, bind
from .observe import log as logs
from .observe.otel import tracing_of
from .pacing import settle
from .security import MasterKeyError
from .senders.fleet import SenderFailed
from .service import Service
from .settings import Address, ServeSettings
from .store.errors import StoreError

log = structlog.get_logger(__name__)

__all__ = ["StartError", "run"]


def run(settings: ServeSettings, ready: Callable[[str], object]) -> None:
    """Runs the service until SIGTERM or SIGINT. Raises `StartError`."""
    logs.configure(level=settings.log_level, form=settings.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main(settings, ready))
    except (CannotListen, StoreError, MasterKeyError, SenderFailed) as error:
        raise StartError(str(error)) from error


async def _main(settings: ServeSettings, ready: Callable[[str], object]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _asked_to_stop, stop, number)
    listener = bind(settings.listen, option="--listen")
    with contextlib.closing(listener), contextlib.ExitStack() as stack:
        metrics = None
        if settings.metrics is not None:
            metrics = stack.enter_context(contextlib.closing(bind(settings.metrics, option="--metrics")))
            log.info("metrics.listening", url=f"http://{Address(*metrics.getsockname()[:2])}/metrics")
        async with open_backing(settings) as backing:
            url = _url(settings, listener)
            tracing = tracing_of()
            service = Service(settings, backing, tracing)
            settle()
            try:
                await service.run(listener, lambda: ready(url), stop, metrics)
            finally:
                if tracing is not None:
                    await tracing.close()


def _asked_to_stop(stop: asyncio.Event, number: int) -> None:
    """The first signal drains, the second ends the process at once: what is under way goes on at the next start, as
    after a crash."""
    if stop.is_set():
        log.warning("service.ended_at_once", signal=signal.Signals(number).name)
        os._exit(128 + number)
    stop.set()


def _url(settings: ServeSettings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_cert is not None else "http"
    return f"{scheme}://{Address('127.0.0.1' if host in ('0.0.0.0', '::') else host, port)}"  # noqa: S104 - compared
