"""Rows for a large database, as the store itself would have written them, only faster: users with their devices, and
operations that have ended with all their results.

Everything follows from a number: the n-th user's id, the n-th device's token. So what is stored can be named again
without being read.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from heliogram.domain import ids
from heliogram.domain.apps import Environment
from heliogram.domain.notifications import Content, DeliveryRecord, Outcome, Recipient, SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.domain.packing import pack_records
from heliogram.store.sqlite.packed import pack_operation
from heliogram.store.sqlite.slots import ALL_SLOTS

APP = "bench"
CAMPAIGN = 10_000
DEVICES_OF = (1, 1, 2, 1, 1, 3, 1, 2, 1, 2)
"""How many devices ten users have, one after another: 1.5 on average."""
_OF_TEN = sum(DEVICES_OF)
_BEFORE = [sum(DEVICES_OF[:n]) for n in range(len(DEVICES_OF))]
YEAR_MS = 365 * 86_400_000
WEEK_MS = 7 * 86_400_000
PART = 300
"""Answers of a campaign's chunk that come in the first 100 ms, and so are a result part of their own."""
_BATCH = 20_000


def digest(kind: bytes, number: int, size: int) -> bytes:
    """Bytes that look random."""
    return hashlib.blake2b(b"%s %d" % (kind, number), digest_size=size).digest()


def made(kind: bytes, number: int, at: int) -> bytes:
    """The id of the n-th thing of a kind, made at that moment."""
    bits = int.from_bytes(digest(kind, number, 8), "big")
    return ids.make(at, bits >> 52, bits)


def token(device: int) -> bytes:
    """The n-th device's token."""
    return digest(b"token", device, 32)


class Population(NamedTuple):
    """So many devices, whose users came evenly over the year before `now` (ms)."""

    account: bytes
    devices: int
    now: int

    @property
    def users(self) -> int:
        """How many users have them."""
        return self.devices * len(DEVICES_OF) // _OF_TEN

    def joined(self, user: int) -> int:
        """When the n-th user came (ms)."""
        return self.now - YEAR_MS + YEAR_MS * user // self.users

    def user(self, user: int) -> bytes:
        """The n-th user's id."""
        return made(b"user", user, self.joined(user))

    def registration(self, user: int) -> bytes:
        """The n-th user's registration in the app."""
        return made(b"registration", user, self.joined(user))

    def devices_of(self, user: int) -> range:
        """The numbers of the n-th user's devices."""
        ten, place = divmod(user, len(DEVICES_OF))
        first = ten * _OF_TEN + _BEFORE[place]
        return range(first, first + DEVICES_OF[place])


def external_id(user: int) -> str:
    """The caller's own name for the n-th user."""
    return f"customer-{digest(b'customer', user, 6).hex()}"


def installation(device: int) -> str:
    """What the app calls its installation on the n-th device."""
    return str(uuid.UUID(bytes=digest(b"installation", device, 16)))


_USER = "INSERT INTO user (account_id, id, created, updated, external_id) VALUES (?, ?, ?, ?, ?)"
_REGISTRATION = (
    "INSERT INTO registration (account_id, id, app_name, user_id, free_slots, created, updated)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_DEVICE = (
    "INSERT INTO device (account_id, registration_id, slot, app_name, provider, environment, kind, token, state,"
    " registered_at, created, installation_id, activity_id, app_version, locale, time_zone, learned)"
    " VALUES (?, ?, ?, ?, 'APN', 'production', 'alert', ?, 'active', ?, ?, ?, NULL, '3.4.1', 'de-AT',"
    " 'Europe/Vienna', 0)"
)


def fill_devices(connection: apsw.Connection, population: Population) -> None:
    """Users, registrations and devices in the order they came."""
    for first in range(0, population.users, _BATCH):
        some = range(first, min(first + _BATCH, population.users))
        connection.executemany(_USER, _user_rows(population, some))
        connection.executemany(_REGISTRATION, _registration_rows(population, some))
        connection.executemany(_DEVICE, _device_rows(population, some))


def _user_rows(population: Population, some: range) -> Iterator[tuple[Any, ...]]:
    for n in some:
        at = population.joined(n)
        yield population.account, population.user(n), at, at, external_id(n)


def _registration_rows(population: Population, some: range) -> Iterator[tuple[Any, ...]]:
    for n in some:
        at, free = population.joined(n), ALL_SLOTS[len(population.devices_of(n)) :]
        yield population.account, population.registration(n), APP, population.user(n), free, at, at


def _device_rows(population: Population, some: range) -> Iterator[tuple[Any, ...]]:
    for n in some:
        at, registration = population.joined(n), population.registration(n)
        for slot, device in enumerate(population.devices_of(n), 1):
            yield population.account, registration, slot, APP, token(device), at, at, installation(device)


class Send(NamedTuple):
    """One accepted send, and the devices that each of its recipients had."""

    operation: Operation
    recipients: Sequence[Recipient]
    devices: Sequence[Sequence[bytes]]
    credential: bytes
    worker: str


