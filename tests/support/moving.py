"""An embedded store with work in every state, somebody who goes on changing it, and what both databases hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import asyncpg
from support.stores import Bench, token_of

from heliogram.domain.accounts import Account, AuditEvent
from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import TokenKind
from heliogram.domain.notifications import DeliveryRecord, Outcome, Recipient
from heliogram.domain.operations import Counts, Lane
from heliogram.domain.webhooks import Webhook
from heliogram.ports import Batch, Failure, KeptAnswer, LeasedChunk
from heliogram.store.moving.move import Move
from heliogram.store.moving.source import Source
from heliogram.store.moving.tables import TABLES
from heliogram.store.moving.target import Target

FILE = "heliogram.db"
IDENT = b"a move's own id."
KEY = b"key!"
Everything = dict[str, set[tuple[Any, ...]]]


def silent(_event: str, /, **_values: Any) -> None:
    """Tells nobody."""


def unmarked(*, done: bool) -> None:
    """Says nothing beside the source."""


def everything_in_source(path: Path) -> Everything:
    """The rows of all tables, in the columns that the target has."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found: Everything = {}
    try:
        for table in TABLES:
            columns = sorted([*stored(connection, table.name), *table.joined])
            wanted = ", ".join(table.joined.get(name, f't."{name}"') for name in columns)
            rows = connection.execute(f'SELECT {wanted} FROM "{table.name}" t {table.join}')  # noqa: S608 - our own
            found[table.name] = set(rows)
    finally:
        connection.close()
    return found


def stored(connection: apsw.Connection, table: str) -> list[str]:
    """The columns of a table that are not worked out."""
    rows: Any = connection.execute(f"PRAGMA table_xinfo('{table}')").fetchall()
    return [row[1] for row in rows if row[6] == 0]


async def everything_in_target(url: str) -> Everything:
    """The same of the target."""
    connection = await asyncpg.connect(url)
    try:
        found: Everything = {}
        for table in TABLES:
            rows = await connection.fetch(f"SELECT * FROM {table.place}")  # noqa: S608 - our own names
            found[table.name] = {tuple(row[name] for name in sorted(row.keys())) for row in rows}
        return found
    finally:
        await connection.close()


@asynccontextmanager
async def moving(path: Path, url: str, report: Callable[..., object] = silent) -> AsyncIterator[Move]:
    """A move that has not begun."""
    target = await Target.connect(url)
    source = Source(path)
    try:
        yield Move(source, target, report)
    finally:
        source.close()
        await target.close()


async def moved(path: Path, url: str, now: int, report: Callable[..., object] = silent) -> dict[str, int]:
    """Moves it, nobody being there; how many rows by table."""
    async with moving(path, url, report) as move:
        if not await move.begin(IDENT, "sqlite:here", now):
            await move.clean()
            return {}
        await move.copy()
        return (await move.finish(KEY, now, unmarked)).rows


