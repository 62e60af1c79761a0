"""The engine's own metrics, of all processes that send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..apns import Listener
from ..apns.prometheus import PrometheusListener
from .families import FAMILIES


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number of a process: the metric's name, the sample's, its labels and value."""

    family: str
    name: str
    labels: dict[str, str]
    value: float


class _Key(NamedTuple):
    family: str
    name: str
    labels: tuple[tuple[str, str], ...]


class Connections(PrometheusListener):
    """The engine's listener without its counts of pushes: outcomes are counted by the batch where they are written, and
    a listener that does not override `push_ended` costs a push nothing."""

    push_ended = Listener.push_ended


class Engine(Collector):
    """What this process' engine tells, and what sender processes told of theirs."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.listener = Connections(self._registry)
        self._told: dict[int, dict[_Key, float]] = {}
        self._past: dict[_Key, float] = {}

    def __repr__(self) -> str:
        return f"Engine({self.listener!r}, senders={len(self._told)})"

    def samples(self) -> list[Sample]:
        """What this process has to tell: the metrics of the table."""
        return [
            Sample(family.name, sample.name, sample.labels, sample.value)
            for family in self._registry.collect()
            if family.name in FAMILIES
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]

    def told(self, sender: int, samples: Iterable[Sample]) -> None:
        """What a sender process says of itself."""
        self._told[sender] = {_key(sample): sample.value for sample in samples}

    def gone(self, sender: int) -> None:
        """A sender process ended: what it counted stays counted."""
        for key, value in self._told.pop(sender, {}).items():
            if FAMILIES[key.family].kind != "gauge":
                self._past[key] = self._past.get(key, 0.0) + value

    def collect(self) -> Iterable[Metric]:
        """The sums over all processes."""
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        total = dict(self._past)
        for told in ({_key(sample): sample.value for sample in self.samples()}, *self._told.values()):
            for key, value in told.items():
                total[key] = total.get(key, 0.0) + value
        families: dict[str, Metric] = {}
        for key in sorted(total, key=_order):
            known = FAMILIES[key.family]
            family = families.setdefault(key.family, Metric(key.family, known.text, known.kind))
            family.add_sample(key.name, dict(key.labels), total[key])
        yield from families.values()


def _key(sample: Sample) -> _Key:
    return _Key(sample.family, sample.name, tuple(sorted(sample.labels.items())))


def _order(key: _Key) -> tuple[str, str, float, tuple[tuple[str, str], ...]]:
    """Buckets by their bounds, which as text are in another order."""
    return key.family, key.name, float(dict(key.labels).get("le", "0")), key.labels