def a_send(population: Population, number: int, at: int, size: int, credential: bytes) -> Send:
    """The n-th send, ended: every other one to users, the rest to tokens."""
    draw = int.from_bytes(digest(b"send", number, 8), "big")
    recipients, devices = [], []
    for place in range(size):
        user = (draw + place * 7_919) % population.users  # a prime: campaigns reach all over
        tokens = [token(n) for n in population.devices_of(user)]
        if number % 2:
            recipients.append(Recipient(user=population.user(user)))
            devices.append(tokens)
        else:
            recipients.append(Recipient(token=tokens[0]))
            devices.append(tokens[:1])
    content = Content(title="Hello", body=f"Your parcel {number} is out for delivery and will be with you today")
    operation = Operation(
        account_id=population.account,
        id=made(b"operation", number, at),
        spec=SendSpec(app_name=APP, content=content),
        lane=Lane.of(size),
        recipients=size,
        status=OperationStatus.PROCESSING,
        created=at,
        updated=at,
    )
    return Send(operation, recipients, devices, credential, "bench")


def records_of(send: Send, first: int, size: int) -> list[list[DeliveryRecord]]:
    """The result parts of a chunk: every device accepted at the first attempt."""
    at, direct = send.operation.created, bool(send.recipients[0].token)
    records = [
        DeliveryRecord(
            sequence=sequence,
            slot=0 if direct else slot,
            outcome=Outcome.ACCEPTED,
            final=True,
            at=at + 40 + sequence // 100,
            token=one,
            environment=Environment.PRODUCTION,
            credential=send.credential,
            status=200,
            queued_ms=20 + sequence // 100,
            wire_ms=12 + sequence % 9,
            of=len(send.devices[sequence]),
        )
        for sequence in range(first, first + size)
        for slot, one in enumerate(send.devices[sequence], 1)
    ]
    return [part for part in (records[:PART], records[PART:]) if part]


_OPERATION = (
    "INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated, finished)"
    " VALUES (?, ?, ?, ?, ?, ?, 'COMPLETED', ?, ?, ?)"
)
_CHUNK = (
    "INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, parts, sent,"
    " failed, unaddressable, canceled, updated, claimed, flow)"
    " VALUES (?, ?, ?, ?, ?, 0, 2, ?, 1, ?, ?, ?, 0, 0, 0, ?, ?, ?)"
)
_RECIPIENTS = "INSERT INTO chunk_recipients (account_id, operation_id, first, packed) VALUES (?, ?, ?, ?)"
_FINGERPRINTS = "INSERT INTO chunk_user (account_id, operation_id, first, fingerprints) VALUES (?, ?, ?, ?)"
_PART = "INSERT INTO chunk_result (account_id, operation_id, first, part, attempt, packed) VALUES (?, ?, ?, ?, 1, ?)"


def insert_send(connection: apsw.Connection, send: Send) -> None:
    """An operation with its chunks and results, as they are when all of it has ended."""
    operation, ends = send.operation, []
    account, ident, at, lane = operation.account_id, operation.id, operation.created, int(operation.lane)
    flow = account + APP.encode()
    packed = pack_operation(operation, cut(ident, list(send.recipients)))
    for first, size, recipients, fingerprints in packed.chunks:
        parts = records_of(send, first, size)
        end = parts[-1][-1].at
        ends.append(end)
        key = (account, ident, first)
        connection.execute(_CHUNK, (*key, size, lane, end, send.worker, len(parts), size, end, at, flow))
        connection.execute(_RECIPIENTS, (*key, recipients))
        if fingerprints:
            connection.execute(_FINGERPRINTS, (*key, fingerprints))
        connection.executemany(_PART, [(*key, n, pack_records(part)) for n, part in enumerate(parts, 1)])
    told = (account, ident, APP, packed.spec, lane, operation.recipients, at, max(ends), max(ends))
    connection.execute(_OPERATION, told)


class History(NamedTuple):
    """So many stored notifications: of ten, nine in campaigns and one in a send of its own. The sends came evenly over
    the week before `population.now`, the newest an hour before."""

    population: Population
    notifications: int
    credential: bytes

    @property
    def campaigns(self) -> int:
        """Sends of 10,000."""
        return self.notifications * 9 // 10 // CAMPAIGN

    @property
    def singles(self) -> int:
        """Sends to one."""
        return self.notifications - self.campaigns * CAMPAIGN

    @property
    def sends(self) -> int:
        """All sends."""
        return self.campaigns + self.singles

    def send(self, number: int) -> Send:
        """The n-th send: campaigns are strewn evenly among the others."""
        before = number * self.campaigns // self.sends
        size = CAMPAIGN if (number + 1) * self.campaigns // self.sends > before else 1
        return a_send(self.population, number, self.moment(number), size, self.credential)

    def moment(self, number: int) -> int:
        """When the n-th send was accepted (ms)."""
        begin = self.population.now - WEEK_MS
        return begin + (WEEK_MS - 3_600_000) * number // self.sends

    def notification(self, number: int) -> bytes:
        """The id of one of the n-th send's notifications."""
        before = number * self.campaigns // self.sends
        last = CAMPAIGN if (number + 1) * self.campaigns // self.sends > before else 1
        draw = int.from_bytes(digest(b"place", number, 4), "big") % last
        return ids.notification_id(made(b"operation", number, self.moment(number)), draw)


def fill_notifications(connection: apsw.Connection, history: History) -> None:
    """All sends of the history, the oldest first."""
    for number in range(history.sends):
        insert_send(connection, history.send(number))
