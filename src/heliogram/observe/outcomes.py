"""What digests add up to since the process began, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..apns.prometheus import BUCKETS
from .families import MAX_APPS, MAX_REASONS, OTHER, counter, histogram
from .latency import upper_ms
from .tally import Digest


class Labels:
    """Values of one label: the first so many keep their names."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def __repr__(self) -> str:
        return f"Labels({len(self._known)}/{self._most})"

    def of(self, value: str) -> str:
        """The value, or "other"."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


class _Times:
    """Durations in Prometheus' buckets."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._total = 0.0

    def add(self, cells: Mapping[int, int]) -> None:
        """Counts what fell into cells."""
        for cell, count in cells.items():
            seconds = upper_ms(cell) / 1000
            place = next((n for n, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
            self._counts[place] += count
            self._total += seconds * count

    def family(self, name: str) -> HistogramMetricFamily:
        """As a metric."""
        family = histogram(name)
        family.add_metric([], buckets_of(BUCKETS, self._counts), self._total)
        return family


def buckets_of(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """As Prometheus wants it: each bucket with all below it."""
    return list(zip([*map(str, bounds), "+Inf"], map(float, accumulate(counts)), strict=True))


class Outcomes(Collector):
    """Counts pushes and recipients by app; is told of them as `Activity` is."""

    def __init__(self) -> None:
        self._apps, self._reasons = Labels(MAX_APPS), Labels(MAX_REASONS)
        self._pushes: Counter[tuple[str, str, str]] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._pruned: Counter[tuple[str, str]] = Counter()
        self._answers, self._queued = _Times(), _Times()

    def __repr__(self) -> str:
        return f"Outcomes(apps={self._apps!r}, reasons={self._reasons!r})"

    def heard(self, digest: Digest) -> None:
        """Something happened."""
        app, counts = self._apps.of(digest.app), digest.recipients
        if digest.accepted:
            self._pushes[app, "accepted", ""] += digest.accepted
        for name, count in digest.others.items():
            outcome, _, reason = name.partition(" ")
            self._pushes[app, outcome, self._reasons.of(reason)] += count
        for status in ("sent", "failed", "unaddressable"):  # zeros, too: what was never there has no rate
            self._ended[app, status] += getattr(counts, status)
        self._pruned[app, "removed"] += digest.removed
        self._pruned[app, "quarantined"] += digest.quarantined
        self._answers.add(digest.answers)
        self._queued.add(digest.queued)

    def collect(self) -> Iterable[Metric]:
        """All counts of this moment."""
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        for name, counted in (("heliogram_pushes", self._pushes), ("heliogram_notifications", self._ended)):
            family = counter(name)
            for labels, count in counted.items():
                family.add_metric(labels, count)
            yield family
        for what in ("removed", "quarantined"):
            family = counter(f"heliogram_devices_{what}")
            for (app, done), count in self._pruned.items():
                if done == what:
                    family.add_metric([app], count)
            yield family
        yield self._answers.family("heliogram_apns_answer_seconds")
        yield self._queued.family("heliogram_push_queue_seconds")
