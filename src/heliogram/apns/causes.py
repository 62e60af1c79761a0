"""Why a connection ended, or did not come about: a word from a short list for counting, and a text for people."""

from __future__ import annotations

import enum
import socket
import ssl

import msgspec

from .tlsalerts import certificate_alert
from .tunnel import ProxyFailed


class CauseKind(enum.StrEnum):
    """The short list. New words may be added to it, none will be renamed."""

    LOST = "lost"
    """The peer or the network ended it without a word."""
    GOAWAY = "goaway"
    ANSWER = "answer"
    """An answer of APNs after which another connection is needed (CONN-28, TOK-14)."""
    PROTOCOL = "protocol"
    """The peer broke HTTP/2."""
    SILENT = "silent"
    """No answer to a PING (CONN-27)."""
    AGE = "age"
    """It reached its greatest age."""
    TOKEN = "token"  # noqa: S105 - a word, no secret
    """Its provider token could neither be presented nor changed."""
    REPLACED = "replaced"
    """On request, or for another credential."""
    REVOKED = "revoked"
    """`Client.revoke`."""
    CREDENTIAL = "credential"
    """The peer refused the credential (CERT-10), or it can no longer be used."""
    CLOSED = "closed"
    """`Client.close`."""
    REFUSED = "refused"
    """Nobody listens there."""
    DNS = "dns"
    """The host's name could not be resolved."""
    TLS = "tls"
    """The handshake failed, or the peer's certificate is not trusted."""
    TIMEOUT = "timeout"
    PROXY = "proxy"
    OTHER = "other"


class Cause(msgspec.Struct, frozen=True, gc=False):
    """A cause in a word and in a text. Neither holds a secret."""

    kind: CauseKind
    text: str


LOST = Cause(CauseKind.LOST, "connection lost")
AGED = Cause(CauseKind.AGE, "reached its greatest age")
STALE = Cause(CauseKind.TOKEN, "the provider token is too old to present and too young to change")
USED_UP = Cause(CauseKind.AGE, "its stream ids are used up")
ON_REQUEST = Cause(CauseKind.REPLACED, "replaced on request")
SUPERSEDED = Cause(CauseKind.REPLACED, "its credential was replaced")
CLOSED = Cause(CauseKind.CLOSED, "the client was closed")
NOT_CONNECTED = Cause(CauseKind.OTHER, "not connected")

_KINDS: tuple[tuple[type[BaseException], CauseKind], ...] = (
    (ProxyFailed, CauseKind.PROXY),
    (TimeoutError, CauseKind.TIMEOUT),
    (socket.gaierror, CauseKind.DNS),
    (ssl.SSLError, CauseKind.TLS),
    (ConnectionRefusedError, CauseKind.REFUSED),
    (ConnectionError, CauseKind.LOST),
)


def cause_of(error: BaseException) -> Cause:
    """What an attempt to connect failed of."""
    alert = certificate_alert(error)
    if alert is not None:
        return Cause(CauseKind.CREDENTIAL, alert)
    kind = next((kind for type_, kind in _KINDS if isinstance(error, type_)), CauseKind.OTHER)
    return Cause(kind, str(error) or type(error).__name__)
