"""What a cluster leaves out of a list of consumers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from heliogram.queue.nats.checks import _consumers
from heliogram.queue.nats.link import Link

pytestmark = pytest.mark.anyio


class Leaving:
    """Lists three consumers, two a page, without one whose leader is being chosen."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def api(self, subject: str, body: dict[str, Any], **_: float) -> dict[str, Any]:
        self.asked.append(body["offset"])
        names = ["shard-0", "shard-1", "shard-2"][body["offset"] : body["offset"] + 2]
        listed = [{"name": name, "config": {"name": name}} for name in names if name != "shard-1"]
        return {"total": 3, "consumers": listed, "missing": ["shard-1"] if "shard-1" in names else None}


async def test_a_consumer_that_is_left_out_does_not_hold_up_the_start() -> None:
    """The list goes on behind it, and ends; it counts as there."""
    link = Leaving()
    found, silent = await _consumers(cast(Link, link), "heliogram-tx")
    assert (sorted(found), silent, link.asked) == (["shard-0", "shard-2"], {"shard-1"}, [0, 2])
