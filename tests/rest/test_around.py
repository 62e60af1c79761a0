"""The hook around writes."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.responses import Response
from support.things import shop

from heliogram.rest import Around, Problem, Proceed, Writing

pytestmark = pytest.mark.anyio

THING = {"name": "chair", "parts": [{"partName": "leg"}]}


class Hook:
    """Notes what it is asked to handle, and answers as the header says."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, Any, str]] = []

    async def handle(self, writing: Writing, proceed: Proceed) -> Response:
        call = writing.call
        self.seen.append((writing.endpoint.operation_id, writing.raw, call.auth, call.prefix))
        assert call.body is None
        match call.request.headers["x-hook"]:
            case "refuse":
                raise Problem(409, 70070, "Conflict", "Not you.")
            case "answer":
                return writing.answer({"id": "0", "name": "mine"})
        response = await proceed()
        response.headers["X-Seen"] = str(response.status_code)
        return response


def around(hook: Hook) -> Around:
    return Around(header="X-Hook", handle=hook.handle, description="A hook.", schema={"type": "string"}, errors=(409,))


async def post(client: httpx2.AsyncClient, what: str | None, body: Any = THING) -> httpx2.Response:
    return await client.post("/v1/Things", json=body, headers={} if what is None else {"X-Hook": what})


async def test_only_writes_with_the_header_go_through_it() -> None:
    """Not others, not reads, and nothing of a stranger or of one who may not."""
    hook = Hook()
    async with shop(around=around(hook)) as ann:
        assert (await post(ann, None)).status_code == 202
        assert (await ann.get("/v1/Things", headers={"X-Hook": "refuse"})).status_code == 200
        assert hook.seen == []
        answer = await post(ann, "on")
    assert (answer.status_code, answer.headers["x-seen"]) == (202, "202")
    ((name, raw, auth, prefix),) = hook.seen
    assert (name, raw, auth, prefix) == ("makeThing", answer.request.content, "ann", "/v1")
    for key, status in ((None, 401), ("bob", 403)):
        async with shop(key=key, around=around(hook)) as other:
            assert (await post(other, "on")).status_code == status
    assert len(hook.seen) == 1


async def test_a_problem_within_is_an_answer_to_it() -> None:
    """What is wrong with the body, or fails in the handler, comes back as the response it becomes."""
    async with shop(around=around(Hook())) as ann:
        answer = await post(ann, "on", {})
        assert (answer.status_code, answer.headers["x-seen"]) == (400, "400")
        broken = await ann.delete("/v1/Things/1", headers={"X-Hook": "on"})
        assert (broken.status_code, broken.headers["x-seen"]) == (500, "500")


async def test_it_may_answer_or_refuse_by_itself() -> None:
    """Then nothing is handled."""
    async with shop(around=around(Hook())) as ann:
        answer = await post(ann, "answer")
        assert (answer.status_code, answer.json()) == (202, {"id": "0", "name": "mine"})
        refused = await post(ann, "refuse")
        assert (refused.status_code, refused.json()["code"]) == (409, 70070)
        assert (await ann.get("/v1/Things")).json()["things"] == []


async def test_it_stands_in_the_document_of_every_write() -> None:
    """As a header parameter, with the statuses it adds."""
    async with shop(around=around(Hook())) as ann:
        paths = (await ann.get("/openapi.json")).json()["paths"]
    found = {
        (path, method): [each["name"] for each in operation["parameters"] if each["in"] == "header"]
        for path, item in paths.items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    }
    assert {place for place, names in found.items() if names} == {("/Things", "post"), ("/Things/{thingId}", "delete")}
    assert "409" in paths["/Things"]["post"]["responses"]
    assert "409" not in paths["/Things"]["get"]["responses"]
