"""APNs answers 5xx to everything for a day: what that writes, and how soon everything leaves afterwards."""

from __future__ import annotations

from pathlib import Path
from shutil import copy
from sqlite3 import connect
from tempfile import TemporaryDirectory

import pytest
from delivery.conftest import Delivery
from support.apns_server import ApnsServer, Peer, accept_all
from support.stores import recipients_of

from heliogram.delivery.policy import RetryPolicy
from heliogram.domain.operations import Lane, OperationStatus
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

RECIPIENTS = 200
BYTES_A_CHUNK = 40_000
"""The most that such a chunk's results may take, however long it lasts: of 500, 100 KB."""


def written(directory: Path) -> int:
    """Bytes of result parts."""
    with TemporaryDirectory() as copied:  # a second SQLite in this process would take the first one's locks away
        for file in directory.glob("heliogram.db*"):
            if not file.name.endswith("-shm"):
                copy(file, copied)
        connection = connect(Path(copied) / "heliogram.db")
        try:
            return int(connection.execute("SELECT sum(length(packed)) FROM chunk_result").fetchone()[0])
        finally:
            connection.close()


async def test_a_day_of_5xx_writes_no_more_than_an_hour(delivery: Delivery, apns: ApnsServer, tmp_path: Path) -> None:
    """ERR-3: bulk is tried every quarter of an hour; the results stay small, tell every attempt, and once APNs is well
    everything leaves within the next quarter."""

    def refuse(peer: Peer, request: Received) -> None:
        peer.reject(request, 503, "ServiceUnavailable")

    clock, policy = delivery.bench.clock, RetryPolicy()
    await delivery.app()
    apns.on_request = refuse
    operation = await delivery.bench.accept(recipients_of(RECIPIENTS), lane=Lane.BULK)
    sizes, attempts = [], 0
    while attempts < 90:
        assert await delivery.deliver(Lane.BULK) == 1
        attempts += 1
        sizes.append(written(tmp_path))
        clock.advance(policy.provider_wait / 1000)
    assert max(sizes) <= BYTES_A_CHUNK
    assert max(sizes[4:]) <= max(sizes[:5]) * 1.2  # from the first hour on it grows no more
    (delivered,) = (await delivery.notifications(operation))[0].deliveries
    assert (delivered.attempt, delivered.reason) == (attempts, "ServiceUnavailable")
    apns.on_request = accept_all
    assert await delivery.deliver(Lane.BULK) == 1
    done = await delivery.operation(operation)
    assert (done.status, done.stats.sent) == (OperationStatus.COMPLETED, RECIPIENTS)
