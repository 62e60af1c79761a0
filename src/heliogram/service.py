"""A node put together of what its roles ask for: the API, the workers, and the duties that one node has at a time."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from starlette.types import ASGIApp

from . import api
from .api.shards import Shards
from .backing import Backing
from .datadir import DATABASE
from .delivery.breaker import Breakers
from .delivery.credentials import CredentialAlarm
from .delivery.providers.apns import ApnsEndpoints, ApnsProvider
from .delivery.sender import SLOTS, Sender
from .delivery.standing import Heard, NodeHealth, Troubles
from .domain.apps import ProviderName
from .domain.ids import IdFactory
from .domain.operations import Lane
from .duties import Duties
from .forwarded import Forwarded, Proxies
from .http import HttpServer
from .measures import WebhookCounts
from .observe.activity import Activity, Lanes
from .observe.everywhere import AllNodes
from .observe.metrics import Metrics
from .observe.tally import Digest, Tally
from .observe.telling import Telling
from .ports import ActivityBook, Health, Provider, Providers, Readiness, Sealer, WorkQueue
from .presence import Presence, activity_chore, gather_chore, upgrade_chore
from .queue.db import DbQueue
from .readiness import Look, NodeReadiness
from .security import AesGcmSealer, KeyHasher, RegistrationTokens, SecretMaker, StoreAuthenticator
from .senders.fleet import Fleet, Plan
from .senders.hub import HubQueue, Switchboard
from .settings import Address, Role, ServeSettings
from .store.sqlite import SqliteStore
from .upkeep import Chore, chores_of
from .webhooks.connecting import Connector
from .webhooks.courier import Tools as WebhookTools
from .webhooks.posting import Poster
from .webhooks.service import WebhookService
from .webhooks.urls import UrlRules

if TYPE_CHECKING:
    from .observe.tracing import Tracing
    from .queue.nats import Broker, Dispatcher

log = structlog.get_logger(__name__)

MAX_TIME = 1 << 62
"""Later than anything, in ms."""


@dataclass(frozen=True)
class _HealthState:
    """What a node without the API tells of itself."""

    readiness: Readiness


class Service:
    """API, workers and duties on one store, as far as the node's roles go."""

    def __init__(self, settings: ServeSettings, backing: Backing, tracing: Tracing | None = None) -> None:
        self._tracing = tracing
        self._settings, self._backing = settings, backing
        store, clock, roles = backing.store, backing.clock, settings.roles
        sealer = AesGcmSealer(backing.key)
        self._alarm = CredentialAlarm(store, clock)
        breakers = Breakers(alarm=self._alarm)
        lanes_seen, told = Lanes(store, clock), WebhookCounts()
        self._switchboard: Switchboard | None = None
        self._metrics = Metrics(
            store, lanes_seen, clock, told, refused=lambda: len(breakers.refusals()), senders=self._sender_processes
        )
        listener = self._metrics.engine.listener
        provider: Provider = ApnsProvider(endpoints_of(settings), listener=listener)
        providers: Providers = {ProviderName.APN: provider if tracing is None else tracing.provider(provider)}
        self._providers = providers
        self._fleet: Fleet | None = None
        self._presence: Presence | None = None
        self._ident = IdFactory(lambda: int(clock.time() * 1000)).new()
        heard = Heard()
        self._dispatcher: Dispatcher | None = None
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._activity = Activity(clock, lanes_seen, node=self._name, sends=Role.WORKER in roles)
        self._telling, self._book = self._everywhere(lanes_seen)
        self._queue, lanes = self._queue_and_lanes(breakers)
        self._sender: Sender | None = None
        if Role.WORKER in roles:
            slots = {lane: SLOTS[lane] for lane in lanes}
            self._sender = Sender(
                store,
                self._queue,
                providers,
                sealer,
                clock,
                breakers=breakers,
                slots=slots,
                heartbeat=settings.lease_seconds / 3,
                tap=Tally(clock, self._heard),
                around=nullcontext if tracing is None else tracing.chunk,
                heard=heard,
                troubles=Troubles(store, self._ident, breakers),
            )
        rules = UrlRules(allow_http=settings.webhooks_allow_http, allow_private=settings.webhooks_allow_private)
        telling = WebhookTools(
            store=store, sealer=sealer, clock=clock, poster=Poster(Connector(rules)), rules=rules, counts=told
        )
        self._duties: Duties | None = None
        if Role.DISPATCHER in roles:
            self._duties = Duties(telling, self._chores, clock, backing.office)
        shared = backing.shared
        looks: list[tuple[str, Look]] = [("the store", store.default_account if shared is None else shared.ping)]
        if backing.broker is not None:
            looks.append(("the queue", backing.broker.look))
        self._readiness = NodeReadiness(clock, looks)
        state: api.ApiState | None = None
        if Role.API in roles:
            health = NodeHealth(store, clock, breakers, heard, self._ident)
            state = self._api_state(health, providers, sealer, telling)
        app = (
            api.build_health(_HealthState(self._readiness))
            if state is None
            else api.build(state, answered=self._metrics.requests.answered)
        )
        front = self._front(app, state)
        if tracing is not None:
            front = tracing.app(front)
        if settings.behind_proxy:
            front = Forwarded(front, Proxies(settings.trusted_proxies))
        self._measured = HttpServer(self._metrics.app())
        self._http = HttpServer(
            front,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
        )

    def __repr__(self) -> str:
        return f"Service({','.join(sorted(self._settings.roles))}, {self._backing.store!r}, {self._sender!r})"

    def _everywhere(self, lanes: Lanes) -> tuple[Telling | None, ActivityBook]:
        """What tells the other nodes what this one sends, and what shows the last minutes of all."""
        shared, clock = self._backing.shared, self._backing.clock
        if shared is None:
            return None, self._activity
        sends = Role.WORKER in self._settings.roles
        telling = Telling(shared, self._activity, clock, self._ident) if sends else None
        return telling, AllNodes(shared, clock, lanes, node=self._name, telling=telling)

    def _front(self, app: ASGIApp, state: api.ApiState | None) -> ASGIApp:
        """The API with the dashboard beside it, where both are wanted."""
        if state is None or not self._settings.dashboard:
            return app
        from .web import Front, build_dashboard  # its templates are nothing that other nodes need

        dashboard = build_dashboard(
            app,
            sealer=state.sealer,
            authenticator=state.authenticator,
            ended=state.store,
            clock=state.clock,
            readiness=state.readiness,
            behind_proxy=self._settings.behind_proxy,
        )
        return Front(app, dashboard)

    def _heard(self, digest: Digest) -> None:
        """Something became of pushes, here or in a sender process."""
        self._activity.heard(digest)
        self._metrics.heard(digest)

    def _sender_processes(self) -> int:
        return 0 if self._switchboard is None else self._switchboard.senders

    def _chores(self) -> list[Chore]:
        backing = self._backing
        days, history = self._settings.retention_days, self._settings.history_days
        chores = chores_of(backing.store, backing.clock, retention_days=days, history_days=history)
        if backing.shared is not None:
            chores += [upgrade_chore(backing.shared), activity_chore(backing.shared)]
            if backing.broker is None:
                chores.append(gather_chore(backing.shared))
        return chores

    def _queue_and_lanes(self, breakers: Breakers) -> tuple[WorkQueue, list[Lane]]:
        """The node's queue, and the lanes that its own workers serve."""
        settings, store, clock = self._settings, self._backing.store, self._backing.clock
        if self._backing.broker is not None:
            return self._broker_queue(self._backing.broker), [Lane.TX, Lane.BULK]
        if not isinstance(store, SqliteStore):
            lease_ms = settings.lease_seconds * 1000
            return DbQueue(store, clock, self._name, lease_ms=lease_ms), [Lane.TX, Lane.BULK]
        # Large sends are for the processes that do nothing else, if there are any.
        own, theirs = ([Lane.TX], [Lane.BULK]) if settings.senders else ([Lane.TX, Lane.BULK], [])
        switchboard = Switchboard(breakers, self._alarm, self._heard, self._metrics.engine)
        self._switchboard = switchboard
        plan = Plan(
            senders=settings.senders,
            database=str(settings.data / DATABASE),
            keys=self._backing.key.hand_over,
            endpoints=endpoints_of(settings),
            slots={lane: SLOTS[lane] for lane in theirs},
            log_level=settings.log_level,
            log_format=settings.log_format,
            lock=self._backing.lock,
        )
        self._fleet = Fleet(plan, store, switchboard, clock)
        return HubQueue(store, clock, self._name, switchboard=switchboard, lanes=theirs), own

    def _broker_queue(self, broker: Broker) -> WorkQueue:
        from .queue.nats import Dispatcher, NatsQueue  # what it needs is an extra

        shared, clock = self._backing.shared, self._backing.clock
        if shared is None:
            raise TypeError("a broker hands out the work of a shared store")
        if Role.DISPATCHER in self._settings.roles:
            self._dispatcher = Dispatcher(shared, clock, broker)
        return NatsQueue(shared, clock, self._name, broker)

    def _api_state(self, health: Health, providers: Providers, sealer: Sealer, telling: WebhookTools) -> api.ApiState:
        store, clock, key = self._backing.store, self._backing.clock, self._backing.key
        ids = IdFactory(lambda: int(clock.time() * 1000))
        hasher, tokens = KeyHasher(key), RegistrationTokens(key)
        wake: Callable[[], object] = (lambda: None) if self._duties is None else self._duties.wake
        return api.ApiState(
            store=store,
            queue=self._queue if self._tracing is None else self._tracing.accepting(self._queue),
            providers=providers,
            sealer=sealer,
            authenticator=StoreAuthenticator(store, hasher, clock, tokens),
            key_maker=SecretMaker(ids, hasher, tokens),
            webhooks=WebhookService(telling, wake, ids),
            clock=clock,
            ids=ids,
            health=health,
            readiness=self._readiness,
            shards=Shards(self._settings.sharding, store, clock),
            activity=self._book,
            settings=api.ApiSettings(queue=self._settings.queue_bounds, hold_ms=self._settings.lease_seconds * 1000),
        )

    async def run(
        self,
        listener: socket.socket,
        ready: Callable[[], object],
        stop: asyncio.Event,
        metrics: socket.socket | None = None,
    ) -> None:
        """Serves until `stop`, then drains: no new requests, what is under way ends, the rest stays in the store.
        `metrics` is where `/metrics` is served, to the end."""
        measured = None if metrics is None else asyncio.create_task(self._measured.serve(sockets=[metrics]))
        try:
            await self._run(listener, ready, stop)
        finally:
            self._measured.should_exit = True
            if measured is not None:
                await asyncio.wait([measured])

    async def _run(self, listener: socket.socket, ready: Callable[[], object], stop: asyncio.Event) -> None:
        if isinstance(self._backing.store, SqliteStore):  # which nobody else works on
            recovered = await self._backing.store.release_all(int(self._backing.clock.time() * 1000))
            await self._backing.store.forget_troubles(MAX_TIME)  # what processes said that are gone
            if recovered:
                log.info("leases.recovered", chunks=recovered)
        present, unlisten = self._join()
        if self._fleet is not None:
            await self._fleet.start()
        if self._sender is not None:
            self._sender.start()
        workers = [] if self._sender is None else self._sender.tasks
        duties = [asyncio.create_task(each.run()) for each in (self._duties, self._dispatcher) if each is not None]
        http = asyncio.create_task(self._http.serve(sockets=[listener]))
        listening = asyncio.create_task(self._http.listening.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([listening, stopping, http, *workers, *present], return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            ready()
            await asyncio.wait([stopping, http, *workers, *present], return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        stopping.cancel()
        self._readiness.stopping = True
        until = time.monotonic() + self._settings.drain_seconds
        if self._duties is not None:
            self._duties.stop()
        await self._drain(http)
        if self._dispatcher is not None:
            self._dispatcher.close()
        await asyncio.gather(*duties)
        if self._duties is not None:
            await self._duties.finish(until - time.monotonic())
        unlisten()
        if self._telling is not None:
            self._telling.stop()
        if self._presence is not None:
            self._presence.stop()
        await asyncio.gather(*present)

    def _join(self) -> tuple[list[asyncio.Task[None]], Callable[[], None]]:
        """Becomes one of the nodes that share the store: hears of their work, and tells them that it is there."""
        shared, clock = self._backing.shared, self._backing.clock
        if shared is None:
            return [], lambda: None
        self._presence = Presence(shared, clock, self._ident, self._name, ",".join(sorted(self._settings.roles)))
        queue, running = self._queue, [asyncio.create_task(self._presence.run())]
        if self._telling is not None:
            running.append(asyncio.create_task(self._telling.run()))
        if self._backing.broker is not None:  # which tells those whom it concerns
            shared.hush()
            return running, lambda: None
        return running, shared.wakes(lambda lane, _: queue.wake(lane))

    async def _drain(self, http: asyncio.Task[None]) -> None:
        seconds = self._settings.drain_seconds
        log.info("service.draining", seconds=seconds)
        self._http.should_exit = True
        await asyncio.wait([http])
        await asyncio.gather(*(part.drain(seconds) for part in (self._fleet, self._sender) if part is not None))
        if self._sender is None:
            await self._queue.close()
            for provider in self._providers.values():
                await provider.close()
        await self._alarm.close()
        http.result()


def endpoints_of(settings: ServeSettings) -> ApnsEndpoints:
    """Which APNs the engine speaks to."""

    def text(address: Address | None) -> str | None:
        return None if address is None else str(address)

    return ApnsEndpoints(
        production=text(settings.apns_production),
        sandbox=text(settings.apns_sandbox),
        manage_production=text(settings.apns_manage_production),
        manage_sandbox=text(settings.apns_manage_sandbox),
        cafile=None if settings.apns_cacert is None else str(settings.apns_cacert),
        proxy=None if settings.apns_proxy is None else settings.apns_proxy.text,
    )
