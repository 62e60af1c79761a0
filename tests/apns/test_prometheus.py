"""The metrics of the engine, as a scrape sees them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.apns_server import ApnsServer, hold
from support.engine import HELLO, TOKEN, MakeClient, tokens
from support.manual_clock import ManualClock

from heliogram.apns import Accepted, NotSent, PushEnded, Rejected, Unknown
from heliogram.apns.prometheus import BUCKETS, PrometheusListener

pytestmark = pytest.mark.anyio


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


async def test_a_run_in_numbers(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Outcomes, times, connections, GOAWAYs and tokens are counted."""
    registry = CollectorRegistry()
    client = make_client(listener=PrometheusListener(registry))
    await asyncio.gather(*(client.send(token, HELLO) for token in tokens(3)))
    server.on_request = lambda peer, request: peer.reject(request, 410, "Unregistered")
    await client.send(TOKEN, HELLO)
    server.peers[0].goaway(99, 0, b'{"reason":"Shutdown"}')
    await server.until(lambda: server.peers[0].closed)
    assert value(registry, "apns_pushes_total", outcome="accepted", reason="") == 3
    assert value(registry, "apns_pushes_total", outcome="rejected", reason="Unregistered") == 1
    assert value(registry, "apns_push_queue_seconds_count") == 4
    assert value(registry, "apns_push_answer_seconds_bucket", le="+Inf") == 4
    assert value(registry, "apns_connections_opened_total") == 1
    assert value(registry, "apns_connection_open_seconds_count") == 1
    await client.close()  # the client may hear of the end after the server
    assert value(registry, "apns_connections_closed_total", cause="goaway") == 1
    assert value(registry, "apns_goaways_total", reason="Shutdown") == 1
    assert value(registry, "apns_provider_token_changes_total") == 1
    assert b"# TYPE apns_pushes_total counter" in generate_latest(registry)


async def test_failed_attempts_by_cause(make_client: MakeClient) -> None:
    """Attempts that fail are counted by a word of the short list."""
    registry = CollectorRegistry()
    await make_client(listener=PrometheusListener(registry), endpoint="127.0.0.1:1", connect_attempts=1).send(
        TOKEN, HELLO
    )
    assert value(registry, "apns_connection_failures_total", cause="refused") == 1
    assert value(registry, "apns_pushes_total", outcome="not_sent", reason="") == 1


async def test_topics_are_a_list(anyio_backend: str) -> None:
    """A single string, which would count as its characters, is refused with the cure, and nothing is registered."""
    registry = CollectorRegistry()
    with pytest.raises(
        TypeError, match=r'^topics: a single string; give a list of topics, like \["com.example.app"\]$'
    ):
        PrometheusListener(registry, topics="com.example.app")
    PrometheusListener(registry, topics=iter(("com.example.app",)))


async def test_gauges_are_asked_at_the_scrape(server: ApnsServer, make_client: MakeClient) -> None:
    """In flight, waiting, connections and the stream limit are the clients' sums of the moment of the scrape."""
    server.stream_limit = 2
    registry = CollectorRegistry()
    listener = PrometheusListener(registry)
    client, other = make_client(listener=listener, max_connections=1), make_client(listener=listener)
    await client.send(TOKEN, HELLO)
    await other.send(TOKEN, HELLO)
    server.on_request = hold
    pending = [client.send(token, HELLO) for token in tokens(5)]
    await server.received(4)
    names = ("apns_pushes_in_flight", "apns_pushes_waiting", "apns_connections", "apns_stream_limit")
    assert [value(registry, name) for name in names] == [2, 3, 2, 4]
    assert not any(one.done() for one in pending)


class Idle:
    """A client that does nothing."""

    def stats(self) -> object:
        raise AssertionError("nobody should ask the dead")


def test_a_client_that_is_gone_is_not_kept() -> None:
    """The listener holds its clients weakly."""
    listener = PrometheusListener(CollectorRegistry())
    idle = Idle()
    listener.attached(idle)  # type: ignore[arg-type]
    assert repr(listener) == "<PrometheusListener of 1 clients>"
    del idle
    gc.collect()
    assert repr(listener) == "<PrometheusListener of 0 clients>"


def test_unknown_reasons_are_other() -> None:
    """Whatever reasons a peer makes up, there is one label for them; so it is with topics that were not named."""
    registry = CollectorRegistry()
    listener = PrometheusListener(registry, topics=["com.example.app"])
    for number in range(2500):
        outcome = Rejected(TOKEN, "id", 400, f"Reason{number}", wire_ms=1)
        listener.push_ended(PushEnded(outcome, f"com.example.app{number % 7 or ''}", "alert", 1.0))
    rejected = {"outcome": "rejected", "reason": "other"}
    assert value(registry, "apns_pushes_total", **rejected, topic="com.example.app") == 358
    assert value(registry, "apns_pushes_total", **rejected, topic="other") == 2142
    text = generate_latest(registry).decode()
    assert text.count("\napns_pushes_total{") == 2


@pytest.mark.parametrize("milliseconds", [4.9, 5, 5.1, 30_000, 30_001])
def test_buckets_at_their_edges(milliseconds: float) -> None:
    """A duration is counted in each bucket whose bound is not below it."""
    registry = CollectorRegistry()
    PrometheusListener(registry).push_ended(PushEnded(Accepted(TOKEN, "id"), "t", "alert", milliseconds))
    for bound in BUCKETS:
        counted = value(registry, "apns_push_queue_seconds_bucket", le=str(bound))
        assert counted == (milliseconds / 1000 <= bound), bound
    assert value(registry, "apns_push_queue_seconds_bucket", le="+Inf") == 1
    assert value(registry, "apns_push_queue_seconds_sum") == milliseconds / 1000


def test_only_answers_have_an_answer_latency() -> None:
    """What had no answer is in no histogram of answers."""
    registry = CollectorRegistry()
    listener = PrometheusListener(registry, namespace="push")
    for outcome in (NotSent(TOKEN, "id", "x"), Unknown(TOKEN, "id", "x", None, 9)):
        listener.push_ended(PushEnded(outcome, "t", "alert", 1))
    assert value(registry, "push_push_answer_seconds_count") == 0
    assert value(registry, "push_pushes_total", outcome="unknown", reason="") == 1


def test_the_engine_does_not_import_it() -> None:
    """Who does not use the adapter needs no prometheus_client."""
    code = "import sys, heliogram.apns, heliogram.apns.sync; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
