"""What APNs does to a connection over time: retire it, close it when idle, cut it for errors, narrow it (9.3).

Each of these is a setting and off by default; a connection without any of them has no `Retirement`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from heliogram.wire import ErrorCode, frames

from .agenda import Appointment

if TYPE_CHECKING:
    from .answer import Answer
    from .connection import Connection

BAD_DEVICE_TOKEN_WEIGHT = 3
"""How much more ``BadDeviceToken`` counts than another error (ERR-4: it cuts a connection fastest)."""

_ENDED_TOO_OFTEN = b'{"reason":"TooManyRequests"}'


class Retirement:
    """One connection's age, idleness, errors, and the stream limit they leave it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settings = settings = connection.apns.settings
        self._served = 0
        self._errors = 0
        self._heard = 0.0
        self._narrow = False
        self._most = settings.retire_after_requests or math.inf
        self._appointments: list[Appointment] = []

    def __repr__(self) -> str:
        return f"<Retirement served={self._served} errors={self._errors} narrow={self._narrow}>"

    @classmethod
    def of(cls, connection: Connection) -> Retirement | None:
        """None when the settings ask for none of it."""
        chosen = connection.apns.settings
        wanted = (
            chosen.retire_after_requests,
            chosen.retire_after_seconds,
            chosen.idle_seconds,
            chosen.cut_after_errors,
            chosen.falls_to_one or None,
        )
        return None if wanted == (None,) * len(wanted) else cls(connection)

    def opened(self) -> None:
        """The connection can be used: its age and its idleness begin."""
        apns, settings = self._connection.apns, self._settings
        self._heard = now = apns.clock()
        if settings.retire_after_seconds is not None:
            self._arrange(now + settings.retire_after_seconds, self._connection.goaway)
        if settings.idle_seconds is not None:
            self._arrange(now + settings.idle_seconds, self._look_at_idleness)

    def _arrange(self, moment: float, callback: Callable[[], object]) -> None:
        # A connection stays when the simulator forgets everything else, and so do its age and its idleness.
        self._appointments = [one for one in self._appointments if one.callback is not None]
        self._appointments.append(self._connection.apns.schedule(moment, callback, outlasts=True))

    def cancel(self) -> None:
        """The connection is gone."""
        for appointment in self._appointments:
            appointment.cancel()
        self._appointments.clear()

    def heard(self) -> None:
        """The client said something."""
        self._heard = self._connection.apns.clock()

    def refuses(self, stream_id: int) -> bool:
        """While one stream is allowed, every one but the last is refused, and told twice (CONN-17)."""
        wire = self._connection.wire
        if not self._narrow or wire.open_streams <= 1:
            return False
        wire.reset(stream_id, ErrorCode.REFUSED_STREAM)
        self._connection.flush()
        self._connection.send(frames.reset_frame(stream_id, ErrorCode.STREAM_CLOSED))
        return True

    def answered(self, answer: Answer) -> None:
        """Count one answer, and do what is due then."""
        connection, status = self._connection, answer.status
        self._served += 1
        if status == 200:
            if self._narrow:
                self._narrow = False
                connection.wire.set_stream_limit(connection.full_limit)
        elif 400 <= status < 500 and status != 410:
            self._count_error(answer)
        if self._served >= self._most:
            self._most = math.inf
            connection.goaway()

    def _count_error(self, answer: Answer) -> None:
        connection = self._connection
        if self._settings.falls_to_one and not self._narrow:
            self._narrow = True
            connection.wire.set_stream_limit(1)
        bound = self._settings.cut_after_errors
        if bound is not None and self._errors < bound:
            self._errors += BAD_DEVICE_TOKEN_WEIGHT if b'"BadDeviceToken"' in answer.body else 1
            if self._errors >= bound:
                connection.goaway(0, _ENDED_TOO_OFTEN)

    def _look_at_idleness(self) -> None:
        """Close a connection that said nothing for long (reason ``IdleTimeout``), or look again later."""
        connection, seconds = self._connection, self._settings.idle_seconds
        if seconds is None or connection.is_closing:
            return
        due = self._heard + seconds
        if connection.apns.clock() >= due:
            connection.dismiss("IdleTimeout", last_stream_id=connection.wire.last_stream_id)
        else:
            self._arrange(due, self._look_at_idleness)
