"""One push through the whole service while APNs answers what a test wants, and what is to be seen of it everywhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from support.live import Live

from heliogram.domain import ids
from heliogram.domain.content import Content
from heliogram.domain.notifications import Recipient, SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.simulator.journal import RequestRecord

HOUR = 3600.0


@dataclass
class Seen:
    """`attempts`: seconds after the send at which the push was on the wire, over which `connections`, with which
    `apns-id`s, as requests of which `numbers`; `outcome` and `reason` of its last delivery; `device`: the state of its
    registration, None when it is gone; `failed`: what the credential said when the first answer had come; `neighbour`:
    whether another push went, just then, over the same connection, a new one, or waited."""

    attempts: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    outcome: str = ""
    reason: str | None = None
    final: bool = False
    device: str | None = None
    failed: str | None = None
    numbers: list[int] = field(default_factory=list)
    neighbour: str = ""


class Trial:
    """A credential that has sent already, a registered phone that faults are meant for, and one beside it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.credential = self.token = self.user = self.registration = self.other = ""

    async def begin(self) -> None:
        """Registers the phone, and has one push to the other go through."""
        live = self.live
        self.credential = await live.credential()
        _, self.token = live.phone()
        _, self.other = live.phone()
        await self.register()
        live.clock.advance(1)
        await live.send(self.other)
        await live.deliver()

    async def register(self) -> None:
        """The app hands the phone's token over."""
        body = {"appName": "shop", "token": self.token, "provider": "APN", "environment": "production"}
        self.registration = (await self.live.post("/DeviceRegistrations", body))["resourceId"]
        self.user = (await self.live.get(f"/DeviceRegistrations/{self.registration}"))["userId"]

    def collapse_id(self, number: int) -> str:
        """The collapse id of a request."""
        detail = self.live.simulator.apns.journal.detail(number)
        return next((each.value for each in detail.headers if each.name == "apns-collapse-id"), "")

    async def send(self, lane: Lane = Lane.TX, *, ttl: int | None = None) -> Operation:
        """One push to the phone, in either lane."""
        live, expires = self.live, None
        if ttl is not None:
            expires = live.clock.ms + ttl * 1000 if ttl else 0
        operation = Operation(
            account_id=live.service.account,
            id=live.service.state.ids.new(),
            spec=SendSpec(app_name="shop", content=Content(body="Hello"), expires_at=expires),
            lane=lane,
            recipients=1,
            status=OperationStatus.PROCESSING,
            created=live.clock.ms,
            updated=live.clock.ms,
        )
        user = Recipient(user=ids.decode(ids.USER, self.user))
        await live.service.store.accept(live.service.account, operation, cut(operation.id, [user]))
        return operation

    async def watch(self, operation: Operation, seconds: float = HOUR, *, silent: bool = False) -> Seen:
        """Plays the worker for so long: each time something is due, it is delivered. Where APNs is `silent`, time
        passes while it is waited for."""
        live, seen = self.live, Seen()
        began, known = live.clock.time(), len(self._mine())
        first = True
        while True:
            await self.deliver(operation.lane, silent=silent)
            if first:
                seen.failed, first = await self._failing(), False
                seen.neighbour = await self._ask_neighbour(silent=silent)
            due = await live.service.store.next_due(operation.lane, 0)
            if due is None or due / 1000 > began + seconds:
                break
            live.clock.advance(max(0.0, due / 1000 - live.clock.time()))
        mine = self._mine()[known:]
        seen.attempts = [round(moment(each) - began) for each in mine]
        seen.connections = [each.connection for each in mine]
        seen.numbers = [each.number for each in mine]
        seen.ids = {each.apns_id.lower() for each in mine}
        await self._ask(operation, seen)
        return seen

    async def deliver(self, lane: Lane = Lane.TX, *, silent: bool = False) -> None:
        """Delivers what is due."""
        task = asyncio.create_task(self.live.deliver(lane))
        quiet = 0
        while not task.done():
            before = self.live.simulator.apns.journal.added
            await asyncio.to_thread(lambda: None)
            same = before == self.live.simulator.apns.journal.added and self._is_waiting()
            quiet = quiet + 1 if same else 0
            if silent and quiet > 30:
                self.live.clock.advance(0.5)
                quiet = 20
        await task

    def _is_waiting(self) -> bool:
        """Whether the engine waits for APNs, or for its own clock."""
        stats = [held._pushes.stats() for held in self.live.provider._held.values()]
        return any(each.in_flight or each.waiting for each in stats)

    def _mine(self) -> list[RequestRecord]:
        found = self.live.simulator.requests(10_000)
        return sorted((each for each in found if self.token in each.path), key=lambda each: each.number)

    async def _ask_neighbour(self, *, silent: bool) -> str:
        """Another push, at once: over which connection?"""
        live = self.live
        before = live.simulator.requests(1)[0]
        await live.send(self.other)
        await self.deliver(silent=silent)
        after = [each for each in live.simulator.requests(1) if each.number > before.number and each.status == 200]
        if not after:
            return "waits"
        return "same" if after[0].connection == before.connection else "new"

    async def _ask(self, operation: Operation, seen: Seen) -> None:
        """What the API says."""
        live = self.live
        (delivery,) = await live.deliveries(ids.encode(ids.OPERATION, operation.id))
        seen.outcome, seen.reason, seen.final = delivery["outcome"], delivery["reason"], delivery["final"]
        found = await live.service.get(f"/DeviceRegistrations/{self.registration}")
        devices: list[Any] = found.json()["devices"] if found.status_code == 200 else []
        seen.device = devices[0]["state"] if devices else None

    async def _failing(self) -> str | None:
        failing = (await self.live.get(f"/Credentials/{self.credential}"))["failing"]
        return None if failing is None else str(failing["reason"])


def moment(record: RequestRecord) -> float:
    """When a request came, in seconds since 1970."""
    return datetime.fromisoformat(record.at).timestamp()
