"""The service put together: the only place that knows every adapter."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import structlog
import uvloop

from . import api
from .delivery.breaker import Breakers
from .delivery.credentials import CredentialAlarm
from .delivery.providers.apns import ApnsEndpoints, ApnsProvider
from .delivery.sender import SLOTS, Sender
from .domain.apps import ProviderName
from .domain.ids import IdFactory
from .domain.operations import Lane
from .http import CannotListen, HttpServer, bind
from .observe import log as logs
from .observe.clock import SystemClock
from .pacing import settle
from .ports import Clock
from .security import (
    AesGcmSealer,
    KeyHasher,
    KeyRing,
    KeySource,
    MasterKeyError,
    RegistrationTokens,
    SecretMaker,
    StoreAuthenticator,
    load_master_key,
)
from .senders.fleet import Fleet, Plan, SenderFailed
from .senders.hub import HubQueue, Switchboard
from .settings import Address, ServeSettings
from .store.errors import StoreError
from .store.sqlite import SqliteStore
from .upkeep import Upkeep, chores_of
from .webhooks.connecting import Connector
from .webhooks.courier import Tools as WebhookTools
from .webhooks.posting import Poster
from .webhooks.pump import Pump
from .webhooks.service import WebhookService
from .webhooks.urls import UrlRules

log = structlog.get_logger(__name__)

DATABASE = "heliogram.db"
ORPHANS_SECONDS = 5.0
"""How long a start waits for the senders of a service that was killed: the kernel ends them within milliseconds."""


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


class Service:
    """API and workers on one embedded store."""

    def __init__(
        self, settings: ServeSettings, store: SqliteStore, key: KeyRing, clock: Clock, *, lock: int | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        ids = IdFactory(lambda: int(clock.time() * 1000))
        sealer = AesGcmSealer(key)
        hasher, tokens = KeyHasher(key), RegistrationTokens(key)
        self._alarm = CredentialAlarm(store, clock)
        breakers = Breakers(alarm=self._alarm)
        providers = {ProviderName.APN: ApnsProvider(_endpoints(settings))}
        # Large sends are for the processes that do nothing else, if there are any.
        own, theirs = ([Lane.TX], [Lane.BULK]) if settings.senders else ([Lane.TX, Lane.BULK], [])
        switchboard = Switchboard(breakers, self._alarm)
        worker = f"{socket.gethostname()}:{os.getpid()}"
        self._queue = HubQueue(store, clock, worker, switchboard=switchboard, lanes=theirs)
        plan = Plan(
            senders=settings.senders,
            database=str(settings.data / DATABASE),
            keys=key.hand_over,
            endpoints=_endpoints(settings),
            slots={lane: SLOTS[lane] for lane in theirs},
            log_level=settings.log_level,
            lock=lock,
        )
        self._fleet = Fleet(plan, store, switchboard, clock)
        slots = {lane: SLOTS[lane] for lane in own}
        self._sender = Sender(store, self._queue, providers, sealer, clock, breakers=breakers, slots=slots)
        rules = UrlRules(allow_http=settings.webhooks_allow_http, allow_private=settings.webhooks_allow_private)
        telling = WebhookTools(store=store, sealer=sealer, clock=clock, poster=Poster(Connector(rules)), rules=rules)
        self._pump = Pump(telling)
        self._upkeep = Upkeep(chores_of(store, clock, retention_days=settings.retention_days), clock)
        state = api.ApiState(
            store=store,
            queue=self._queue,
            providers=providers,
            sealer=sealer,
            authenticator=StoreAuthenticator(store, hasher, clock, tokens),
            key_maker=SecretMaker(ids, hasher, tokens),
            webhooks=WebhookService(telling, self._pump, ids),
            clock=clock,
            ids=ids,
            health=breakers,
            settings=api.ApiSettings(queue=settings.queue_bounds),
        )
        self._http = HttpServer(
            api.build(state),
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
            behind_proxy=settings.behind_proxy,
        )

    def __repr__(self) -> str:
        return f"Service({self._store!r}, {self._sender!r})"

    async def run(self, listener: socket.socket, ready: Callable[[], object], stop: asyncio.Event) -> None:
        """Serves until `stop`, then drains: no new requests, what is under way ends, the rest stays in the store."""
        recovered = await self._store.release_all(int(SystemClock().time() * 1000))
        if recovered:
            log.info("leases.recovered", chunks=recovered)
        await self._fleet.start()
        self._sender.start()
        workers = self._sender.tasks
        telling = asyncio.create_task(self._pump.run())
        keeping = asyncio.create_task(self._upkeep.run())
        http = asyncio.create_task(self._http.serve(sockets=[listener]))
        listening = asyncio.create_task(self._http.listening.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([listening, stopping, http, *workers], return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            ready()
            await asyncio.wait([stopping, http, *workers], return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        stopping.cancel()
        until = time.monotonic() + self._settings.drain_seconds
        self._upkeep.stop()
        await self._drain(http)
        await keeping
        self._pump.drain()
        await self._stop_telling(telling, until - time.monotonic())

    async def _stop_telling(self, telling: asyncio.Task[None], seconds: float) -> None:
        """Lets receivers answer in what is left of the time to drain."""
        await asyncio.wait([telling], timeout=max(0.0, seconds))
        await self._pump.stop()
        await telling

    async def _drain(self, http: asyncio.Task[None]) -> None:
        log.info("service.draining", seconds=self._settings.drain_seconds)
        self._http.should_exit = True
        await asyncio.wait([http])
        seconds = self._settings.drain_seconds
        await asyncio.gather(self._fleet.drain(seconds), self._sender.drain(seconds))
        await self._alarm.close()
        http.result()


def run(settings: ServeSettings, ready: Callable[[str], object]) -> None:
    """Runs the service until SIGTERM or SIGINT. Raises `StartError`."""
    logs.configure(level=settings.log_level)
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
    with contextlib.closing(listener), own_data_directory(settings.data) as lock:
        async with open_store(settings.data, owned=True) as (store, clock):
            key = load_master_key(settings.data, file=settings.master_key)
            if key.source is KeySource.GENERATED:
                log.warning("master_key.made", file=str(settings.data / "master.key"), advice="keep a copy elsewhere")
            url = _url(settings, listener)
            service = Service(settings, store, key, clock, lock=lock)
            settle()
            await service.run(listener, lambda: ready(url), stop)


def _asked_to_stop(stop: asyncio.Event, number: int) -> None:
    """The first signal drains, the second ends the process at once: what is under way goes on at the next start, as
    after a crash."""
    if stop.is_set():
        log.warning("service.ended_at_once", signal=signal.Signals(number).name)
        os._exit(128 + number)
    stop.set()


def prepare_data_directory(data: Path) -> None:
    """Makes the data directory with mode 0700. Raises `StartError`."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if data.stat().st_mode & 0o077:
            if not (data / DATABASE).exists() and any(data.iterdir()):
                raise StartError(
                    f"{data} holds other things and is open to other users: give a directory of its own with --data"
                )
            data.chmod(0o700)
    except OSError as error:
        raise StartError(f"cannot use the data directory {data}: {error.strerror}; give another with --data") from error


