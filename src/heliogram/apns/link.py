"""The life of one connection: its transport, its watch, and how it ends."""

from __future__ import annotations

import asyncio
from typing import ClassVar, cast

from heliogram.wire import ClientSession

from .causes import AGED, LOST, Cause, CauseKind
from .clock import Clock
from .job import Job, put_back
from .owner import Owner
from .tlsalerts import certificate_alert
from .tuning import Tuning
from .watch import Watch

_WRITE_BUFFER = 1 << 20


class Link(asyncio.Protocol):
    """One socket with one HTTP/2 session: opened, leaving, closed. `Connection` adds what it carries."""

    max_body: ClassVar[int] = 65536
    """Bytes of an answer's body that are kept."""

    def __init__(
        self, owner: Owner, serial: int, authority: bytes, credential: str, clock: Clock, tuning: Tuning
    ) -> None:
        self.serial = serial
        """Counts the connections of a pool: a later one has a higher serial."""
        self.credential = credential
        """Whose connection it is, for people."""
        self.carried = 0
        """Pushes written on it, in all."""
        self.is_proven = False
        """Whether APNs has answered on it like a healthy server."""
        self.is_refused = False
        """The peer ended it because of the credential: another one would fare no better (CERT-9, CERT-10)."""
        self.cause: Cause = LOST
        self._owner = owner
        self._session = ClientSession(authority, max_body=self.max_body)
        self._clock = clock
        self._tuning = tuning
        self._begun = clock.monotonic()
        self._opened: float | None = None
        self._transport: asyncio.Transport | None = None
        self._watch: Watch | None = None
        self._paused = False
        self._heard = False
        self._leaving = False
        self._closing = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.serial} {self._state}, {self.inflight} of {self.stream_limit} streams>"

    @property
    def _state(self) -> str:
        return "closed" if self.is_closed else "leaving" if self._leaving else "open"

    # ---- questions

    @property
    def was_opened(self) -> bool:
        """Whether TLS was ever up."""
        return self._opened is not None

    @property
    def is_closed(self) -> bool:
        """Whether there is no transport (any more)."""
        return self._transport is None

    @property
    def is_leaving(self) -> bool:
        """Whether it opens no more streams and ends when the open ones have ended."""
        return self._leaving

    @property
    def inflight(self) -> int:
        """Pushes that are open."""
        return self._session.inflight

    @property
    def stream_limit(self) -> int:
        """Pushes that the peer allows at a time; 2**31-1 when it sets no limit."""
        return self._session.stream_limit

    # ---- writing

    def flush(self) -> None:
        """Write what the session has queued, if anything."""
        data = self._session.take()
        if data and self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        """The socket takes no more: open nothing until it does."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._paused = False
        self._owner.progress()

    # ---- the beginning

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        stream = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._transport = stream
        stream.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._watch = Watch(self._clock, self._tuning, ping=self._ping, dead=self._silent, aged=self._aged)
        self._opened = self._clock.monotonic()
        self._owner.reporter.opened(self, stream.get_extra_info("peername"), self._opened - self._begun)
        self.flush()

    # ---- the end

    def leave(self, cause: Cause, *, failure: bool = False) -> None:
        """Open nothing more, let what is open finish, then close. `failure` when a fault is the cause."""
        if not self._leaving:
            self._leaving = True
            self.cause = cause
            self._owner.leaving(self, cause.text if failure and not self.is_proven else None)
        self._after()

    def abort(self, cause: Cause) -> None:
        """Close at once; what is open ends as unknown."""
        if not self._leaving:
            self._leaving = True
            self._owner.leaving(self, None if self.is_proven else cause.text)
        self.cause = cause
        if self._transport is not None:
            self._transport.abort()

    def abandon(self, cause: str) -> None:
        """Give every open push its outcome now: unknown."""
        now = self._clock.monotonic()
        for job in self._session.abandon():
            self._owner.ends.unknown(job, cause, now)

    def _after(self) -> None:
        """Close when the last open push of a leaving connection has ended; else write what is queued."""
        if self._leaving and not self._closing and not self._session.inflight and self._transport is not None:
            self._closing = True
            self._session.close()
            self.flush()
            self._transport.close()
        else:
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: what is open has an unknown fate."""
        if self._watch is not None:
            self._watch.close()
        said = "" if self._leaving or exc is None else f": {exc}"
        cause = Cause(self.cause.kind, self.cause.text + said)
        alert = None if self._heard else certificate_alert(exc)
        self._transport = None
        returned: list[Job] = []
        if alert is not None:
            # With TLS 1.3 our side of the handshake is over before the server has looked at our certificate.
            self.is_refused, cause = True, Cause(CauseKind.CREDENTIAL, alert)
            returned = [put_back(job) for job in self._session.abandon()]
        else:
            self.abandon(cause.text)
        self.cause = cause
        if not self._leaving:
            self._leaving = True
            self._owner.leaving(self, None if self.is_proven else cause.text)
        if returned:
            self._owner.hand_back(returned)
        if self._opened is not None:
            self._owner.reporter.closed(self, self._clock.monotonic() - self._opened)
        self._owner.lost(self)

    # ---- the watch

    def _ping(self) -> None:
        self._session.ping(self.serial.to_bytes(8, "big"))
        self.flush()

    def _silent(self) -> None:
        self.abort(Cause(CauseKind.SILENT, f"silent: no answer to a PING within {self._tuning.pong_timeout:g} s"))

    def _aged(self) -> None:
        self.leave(AGED)
