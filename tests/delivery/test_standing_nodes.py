"""Nodes that share a PostgreSQL database: what one meets of a credential, all others tell; what is done to it on one,
all others follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.live import Live, a_node, living
from support.service import Service, serving

from heliogram.ports.health import SILENT_MS

pytestmark = pytest.mark.anyio

REFUSED = "InvalidProviderToken"


@dataclass
class Nodes:
    """Two that send, and one that serves the API alone. `one` meets everything first."""

    one: Live
    two: Live
    api: Service

    async def told(self, credential: str) -> dict[str, Any]:
        """What the node that sends nothing says of a credential."""
        answer = await self.api.get(f"/Credentials/{credential}")
        listed = (await self.api.get("/Credentials")).json()["credentials"]
        found: dict[str, Any] = answer.json()
        assert found in listed
        return found

    async def failing(self, credential: str) -> dict[str, Any] | None:
        """Why it fails, as that node says."""
        found: dict[str, Any] | None = (await self.told(credential))["failing"]
        return found

    async def second(self) -> None:
        """A second passes: every node that sends looks once."""
        self.one.clock.advance(1)
        for node in (self.one, self.two):
            await node.watch.look()

    async def broken(self) -> str:
        """A credential that both have met APNs' refusal with, the second a second later."""
        credential = await self.one.credential()
        _, token = self.one.phone()
        self.one.simulator.faults.add(reason=REFUSED)
        for node in (self.one, self.two):
            await node.send(token)
            await node.deliver()
            await self.second()
        return credential


@pytest.fixture
async def nodes(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Nodes]:
    async with (
        living(tmp_path, store="postgres") as one,
        a_node(tmp_path, one.simulator, one.clock, store="postgres", node=b"2" * 16) as two,
        serving(tmp_path, clock=one.clock, store="postgres", node=b"3" * 16) as api,
    ):
        yield Nodes(one, two, api)


async def test_a_node_without_workers_tells_what_fails_elsewhere(nodes: Nodes) -> None:
    """Why, since when, and how many wait on all nodes; what APNs said last and when it took something last."""
    credential = await nodes.one.credential()
    _, token = nodes.one.phone()
    fresh = await nodes.told(credential)
    assert (fresh["failing"], fresh["lastAnswer"], fresh["lastSuccessAt"]) == (None, None, None)
    await nodes.one.send(token)
    await nodes.one.deliver()
    await nodes.second()
    good = await nodes.told(credential)
    assert good["lastAnswer"] == {"at": "2027-01-15T08:00:00Z", "status": 200, "reason": None}
    assert (good["failing"], good["lastSuccessAt"]) == (None, "2027-01-15T08:00:00Z")

    nodes.one.simulator.faults.add(reason=REFUSED)
    for node in (nodes.one, nodes.two):
        await node.send(token)
        await node.deliver()
        await nodes.second()
    bad = await nodes.told(credential)
    assert bad["failing"] == {
        "reason": REFUSED,
        "since": "2027-01-15T08:00:01Z",
        "probeAt": "2027-01-15T08:00:31Z",
        "waiting": 2,
    }
    assert bad["lastAnswer"] == {"at": "2027-01-15T08:00:02Z", "status": 403, "reason": REFUSED}
    assert bad["lastSuccessAt"] == "2027-01-15T08:00:00Z"
    assert await nodes.failing(credential) == (await nodes.two.get(f"/Credentials/{credential}"))["failing"]


@pytest.mark.parametrize("how", ["rotate", "reconnect"])
async def test_what_is_done_on_one_node_closes_the_breakers_of_all(nodes: Nodes, how: str) -> None:
    """Within a second, five being promised (TOK-20): what waits goes on, and no node says that it fails."""
    credential = await nodes.broken()
    nodes.one.simulator.faults.clear()
    body = {"content": nodes.one.key()} if how == "rotate" else {}
    answer = await nodes.api.post(f"/Credentials/{credential}/{how}", body)
    assert answer.status_code == 202, answer.text
    await nodes.second()
    assert repr(nodes.one.tools.breakers) == repr(nodes.two.tools.breakers) == "Breakers(open=0, known=0)"
    assert await nodes.failing(credential) is None
    assert await nodes.one.deliver() == 2
    assert (await nodes.one.get(f"/Credentials/{credential}"))["lastAnswer"]["status"] == 200


async def test_a_credential_that_is_revoked_on_one_node_fails_on_none(nodes: Nodes) -> None:
    """It is told to be revoked, and nothing else of it."""
    credential = await nodes.broken()
    assert (await nodes.api.post(f"/Credentials/{credential}/revoke", {})).status_code == 202
    await nodes.second()
    assert repr(nodes.one.tools.breakers) == repr(nodes.two.tools.breakers) == "Breakers(open=0, known=0)"
    told = await nodes.told(credential)
    assert (told["failing"], told["revokedAt"]) == (None, "2027-01-15T08:00:02Z")


async def test_a_credential_fails_until_the_last_node_says_that_it_works(nodes: Nodes) -> None:
    """Each finds out by itself, when it tries."""
    credential = await nodes.broken()
    nodes.one.simulator.faults.clear()
    nodes.one.clock.advance(30)
    await nodes.one.deliver()
    await nodes.second()
    failing = await nodes.failing(credential)
    assert failing is not None
    assert failing["since"] == "2027-01-15T08:00:01Z"  # since the second has known it
    await nodes.two.send(nodes.two.phone()[1])
    while await nodes.two.deliver():
        pass
    await nodes.second()
    assert await nodes.failing(credential) is None


async def test_what_a_dead_node_said_is_forgotten(nodes: Nodes) -> None:
    """After a minute without a word of it; while it lives, it repeats what it knows."""
    credential = await nodes.broken()
    for _ in range(8):
        nodes.one.clock.advance(15)
        await nodes.one.watch.look()
        assert await nodes.failing(credential) is not None
    nodes.one.clock.advance(SILENT_MS / 1000 + 1)
    assert await nodes.failing(credential) is None
    assert await nodes.api.store.forget_troubles(nodes.one.clock.ms - SILENT_MS) == 2
