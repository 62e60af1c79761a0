"""The engine's metrics for Prometheus. Needs the extra `heliogram[prometheus]`.

Client(key, topic="com.example.app", listener=PrometheusListener())
"""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .listener import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    GoawayReceived,
    Listener,
    PushEnded,
    Source,
    TokenChanged,
)
from .outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from .reasons import REASONS

OTHER = "other"
"""The label of reasons and topics that are not in the list."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histograms, in seconds."""

_MOST = 1000
"""Combinations of outcome, reason and topic whose counts are found at once."""
_KINDS: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Rejected: "rejected",
    NotSent: "not_sent",
    Unknown: "unknown",
}
_GAUGES = (
    ("pushes_in_flight", "in_flight", "Pushes written and not answered."),
    ("pushes_waiting", "waiting", "Pushes in the queues."),
    ("connections", "connections", "Connections that take pushes."),
    ("stream_limit", "stream_limit", "Pushes that the open connections allow at a time."),
)


def _label(reason: str) -> str:
    """A reason that APNs is known to give, or "other", or nothing."""
    return reason if reason in REASONS or not reason else OTHER


def _topics(given: Iterable[str]) -> frozenset[str]:
    """The topics; a single string would be taken for its characters. Raises `TypeError`."""
    if isinstance(given, str):
        raise TypeError('topics: a single string; give a list of topics, like ["com.example.app"]')
    return frozenset(given)


class PrometheusListener(Listener):
    """Counts what happens in the clients it is given to. One serves any number of them.

    `registry` is prometheus_client's default one unless given. With `topics`, pushes are counted by
    topic too: those named there, and the others together as "other", so that the number of time
    series stays bounded. The gauges are asked of the clients when they are scraped.

    What is counted per push is made into metrics by the scrape alone, as one of the library's
    counters and two of its histograms would cost twice as much. So prometheus_client's
    multiprocess mode does not show it: let each process be scraped.

    Two listeners in one registry need different namespaces; prometheus_client raises `ValueError`. A single
    string as `topics` raises `TypeError`.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        namespace: str = "apns",
        *,
        topics: Iterable[str] | None = None,
    ) -> None:
        chosen = REGISTRY if registry is None else registry
        known = None if topics is None else _topics(topics)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=namespace, registry=chosen)

        self._opened = counter("connections_opened", "Connections opened.")
        self._dialed = Histogram(
            "connection_open_seconds",
            "Name, connection and TLS handshake together.",
            namespace=namespace,
            registry=chosen,
            buckets=BUCKETS,
        )
        self._failed = counter("connection_failures", "Attempts to connect that failed.", "cause")
        self._closed = counter("connections_closed", "Connections closed.", "cause")
        self._goaways = counter("goaways", "GOAWAY frames received.", "reason")
        self._tokens = counter("provider_token_changes", "Provider tokens that no connection had before.")
        self._pushes = _Pushes(namespace, known)
        self._gauges = _Gauges(namespace)
        chosen.register(self._pushes)
        chosen.register(self._gauges)

    def __repr__(self) -> str:
        return f"<PrometheusListener of {len(self._gauges)} clients>"

    def attached(self, source: Source) -> None:
        """See `Listener.attached`."""
        self._gauges.add(source)

    def push_ended(self, event: PushEnded) -> None:
        """See `Listener.push_ended`."""
        self._pushes.count(event)

    def connection_opened(self, event: ConnectionOpened) -> None:
        """See `Listener.connection_opened`."""
        self._opened.inc()
        self._dialed.observe(event.seconds)

    def connection_failed(self, event: ConnectionFailed) -> None:
        """See `Listener.connection_failed`."""
        self._failed.labels(event.kind.value).inc()

    def connection_closed(self, event: ConnectionClosed) -> None:
        """See `Listener.connection_closed`."""
        self._closed.labels(event.kind.value).inc()

    def goaway_received(self, event: GoawayReceived) -> None:
        """See `Listener.goaway_received`."""
        self._goaways.labels(_label(event.reason)).inc()

    def token_changed(self, event: TokenChanged) -> None:
        """See `Listener.token_changed`."""
        self._tokens.inc()


class _Times:
    """How many durations fell between which bounds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """As Prometheus wants it: each bucket with all below it."""
        bounds = [*map(str, BUCKETS), "+Inf"]
        return HistogramMetricFamily(
            name, text, buckets=list(zip(bounds, accumulate(self.counts), strict=True)), sum_value=self.total
        )


class _Pushes(Collector):
    """Counts pushes; any number of engines' threads may do so while another one scrapes."""

    def __init__(self, namespace: str, topics: frozenset[str] | None) -> None:
        self._namespace = namespace
        self._topics = topics
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], list[int]] = {}  # by labels
        self._known: dict[tuple[type[Outcome], str, str], list[int]] = {}  # the same, by what comes
        self._queued = _Times()
        self._answered = _Times()

    def count(self, event: PushEnded) -> None:
        """One push more."""
        outcome = event.outcome
        key = (type(outcome), outcome.reason if isinstance(outcome, Rejected) else "", event.topic)
        queued = event.queued_ms / 1000
        with self._lock:
            cell = self._known.get(key)
            if cell is None:
                cell = self._cell(*key)
            cell[0] += 1
            times = self._queued
            times.counts[bisect_left(BUCKETS, queued)] += 1
            times.total += queued
            if outcome.wire_ms is not None and key[0] is not Unknown:
                took = outcome.wire_ms / 1000
                times = self._answered
                times.counts[bisect_left(BUCKETS, took)] += 1
                times.total += took

    def _cell(self, kind: type[Outcome], reason: str, topic: str) -> list[int]:
        labels = [_KINDS[kind], _label(reason)]
        if self._topics is not None:
            labels.append(topic if topic in self._topics else OTHER)
        if len(self._known) >= _MOST:
            self._known.clear()  # whoever makes up reasons shall not fill the memory
        cell = self._known[kind, reason, topic] = self._cells.setdefault(tuple(labels), [0])
        return cell

    def collect(self) -> Iterator[Metric]:
        """All counts of this moment."""
        names = ("outcome", "reason") if self._topics is None else ("outcome", "reason", "topic")
        pushes = CounterMetricFamily(f"{self._namespace}_pushes", "Outcomes of pushes.", labels=names)
        with self._lock:
            for labels, cell in self._cells.items():
                pushes.add_metric(labels, cell[0])
            queued = self._queued.family(f"{self._namespace}_push_queue_seconds", "From queueing a push to writing it.")
            answered = self._answered.family(
                f"{self._namespace}_push_answer_seconds", "From writing a push to its answer."
            )
        yield from (pushes, queued, answered)


class _Gauges(Collector):
    """Asks the clients that still exist how they are; a scrape comes in a thread of its own."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._sources: list[weakref.ref[Source]] = []

    def __len__(self) -> int:
        return len(self._alive())

    def add(self, source: Source) -> None:
        with self._lock:
            self._sources = [one for one in self._sources if one() is not None]
            self._sources.append(weakref.ref(source))

    def _alive(self) -> list[Source]:
        with self._lock:
            known = list(self._sources)
        return [source for one in known if (source := one()) is not None]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        every = [source.stats() for source in self._alive()]
        for name, field, text in _GAUGES:
            yield GaugeMetricFamily(f"{self._namespace}_{name}", text, value=sum(getattr(one, field) for one in every))
