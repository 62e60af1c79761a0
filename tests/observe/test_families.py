"""The table of metrics: its page, and what is served by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.activity import chunk_of, record
from support.clock import FakeClock
from support.service import Service, serving

from heliogram.apns import ConnectionOpened, SystemClock
from heliogram.apns.reporter import Reporter
from heliogram.domain.notifications import Outcome
from heliogram.domain.operations import Counts
from heliogram.measures import WebhookCounts
from heliogram.observe.activity import Lanes
from heliogram.observe.engine import Engine
from heliogram.observe.families import FAMILIES, MAX_APPS, MAX_REASONS
from heliogram.observe.metrics import Metrics
from heliogram.observe.outcomes import Labels
from heliogram.observe.tally import HAND_OVER_SECONDS, Digest, Tally

ROOT = Path(__file__).parents[2]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def test_the_page_is_up_to_date() -> None:
    """docs/reference/metrics.md is what scripts/metrics-reference writes."""
    command = [sys.executable, str(ROOT / "scripts/metrics-reference"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"run scripts/metrics-reference and commit the page\n{run.stderr}"


def made(service: Service) -> Metrics:
    """Metrics over the store of a service."""
    return Metrics(service.store, Lanes(service.store, service.clock), service.clock, WebhookCounts())


async def scraped(metrics: Metrics) -> Samples:
    """What a scrape sees, by name and labels."""
    body, media_type = await metrics.answer()
    assert media_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.mark.anyio
async def test_a_scrape_shows_what_happened(tmp_path: Path) -> None:
    """Pushes and recipients by app and how they ended, and tokens taken out."""
    async with serving(tmp_path) as service:
        metrics = made(service)
        tally = Tally(service.clock, metrics.heard)
        chunk = chunk_of(service.state.ids, service.account)
        refused = record(1, Outcome.REJECTED, status=410, reason="Unregistered", wire_ms=31)
        tally.wrote(chunk, [record(0), refused], Counts(sent=1, failed=1))
        tally.pruned(chunk, removed=1, quarantined=0)
        service.clock.advance(HAND_OVER_SECONDS)
        found = await scraped(metrics)
    pushes = "heliogram_pushes_total"
    assert found[pushes, (("app", "shop"), ("outcome", "accepted"), ("reason", ""))] == 1
    assert found[pushes, (("app", "shop"), ("outcome", "rejected"), ("reason", "Unregistered"))] == 1
    assert found["heliogram_notifications_total", (("app", "shop"), ("status", "sent"))] == 1
    assert found["heliogram_notifications_total", (("app", "shop"), ("status", "unaddressable"))] == 0
    assert found["heliogram_devices_removed_total", (("app", "shop"),)] == 1
    assert found["heliogram_apns_answer_seconds_count", ()] == 2
    assert found["heliogram_apns_answer_seconds_sum", ()] == pytest.approx(0.039)
    assert found["heliogram_apns_answer_seconds_bucket", (("le", "0.01"),)] == 1
    assert found["heliogram_apns_answer_seconds_bucket", (("le", "+Inf"),)] == 2
    assert found["heliogram_store_up", ()] == 1


@pytest.mark.anyio
async def test_a_store_that_is_gone_is_seen_and_the_rest_still_served(tmp_path: Path) -> None:
    """The scrape succeeds: an operator must see what is wrong."""
    async with serving(tmp_path) as service:
        metrics = made(service)
        await service.store.close()
        found = await scraped(metrics)
    assert found["heliogram_store_up", ()] == 0
    assert any(name == "heliogram_build_info" for name, _ in found)


def test_labels_are_bounded() -> None:
    """At the bound each has its own; one past it is "other", and those before stay."""
    labels = Labels(2)
    assert [labels.of(each) for each in ("a", "b", "c", "a", "d")] == ["a", "b", "other", "a", "other"]


@pytest.mark.anyio
async def test_apps_and_reasons_past_the_bound_are_counted_together(tmp_path: Path) -> None:
    """So that nobody fills a Prometheus with names."""
    async with serving(tmp_path) as service:
        metrics = made(service)
        tally = Tally(service.clock, metrics.heard)
        for number in range(MAX_APPS + 2):
            word = "Reason" + chr(65 + number // 26) + chr(65 + number % 26)
            refused = record(0, Outcome.REJECTED, reason=word)
            tally.wrote(chunk_of(service.state.ids, service.account, app=f"app{number}"), [refused], Counts(failed=1))
        service.clock.advance(HAND_OVER_SECONDS)
        found = await scraped(metrics)
    labels = [dict(each) for name, each in found if name == "heliogram_pushes_total"]
    assert len({each["app"] for each in labels}) == MAX_APPS + 1
    assert len({each["reason"] for each in labels}) == MAX_REASONS + 1
    assert found["heliogram_notifications_total", (("app", "other"), ("status", "failed"))] == 2


def opened(engine: Engine, count: int) -> None:
    """As if the engine had opened connections."""
    event = ConnectionOpened(endpoint="e", credential="c", serial=1, address=None, seconds=0.02)
    for _ in range(count):
        engine.listener.connection_opened(event)


def value(engine: Engine, name: str) -> float:
    """A sample of what the collector shows."""
    return sum(sample.value for family in engine.collect() for sample in family.samples if sample.name == name)


def test_what_sender_processes_counted_stays_counted() -> None:
    """Their sums are part of the serving process', before and after they end; gauges go with them."""
    here, there = Engine(), Engine()
    opened(here, 1)
    opened(there, 2)
    name = "apns_connections_opened_total"
    here.told(7, there.samples())
    assert value(here, name) == 3
    opened(there, 1)
    here.told(7, there.samples())
    here.gone(7)
    assert value(here, name) == 4
    here.told(7, Engine().samples())
    assert value(here, name) == 4


def test_the_engine_tells_only_what_is_in_the_table() -> None:
    """Its own counts of pushes are left to those of the service."""
    assert {sample.family for sample in Engine().samples()} <= set(FAMILIES)


def test_a_listener_without_push_ended_costs_a_push_nothing() -> None:
    """The engine does not even make the event."""
    assert Reporter("e", Engine().listener, SystemClock()).push_ended is None


@pytest.mark.anyio
async def test_nothing_but_metrics_is_at_that_address(tmp_path: Path) -> None:
    """No API, no documents; and OpenMetrics for who asks for it."""
    async with serving(tmp_path) as service:
        transport: Any = httpx2.ASGITransport(made(service).app())
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
            assert (await client.get("/v1/Activity")).status_code == 404
            assert (await client.post("/metrics")).status_code == 405
            answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_nothing_is_told_of_nothing() -> None:
    """A tally without outcomes hands nothing over."""
    told: list[Digest] = []
    Tally(FakeClock(), told.append).hand_over()
    assert told == []


@pytest.mark.anyio
@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=x", "text/plain; version=1.x", ";;=", "é"])
async def test_an_accept_header_of_anybody_is_answered(tmp_path: Path, accept: str) -> None:
    """What cannot be understood in it is as if it were not there."""
    async with serving(tmp_path) as service:
        _, media_type = await made(service).answer(accept)
        assert media_type.startswith("text/plain")