@contextlib.contextmanager
def own_data_directory(data: Path) -> Iterator[int]:
    """Holds the data directory for this process and those it gives the handle to: two services on one store would take
    each other's leases. Waits a while for the senders of a service that died. Raises `StartError`."""
    prepare_data_directory(data)
    lock = data / "serve.lock"
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"cannot open {lock}: {error.strerror}; give another directory with --data") from error
    try:
        if not _locked(handle):
            raise StartError(
                f"another `heliogram serve` is using {data}: stop it, or give this one another directory with --data"
            )
        try:
            os.pwrite(handle, b"%-20d\n" % os.getpid(), 0)
        except OSError as error:
            raise StartError(f"cannot write to {lock}: {error.strerror}; make room in {data}") from error
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Takes the lock. While its holder lives, that fails at once; when it is dead, the kernel is just ending its
    senders, which have the lock, too, so that nothing is sent by both them and us."""
    until = time.monotonic() + ORPHANS_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _lives(os.pread(handle, 20, 0)) or time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def is_served(data: Path) -> bool:
    """Whether a service, or a sender that is left of one, holds the data directory."""
    try:
        with (data / "serve.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lives(pid: bytes) -> bool:
    """Whether a process with this number runs; one whose number nobody wrote down does."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True


@contextlib.asynccontextmanager
async def open_store(data: Path, *, make: bool = True, owned: bool = False) -> AsyncIterator[tuple[SqliteStore, Clock]]:
    """The embedded store of a data directory, closed at the end. Raises `StartError` when there is none and none is to
    be made. Unless the directory is `owned`, the database of a running service is used as it is."""
    if not make and not (data / DATABASE).exists():
        raise StartError(f"there is no database in {data}: give the directory that `heliogram serve` uses with --data")
    prepare_data_directory(data)
    clock = SystemClock()
    ids = IdFactory(lambda: int(clock.time() * 1000))
    in_use = partial(is_served, data) if not owned else lambda: False
    store = await SqliteStore.open(data / DATABASE, ids=ids, clock=clock, in_use=in_use)
    try:
        yield store, clock
    finally:
        await store.close()


def _endpoints(settings: ServeSettings) -> ApnsEndpoints:
    def text(address: Address | None) -> str | None:
        return None if address is None else str(address)

    return ApnsEndpoints(
        production=text(settings.apns_production),
        sandbox=text(settings.apns_sandbox),
        manage_production=text(settings.apns_manage_production),
        manage_sandbox=text(settings.apns_manage_sandbox),
        cafile=None if settings.apns_cacert is None else str(settings.apns_cacert),
    )


def _url(settings: ServeSettings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_cert is not None else "http"
    return f"{scheme}://{Address('127.0.0.1' if host in ('0.0.0.0', '::') else host, port)}"  # noqa: S104 - compared
