"""What faults do to one connection: answers late, out of order or never, resets, goodbyes, silence."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from heliogram.wire import ErrorCode, frames

from .answer import Answer, Disturbed
from .faults import reason_json, wedged
from .faultspec import Fault, FaultSpec, error_code
from .journal import Entry

if TYPE_CHECKING:
    from .connection import Connection
    from .faults import Headers
    from .session import Session
    from .tables import Environment

ANNOUNCED_SECONDS = 0.05
"""From the GOAWAY that only warns to the one with the real last stream id, where no round trip is set."""

SHUFFLE_SECONDS = 0.05
"""How long answers are held back for others to mix with."""

_HELD = 16


class Carrier:
    """Carries out faults on a connection; made when it meets its first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._late: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._latest = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: list[tuple[int, Answer]] = []
        self._kinds: dict[str, Callable[[int, Disturbed], None]] = {
            "status": self._answer,
            "delay": self._answer,
            "silence": lambda stream_id, answer: None,
            "reset": self._reset,
            "goaway": self._goaway,
            "close": lambda stream_id, answer: self._connection.shut(),
            "streamLimit": self._limit,
            "halfOpen": lambda stream_id, answer: self._connection.fall_silent(),
            "wedge": self._wedge,
            "split": self._split,
            "shuffle": self._shuffle,
        }

    def __repr__(self) -> str:
        return f"<Carrier late={len(self._late)} held={len(self._held)}>"

    def carry_out(self, stream_id: int, answer: Disturbed) -> None:
        """Do with this answer what its fault says."""
        self._kinds[answer.fault.kind](stream_id, answer)

    def cancel(self) -> None:
        """The connection is gone."""
        self._late.clear()
        self._held.clear()
        for timer in (*self._timers, self._timer):
            if timer is not None:
                timer.cancel()

    # ---- the kinds

    def _answer(self, stream_id: int, answer: Disturbed) -> None:
        self._later(answer.fault, lambda: self._respond(stream_id, answer))

    def _reset(self, stream_id: int, answer: Disturbed) -> None:
        code = error_code(answer.fault.spec.code, ErrorCode.INTERNAL_ERROR)
        self._later(answer.fault, lambda: self._connection.wire.reset(stream_id, code))

    def _goaway(self, stream_id: int, answer: Disturbed) -> None:
        if answer.fault.spec.style != "abrupt":
            self._respond(stream_id, answer)
        self.say_goodbye(answer.fault.spec)

    def say_goodbye(self, spec: FaultSpec) -> None:
        """GOAWAY in one of its styles."""
        connection = self._connection
        code, debug = error_code(spec.code), _debug(spec)
        if spec.style == "abrupt":
            connection.wire.goaway(code, debug)
            connection.flush()
            connection.shut()
        elif spec.style == "announced":
            connection.announcing = True
            connection.wire.goaway(0, b"", frames.MAX_STREAM_ID)
            connection.flush()
            wait = max(ANNOUNCED_SECONDS, connection.apns.settings.round_trip_ms / 1000)
            self._after(wait, lambda: self._leave(code, debug))
        else:
            connection.farewell = spec.style == "double"
            connection.goaway(code, debug)

    def _leave(self, code: int, debug: bytes) -> None:
        self._connection.announcing = False
        self._connection.goaway(code, debug)

    def _limit(self, stream_id: int, answer: Disturbed) -> None:
        self._respond(stream_id, answer)
        self._connection.wire.set_stream_limit(answer.fault.spec.stream_limit or 0)

    def _wedge(self, stream_id: int, answer: Disturbed) -> None:
        self._respond(stream_id, answer)
        self._connection.answerer = self._wedged

    def _wedged(self, session: Session, environment: Environment, headers: Headers, body: bytes, size: int) -> Answer:
        """Everything on the connection is ``InternalServerError`` from now on (TOK-22, SUR-5)."""
        fields = dict(headers)
        apns = self._connection.apns
        apns_id = fields.get(b"apns-id") or apns.made_id()
        apns.journal.add(
            Entry(
                apns.clock(),
                session.number,
                self._connection.listener.name,
                fields.get(b":method", b""),
                fields.get(b":path", b""),
                fields.get(b"apns-topic"),
                fields.get(b"apns-push-type"),
                apns_id,
                500,
                "InternalServerError",
                None,
            )
        )
        return wedged(apns_id)

    def _split(self, stream_id: int, answer: Disturbed) -> None:
        self._respond(stream_id, answer)
        self._connection.split(answer.fault.spec.size or 1)

    def _shuffle(self, stream_id: int, answer: Disturbed) -> None:
        self._held.append((stream_id, answer))
        if len(self._held) >= (answer.fault.spec.hold or _HELD):
            self._mix()
        elif len(self._held) == 1:
            self._after(SHUFFLE_SECONDS, self._mix)

    def _mix(self) -> None:
        held, self._held = self._held, []
        self._connection.apns.faults.random.shuffle(held)
        for stream_id, answer in held:
            self._respond(stream_id, answer)

    # ---- time

    def _respond(self, stream_id: int, answer: Answer) -> None:
        self._connection.wire.respond(stream_id, answer.status, answer.headers, answer.body)

    def _later(self, fault: Fault, act: Callable[[], None]) -> None:
        """Do it now, or when the fault's delay is over: what waits keeps its order unless the fault says otherwise."""
        spec = fault.spec
        if spec.delay_ms is None:
            act()
            return
        jitter = self._connection.apns.faults.random.uniform(0, spec.jitter_ms) if spec.jitter_ms else 0.0
        due = self._loop.time() + (spec.delay_ms + jitter) / 1000
        if not spec.reorder:
            due = self._latest = max(due, self._latest)
        self._serial += 1
        heapq.heappush(self._late, (due, self._serial, act))
        if self._late[0][1] == self._serial:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        now = self._loop.time() + 0.0005
        while self._late and self._late[0][0] <= now:
            heapq.heappop(self._late)[2]()
        self._timer = self._loop.call_at(self._late[0][0], self._ring) if self._late else None
        self._connection.settle()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        def ring() -> None:
            self._timers.discard(timer)
            act()
            self._connection.settle()

        timer = self._loop.call_later(seconds, ring)
        self._timers.add(timer)


def _debug(spec: FaultSpec) -> bytes:
    """A GOAWAY's debug data: JSON with a reason (CONN-20), or plain text (CONN-18)."""
    if spec.reason is not None:
        return reason_json(spec.reason, spec.timestamp)
    return (spec.debug or "").encode()
