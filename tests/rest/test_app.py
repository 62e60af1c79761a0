"""Dispatch, authentication, limits and the error body of the HTTP layer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
from support.things import ENDPOINTS, Shop, Thing, make_thing, shop, shop_app

from heliogram.rest import Call, Problem, build_app, endpoint

pytestmark = pytest.mark.anyio

GOOD = {"name": "lamp", "parts": [{"partName": "bulb"}]}


async def test_a_handler_gets_its_body_and_its_answer_carries_status_and_headers() -> None:
    """A declared endpoint decodes the body, answers its status, and adds the result's headers."""
    async with shop() as client:
        answer = await client.post("/v1/Things", json=GOOD)
    assert answer.status_code == 202
    assert answer.json() == {"id": "1", "name": "lamp"}
    assert answer.headers["location"] == "/v1/Things/1"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_every_prefix_serves_the_same_endpoints() -> None:
    """v1 and preview are twins; a handler knows which was asked."""
    async with shop() as client:
        made = await client.post("/preview/Things", json=GOOD)
        assert made.headers["location"] == "/preview/Things/1"
        assert (await client.get("/v1/Things/1")).json() == made.json()
        assert (await client.get("/Things/1")).status_code == 404


@pytest.mark.parametrize("path", ["/v1/Things", "/v1/Things/1", "/health"])
async def test_a_parameter_of_an_endpoint_that_has_none_is_refused(path: str) -> None:
    """A misspelt or hoped-for parameter is never ignored: `POST …?dryRun=true` must not do it for real."""
    async with shop() as client:
        answer = await client.request("POST" if path == "/v1/Things" else "GET", f"{path}?dryRun=true", json=GOOD)
        assert (await client.get("/v1/Things/1")).status_code == 404
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"] == "query.dryRun"
    assert answer.json()["code"] == 70005


async def test_a_literal_segment_wins_over_a_parameter() -> None:
    """`/Things/Best` is not the thing whose id is 'Best', whichever was declared first."""
    async with shop() as client:
        assert (await client.get("/v1/Things/Best")).json()["id"] == "best"