class Meddler:
    """Changes a store at random, in every way that changes rows."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.random = bench, random.Random(seed)
        self.users: list[bytes] = []
        self.hand: list[LeasedChunk] = []
        self.done = self.credentials = 0

    def __repr__(self) -> str:
        return f"Meddler(done={self.done}, users={len(self.users)}, hand={len(self.hand)})"

    async def found(self) -> None:
        """An account beside the default one, apps, and one of each thing."""
        bench = self.bench
        bench.clock.advance(1)
        other = Account(id=bench.ids.new(), name="other", created=bench.clock.ms)
        event = AuditEvent(
            id=bench.ids.new(), at=bench.clock.ms, actor="cli", action="account.create", subject="other", detail={}
        )
        await bench.store.create_account(other, audit=event)
        await bench.app()
        await bench.app("other")
        await self.webhook()
        for _ in range(30):
            await self.register()

    async def run(self, steps: int) -> None:
        """So many changes."""
        for _ in range(steps):
            await self.step()

    async def step(self) -> None:
        """One change."""
        ways = (
            *(self.send, self.send, self.claim, self.claim, self.record, self.finish, self.finish, self.give_back),
            *(self.register, self.register, self.register_again, self.unregister, self.quarantine, self.cancel),
            *(self.key, self.credential, self.webhook, self.batch, self.forget, self.user_goes),
        )
        await self.random.choice(ways)()
        self.done += 1

    async def send(self) -> None:
        """To tokens, users, now or later."""
        pick = self.random.random()
        recipients = [Recipient(token=token_of(self.random.randrange(500))) for _ in range(self.random.randint(1, 250))]
        if pick < 0.3 and self.users:
            users = await self.bench.store.missing_users(self.bench.account, self.users)
            recipients = [Recipient(user=user) for user in self.users if user not in users][:20] or recipients
        later = self.bench.clock.ms + 86_400_000 if pick > 0.8 else None
        await self.bench.accept(recipients, size=self.random.choice((50, 100)), send_at=later, tags={"a": "ü"})

    async def claim(self) -> None:
        """Leases what is due."""
        now = self.bench.clock.ms
        for lane in Lane:
            self.hand += await self.bench.store.claim(lane, 0, limit=2, now=now, until=now + 60_000, worker="w")

    async def record(self) -> None:
        """A result part of something in hand."""
        if self.hand:
            chunk = self.random.choice(self.hand)
            records = [self._record(chunk.first)]
            await self.bench.store.append_records(chunk, records, Counts(sent=1))

    def _record(self, sequence: int) -> DeliveryRecord:
        return DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.ACCEPTED, final=True, at=self.bench.clock.ms)

    async def finish(self) -> None:
        """Something in hand is done."""
        if self.hand:
            chunk = self.hand.pop(self.random.randrange(len(self.hand)))
            records = [self._record(chunk.first + n) for n in range(len(chunk.recipients))]
            await self.bench.store.append_records(chunk, records, Counts(sent=len(records)))
            await self.bench.store.finish(chunk, self.bench.clock.ms)

    async def give_back(self) -> None:
        """Something in hand waits for later, or for its credential."""
        if self.hand:
            chunk, now = self.hand.pop(), self.bench.clock.ms
            held = b"c" * 16 if self.random.random() < 0.5 else None
            await self.bench.store.release(chunk, now + self.random.choice((0, 1_000)), now, held=held)

    async def register(self) -> None:
        """A device of a new user, or one more of a known one."""
        user = self.random.choice(self.users) if self.users and self.random.random() < 0.4 else None
        await self._register(token_of(self.random.randrange(500)), user)

    async def register_again(self) -> None:
        """A token that has belonged to one user comes to another: its row changes its key."""
        if self.users:
            await self._register(token_of(self.random.randrange(60)), self.random.choice(self.users))

    async def _register(self, token: bytes, user: bytes | None) -> None:
        if user is not None and await self.bench.store.missing_users(self.bench.account, [user]):
            user = None
        environment = self.random.choice((None, Environment.PRODUCTION))
        found = await self.bench.device(token, user, environment=environment, installation_id=token.hex())
        registration = await self.bench.store.get_registration(self.bench.account, found.registration_id)
        if registration is not None and registration.user_id not in self.users:
            self.users.append(registration.user_id)

    async def unregister(self) -> None:
        """A token is gone for good."""
        await self.bench.store.remove_device(
            self.bench.account, "shop", ProviderName.APN, token_of(self.random.randrange(500)), dead_since=None
        )

    async def quarantine(self) -> None:
        """A token is refused, registered or not."""
        await self.bench.store.quarantine_device(
            self.bench.account,
            "shop",
            ProviderName.APN,
            token_of(self.random.randrange(800)),
            reason="BadDeviceToken",
            at=self.bench.clock.ms,
            environment=Environment.PRODUCTION,
            kind=TokenKind.ALERT,
            remember=b"c" * 16,
        )

    async def cancel(self) -> None:
        """What is under way is asked to stop."""
        if self.hand:
            chunk = self.random.choice(self.hand)
            await self.bench.store.cancel_operation(self.bench.account, chunk.operation_id, self.bench.clock.ms)

    async def key(self) -> None:
        """An idempotency key is taken, answered, or free again."""
        name, ident, now = f"k{self.random.randrange(9)}", self.bench.ids.new(), self.bench.clock.ms
        store, account = self.bench.store, self.bench.account
        await store.reserve_key(account, name, b"f", ident=ident, now=now, until=now + 1_000)
        if self.random.random() < 0.5:
            kept = KeptAnswer(ident=ident, status=202, headers=[], sealed=b"\x01keyx")
            await store.keep_answer(account, name, kept)
        else:
            await store.free_key(account, name, ident)

    async def credential(self) -> None:
        """Another credential, the default from now on; few of them."""
        if self.random.random() < 0.1 and self.credentials < 8:
            self.credentials += 1
            made = self.bench.credential(is_default=True)
            await self.bench.store.create_credential(self.bench.account, made, b"sealed")

    async def webhook(self) -> None:
        """A webhook, few of them."""
        if self.done and (self.random.random() < 0.9 or len(await self.bench.store.webhook_work()) > 5):
            return
        now = self.bench.clock.ms
        new = Webhook(
            account_id=self.bench.account,
            id=self.bench.ids.new(),
            url="https://hooks.example.com/",
            types=("*",),
            created=now,
            updated=now,
        )
        await self.bench.store.create_webhook(self.bench.account, new, b"sealed")

    async def batch(self) -> None:
        """A receiver takes what there is, or does not."""
        for work in (await self.bench.store.webhook_work())[:1]:
            batch = Batch(id=self.bench.ids.new(), body=b"[]", events=1, created=self.bench.clock.ms)
            failure = Failure(error="no", at=self.bench.clock.ms, due=self.random.choice((None, 1)))
            await self.bench.store.batch_refused(
                self.bench.account, work.webhook.id, work.place, work.place, batch, failure, skipped=0
            )

    async def forget(self) -> None:
        """What ended is removed, some of it; somebody signs out."""
        store, now = self.bench.store, self.bench.clock.ms
        await store.forget_sessions(now)
        await store.end_session(self.bench.account, str(self.done), now + self.random.choice((2_000, 60_000)))
        if self.random.random() < 0.2:
            now = self.bench.clock.ms
            await self.bench.store.remove_ended(now - self.random.choice((0, 5_000)), now)
        self.bench.clock.advance(0.7)

    async def user_goes(self) -> None:
        """A user is deleted, with registrations and devices."""
        if len(self.users) > 20:
            user = self.users.pop(self.random.randrange(len(self.users)))
            await self.bench.store.delete_user(self.bench.account, user, self.bench.clock.ms)


async def breath() -> None:
    """Others get their turn, threads too."""
    await asyncio.to_thread(lambda: None)
