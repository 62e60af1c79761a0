"""Every answer carries the id of its request."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx2
import pytest

from heliogram.rest import Call, Problem, build_app, current_request_id, endpoint
from heliogram.rest.requestid import MAX_CHARS, answering, request_id

pytestmark = pytest.mark.anyio
MADE = re.compile(r"[0-9a-f]{16}")
left: list[asyncio.Task[str | None]] = []


@endpoint("GET", "/Id", summary="Tell the id", returns=dict[str, str | None], scope=None)
async def tell(call: Call[Any]) -> dict[str, str | None]:
    """What a log line would have."""

    async def later() -> str | None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return current_request_id()

    left.append(asyncio.get_running_loop().create_task(later()))
    return {"id": current_request_id()}


@endpoint("GET", "/Wrong", summary="Fail", returns=None, scope=None)
async def fail(call: Call[Any]) -> None:
    """Never succeeds."""
    raise Problem(409, 20409, "No", "Never")


heard: list[tuple[str, int]] = []
app = build_app(
    [tell, fail],
    state=None,
    title="t",
    version="1",
    answered=lambda operation, status, seconds: heard.append((operation, status)),
)


async def ask(path: str, **headers: str) -> httpx2.Response:
    """An answer in process."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_a_sane_id_is_taken_over() -> None:
    """Into the answer's header, and for whatever is logged meanwhile (OWN-41)."""
    answer = await ask("/v1/Id", X_Request_Id="order-17/a.b:c")
    assert answer.headers["x-request-id"] == "order-17/a.b:c"
    assert answer.json() == {"id": "order-17/a.b:c"}


@pytest.mark.parametrize("given", ["", " ", "-", "a b", "a\tb", 'a"b', "a{b}", "a" * (MAX_CHARS + 1), "ä"])
async def test_any_other_is_replaced(given: str) -> None:
    """A log line and a header must take it as it is."""
    assert MADE.fullmatch(request_id(given))


async def test_the_longest_id_passes() -> None:
    """At the bound."""
    assert request_id("a" * MAX_CHARS) == "a" * MAX_CHARS


async def test_an_error_has_one_too() -> None:
    """Also where nothing is, and each its own."""
    answers = [await ask(path) for path in ("/v1/Wrong", "/v1/Nothing", "/v1/Nothing")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [answer.status_code for answer in answers] == [409, 404, 404]
    assert all(MADE.fullmatch(each) for each in ids)
    assert len(set(ids)) == 3


async def test_what_goes_on_after_the_answer_is_not_the_requests() -> None:
    """A task that it began has its context; what it does later is something else."""
    left.clear()
    await ask("/v1/Id", X_Request_Id="first")
    assert await left[0] is None
    with answering("x"):
        assert current_request_id() == "x"
    assert current_request_id() is None


async def test_whoever_counts_requests_hears_of_each() -> None:
    """By operation; what is nowhere is "other"."""
    heard.clear()
    for path in ("/v1/Id", "/v1/Wrong", "/v1/Nothing"):
        await ask(path)
    assert heard == [("tell", 200), ("fail", 409), ("other", 404)]
