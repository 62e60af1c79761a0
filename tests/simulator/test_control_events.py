"""The live events over real HTTP, and the feed behind them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from support.control import served

from heliogram.simulator import Simulator
from heliogram.simulator.control import ControlServer, events
from heliogram.simulator.feed import KEPT, Feed

pytestmark = pytest.mark.anyio


class Watched:
    """A simulator with its control API; ``read`` takes the next message off a stream of events."""

    def __init__(self, simulator: Simulator, server: ControlServer, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.server = server
        self.http = http


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    simulator = Simulator()
    await simulator.start()
    async with served(simulator) as server, httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
        yield Watched(simulator, server, http)
    await simulator.stop()


async def messages(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str, Any]]:
    """Id, name and data of each message of a stream."""
    fields: dict[str, str] = {}
    async for line in lines:
        if not line:
            if "event" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
            continue
        name, _, value = line.partition(": ")
        fields[name] = value


async def test_a_reader_is_told_when_it_hears_and_then_what_happens(watched: Watched) -> None:
    """The first message says from where on nothing is missed; what happens next comes in a batch, with its number."""
    async with watched.http.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        stream = messages(answer.aiter_lines())
        assert await anext(stream) == ("0", "ready", {"snapshot": 0, "kept": KEPT})
        watched.simulator.apns.feed.publish("device", {"deviceId": "1", "change": "made"})
        watched.simulator.apns.feed.publish("fault", {})
        number, name, batch = await anext(stream)
    assert (number, name) == ("2", "batch")
    assert batch == {
        "dropped": 0,
        "events": [{"kind": "device", "data": {"deviceId": "1", "change": "made"}}, {"kind": "fault", "data": {}}],
    }


async def test_a_slow_reader_is_told_how_much_it_missed() -> None:
    """A reader 1,000 events behind loses the oldest and is told how many; one event fewer, and it loses none."""
    for happened, dropped in ((KEPT, 0), (KEPT + 1, 1)):
        feed = Feed()
        async with aclosing(events.stream(feed)) as stream:
            await anext(stream)
            for number in range(happened):
                feed.publish("request", {"number": number})
            _, _, batch = await anext(messages(_lines(await anext(stream))))
        assert batch["dropped"] == dropped
        assert len(batch["events"]) == KEPT
        assert batch["events"][0]["data"]["number"] == dropped


async def test_whoever_only_counts_never_falls_behind(watched: Watched) -> None:
    """With ``counts`` a reader is told how many events of each kind there were; their data is never made."""
    feed = watched.simulator.apns.feed
    async with watched.http.stream("GET", "/events?counts=true") as answer:
        stream = messages(answer.aiter_lines())
        assert (await anext(stream))[1] == "ready"
        for _ in range(KEPT + 1):
            feed.publish("request", lambda: pytest.fail("made for nobody"))
        feed.publish("clock", {})
        assert await anext(stream) == (str(KEPT + 2), "counts", {"counts": {"request": KEPT + 1, "clock": 1}})


async def test_what_many_readers_hear_is_made_and_written_once() -> None:
    """Readers share an event's data and its JSON, so that a room full of them does not slow down the answers."""
    feed, made = Feed(), []

    class Data:
        def __str__(self) -> str:
            made.append("written")
            return "x"

    def data() -> dict[str, object]:
        made.append("made")
        return {"text": Data()}

    async with aclosing(events.stream(feed)) as first, aclosing(events.stream(feed)) as second:
        for stream in (first, second):
            await anext(stream)
        feed.publish("request", data)
        feed.publish("finding", lambda: None)
        feed.publish("clock", {})
        batches = [await anext(messages(_lines(await anext(stream)))) for stream in (first, second)]
    assert batches[0] == batches[1]
    heard = [{"kind": "request", "data": {"text": "x"}}, {"kind": "clock", "data": {}}]
    assert batches[0][2] == {"dropped": 0, "events": heard}
    assert made == ["made", "written"]


async def test_silence_is_filled_with_heartbeats() -> None:
    """When nothing happens a comment is sent, which every reader of such a stream skips."""
    async with aclosing(events.stream(Feed(), heartbeat=0)) as stream:
        await anext(stream)
        assert await anext(stream) == b": nothing happened\n\n"


async def test_a_reader_that_leaves_is_forgotten() -> None:
    """Nobody is left subscribed when a stream is closed, so that the hot path makes no events for nobody."""
    feed = Feed()
    stream = events.stream(feed)
    await anext(stream)
    assert feed.live
    await stream.aclose()
    assert not feed.live


async def test_the_number_of_readers_is_bounded(watched: Watched) -> None:
    """The last reader that is allowed reads, one more is refused with a problem that says why."""
    feed = watched.simulator.apns.feed
    others = [feed.subscribe() for _ in range(events.READERS - 1)]
    async with watched.http.stream("GET", "/events") as last:
        await anext(messages(last.aiter_lines()))
        refused = await watched.http.get("/events")
    assert (last.status_code, refused.status_code) == (200, 503)
    assert refused.json()["code"] == 20503
    for each in others:
        each.close()


async def test_open_streams_end_with_the_server(watched: Watched) -> None:
    """A control API that stops ends its streams of events; it does not wait for readers to leave."""
    async with watched.http.stream("GET", "/events") as answer:
        stream = messages(answer.aiter_lines())
        await anext(stream)
        await watched.server.stop()
        assert [each async for each in stream] == []


async def test_an_ended_feed_gives_what_is_waiting_and_then_nothing() -> None:
    """Ending loses no event that was published before."""
    feed = Feed()
    subscription = feed.subscribe()
    feed.publish("reset", {})
    feed.end()
    assert [event.kind for event in await subscription.take()] == ["reset"]
    assert await subscription.take() == []


async def _lines(message: bytes) -> AsyncIterator[str]:
    for line in message.decode().split("\n"):
        yield line
