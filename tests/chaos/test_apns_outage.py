"""APNs is down, slow, or something else altogether: what waits costs nearly nothing, is seen, and goes on by itself."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copy
from sqlite3 import connect
from tempfile import TemporaryDirectory

import pytest
from support.live import Live, living
from support.outage import Outage
from support.stores import recipients_of
from support.tls import Authority

from heliogram.delivery.providers.apns import ApnsEndpoints
from heliogram.domain.content import Content
from heliogram.domain.notifications import SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut

pytestmark = pytest.mark.anyio

HOUR = 3600.0
BYTES_A_CHUNK = 30_000
"""The most that an outage writes for a chunk of 500, once: that its devices wait. Then nothing, however long it is."""
BYTES_A_TRY = 300
"""The most for the one push of a credential that is tried every minute: 18 KB an hour, whatever waits."""


@pytest.fixture
async def outage(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Outage]:
    async with living(tmp_path) as live:
        outage = Outage(live, tmp_path)
        await outage.begin(4)
        yield outage


def down(live: Live) -> None:
    """Nobody listens there any more."""
    live.simulator.faults.add(kind="refuse", listener="production")


async def test_down_for_minutes(outage: Outage) -> None:
    """Everything waits, the credential says since when and why, and goes on within the minute."""
    down(outage.live)
    for _ in range(3):
        await outage.send()
    await outage.work(300)
    failing = await outage.failing()
    assert failing is not None
    assert failing["reason"].startswith("Unreachable: cannot use 127.0.0.1:")
    assert (failing["since"][:16], failing["waiting"]) == ("2027-01-15T08:00", 12)
    assert (await outage.stats())["queued"] == 12
    assert await outage.neighbour_sends()
    outage.live.simulator.faults.clear()
    await outage.work(61)
    assert (await outage.stats())["sent"] == 12
    assert await outage.failing() is None
    received = await outage.finish()
    assert not received.duplicates


async def test_who_tries_may_end_and_another_takes_over(outage: Outage) -> None:
    """The push that is tried is given up at its own end: the next one is tried at the next moment."""
    down(outage.live)
    await outage.send(outage.tokens[0], ttl=20)
    await outage.work(0)
    await outage.send(outage.tokens[1])
    await outage.work(60)
    outage.live.simulator.faults.clear()
    await outage.work(61)
    assert (await outage.stats())["sent"] == 1
    await outage.finish()


async def test_a_campaign_that_waits_writes_and_works_little(outage: Outage) -> None:
    """20 chunks of 500 for two hours: what they write, how often they are taken up, and how often APNs is called."""
    live = outage.live
    down(live)
    campaign = await accept(live, 10_000)
    first = await outage.work(60)
    assert first < 2 * 20 + 10
    before = written(outage.directory, campaign)
    assert before <= 20 * BYTES_A_CHUNK
    taken = await outage.work(2 * HOUR)
    assert written(outage.directory, campaign) - before <= 2 * 60 * BYTES_A_TRY
    assert taken <= 20 * (2 * 6 + 1) + 2 * 60 + 10  # every ten minutes each, and who tries every minute


async def accept(live: Live, count: int) -> Operation:
    """A campaign to direct tokens."""
    operation = Operation(
        account_id=live.service.account,
        id=live.service.state.ids.new(),
        spec=SendSpec(app_name="shop", content=Content(body="Hello")),
        lane=Lane.BULK,
        recipients=count,
        status=OperationStatus.PROCESSING,
        created=live.clock.ms,
        updated=live.clock.ms,
    )
    await live.service.store.accept(live.service.account, operation, cut(operation.id, recipients_of(count)))
    return operation


def written(directory: Path, operation: Operation) -> int:
    """Bytes of result parts."""
    with TemporaryDirectory() as copied:  # a second SQLite in this process would take the first one's locks away
        for file in directory.glob("heliogram.db*"):
            if not file.name.endswith("-shm"):
                copy(file, copied)
        connection = connect(Path(copied) / "heliogram.db")
        try:
            asked = "SELECT coalesce(sum(length(packed)), 0) FROM chunk_result WHERE operation_id = ?"
            return int(connection.execute(asked, (operation.id,)).fetchone()[0])
        finally:
            connection.close()


# ---- something else answers


class Stranger(asyncio.Protocol):
    """Answers with the same bytes to whatever comes, and closes, if it says so."""

    def __init__(self, says: bytes, *, closes: bool) -> None:
        self._says, self._closes = says, closes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._says)
        if self._closes:
            transport.close()


HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>Log in to the network</body></html>"
TRUNCATED = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00"
STRANGERS: dict[str, tuple[bytes, bool, bool]] = {
    "html": (HTML, True, True),
    "truncated-frame": (TRUNCATED, True, True),
    "garbage": (b"\xff" * 100, True, True),
    "no-tls": (b"220 mail.example ESMTP\r\n", True, False),
    "closes": (b"", True, True),
}
"""What it says, whether it closes then, and whether it speaks TLS."""


@pytest.mark.parametrize("name", [*STRANGERS, "wrong-certificate"])
async def test_something_else_answers(anyio_backend: str, tmp_path: Path, name: str) -> None:
    """Not HTTP/2, not TLS, not APNs' certificate: what had not left waits, and goes to the real one once that is there.
    What was written to somebody who never answered is asked once more, and then its outcome is unknown."""
    (tmp_path / "authority").mkdir()
    authority = Authority(tmp_path / "authority")
    says, closes, speaks_tls = STRANGERS.get(name, (b"", False, True))
    async with living(tmp_path) as live:
        outage = Outage(live, tmp_path)
        await outage.begin(3)
        context: ssl.SSLContext | None = authority.server_context() if speaks_tls else None
        server = await asyncio.get_running_loop().create_server(
            lambda: Stranger(says, closes=closes), "127.0.0.1", 0, ssl=context
        )
        real = live.provider._endpoints
        host, port = server.sockets[0].getsockname()
        bundle = tmp_path / "both.pem"
        bundle.write_bytes(together(real.cafile, None if name == "wrong-certificate" else authority.cafile))
        live.provider._endpoints = ApnsEndpoints(production=f"{host}:{port}", sandbox=real.sandbox, cafile=str(bundle))
        try:
            await outage.send()
            await outage.send(outage.tokens[0], ttl=0)
            await outage.work(60)
            await outage.send()
            await outage.work(0)
            failing = await outage.failing()
            assert failing is not None
            assert failing["reason"].startswith("Unreachable: ")
            assert await outage.neighbour_sends()
        finally:
            server.close()
        live.provider._endpoints = real
        live.provider._let_go(live.provider._held.popitem(last=False)[1])
        await outage.work(120)
        assert (await outage.stats())["sent"] >= 3
        await outage.finish()


def together(*files: str | None) -> bytes:
    """Certificates that are trusted."""
    return b"".join(Path(file).read_bytes() for file in files if file is not None)
