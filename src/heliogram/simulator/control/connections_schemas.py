"""What the control API reads and writes of connections."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..connection import Connection
from ..faultspec import FaultSpec, Style
from ..lockscreen import stamp


class ConnectionOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """An open connection, with the number it has in the request log.

    ``tls``: its version; ``alpn``: None where the client asked for nothing (CONN-11); ``certificate``: whether it
    showed one; ``team``: whose it is once a request was authenticated; ``streamLimit``: as last announced.
    """

    number: int
    listener: str
    source: str
    opened_at: str
    tls: str | None
    alpn: str | None
    certificate: bool
    team: str | None
    requests: int
    open_streams: int
    stream_limit: int

    @classmethod
    def of(cls, connection: Connection) -> ConnectionOut:
        return cls(
            number=connection.number,
            listener=connection.listener.name,
            source=connection.source,
            opened_at=stamp(connection.opened_at),
            tls=connection.tls_version,
            alpn=connection.alpn,
            certificate=connection.session.certificate is not None,
            team=connection.session.team_id,
            requests=connection.requests,
            open_streams=connection.wire.open_streams,
            stream_limit=connection.wire.stream_limit,
        )


class ConnectionList(Struct, frozen=True):
    connections: list[ConnectionOut]


class GoawayIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How to say goodbye; see the fault of the kind ``goaway``."""

    style: Style = "graceful"
    code: str | int | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=100, description="JSON debug data (CONN-20)")] | None = None
    timestamp: Annotated[int, Meta(ge=0)] | None = None
    debug: Annotated[str, Meta(max_length=1000, description="Plain-text debug data (CONN-18)")] | None = None

    def spec(self) -> FaultSpec:
        return FaultSpec(
            kind="goaway",
            style=self.style,
            code=self.code,
            reason=self.reason,
            timestamp=self.timestamp,
            debug=self.debug,
        )
