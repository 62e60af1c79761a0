"""What a fault is: its kind, what belongs to the kind, and what it applies to. Mistakes are told by field."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from heliogram.wire import ErrorCode

from .errors import Invalid
from .tables import LISTENERS, STATUS

Kind = Literal[
    "status", "delay", "silence", "reset", "goaway", "close", "streamLimit", "halfOpen", "wedge", "split", "shuffle",
    "tls", "drop", "refuse",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)

Style = Literal["graceful", "announced", "double", "abrupt"]

STATUS_OF = STATUS | {
    "IdleTimeout": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "Forbidden": 403,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}
"""The status a reason comes with when a fault gives none (rule book, section 5)."""

ALERTS = {
    "handshake_failure": 40,
    "bad_certificate": 42,
    "certificate_revoked": 44,
    "certificate_expired": 45,
    "certificate_unknown": 46,
    "unknown_ca": 48,
    "access_denied": 49,
    "protocol_version": 70,
    "internal_error": 80,
}
"""TLS alerts by name (RFC 8446 §6)."""

_TIMING = frozenset({"delayMs", "jitterMs", "reorder"})
TAKES: dict[str, frozenset[str]] = {
    "status": frozenset({"status", "reason", "timestamp", "retryAfter", "body"}) | _TIMING,
    "delay": _TIMING,
    "silence": frozenset({"processed"}),
    "reset": frozenset({"code", "processed"}) | _TIMING,
    "goaway": frozenset({"style", "code", "reason", "timestamp", "debug"}),
    "close": frozenset({"processed"}),
    "streamLimit": frozenset({"streamLimit"}),
    "halfOpen": frozenset({"processed"}),
    "wedge": frozenset({"afterExpiry"}),
    "split": frozenset({"size"}),
    "shuffle": frozenset({"hold"}),
    "tls": frozenset({"alert"}),
    "drop": frozenset(),
    "refuse": frozenset(),
}
"""The members that belong to each kind."""

SCOPE = frozenset({"token", "device", "connection", "listener", "share", "next", "seconds", "until"})
OPENING = frozenset({"tls", "drop", "refuse"})
"""Kinds that meet a connection before its first request."""

_OPENING_SCOPE = {
    "tls": frozenset({"listener", "share", "next", "seconds", "until"}),
    "drop": frozenset({"listener", "share", "next", "seconds", "until"}),
    "refuse": frozenset({"listener", "seconds", "until"}),
}


class FaultSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """One fault, as it is asked for. ``kind`` may be left out with ``status``, ``reason`` or ``delayMs``."""

    kind: Kind | None = None
    status: Annotated[int, Meta(ge=200, le=599, description="The answer's status; of a known reason by default")] | (
        None
    ) = None
    reason: Annotated[str, Meta(min_length=1, max_length=100, description="The reason in the answer or GOAWAY")] | (
        None
    ) = None
    timestamp: Annotated[int, Meta(ge=0, description="Beside the reason, as with 410: milliseconds")] | None = None
    retry_after: Annotated[str, Meta(max_length=64, description="The header field retry-after")] | None = None
    body: Annotated[str, Meta(max_length=8192, description="The answer's body as it is, in place of a reason")] | (
        None
    ) = None
    delay_ms: Annotated[float, Meta(ge=0, le=3_600_000, description="How long the answer waits")] | None = None
    jitter_ms: Annotated[float, Meta(ge=0, le=3_600_000, description="Up to this much more, at random")] | None = None
    reorder: Annotated[bool, Meta(description="Let answers that wait overtake each other")] | None = None
    code: Annotated[str | int, Meta(description="An HTTP/2 error code by name or number", examples=["CANCEL"])] | (
        None
    ) = None
    style: (
        Annotated[
            Style,
            Meta(
                description="graceful: GOAWAY, what is open is answered, then the end. announced: GOAWAY with the "
                "largest stream id first, then the real one. double: once more without debug data before the "
                "end (CONN-21). abrupt: the end at once, what is open stays unanswered"
            ),
        ]
        | None
    ) = None
    debug: Annotated[str, Meta(max_length=1000, description="GOAWAY's debug data as plain text (CONN-18)")] | (
        None
    ) = None
    stream_limit: Annotated[int, Meta(ge=0, le=2**31 - 1, description="MAX_CONCURRENT_STREAMS from now on")] | (
        None
    ) = None
    size: Annotated[int, Meta(ge=1, le=1000, description="Bytes in a piece; 1 by default")] | None = None
    hold: Annotated[int, Meta(ge=2, le=1000, description="Answers held back before all go in any order")] | None = None
    alert: Annotated[str, Meta(description=f"A TLS alert: {', '.join(ALERTS)}")] | None = None
    processed: Annotated[bool, Meta(description="Whether the push reaches its device all the same")] | None = None
    after_expiry: Annotated[bool, Meta(description="Begin with the next ExpiredProviderToken (TOK-22)")] | None = None
    token: Annotated[str, Meta(pattern="^[0-9A-Fa-f]+$", description="Only pushes to this device token")] | None = None
    device: Annotated[str, Meta(description="Only pushes to this device")] | None = None
    connection: Annotated[int, Meta(ge=1, description="Only on the connection of this number")] | None = None
    listener: Annotated[str, Meta(description="Only on this listener", examples=["production"])] | None = None
    share: Annotated[float, Meta(gt=0, le=1, description="Only this share of them, at random")] | None = None
    next: Annotated[int, Meta(ge=1, le=1_000_000_000, description="Only so often, then the fault is gone")] | (
        None
    ) = None
    seconds: Annotated[float, Meta(gt=0, le=1e9, description="For so long by the simulator's clock")] | None = None
    until: Annotated[float, Meta(gt=0, description="Until then by the simulator's clock, s since the epoch")] | (
        None
    ) = None


class Fault(msgspec.Struct, eq=False, kw_only=True):
    """A fault that is set. ``left``: how often it still applies, ``until``: its end; ``hits``: how often it did."""

    id: int
    kind: Kind
    spec: FaultSpec
    until: float | None
    left: int | None
    hits: int = 0

    def __repr__(self) -> str:
        return f"<Fault {self.id} {self.kind} hits={self.hits} left={self.left}>"

    @property
    def processed(self) -> bool:
        """Whether a request that it swallows is carried out all the same."""
        if self.spec.processed is not None:
            return self.spec.processed
        return self.kind != "reset" or error_code(self.spec.code) != ErrorCode.REFUSED_STREAM


def given(spec: FaultSpec) -> dict[str, Any]:
    """The members that were given, in JSON's names."""
    values = msgspec.to_builtins(spec)
    return {name: value for name, value in values.items() if value is not None}


