"""Bodies with long lists: decoded in slices, and otherwise as all others are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from support.service import Service

from heliogram.api.long_bodies import SLICE, LongBody
from heliogram.api.send import SendRequest
from heliogram.rest import LONG_BODY, Problem, decode_body

pytestmark = pytest.mark.anyio

LONG = LongBody(SendRequest, "to")


def body(count: int, **more: Any) -> dict[str, Any]:
    """A send to so many tokens with variables."""
    to = [{"token": f"{n:064x}", "provider": "APN", "variables": {"n": n, "é": [None, {}]}} for n in range(count)]
    return {"to": to, "content": {"body": "Hello"}, **more}


@asynccontextmanager
async def counted() -> AsyncIterator[list[int]]:
    """How many passes the loop makes meanwhile."""
    passes, over = [0], False

    async def count() -> None:
        while not over:
            passes[0] += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        yield passes
    finally:
        over = True
        await counting


@pytest.mark.parametrize("count", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 7])
async def test_a_body_in_slices_is_the_body(count: int) -> None:
    """At the edges of a slice and past them, what comes out is what decoding it whole gives."""
    raw = msgspec.json.encode(body(count, ttl=60, priority="LOW", tags={"a": "b"}, validateOnly=True))
    assert await LONG.read(raw) == decode_body(SendRequest, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"to": [{"token": 1}, {"nonsense": 2}], "content": {"body": "x"}}',
        b'{"to": [null], "content": {"body": "x"}}',
        b'{"to": {}, "content": {"body": "x"}}',
        b'{"to": [{"token": "ab"}], "content": {"body": 7}, "more": 1}',
        b'{"to": [{"token": "ab"}]}',
        b'{"to": [{"token": "ab"}',
        b'{"to": [{"token": "\xff"}], "content": {"body": "x"}}',
        b'{"to": [' + b"[" * 5000 + b"]" * 5000 + b'], "content": {"body": "x"}}',
        b"",
        b"[]",
    ],
)
async def test_what_is_wrong_is_told_as_for_a_short_body(raw: bytes) -> None:
    """A body that does not decode is answered by the same problem, with the same paths, whichever way it was read."""
    with pytest.raises(Problem) as short:
        decode_body(SendRequest, raw)
    with pytest.raises(Problem) as long:
        await LONG.read(raw)
    assert (long.value.status, long.value.errors) == (short.value.status, short.value.errors)


async def test_the_loop_goes_on_while_a_long_list_is_read(service: Service) -> None:
    """A send to 10,000 is read in slices: the loop comes round at least once for each 250 recipients, three times."""
    await service.app_named()
    async with counted() as passes:
        answer = await service.post("", body(10_000))
    assert answer.status_code == 202, answer.text
    assert passes[0] >= 3 * 10_000 / 250


@pytest.mark.parametrize("size", [LONG_BODY - 1, LONG_BODY])
async def test_a_body_at_the_edge_of_long_is_taken_either_way(service: Service, size: int) -> None:
    """One byte below the length from which on bodies are read in slices and at it, a send is accepted."""
    await service.app_named()
    content = msgspec.json.encode(body(100))
    content += b" " * (size - len(content))
    headers = {"content-type": "application/json"}
    answer = await service.client.post("/v1/PushNotifications", content=content, headers=headers)
    assert answer.status_code == 202, answer.text
