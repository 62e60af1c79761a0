"""APNs' own words and numbers, kept here on purpose apart from the engine's: the simulator is an independent witness.

Everything in this module is data: statuses by reason, push types, limits, and the settings an operator may change.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Environment = Literal["production", "sandbox"]
ENVIRONMENTS: tuple[Environment, ...] = ("production", "sandbox")

LISTENERS: dict[str, Environment] = {
    "production": "production",
    "sandbox": "sandbox",
    "manage_production": "production",
    "manage_sandbox": "sandbox",
}
"""The listeners by name, each with the environment it serves (CONN-1, CONN-3)."""

Platform = Literal["ios", "ipados", "tvos", "macos", "watchos", "visionos"]
PLATFORMS: tuple[Platform, ...] = ("ios", "ipados", "tvos", "macos", "watchos", "visionos")

STATUS: dict[str, int] = {
    "BadChannelId": 400,
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadRequestParams": 400,
    "BadRequestPayload": 400,
    "BadTopic": 400,
    "CannotCreateChannelConfig": 400,
    "ChannelNotRegistered": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "FeatureNotEnabled": 400,
    "InvalidPushType": 400,
    "MissingChannelId": 400,
    "MissingChannelQueueSize": 400,
    "MissingDeviceToken": 400,
    "MissingPushType": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "BadEnvironmentKeyInToken": 403,
    "ExpiredProviderToken": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "TopicMismatch": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
}
"""HTTP status by reason, for the reasons this simulator gives (rule book, section 5)."""


class PushType(msgspec.Struct, frozen=True):
    """One row of the push type table (4.2): the topic's suffix, the largest payload, the priorities allowed."""

    suffix: bytes = b""
    limit: int = 4096
    priorities: frozenset[bytes] = frozenset({b"10", b"5", b"1"})
    any_topic: bool = False


PUSH_TYPES: dict[bytes, PushType] = {
    b"alert": PushType(),
    b"background": PushType(priorities=frozenset({b"5", b"1"})),  # TYPE-2: an explicit 10 is refused
    b"location": PushType(suffix=b".location-query"),
    b"voip": PushType(suffix=b".voip", limit=5120),
    b"complication": PushType(suffix=b".complication"),
    b"fileprovider": PushType(suffix=b".pushkit.fileprovider"),
    b"mdm": PushType(any_topic=True),  # the topic is the UID of the MDM push certificate
    b"liveactivity": PushType(suffix=b".push-type.liveactivity", priorities=frozenset({b"10", b"5"})),  # LA-1
    b"pushtotalk": PushType(suffix=b".voip-ptt"),
    b"widgets": PushType(suffix=b".push-type.widgets"),
    b"controls": PushType(suffix=b".push-type.controls"),
}

SUFFIXES: tuple[bytes, ...] = tuple(row.suffix for row in PUSH_TYPES.values() if row.suffix)

PAYLOAD_LIMIT = 4096
"""Bytes, for every push type without a row of its own (SIZE-1)."""

VOIP_PAYLOAD_LIMIT = 5120

COLLAPSE_ID_LIMIT = 64
"""Bytes, not characters (4.1)."""

BROADCAST_LIMIT = 5120
"""Bytes of a broadcast (6.3)."""

STORED_BROADCAST_LIFE = 8 * 3600
"""Seconds a channel keeps its most recent message at most (BC-3)."""

CHANNEL_ID_LIMIT = 256
"""Characters; the simulator's own bound behind ``BadChannelId``, Apple publishes none."""

TOPIC_LIMIT = 255
"""Bytes; the simulator's own bound, Apple publishes none."""

BUNDLE_ID_LIMIT = 155
"""Characters; leaves room for every suffix within TOPIC_LIMIT."""

TOPICS_PER_KEY = 400
"""Topics on a topic-specific key (TOK-11)."""

TEAM_KEYS_PER_ENVIRONMENT = 2
TOPIC_KEYS_PER_ENVIRONMENT = 200
"""How many keys of each kind a team may have in one environment (TOK-11)."""

TOKEN_LIFE = 3600
"""Seconds from ``iat`` to ``ExpiredProviderToken`` (TOK-8)."""

