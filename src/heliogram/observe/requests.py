"""Requests counted by endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..measures import BOUNDS, Durations
from .families import counter, histogram
from .outcomes import buckets_of


class Requests(Collector):
    """Counts by operation id, which are as many as there are endpoints, and by status."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, Durations] = {}

    def __repr__(self) -> str:
        return f"Requests(operations={len(self._times)}, answered={self._counts.total()})"

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """An endpoint answered."""
        self._counts[operation, status] += 1
        times = self._times.get(operation)
        if times is None:
            times = self._times[operation] = Durations()
        times.add(seconds)

    def collect(self) -> Iterable[Metric]:
        """All counts of this moment."""
        requests, seconds = counter("heliogram_api_requests"), histogram("heliogram_api_request_seconds")
        for (operation, status), count in self._counts.items():
            requests.add_metric([operation, str(status)], count)
        for operation, times in self._times.items():
            seconds.add_metric([operation], buckets_of(BOUNDS, times.counts), times.total)
        return requests, seconds
