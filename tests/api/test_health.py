"""Whether the process is there, and whether it can work."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest
from support.service import Service

from heliogram import api
from heliogram.api import ApiState, build_health
from heliogram.domain.errors import Code

pytestmark = pytest.mark.anyio


class Missing:
    """What is missing, as the test says."""

    def __init__(self, *what: str) -> None:
        self.what = list(what)

    async def missing(self) -> list[str]:
        return self.what


def stranger(state: ApiState, *, alone: bool = False) -> httpx2.AsyncClient:
    app = build_health(state) if alone else api.build(state)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test")


@pytest.mark.parametrize("alone", [False, True])
async def test_it_is_alive_and_ready(service: Service, alone: bool) -> None:
    """Without a key, with and without the API beside it."""
    async with stranger(service.state, alone=alone) as client:
        answers = [await client.get(path) for path in ("/health", "/health/live", "/health/ready")]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [
        (200, "ok"),
        (200, "ok"),
        (200, "ready"),
    ]


@pytest.mark.parametrize("alone", [False, True])
async def test_what_is_missing_is_said(service: Service, alone: bool) -> None:
    """503 with each of the reasons, and when to ask again; it is alive all the same."""
    state = replace(service.state, readiness=Missing("the store cannot be reached", "it is being stopped"))
    async with stranger(state, alone=alone) as client:
        answer, alive = await client.get("/health/ready"), await client.get("/health/live")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, Code.NOT_READY, "5")
    assert "the store cannot be reached; it is being stopped." in answer.json()["detail"]
    assert alive.status_code == 200


async def test_a_process_without_the_api_serves_nothing_else(service: Service) -> None:
    """Not even with a key."""
    async with stranger(service.state, alone=True) as client:
        answer = await client.get("/v1/Apps", auth=service.key)
    assert answer.status_code == 404