TOKEN_FLOOR = 1200
"""Seconds within which a connection may not change its provider token again (TOK-9)."""

TokenFloorScope = Literal["connection", "key", "team", "off"]
TOKEN_FLOOR_SCOPES: tuple[TokenFloorScope, ...] = ("connection", "key", "team", "off")

StoreBy = Literal["bundle", "topic", "collapse-id"]
STORE_BY: tuple[StoreBy, ...] = ("bundle", "topic", "collapse-id")

CertificateRefusal = Literal["wire", "answer"]
CERTIFICATE_REFUSALS: tuple[CertificateRefusal, ...] = ("wire", "answer")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Apple's documents and the traces disagree, or say nothing: the choice, with the default first.

    ``token_floor``: who shares one memory of provider tokens for the 20 min of TOK-9: ``connection``, each connection
    alone, as documented; ``key``, all connections from one address, for each team and key id, as one report suggests
    (TOK-10); ``team``, all connections of a team, from everywhere, the harshest reading; ``off``, nobody.
    ``token_changes``: distinct provider tokens such a memory takes within 20 min; 2 as traced (TOK-10), 1 to the
    letter of TOK-9. ``future_skew``: seconds an ``iat`` may lie in the future. ``strict_signature``: refuse a DER
    signature, which is not ES256 and which APNs takes all the same (TOK-4). ``documented_spelling``: answer
    ``BadEnvironmentKeyIdInToken`` as documented in place of the wire's ``BadEnvironmentKeyInToken`` (TOK-17).
    ``one_stream_first``: advertise one stream until the first authenticated request (CONN-15 "strict").
    ``strict_json``: answer ``PayloadEmpty`` to a body that is not a JSON object (SIZE-3). ``error_content_type``: send
    ``content-type: application/json`` with errors, as documented (RESP-2, SUR-11). ``token_rate``: pushes one device
    token takes within a minute before ``TooManyRequests``; none by default, Apple publishes no number (LIFE-13).
    ``stream_limit`` and ``window``: the first SETTINGS (CONN-13). ``connection_window``: bytes of body the client may
    send on a connection before a WINDOW_UPDATE; ``update_after``: bytes used up before one goes out (None: half a
    window). ``min_token_digits`` and ``max_token_digits``: hex digits of a device token in the path (REQ-7).
    ``journal``: requests remembered. ``held``: notifications a device keeps. ``connections``: open at once on one
    listener; the next one is closed at once.
    ``channels_per_app``: channels of an app in one environment (BC-2). ``channel_rate``: broadcasts one channel takes
    within a minute before ``TooManyRequests``; none by default, Apple publishes no number. ``broadcast_defaults``:
    take a broadcast without ``apns-expiration`` or ``apns-priority`` for 0 and 10; readers of Apple's page call both
    required (6.3). ``strict_broadcast``: answer ``BadRequestPayload`` to a broadcast that is no update or end of a
    Live Activity (LA-1, LA-3); accepted with a finding by default, as everywhere (SIZE-3).
    ``unregistered_after``: seconds from the first push after an uninstall to ``Unregistered``; 0: at once (LIFE-9).
    ``store_by``: what an offline device has one stored notification of: each app, as documented, each topic, or each
    collapse id of an app (LIFE-6). ``background_budget``: background pushes an app is woken for within an hour; none by
    default, Apple says "two or three" (TYPE-3). ``deliveries``: pushes in the delivery log.
    ``certificate_refusal``: how a client certificate is refused: ``wire``, as traced, a revoked one by a TLS alert
    (CERT-10) and one that has expired or is for the other environment by GOAWAY (CERT-9); ``answer``, as documented,
    all three by 403 to each request (CERT-8). ``certificate_live_activities``: let certificates send Live Activities;
    that they cannot is likely, but not proven (CERT-4, SUR-14). ``strict_portal``: allow no topic that is not an App
    ID of the portal.
    ``round_trip_ms``: milliseconds that everything the simulator sends waits, TLS included. ``falls_to_one``: after a
    4xx other than 410 one stream is allowed until the next accepted push (CONN-17). ``cut_after_errors``: GOAWAY after
    so many 4xx other than 410, of which ``BadDeviceToken`` counts three times (ERR-4). ``retire_after_requests``,
    ``retire_after_seconds``: GOAWAY after so many requests, or so long (CONN-22, CONN-23); ``idle_seconds``: GOAWAY
    with ``IdleTimeout`` after so long without a byte. None of these happens by default; time is the simulator's.
    ``violations``: violations remembered. ``brief_connections``: connections from one address that carry one request or
    none, within a minute, before they are a violation (CONN-25); ``ping_floor``: seconds between two PINGs below which
    the second is one (CONN-24): Apple publishes no numbers, libraries PING every 15 s. ``report_indexing``: call it a
    violation when ``:path`` or ``authorization`` enters the header table: Apple's articles contradict each other on it
    (CONN-29), it works, and whoever uses an HTTP/2 library often cannot change it.
    """

    token_floor: TokenFloorScope = "connection"  # noqa: S105 - a word, no secret
    token_changes: int = 2
    future_skew: int = 300
    strict_signature: bool = False
    documented_spelling: bool = False
    one_stream_first: bool = False
    strict_json: bool = False
    error_content_type: bool = False
    token_rate: int | None = None
    stream_limit: int = 1000
    window: int = 65535
    connection_window: int = 65535
    update_after: int | None = None
    min_token_digits: int = 16
    max_token_digits: int = 400
    journal: int = 10_000
    held: int = 1_000
    connections: int = 4_096
    channels_per_app: int = 10_000
    channel_rate: int | None = None
    broadcast_defaults: bool = False
    strict_broadcast: bool = False
    certificate_refusal: CertificateRefusal = "wire"
    certificate_live_activities: bool = False
    strict_portal: bool = False
    unregistered_after: int = 0
    store_by: StoreBy = "bundle"
    background_budget: int | None = None
    deliveries: int = 10_000
    round_trip_ms: float = 0.0
    falls_to_one: bool = False
    cut_after_errors: int | None = None
    retire_after_requests: int | None = None
    retire_after_seconds: float | None = None
    idle_seconds: float | None = None
    violations: int = 1_000
    brief_connections: int = 10
    ping_floor: float = 10.0
    report_indexing: bool = False

    def __post_init__(self) -> None:
        bounds = {
            "token_changes": (1, 1000),
            "future_skew": (0, 3600),
            "stream_limit": (1, 2**31 - 1),
            "window": (1, 2**31 - 1),
            "connection_window": (65535, 2**31 - 1),
            "min_token_digits": (2, 400),
            "max_token_digits": (2, 4096),
            "journal": (1, 10_000_000),
            "held": (1, 1_000_000),
            "connections": (1, 1_000_000),
            "channels_per_app": (1, 1_000_000),
            "unregistered_after": (0, 31_536_000),
            "deliveries": (1, 1_000_000),
            "violations": (1, 100_000),
            "brief_connections": (1, 100_000),
            "ping_floor": (0, 3600),
            "round_trip_ms": (0, 60_000),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, not {getattr(self, name)}")
        if self.token_floor not in TOKEN_FLOOR_SCOPES:
            raise ValueError(f"token_floor must be one of {', '.join(TOKEN_FLOOR_SCOPES)}, not {self.token_floor!r}")
        if self.certificate_refusal not in CERTIFICATE_REFUSALS:
            choices = ", ".join(CERTIFICATE_REFUSALS)
            raise ValueError(f"certificate_refusal must be one of {choices}, not {self.certificate_refusal!r}")
        whole = ("token_rate", "update_after", "channel_rate", "background_budget", "cut_after_errors")
        for name in (*whole, "retire_after_requests", "retire_after_seconds", "idle_seconds"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 1_000_000_000:
                raise ValueError(f"{name} must be 1 to 1000000000, or left out, not {value}")
        if self.store_by not in STORE_BY:
            raise ValueError(f"store_by must be one of {', '.join(STORE_BY)}, not {self.store_by!r}")
        if self.min_token_digits > self.max_token_digits:
            raise ValueError("min_token_digits must not exceed max_token_digits")
