"""The numbers of the engine that seldom need another value."""

from __future__ import annotations

import msgspec


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds throughout."""

    connect_timeout: float = 10.0
    """For resolving, connecting and the TLS handshake together, per attempt."""
    proxy_timeout: float = 8.0
    """Of those, for reaching a proxy and getting its answer."""
    back_off: float = 0.25
    """After the first failed connection; doubles with each further one."""
    max_back_off: float = 30.0
    ping_after: float = 60.0
    """Of silence from the peer, before a PING asks whether it is there (CONN-24)."""
    pong_timeout: float = 10.0
    """From a PING to closing the connection, should nothing come (CONN-27)."""
    max_age: float = 86400.0
    """Of a connection, before it is replaced in peace."""
    patience: float = 1.0
    """With a connection whose first push has no answer yet, before a second one is opened beside it."""
    drain: float = 5.0
    """What `close()` grants the pushes that are still on their way."""
