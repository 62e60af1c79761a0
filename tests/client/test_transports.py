"""Both transports against a server that misbehaves: connections, silence, proxies of the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.misbehaving import Server, misbehaving

from heliogram.client import AsyncHeliogram, Heliogram, HeliogramError, Unreachable

APP = (
    b'{"name":"a","isDefault":true,"defaultCredentials":[],"createdAt":"2026-01-02T03:04:05Z",'
    b'"updatedAt":"2026-01-02T03:04:05Z"}'
)
DONE = b'{"resourceId":"a","resourceLocation":"http://h/a"}'


@pytest.fixture
def server() -> Iterator[Server]:
    with misbehaving() as made:
        made.good = APP
        yield made


def client(server: Server, pause: Callable[[float], None] = lambda _: None, **more: Any) -> Heliogram:
    return Heliogram(server.url, "id.secret", pause=pause, random=lambda: 0.5, **more)


def test_a_connection_is_used_again(server: Server) -> None:
    """Three requests come over one."""
    with client(server) as heliogram:
        assert {heliogram.apps.get("a").name for _ in range(3)} == {"a"}
    assert len({address for address, _ in server.seen}) == 1


def test_a_write_whose_answer_is_lost_is_sent_again_with_its_key(server: Server) -> None:
    """The connection is cut after the request; the second try has the same key and another connection."""
    server.script = ["drop", 502, DONE]
    paused = list[float]()
    with client(server, paused.append) as heliogram:
        assert heliogram.apps.make_default("a").resource_id == "a"
    (first, key), (second, same), (_, again) = server.seen
    assert key == same == again
    assert key is not None
    assert first != second
    assert paused == [0.25, 0.5]


def test_as_long_as_the_server_asks_is_waited(server: Server) -> None:
    """By the pause that was given: 3 s and the jitter."""
    server.script = [429]
    paused = list[float]()
    with client(server, paused.append) as heliogram:
        heliogram.apps.get("a")
    assert paused == [3.25]


def test_silence_ends_with_the_timeout(server: Server) -> None:
    """It is told as no answer."""
    server.script = ["hang"]
    with (
        client(server, timeout=0.2, retries=0) as heliogram,
        pytest.raises(Unreachable, match="did not answer in time"),
    ):
        heliogram.apps.get("a")


def test_the_key_follows_no_redirect(server: Server) -> None:
    """A 302 is an error that is told, not a place to go."""
    server.script = [302]
    with client(server) as heliogram, pytest.raises(HeliogramError, match="302"):
        heliogram.apps.get("a")
    assert len(server.seen) == 1


@pytest.mark.anyio
async def test_the_same_with_await(server: Server) -> None:
    """Lost answers, pauses, reuse and silence."""
    server.script = ["drop", DONE, 429]
    paused = list[float]()

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    async with AsyncHeliogram(server.url, "id.secret", pause=pause, random=lambda: 0.5) as heliogram:
        await heliogram.apps.make_default("a")
        await heliogram.apps.get("a")
        assert paused == [0.25, 3.25]
        assert len({address for address, _ in server.seen}) == 2
    server.script = ["hang"]
    async with AsyncHeliogram(server.url, "id.secret", timeout=0.2, retries=0) as heliogram:
        with pytest.raises(Unreachable, match="did not answer in time"):
            await heliogram.apps.get("a")


def test_this_machine_is_not_asked_through_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY of the environment is for other hosts."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with client(server, retries=0) as heliogram:
        assert heliogram.apps.get("a").name == "a"


@pytest.mark.parametrize(
    ("more", "message"), [({"timeout": 0}, "timeout: expected more"), ({"retries": -1}, "retries: ")]
)
def test_arguments_that_cannot_be_right_are_named(more: dict[str, Any], message: str) -> None:
    """Zero retries and any positive timeout are fine."""
    with pytest.raises(ValueError, match=message):
        Heliogram("http://127.0.0.1:1", "id.secret", **more)
    Heliogram("http://127.0.0.1:1", "id.secret", timeout=0.001, retries=0).close()
