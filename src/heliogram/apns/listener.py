"""What the engine tells of itself: events as they happen, and its state for whoever asks."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .causes import CauseKind
from .outcomes import Outcome


class PushEnded(msgspec.Struct, frozen=True, gc=False):
    """A push has its outcome."""

    outcome: Outcome
    """`wire_ms` in it is the time from writing to the answer."""
    topic: str
    """Empty for an item of `send_many` that could not be made a push. The bundle id for channels and broadcasts."""
    push_type: str
    """Empty where there is none: an item that could not be made a push, a call about channels."""
    queued_ms: float
    """Milliseconds from queueing to the write that was answered, or, for `NotSent`, to the end."""


class ConnectionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What all events of connections have in common."""

    endpoint: str
    """As in `:authority`: the host, with the port when it is not 443."""
    credential: str
    """Whose connection: the key's id and team, or the certificate's topics. No secret."""


class ConnectionOpened(ConnectionEvent, frozen=True, kw_only=True):
    """TLS is up. The credential has not proven itself yet."""

    serial: int
    """Counts the connections of a client."""
    address: str | None
    """Of the peer, or of the proxy; None when a `Connect` of the application's own does not tell."""
    seconds: float
    """What the name, the connection and the handshake took together."""


class ConnectionFailed(ConnectionEvent, frozen=True, kw_only=True):
    """An attempt to open a connection came to nothing."""

    kind: CauseKind
    cause: str


class ConnectionClosed(ConnectionEvent, frozen=True, kw_only=True):
    """A connection that was opened is gone."""

    serial: int
    kind: CauseKind
    cause: str
    pushes: int
    """Written on it, in all."""
    seconds: float
    """Of age."""
    proven: bool
    """Whether APNs ever answered on it like a healthy server."""


class StreamLimitChanged(ConnectionEvent, frozen=True, kw_only=True):
    """The peer allows another number of pushes at a time (CONN-13, CONN-19)."""

    serial: int
    limit: int | None
    """None: as many as one likes."""


class GoawayReceived(ConnectionEvent, frozen=True, kw_only=True):
    """The peer announces that it ends the connection (CONN-20)."""

    serial: int
    code: int
    reason: str
    """APNs' own word; empty when there is none, as in planned maintenance."""
    text: str
    """What it said, for people."""


class TokenChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A connection is going to present a provider token that none of the client's had before (TOK-9)."""

    key_id: str
    team_id: str
    issued_at: int
    """The token's `iat`, seconds since the epoch."""


Event = (
    PushEnded
    | ConnectionOpened
    | ConnectionFailed
    | ConnectionClosed
    | StreamLimitChanged
    | GoawayReceived
    | TokenChanged
)


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is at one moment. `Client.stats` may be asked in any thread."""

    connections: int
    """That take pushes."""
    leaving: int
    """That open no more pushes and end when the open ones have ended."""
    connecting: bool
    """Whether one is being opened."""
    failures: int
    """Failed attempts in a row."""
    in_flight: int
    """Pushes written and not answered."""
    waiting: int
    """Pushes in the queue; one whose deadline passed counts until its turn comes."""
    stream_limit: int
    """Pushes that the open connections allow at a time; 2**31-1 for one without a limit."""


class Source(Protocol):
    """Who can be asked how it is."""

    def stats(self) -> Stats:
        """The state of this moment."""


class Listener:
    """Override what you want to hear, and give an instance to a client: `Client(listener=…)`.

    Called in the event loop's thread, for `sync.Client` in the engine's: return soon, never block.
    One instance may listen to any number of clients. What a method raises is logged once for each
    kind, without its text, and harms no push.
    """

    def attached(self, source: Source) -> None:
        """A client was made with this listener; it can be asked for `stats` in any thread. Hold it weakly."""

    def push_ended(self, event: PushEnded) -> None:
        """Exactly once for each outcome, just before it is handed over."""

    def connection_opened(self, event: ConnectionOpened) -> None:
        """For each of them `connection_closed` follows."""

    def connection_failed(self, event: ConnectionFailed) -> None:
        """An attempt failed before TLS was up."""

    def connection_closed(self, event: ConnectionClosed) -> None:
        """Once for each `connection_opened`."""

    def stream_limit_changed(self, event: StreamLimitChanged) -> None:
        """Also for the first one a connection is told, unless it is 1."""

    def goaway_received(self, event: GoawayReceived) -> None:
        """`connection_closed` follows when what is open has ended."""

    def token_changed(self, event: TokenChanged) -> None:
        """The provider token itself is never told."""


def check_listener(given: object) -> Listener | None:
    """An instance of `Listener`, or None. Raises `TypeError`."""
    if given is None or isinstance(given, Listener):
        return given
    what = "a class" if isinstance(given, type) else f"a {type(given).__name__}"
    raise TypeError(f"listener: {what}; give an instance of heliogram.apns.Listener or of a class made from it")