def kind_of(spec: FaultSpec) -> Kind:
    """The kind, told or plain from the members. Raises Invalid."""
    if spec.kind is not None:
        return spec.kind
    if spec.status is not None or spec.reason is not None:
        return "status"
    if spec.delay_ms is not None:
        return "delay"
    raise Invalid(f"kind must be one of {', '.join(KINDS)}", field="kind")


def check(spec: FaultSpec) -> Kind:
    """The kind of a fault that makes sense. Raises Invalid naming the field and what to write instead."""
    kind = kind_of(spec)
    names = set(given(spec)) - {"kind"}
    for name in sorted(names - SCOPE - TAKES[kind]):
        takes = ", ".join(sorted(TAKES[kind])) or "no member but its scope"
        raise Invalid(f"{name} does not go with the kind {kind}, which takes {takes}", field=name)
    if kind in OPENING:
        for name in sorted((names & SCOPE) - _OPENING_SCOPE[kind]):
            takes = ", ".join(sorted(_OPENING_SCOPE[kind]))
            raise Invalid(f"{name} does not go with the kind {kind}, which can be limited by {takes}", field=name)
    if spec.seconds is not None and spec.until is not None:
        raise Invalid("seconds and until exclude each other; give one", field="until")
    if spec.listener is not None and spec.listener not in LISTENERS:
        raise Invalid(f"listener must be one of {', '.join(LISTENERS)}", field="listener")
    _check_members(kind, spec)
    return kind


def _check_members(kind: Kind, spec: FaultSpec) -> None:
    if kind == "status" and spec.status is None and spec.reason not in STATUS_OF:
        raise Invalid("status is needed: 200 to 599, or a reason that has one", field="status")
    if kind == "status" and spec.body is not None and spec.reason is not None:
        raise Invalid("body and reason exclude each other; give one", field="body")
    if spec.retry_after is not None and not _is_field_value(spec.retry_after):
        raise Invalid("retryAfter must be printable ASCII without blanks at its ends", field="retryAfter")
    if kind == "delay" and spec.delay_ms is None:
        raise Invalid("delayMs is needed: milliseconds", field="delayMs")
    if spec.jitter_ms is not None and spec.delay_ms is None:
        raise Invalid("jitterMs needs delayMs beside it", field="jitterMs")
    if kind == "streamLimit" and spec.stream_limit is None:
        raise Invalid("streamLimit is needed: 0 to 2147483647", field="streamLimit")
    if spec.debug is not None and spec.reason is not None:
        raise Invalid("debug and reason exclude each other; give one", field="debug")
    if spec.alert is not None and spec.alert not in ALERTS:
        raise Invalid(f"alert must be one of {', '.join(ALERTS)}", field="alert")
    error_code(spec.code)


def _is_field_value(text: str) -> bool:
    """Whether a client may take it as a header field's value (RFC 9113 §8.2.1)."""
    return text.isascii() and text.isprintable() and text == text.strip()


def error_code(code: str | int | None, default: int = 0) -> int:
    """An HTTP/2 error code by its name or number. Raises Invalid."""
    if code is None:
        return default
    if isinstance(code, int):
        if not 0 <= code < 1 << 32:
            raise Invalid("code must be 0 to 4294967295, or a name", field="code")
        return code
    try:
        return int(ErrorCode[code])
    except KeyError:
        raise Invalid(f"code must be a number or one of {', '.join(ErrorCode.__members__)}", field="code") from None
