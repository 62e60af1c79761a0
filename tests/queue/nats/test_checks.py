"""What is refused before anything goes through the broker, and in which words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.clock import FakeClock
from support.nats import NatsServer, Site

from heliogram.domain.operations import Lane
from heliogram.queue.nats import (
    Broker,
    JetStreamMissing,
    Layout,
    Link,
    QueueDown,
    QueueError,
    ServerTooOld,
    UnsafeQueue,
)
from heliogram.queue.nats.checks import check_version, stream_problems

pytestmark = pytest.mark.anyio

SEEN = """
accounts {
  SYS: {users: [{user: s, password: s}], exports: [{service: "$SYS.REQ.SERVER.PING.JSZ"}]}
  APP: {jetstream: enabled, users: [{user: a, password: open-sesame}],
        imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]}
}
system_account: SYS
no_auth_user: a
"""
"""A server that lets the account see how it is set up."""


@contextmanager
def serving(directory: Path, **settings: Any) -> Iterator[NatsServer]:
    """A server set up in another way."""
    server = NatsServer(directory / "nats", **settings).start()
    try:
        yield server
    finally:
        server.kill()


async def opened(url: str, layout: Layout | None = None) -> Broker:
    """A checked broker, closed again."""
    link = await Link.open(url)
    try:
        return await Broker.open(link, layout or Layout(shards=2), FakeClock())
    finally:
        await link.close()


@asynccontextmanager
async def pretending(info: dict[str, Any]) -> AsyncIterator[str]:
    """A server that says this of itself, and nothing else of use."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = {"server_id": "old", "max_payload": 1024, "headers": True, "proto": 1, **info}
        writer.write(b"INFO " + json.dumps(said).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("version", ["2.9.10", "2.11.9", "1.4.1"])
async def test_an_older_server_is_refused(version: str) -> None:
    """It would take priority groups without a word and ignore them."""
    async with pretending({"version": version, "jetstream": True}) as url:
        with pytest.raises(ServerTooOld, match=rf"is {version}: expected 2.12 or newer"):
            await opened(url)


@pytest.mark.parametrize("version", ["2.12.0", "2.12.0-RC.1", "v2.15.1", "3.0.0"])
def test_a_newer_one_will_do(version: str) -> None:
    """From 2.12 on."""
    check_version(version)


@pytest.mark.parametrize("version", ["", "dev", "2"])
def test_an_unknown_version_will_not_do(version: str) -> None:
    """What cannot be read may be anything."""
    with pytest.raises(ServerTooOld, match=r"expected 2\.12 or newer"):
        check_version(version)


async def test_a_server_without_jetstream_is_refused(tmp_path: Path) -> None:
    """It carries messages to who listens, and keeps none."""
    with serving(tmp_path, jetstream=None) as server, pytest.raises(JetStreamMissing, match="has no JetStream: enable"):
        await opened(server.url)


async def test_an_account_without_jetstream_is_refused(tmp_path: Path) -> None:
    """The server has it, but not for everybody."""
    more = "accounts { APP: {users: [{user: a, password: a}]} }\nno_auth_user: a"
    with serving(tmp_path, more=more) as server, pytest.raises(JetStreamMissing, match="for this account"):
        await opened(server.url)


async def test_a_server_that_writes_later_is_refused_where_that_can_be_seen(tmp_path: Path) -> None:
    """What it acknowledged would be lost in a power cut."""
    refused = pytest.raises(UnsafeQueue, match=r"writes to disk every 30 s.*sync_interval: always")
    with serving(tmp_path, jetstream="sync_interval: 30s", more=SEEN) as server, refused:
        await opened(server.url)


async def test_a_server_that_writes_through_will_do(tmp_path: Path) -> None:
    """Streams, consumers and shards are made; a second look finds all as it should be."""
    with serving(tmp_path, more=SEEN) as server:
        for _ in range(2):
            await opened(server.url)
        link = await Link.open(server.url)
        names = (await link.api("STREAM.NAMES"))["streams"]
        shards = (await link.api("STREAM.INFO.heliogram-shards"))["state"]["messages"]
        await link.close()
    assert sorted(names) == ["heliogram-bulk", "heliogram-shards", "heliogram-tx"]
    assert shards == 2


def test_a_stream_with_one_replica_in_a_cluster_is_unsafe() -> None:
    """It would be gone with one server."""
    layout = Layout(shards=2, replicas=1)
    problems = stream_problems(layout, {**layout.stream_config("heliogram-tx", 1)}, 3)
    assert problems == ["num_replicas is 1 in a cluster: expected 3"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"storage": "memory"}, "storage is memory, and a restart of the server would empty it: expected file"),
        ({"max_age": 599 * 10**9}, "max_age is 599 s, and work that waits longer is dropped: expected 0 or 600 s"),
        ({"duplicate_window": 119 * 10**9}, "duplicate_window is 119 s: expected 120 s, twice the lease"),
        (
            {"discard": "old", "max_msgs": 5},
            "discard is old with a limit, and the oldest work is dropped: expected new",
        ),
        (
            {"discard": "old", "max_bytes": 5},
            "discard is old with a limit, and the oldest work is dropped: expected new",
        ),
        ({"retention": "limits"}, "retention is 'limits': expected 'workqueue'"),
        ({"no_ack": True}, "no_ack is set: expected publishing to be acknowledged"),
    ],
)
async def test_unsafe_streams_are_refused(site: Site, changed: dict[str, Any], problem: str) -> None:
    """Each with what it is, what is expected and what to do; deleting it costs nothing."""
    link = await Link.open(site.urls)
    name = site.layout.stream(Lane.TX)
    await link.api(f"STREAM.CREATE.{name}", {**site.layout.stream_config(name, 1), **changed})
    with pytest.raises(UnsafeQueue) as refused:
        await Broker.open(link, site.layout, site.bench.clock)
    assert str(refused.value).startswith(f"stream {name}: {problem}; change it (`nats stream edit {name}`), or delete")
    await link.close()


