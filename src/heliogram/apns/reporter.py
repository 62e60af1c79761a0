"""Tells the log and the application's listener what happens in one pool."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from heliogram.wire import GoAway, frames

from .answers import goaway_text, printable, reason_and_timestamp
from .causes import Cause
from .clock import Clock
from .eventlog import Logged, log, logger
from .job import Job
from .keys import SigningKey
from .listener import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    GoawayReceived,
    Listener,
    PushEnded,
    Source,
    StreamLimitChanged,
    TokenChanged,
)
from .outcomes import NotSent, Outcome

if TYPE_CHECKING:
    from .link import Link

E = TypeVar("E", bound=Logged)
T = TypeVar("T")

_KINDS = 100
"""Kinds of a listener's errors that are logged."""


class Reporter:
    """Makes events of what happens, logs them and tells the listener; what that one raises harms nobody."""

    def __init__(self, endpoint: str, listener: Listener | None, clock: Clock) -> None:
        deaf = listener is None or type(listener).push_ended is Listener.push_ended
        self.push_ended: Callable[[Job, Outcome], None] | None = None if deaf else self._push_ended
        """Tells of an outcome; None when nobody listens to these, so that a push costs one look at this."""
        self._endpoint = endpoint
        self._listener = listener or Listener()
        self._heed = self._listener.push_ended
        self._now = clock.monotonic
        self._said: set[tuple[str, type[BaseException]]] = set()

    def __repr__(self) -> str:
        return f"<Reporter for {type(self._listener).__name__}, {len(self._said)} kinds of errors in it>"

    # ---- pushes

    def _push_ended(self, job: Job, outcome: Outcome) -> None:
        until = self._now() if type(outcome) is NotSent else job.written
        template = job.template
        try:
            self._heed(PushEnded(outcome, template.topic, template.push_type, (until - job.queued) * 1000))
        except (Exception, CancelledError) as error:
            self._complain("push_ended", error)

    def never_a_push(self, outcome: NotSent) -> None:
        """An item that could not be made a push."""
        self._tell("push_ended", self._heed, PushEnded(outcome, "", "", 0.0))

    # ---- connections

    def attached(self, source: Source) -> None:
        """The pool exists."""
        self._tell("attached", self._listener.attached, source)

    def opened(self, link: Link, address: object, seconds: float) -> None:
        """TLS is up, after so many seconds; `address` is a socket's, if known."""
        host = str(address[0]) if isinstance(address, tuple) and address else None
        event = ConnectionOpened(
            endpoint=self._endpoint, credential=link.credential, serial=link.serial, address=host, seconds=seconds
        )
        self._report("connection_opened", self._listener.connection_opened, event)

    def failed(self, credential: str, cause: Cause) -> None:
        """An attempt came to nothing."""
        event = ConnectionFailed(endpoint=self._endpoint, credential=credential, kind=cause.kind, cause=cause.text)
        self._report("connection_failed", self._listener.connection_failed, event)

    def closed(self, link: Link, seconds: float) -> None:
        """The transport is gone, at this age."""
        event = ConnectionClosed(
            endpoint=self._endpoint,
            credential=link.credential,
            serial=link.serial,
            kind=link.cause.kind,
            cause=link.cause.text,
            pushes=link.carried,
            seconds=seconds,
            proven=link.is_proven,
        )
        self._report("connection_closed", self._listener.connection_closed, event)

    def limited(self, link: Link, limit: int) -> None:
        """The peer's limit on streams has a new value."""
        event = StreamLimitChanged(
            endpoint=self._endpoint,
            credential=link.credential,
            serial=link.serial,
            limit=None if limit >= frames.UNLIMITED else limit,
        )
        self._report("stream_limit_changed", self._listener.stream_limit_changed, event)

    def goaway(self, link: Link, frame: GoAway) -> None:
        """GOAWAY came."""
        event = GoawayReceived(
            endpoint=self._endpoint,
            credential=link.credential,
            serial=link.serial,
            code=frame.code,
            reason=printable(reason_and_timestamp(frame.debug)[0]),
            text=goaway_text(frame.code, frame.debug),
        )
        self._report("goaway_received", self._listener.goaway_received, event)

    def token_changed(self, key: SigningKey, issued_at: int) -> None:
        """There is a provider token that no connection had before."""
        event = TokenChanged(key_id=key.key_id, team_id=key.team_id, issued_at=issued_at)
        self._report("token_changed", self._listener.token_changed, event)

    # ---- the listener

    def _report(self, name: str, method: Callable[[E], None], event: E) -> None:
        log(event)
        self._tell(name, method, event)

    def _tell(self, name: str, method: Callable[[T], None], what: T) -> None:
        try:
            method(what)
        except (Exception, CancelledError) as error:
            self._complain(name, error)

    def _complain(self, name: str, error: BaseException) -> None:
        """Log where it happened and never the error's text, which may hold a device token."""
        kind = name, type(error)
        if kind in self._said or len(self._said) >= _KINDS:
            return
        self._said.add(kind)
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = "nowhere" if at is None else f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
        text = "the listener's %s raised %s at %s; further ones of this kind are not logged"
        logger.error(text, name, type(error).__name__, where, extra={"apns_event": "listener_failed"})
