"""Streams, subjects and consumers: a stream for each lane with a subject and a consumer for each shard, and one whose
messages are the shards themselves, which dispatchers take from each other."""

from __future__ import annotations

from typing import Any

import msgspec

from ...domain.operations import Lane
from ...domain.shards import DEFAULT_SHARDS, MAX_SHARDS

_S = 10**9
"""JetStream counts in nanoseconds."""
GROUP = "workers"
"""The priority group that all pulls for work are of: the name means nothing to the server."""
DISPATCH = "dispatch"
OUTSTANDING, SMALL_OUTSTANDING = 64, 256
"""The most references that wait in one shard, of large and of small sends: the backlog stays in the store, where turns
are taken."""
LEAST_AGE_S = 600
MAX_AGE_S = 86_400


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How the broker is used. All processes of an installation must be told the same.

    `replicas` is how many servers keep each stream, None for three in a cluster and one on a single server.
    `outstanding` is how many references wait in a shard of large sends, `small_outstanding` in one of small ones.
    `late_s` after a lease has run out a reference that nobody said anything about comes again; `token_s` after a
    dispatcher fell silent its shards are another's.
    """

    prefix: str = "heliogram"
    shards: int = DEFAULT_SHARDS
    replicas: int | None = None
    lease_ms: int = 60_000
    outstanding: int = OUTSTANDING
    small_outstanding: int = SMALL_OUTSTANDING
    late_s: float = 5.0
    token_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.prefix.replace("-", "").replace("_", "").isalnum() or len(self.prefix) > 32:
            raise ValueError(f"prefix: expected 1 to 32 letters, digits, - and _, got {self.prefix!r}")
        if not 1 <= self.shards <= MAX_SHARDS:
            raise ValueError(f"shards: expected 1 to {MAX_SHARDS}, got {self.shards}")
        if self.replicas not in (None, 1, 3, 5):
            raise ValueError(f"replicas: expected 1, 3 or 5, got {self.replicas}")
        if self.lease_ms < 1 or self.outstanding < 1 or self.small_outstanding < 1:
            raise ValueError("lease_ms, outstanding and small_outstanding: expected more than 0")
        if self.late_s <= 0 or self.token_s <= 0:
            raise ValueError("late_s and token_s: expected more than 0")

    def most(self, lane: Lane) -> int:
        """How many references wait in a shard of a lane."""
        return self.small_outstanding if lane is Lane.TX else self.outstanding

    # ---- names

    def stream(self, lane: Lane) -> str:
        """The stream of a lane."""
        return f"{self.prefix}-{lane.name.lower()}"

    @property
    def shard_stream(self) -> str:
        """The stream whose messages are the shards."""
        return f"{self.prefix}-shards"

    @property
    def streams(self) -> tuple[str, ...]:
        """All of them."""
        return (*(self.stream(lane) for lane in Lane), self.shard_stream)

    def subject(self, lane: Lane, shard: int) -> str:
        """Where the references of a shard go."""
        return f"{self.prefix}.{lane.name.lower()}.{shard}"

    def consumer(self, shard: int) -> str:
        """The consumer of a shard, the same name in each lane's stream."""
        return f"shard-{shard}"

    def shard_of(self, consumer: str) -> int | None:
        """The shard whose consumer has this name, None for any other."""
        number = consumer.removeprefix("shard-")
        known = number.isascii() and number.isdecimal() and int(number) < self.shards
        return int(number) if known and self.consumer(int(number)) == consumer else None

    def shard_subject(self, shard: int | str) -> str:
        """Where a shard itself waits for a dispatcher."""
        return f"{self.prefix}.shard.{shard}"

    def hint_subject(self, shard: int | str) -> str:
        """Where dispatchers hear that there is something to do."""
        return f"{self.prefix}.hint.{shard}"

    @property
    def canceled_subject(self) -> str:
        """Where all hear of operations that were cancelled."""
        return f"{self.prefix}.canceled"

    @property
    def worker_subject(self) -> str:
        """Where workers tell each other that they are there."""
        return f"{self.prefix}.workers"

    def elected_subject(self, stream: str, consumer: str = "*") -> str:
        """Where the servers tell that a consumer has another leader: what the last one was asked may be lost."""
        return f"$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED.{stream}.{consumer}"

    def place(self, subject: str) -> tuple[Lane, int]:
        """The lane and the shard of a reference's subject. Raises `ValueError` for any other."""
        _, lane, shard = subject.split(".")
        return Lane[lane.upper()], int(shard)

    # ---- settings

    @property
    def redeliver_after_s(self) -> float:
        """When a reference that nobody said anything about comes again: its lease has run out by then."""
        return self.lease_ms / 1000 + self.late_s

    @property
    def least_window_s(self) -> float:
        """The least time for which repeats must be known: a reference may be published again while its lease lasts."""
        return 2 * self.lease_ms / 1000

    def stream_config(self, name: str, replicas: int) -> dict[str, Any]:
        """What a stream is made with."""
        tokens = name == self.shard_stream
        config: dict[str, Any] = {
            "name": name,
            "subjects": [self.shard_subject("*") if tokens else f"{self.prefix}.{name.rpartition('-')[2]}.*"],
            "retention": "limits" if tokens else "workqueue",
            "storage": "file",
            "discard": "new",
            "num_replicas": replicas,
            "duplicate_window": int(max(120, self.least_window_s) * _S),
            "max_age": 0 if tokens else MAX_AGE_S * _S,
        }
        if tokens:  # each shard is there once
            config |= {"max_msgs_per_subject": 1, "discard_new_per_subject": True}
        return config

    def consumers(self, stream: str) -> dict[str, dict[str, Any]]:
        """The consumers of a stream, by their names."""
        if stream == self.shard_stream:
            return {DISPATCH: _consumer(DISPATCH, self.shard_subject("*"), self.token_s)}
        lane = next(lane for lane in Lane if self.stream(lane) == stream)
        return {
            self.consumer(shard): {
                **_consumer(self.consumer(shard), self.subject(lane, shard), self.redeliver_after_s),
                "priority_groups": [GROUP],
                "priority_policy": "prioritized",
            }
            for shard in range(self.shards)
        }


def _consumer(name: str, subject: str, wait_s: float) -> dict[str, Any]:
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": subject,
        "ack_policy": "explicit",
        "ack_wait": int(wait_s * _S),
        "max_deliver": -1,
        "max_ack_pending": -1,
        "max_waiting": 4096,
    }