@pytest.mark.parametrize("changed", [{"max_age": 0}, {"max_age": 600 * 10**9}, {"duplicate_window": 120 * 10**9}])
async def test_settings_at_the_edge_will_do(site: Site, changed: dict[str, Any]) -> None:
    """Kept for ever or for ten minutes, repeats known for two."""
    layout = site.layout
    assert stream_problems(layout, {**layout.stream_config(layout.stream(Lane.TX), 1), **changed}, 1) == []


async def test_a_consumer_without_priorities_is_refused(site: Site) -> None:
    """Made by something else, or by an older server: work would go to anybody."""
    link = await Link.open(site.urls)
    name = site.layout.stream(Lane.TX)
    await link.api(f"STREAM.CREATE.{name}", site.layout.stream_config(name, 1))
    config = {"name": "shard-1", "durable_name": "shard-1", "ack_policy": "explicit"}
    config["filter_subject"] = site.layout.subject(Lane.TX, 1)
    body = {"stream_name": name, "config": config}
    await link.api(f"CONSUMER.CREATE.{name}.shard-1.{config['filter_subject']}", body)
    with pytest.raises(UnsafeQueue, match=f"priority_groups is None .*`nats consumer rm {name} shard-1`"):
        await Broker.open(link, site.layout, site.bench.clock)
    await link.close()


async def test_no_server_is_told_without_what_opens_it() -> None:
    """Which address, and what to check; neither user nor password."""
    with pytest.raises(QueueDown) as down:
        await Link.open("nats://user:open-sesame@127.0.0.1:1", seconds=0.3)
    assert "127.0.0.1:1" in str(down.value)
    assert "sesame" not in str(down.value)
    assert isinstance(down.value, QueueError)


async def test_a_link_hides_what_opens_it(tmp_path: Path) -> None:
    """Its repr names the server alone."""
    with serving(tmp_path, more=SEEN) as server:
        link = await Link.open(server.url.replace("//", "//a:open-sesame@"))
        assert repr(link) == f"Link({server.url.removeprefix('nats://')}, connected=True, reconnects=0)"
        await link.close()
        await link.close()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"prefix": "a.b"}, "prefix"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "x" * 33}, "prefix"),
        ({"shards": 0}, "shards"),
        ({"shards": 1025}, "shards"),
        ({"replicas": 2}, "replicas"),
        ({"lease_ms": 0}, "lease_ms"),
        ({"outstanding": 0}, "outstanding"),
        ({"small_outstanding": 0}, "small_outstanding"),
        ({"token_s": 0}, "token_s"),
    ],
)
def test_a_layout_is_checked(settings: dict[str, Any], field: str) -> None:
    """Every bound, one past its edge."""
    with pytest.raises(ValueError, match=field):
        Layout(**settings)
    assert Layout(prefix="x" * 32, shards=1024, replicas=5).shards == 1024
