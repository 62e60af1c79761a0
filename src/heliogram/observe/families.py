"""Every metric of the service: its name, what it counts, and by which labels. What is in no table is not served."""

from __future__ import annotations

from typing import Final, NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


class Family(NamedTuple):
    """A metric as Prometheus sees it. A counter's samples end in `_total`."""

    kind: str
    text: str
    labels: tuple[str, ...] = ()


FAMILIES: Final[dict[str, Family]] = {
    "heliogram_build_info": Family("gauge", "1, with the version of Heliogram and of Python.", ("version", "python")),
    "heliogram_pushes": Family(
        "counter",
        "Attempts at devices by how they ended: accepted, rejected, not_sent, unknown (no answer) or unaddressable.",
        ("app", "outcome", "reason"),
    ),
    "heliogram_notifications": Family(
        "counter", "Recipients that ended: sent, failed or unaddressable.", ("app", "status")
    ),
    "heliogram_apns_answer_seconds": Family("histogram", "From writing a push to APNs' answer."),
    "heliogram_push_queue_seconds": Family(
        "histogram", "From the acceptance of a send, or the time it was scheduled for, to writing the push."
    ),
    "heliogram_devices_removed": Family("counter", "Device tokens removed since APNs said they are dead.", ("app",)),
    "heliogram_devices_quarantined": Family("counter", "Device tokens that APNs called wrong, set aside.", ("app",)),
    "heliogram_queue_waiting": Family("gauge", "Recipients that are due, or just being sent to.", ("lane",)),
    "heliogram_queue_later": Family("gauge", "Recipients that are scheduled, or put off until a retry.", ("lane",)),
    "heliogram_queue_oldest_seconds": Family(
        "gauge", "For how long the first chunk that no worker took has been due.", ("lane",)
    ),
    "heliogram_credentials_refused": Family("gauge", "Credentials that APNs refuses, or APNs out of their reach."),
    "heliogram_sender_processes": Family("gauge", "Sender processes at work beside the serving one."),
    "heliogram_store_up": Family("gauge", "1 when the store answered this scrape."),
    "heliogram_store_commit_seconds": Family(
        "histogram",
        "Transactions that write, to their COMMIT; with PostgreSQL, waiting for a connection is part of it.",
    ),
    "heliogram_store_jobs_waiting": Family("gauge", "Jobs for the store that have not begun."),
    "heliogram_store_errors": Family("counter", "Jobs that failed because of the database or its disk."),
    "heliogram_store_repeats": Family("counter", "Transactions begun again (PostgreSQL)."),
    "heliogram_store_wal_bytes": Family("gauge", "Size of the write-ahead log (embedded store)."),
    "heliogram_store_pool_connections": Family("gauge", "Connections to PostgreSQL that a job has.", ("state",)),
    "heliogram_webhook_posts": Family("counter", "Attempts to tell a webhook: taken or failed.", ("outcome",)),
    "heliogram_webhook_post_seconds": Family("histogram", "How long receivers of webhooks took."),
    "heliogram_webhook_batches": Family(
        "gauge", "Batches that receivers did not take: retrying, or dead (given up).", ("state",)
    ),
    "heliogram_webhook_oldest_seconds": Family("gauge", "How long the oldest batch that is still tried has waited."),
    "heliogram_webhooks_disabled": Family("gauge", "Webhooks that are told nothing any more."),
    "heliogram_api_requests": Family("counter", "Requests that an endpoint answered.", ("operation", "status")),
    "heliogram_api_request_seconds": Family("histogram", "How long requests took to be answered.", ("operation",)),
    "apns_connections_opened": Family("counter", "Connections opened."),
    "apns_connection_open_seconds": Family("histogram", "Name, connection and TLS handshake together."),
    "apns_connection_failures": Family("counter", "Attempts to connect that failed.", ("cause",)),
    "apns_connections_closed": Family("counter", "Connections closed.", ("cause",)),
    "apns_goaways": Family("counter", "GOAWAY frames received.", ("reason",)),
    "apns_provider_token_changes": Family("counter", "Provider tokens that no connection had before."),
    "apns_pushes_in_flight": Family("gauge", "Pushes written and not answered."),
    "apns_pushes_waiting": Family("gauge", "Pushes in the queues."),
    "apns_connections": Family("gauge", "Connections that take pushes."),
    "apns_stream_limit": Family("gauge", "Pushes that the open connections allow at a time."),
}

MAX_APPS = 100
"""Apps with series of their own; all others are counted together, as `other`."""
MAX_REASONS = 64
"""Reasons with series of their own; all others are counted together, as `other`."""
OTHER = "other"


def counter(name: str) -> CounterMetricFamily:
    """An empty family of the table."""
    return CounterMetricFamily(name, FAMILIES[name].text, labels=FAMILIES[name].labels)


def gauge(name: str, value: float | None = None) -> GaugeMetricFamily:
    """A family of the table, with its only value if it has no labels."""
    known = FAMILIES[name]
    return GaugeMetricFamily(name, known.text, value=value, labels=known.labels or None)


def histogram(name: str) -> HistogramMetricFamily:
    """An empty family of the table."""
    return HistogramMetricFamily(name, FAMILIES[name].text, labels=FAMILIES[name].labels)
