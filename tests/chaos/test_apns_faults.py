"""The simulator's whole fault list under the whole service: each fault ends, and each push has exactly one outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import living
from support.outage import Outage

from heliogram.simulator.faultspec import KINDS, OPENING, STATUS_OF

pytestmark = pytest.mark.anyio

NEEDED: dict[str, list[dict[str, Any]]] = {
    "status": [{"reason": "ServiceUnavailable"}],
    "delay": [{"delay_ms": 20, "jitter_ms": 20, "reorder": True}],
    "goaway": [{"style": style} for style in ("graceful", "announced", "double", "abrupt")],
    "reset": [{"code": "REFUSED_STREAM", "next": 50}, {"code": "INTERNAL_ERROR"}],
    "streamLimit": [{"stream_limit": 1}, {"stream_limit": 0}],
    "split": [{"size": 1}],
    "shuffle": [{"hold": 3}],
    "tls": [{"alert": "certificate_revoked"}, {"alert": "internal_error"}],
    "wedge": [{"after_expiry": False}],
    "silence": [{"processed": True}, {"processed": False}],
}
"""What a kind needs, and the ways it is tried. A kind that is not here is tried as it is: a new one is covered too."""

FAULTS = [{"kind": kind, **more} for kind in KINDS for more in NEEDED.get(kind, [{}])]
ANSWERS: list[dict[str, Any]] = [
    *({"reason": reason} for reason in STATUS_OF),
    {"status": 503, "body": "<html><body>Bad gateway</body></html>"},
    {"status": 200, "body": "<html>"},
    {"status": 599},
    {"status": 302},
]
"""Every reason there is, and answers that are none of APNs."""


def named(fault: dict[str, Any]) -> str:
    """The fault in a test's name."""
    return "-".join(str(value) for value in fault.values() if value not in (None, ""))[:60]


@pytest.fixture
async def outage(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Outage]:
    async with living(tmp_path) as live:
        outage = Outage(live, tmp_path)
        await outage.begin(8)
        yield outage


@pytest.mark.parametrize("fault", FAULTS, ids=named)
async def test_after_any_fault_each_push_has_one_outcome(outage: Outage, fault: dict[str, Any]) -> None:
    """Nothing is lost, nothing comes twice but what was never answered, and another team's push goes out meanwhile."""
    if fault["kind"] not in OPENING:  # a connection that was good before
        await outage.send(outage.tokens[0])
        await outage.work(0)
    outage.live.simulator.faults.add(listener="production", **fault)
    await outage.send()
    await outage.send(outage.tokens[1], ttl=0)
    await outage.work(40)
    assert await outage.neighbour_sends()
    await outage.send(outage.tokens[2], ttl=3600)
    await outage.work(60)
    outage.live.simulator.faults.clear()
    await outage.finish()
    assert await outage.failing() is None


async def test_after_any_answer_each_push_has_one_outcome(outage: Outage) -> None:
    """ERR-5: every reason of the table and what is none, one after another, to a phone each; then all is well again."""
    for answer in ANSWERS:
        _, token = outage.live.phone()
        fault = outage.live.simulator.faults.add(listener="production", **answer)
        await outage.send(token)
        await outage.send(token, ttl=0)
        await outage.work(2)
        outage.live.simulator.faults.remove(fault.id)
        await outage.work(700)  # a credential that was refused is tried again by then
    await outage.send()
    await outage.finish()
    assert await outage.failing() is None
