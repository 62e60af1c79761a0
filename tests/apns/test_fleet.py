"""The connections of a pool."""

from __future__ import annotations

from typing import Any

import pytest
from support.apns_server import ApnsServer
from support.engine import HELLO, TOKEN, MakeClient

from heliogram.apns.fleet import Fleet

pytestmark = pytest.mark.anyio


class Stub:
    """As much of a connection as its load."""

    def __init__(self, inflight: int) -> None:
        self.inflight = inflight


def test_the_least_busy_first() -> None:
    """In the order of their age where they are equally busy."""
    fleet = Fleet()
    ships: list[Any] = [Stub(3), Stub(1), Stub(1)]
    fleet.live.extend(ships)
    assert fleet.by_load() == [ships[1], ships[2], ships[0]]
    assert fleet.inflight == 5
    assert repr(fleet) == "<Fleet of 3 connections, 0 leaving>"


async def test_retiring(server: ApnsServer, make_client: MakeClient) -> None:
    """A connection leaves once; one that never took pushes does not count."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    [one] = client.pool.connections
    fleet = Fleet()
    assert not fleet.retire(one)
    fleet.live.append(one)
    assert (fleet.retire(one), fleet.retire(one)) == (True, False)
    assert (fleet.live, fleet.leaving, fleet.every()) == ([], {one}, (one,))
