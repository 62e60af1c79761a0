"""`/metrics`: all that a process knows of itself, for Prometheus."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import __version__
from ..domain.errors import Unavailable, Unreadable
from ..domain.operations import Lane
from ..measures import BOUNDS, StoreStats, WebhookCounts, WebhookStand
from ..ports import Clock, LaneDepth
from ..ports.activity import MeasuredStore
from .activity import Lanes
from .engine import Engine
from .families import counter, gauge, histogram
from .outcomes import Outcomes, buckets_of
from .requests import Requests
from .tally import Digest

STAND_SECONDS = 5.0
"""The stand of webhooks is asked of the store no more often than this,"""
STAND_SHARE = 20
"""and not again before so many times the time that it took have passed."""


class Metrics:
    """Everything that is measured in a process, and the answer to a scrape.

    `refused` tells how many credentials APNs refuses, `senders` how many sender processes are at work.
    """

    def __init__(
        self,
        store: MeasuredStore,
        lanes: Lanes,
        clock: Clock,
        webhooks: WebhookCounts,
        *,
        refused: Callable[[], int] = lambda: 0,
        senders: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store, self._lanes, self._clock = store, lanes, clock
        self.outcomes, self.requests, self.engine = Outcomes(), Requests(), Engine()
        self._gauges = _Gauges(clock, webhooks, store.stats, refused, senders)
        self._registry = CollectorRegistry()
        for each in (self.outcomes, self.requests, self.engine, self._gauges):
            self._registry.register(each)
        ProcessCollector(registry=self._registry)
        self._again = 0.0

    def __repr__(self) -> str:
        return f"Metrics({self.outcomes!r}, {self.requests!r}, {self.engine!r})"

    def heard(self, digest: Digest) -> None:
        """Something became of pushes."""
        self.outcomes.heard(digest)

    async def answer(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, in the form that was asked for, and the name of the form."""
        gauges = self._gauges
        try:
            gauges.depths = await self._lanes.depths()
            await self._ask_webhooks()
            gauges.up = True
        except (Unavailable, Unreadable):
            gauges.up = False
        try:
            encoder, media_type = choose_encoder(accept)
        except (TypeError, ValueError):  # which a version that is no number makes it raise
            encoder, media_type = choose_encoder("")
        return encoder(self._registry), media_type

    async def _ask_webhooks(self) -> None:
        began = self._clock.monotonic()
        if began < self._again:
            return
        self._again = began + STAND_SECONDS
        self._gauges.stand = await self._store.webhook_stand()
        now = self._clock.monotonic()
        self._again = now + max(STAND_SECONDS, STAND_SHARE * (now - began))

    def app(self) -> Starlette:
        """An application with `/metrics` and nothing else."""

        async def serve(request: Request) -> Response:
            body, media_type = await self.answer(request.headers.get("accept", ""))
            headers = {"Content-Type": media_type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
            return Response(body, headers=headers)

        return Starlette(routes=[Route("/metrics", serve)])


class _Gauges(Collector):
    """How everything is at this moment."""

    def __init__(
        self,
        clock: Clock,
        webhooks: WebhookCounts,
        stats: Callable[[], StoreStats],
        refused: Callable[[], int],
        senders: Callable[[], int],
    ) -> None:
        self._clock, self._webhooks, self._stats, self._refused, self._senders = (
            clock,
            webhooks,
            stats,
            refused,
            senders,
        )
        self.depths: list[LaneDepth] = []
        self.stand = WebhookStand()
        self.up = True

    def collect(self) -> Iterable[Metric]:
        """All gauges."""
        return [*self._queue(), *self._store(), *self._telling(), *self._process()]

    def _queue(self) -> Iterator[Metric]:
        now = int(self._clock.time() * 1000)
        waiting, later = gauge("heliogram_queue_waiting"), gauge("heliogram_queue_later")
        oldest = gauge("heliogram_queue_oldest_seconds")
        for lane in Lane:
            name, found = [lane.name.lower()], [depth for depth in self.depths if depth.lane is lane]
            waiting.add_metric(name, sum(depth.waiting for depth in found))
            later.add_metric(name, sum(depth.later for depth in found))
            due = [depth.oldest_due for depth in found if depth.oldest_due is not None]
            oldest.add_metric(name, max(0, now - min(due)) / 1000 if due else 0)
        yield from (waiting, later, oldest)

    def _store(self) -> Iterator[Metric]:
        stats = self._stats()
        commits = histogram("heliogram_store_commit_seconds")
        commits.add_metric([], buckets_of(BOUNDS, stats.commits.counts), stats.commits.total)
        errors, repeats = counter("heliogram_store_errors"), counter("heliogram_store_repeats")
        errors.add_metric([], stats.failed)
        repeats.add_metric([], stats.repeated)
        pool = gauge("heliogram_store_pool_connections")
        if stats.pool_size is not None and stats.pool_busy is not None:
            pool.add_metric(["busy"], stats.pool_busy)
            pool.add_metric(["free"], stats.pool_size - stats.pool_busy)
        yield from (commits, errors, repeats, pool)
        yield gauge("heliogram_store_up", float(self.up))
        yield gauge("heliogram_store_jobs_waiting", stats.waiting)
        if stats.wal_bytes is not None:
            yield gauge("heliogram_store_wal_bytes", stats.wal_bytes)

    def _telling(self) -> Iterator[Metric]:
        posts, seconds = counter("heliogram_webhook_posts"), histogram("heliogram_webhook_post_seconds")
        posts.add_metric(["taken"], self._webhooks.taken)
        posts.add_metric(["failed"], self._webhooks.failed)
        times, stand = self._webhooks.times, self.stand
        seconds.add_metric([], buckets_of(BOUNDS, times.counts), times.total)
        batches = gauge("heliogram_webhook_batches")
        batches.add_metric(["retrying"], stand.retrying)
        batches.add_metric(["dead"], stand.dead)
        age = 0.0 if stand.oldest is None else max(0.0, self._clock.time() - stand.oldest / 1000)
        yield from (posts, seconds, batches)
        yield gauge("heliogram_webhook_oldest_seconds", age)
        yield gauge("heliogram_webhooks_disabled", stand.disabled)

    def _process(self) -> Iterator[Metric]:
        build = gauge("heliogram_build_info")
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        yield gauge("heliogram_credentials_refused", self._refused())
        yield gauge("heliogram_sender_processes", self._senders())