@pytest.mark.parametrize("path", ["/v1/Things", "/v1/Things/1", "/v1/nowhere", "/", "/v1/Things/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
async def test_strangers_get_401_whatever_they_ask(method: str, path: str) -> None:
    """Without a key existing and unknown paths and methods look the same."""
    async with shop(key=None) as client:
        answer = await client.request(method, path, content=b"{")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="t"'
    assert "allow" not in answer.headers


async def test_public_endpoints_need_no_key() -> None:
    """Health, the document and its page are open."""
    async with shop(key=None) as client:
        for path in ("/health", "/openapi.json", "/docs"):
            assert (await client.get(path)).status_code == 200


async def test_a_key_without_the_scope_is_refused() -> None:
    """The authenticator is told the endpoint's scope."""
    async with shop(key="bob") as client:
        assert (await client.get("/v1/Things")).status_code == 200
        answer = await client.post("/v1/Things", json=GOOD)
    assert answer.status_code == 403
    assert answer.json()["code"] == 20403


async def test_an_unknown_path_is_a_404_problem() -> None:
    """Unknown paths answer in the one error shape."""
    async with shop() as client:
        answer = await client.get("/v1/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/docs#code-20404",
        "title": "Not found",
        "status": 404,
        "code": 20404,
        "detail": "There is nothing at '/v1/nowhere'.",
        "message": "There is nothing at '/v1/nowhere'.",
        "more_info": "/docs#code-20404",
        "errors": [
            {
                "code": 20404,
                "message": "There is nothing at '/v1/nowhere'.",
                "detail": "There is nothing at '/v1/nowhere'.",
            }
        ],
    }


async def test_a_wrong_method_is_a_405_that_lists_all_methods() -> None:
    """`Allow` names the methods of every endpoint of the path."""
    async with shop() as client:
        answer = await client.put("/v1/Things")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_options_lists_the_methods() -> None:
    """OPTIONS is answered without a body."""
    async with shop() as client:
        answer = await client.options("/v1/Things/1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    """HEAD answers what GET would, Content-Length included."""
    async with shop() as client:
        same = {"X-Request-Id": "same"}
        head = await client.head("/v1/Things/Best", headers=same)
        get = await client.get("/v1/Things/Best", headers=same)
    assert head.content == b""
    assert head.headers == get.headers


async def test_an_unforeseen_failure_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A bug answers 500 without its message; the log has it."""
    with caplog.at_level(logging.ERROR, "heliogram.rest"):
        async with shop() as client:
            answer = await client.delete("/v1/Things/1")
    assert answer.status_code == 500
    assert answer.json()["code"] == 20500
    assert "secret" not in answer.text
    assert "the secret is 42" in caplog.text


async def test_an_application_may_translate_its_own_exceptions() -> None:
    """What `translate` knows becomes its problem; what it does not know stays a 500."""

    def translate(error: Exception) -> Problem | None:
        return Problem(409, 70999, "Conflict", "no") if isinstance(error, RuntimeError) else None

    async with shop(translate=translate) as client:
        assert (await client.delete("/v1/Things/1")).status_code == 409
    async with shop(translate=lambda error: None) as client:
        assert (await client.delete("/v1/Things/1")).status_code == 500


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    """The body limit is exact and the answer names it."""
    raw = b'{"name":"lamp","parts":[{"partName":"bulb"}]}'
    async with shop(body_limit=len(raw)) as client:
        assert (await client.post("/v1/Things", content=raw)).status_code == 202
        answer = await client.post("/v1/Things", content=raw + b" ")
    assert answer.status_code == 413
    assert answer.json()["code"] == 70060
    assert f"limit of {len(raw)} bytes" in answer.json()["detail"]


async def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    """Chunked bodies cannot slip past the limit."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b" " * 10

    async with shop(body_limit=39) as client:
        assert (await client.post("/v1/Things", content=chunks())).status_code == 413


async def test_a_body_that_never_comes_is_a_408() -> None:
    """A body must arrive in time."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/Things",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer ann")],
    }
    await shop_app(body_seconds=0)(scope, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 202),
        ({"Content-Type": "application/json; charset=UTF-8"}, 202),
        ({"Content-Type": "application/vnd.x+json"}, 202),
        ({}, 202),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/json"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
async def test_only_plain_json_is_read(headers: dict[str, str], status: int) -> None:
    """What is declared to be something else than UTF-8 JSON is refused; no declaration counts as JSON."""
    raw = b'{"name":"lamp","parts":[{"partName":"bulb"}]}'
    async with shop() as client:
        assert (await client.post("/v1/Things", content=raw, headers=headers)).status_code == status


async def test_the_key_is_checked_before_the_body_is_read() -> None:
    """A stranger's body is not looked at."""
    async with shop(key=None, body_limit=1) as client:
        assert (await client.post("/v1/Things", json=GOOD)).status_code == 401


async def test_without_an_authenticator_everything_is_open() -> None:
    """The simulator's control API has no keys."""
    async with shop(key=None, authenticate=None, prefixes=("",)) as client:
        assert (await client.post("/Things", json=GOOD)).status_code == 202
        assert (await client.get("/nowhere")).status_code == 404


def test_an_endpoint_without_a_declared_scope_stops_an_app_with_keys() -> None:
    """Nobody makes an endpoint public by forgetting something."""

    @endpoint("GET", "/Open", summary="Open", returns=Thing)
    async def forgotten(call: Call[Shop]) -> Thing:
        return Thing(id="", name="")

    with pytest.raises(ValueError, match="GET /Open: declare a scope"):
        shop_app(endpoints=(forgotten,))
    build_app((forgotten,), state=None, title="t", version="1")


def test_two_endpoints_of_one_method_and_path_are_refused() -> None:
    """The second would never be called."""
    with pytest.raises(ValueError, match="POST /Things is declared twice"):
        shop_app(endpoints=(*ENDPOINTS, make_thing))


@pytest.mark.parametrize(("method", "path"), [("BREW", "/a"), ("GET", "a"), ("GET", "/a/")])
def test_a_route_that_cannot_work_is_refused_at_once(method: str, path: str) -> None:
    """Mistakes in a declaration show at import."""
    with pytest.raises(ValueError, match=r"use one of|start with"):
        endpoint(method, path, summary="x")


async def test_a_client_gone_in_mid_body_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A disconnect is not logged as a failure of the server."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer ann")]
    scope = {"type": "http", "method": "POST", "path": "/v1/Things", "query_string": b"", "headers": headers}
    await shop_app()(scope, receive, send)
    assert sent[0]["status"] == 400
    assert not caplog.records
