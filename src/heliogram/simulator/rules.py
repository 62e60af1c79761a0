"""The order in which APNs judges a push: ONE list (rule book, 9.3). The first check that objects gives the answer.

A check is a small function from a `Push` to True when it objects; it may leave on the push what later checks need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import authentication
from .jwt import Verified
from .lockscreen import is_object
from .names import is_topic
from .registry import DeviceToken, Registry
from .session import Session
from .tables import (
    COLLAPSE_ID_LIMIT,
    PAYLOAD_LIMIT,
    PUSH_TYPES,
    SUFFIXES,
    VOIP_PAYLOAD_LIMIT,
    Environment,
    Settings,
)

DEVICE_PATH = b"/3/device/"
_APNS_ID = re.compile(rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\Z")
_EXPIRATION = re.compile(rb"[0-9]{1,18}\Z")
_PRIORITIES = frozenset({b"10", b"5", b"1"})
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+\Z")


class Push:
    """One request under judgement. ``now``: seconds since the epoch; ``size``: bytes of the whole body.

    ``token``, ``verified`` and ``record`` are there once the check that finds them has passed, ``rule`` once one
    objects, ``steady`` once it was judged.
    """

    token: bytes
    verified: Verified
    record: DeviceToken
    rule: Rule
    steady: tuple[bytes | None, ...]

    __slots__ = (
        "body",
        "environment",
        "fields",
        "headers",
        "method",
        "now",
        "path",
        "push_type",
        "record",
        "registry",
        "repeated",
        "rule",
        "session",
        "settings",
        "size",
        "steady",
        "token",
        "topic",
        "verified",
    )

    def __init__(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        size: int,
        *,
        environment: Environment,
        session: Session,
        registry: Registry,
        settings: Settings,
        now: float,
    ) -> None:
        fields = dict(headers)
        self.fields = fields
        self.headers = headers
        self.repeated = len(fields) != len(headers)
        self.method = fields.get(b":method", b"")
        self.path = fields.get(b":path", b"")
        self.topic = fields.get(b"apns-topic", session.default_topic)
        self.push_type = fields.get(b"apns-push-type")
        self.body = body
        self.size = size
        self.environment = environment
        self.session = session
        self.registry = registry
        self.settings = settings
        self.now = now
        self.token = b""

    def __repr__(self) -> str:
        return f"<Push {self.environment} topic={self.topic!r} size={self.size}>"


class Rule(NamedTuple):
    """One step: the reason it gives, the rules it stands on, and the check.

    ``steady``: it looks at nothing but the header fields in `_steady_fields`, the keys, and what the connection is
    bound to; so what has passed it once on a connection passes it again for as long as no key changes.
    """

    reason: str
    basis: str
    objects: Callable[[Push], bool]
    steady: bool = False


def _wrong_method(push: Push) -> bool:
    return push.method != b"POST"


def _bad_path(push: Push) -> bool:
    path = push.path
    if path.startswith(DEVICE_PATH):
        push.token = path[len(DEVICE_PATH) :]
        return b"/" in push.token
    return path != b"/3/device"


def _no_device_token(push: Push) -> bool:
    return not push.token


def _repeated_header(push: Push) -> bool:
    return push.repeated


def is_apns_id(value: bytes) -> bool:
    """Whether the bytes are hex digits in the form 8-4-4-4-12; any case, any version bits (REQ-1)."""
    return _APNS_ID.match(value) is not None


def _bad_apns_id(push: Push) -> bool:
    value = push.fields.get(b"apns-id")
    return value is not None and _APNS_ID.match(value) is None


def _bad_expiration(push: Push) -> bool:
    value = push.fields.get(b"apns-expiration")
    return value is not None and _EXPIRATION.match(value) is None


def _bad_priority(push: Push) -> bool:
    value = push.fields.get(b"apns-priority")
    if value is None:
        return False
    row = PUSH_TYPES.get(push.push_type or b"alert")
    return value not in (_PRIORITIES if row is None else row.priorities)


def _bad_collapse_id(push: Push) -> bool:
    value = push.fields.get(b"apns-collapse-id")
    return value is not None and len(value) > COLLAPSE_ID_LIMIT


def _unknown_push_type(push: Push) -> bool:
    return push.push_type is not None and push.push_type not in PUSH_TYPES


def _no_topic(push: Push) -> bool:
    return b"apns-topic" not in push.fields and not push.session.default_topic


def _bad_topic(push: Push) -> bool:
    return not is_topic(push.topic)


def _type_against_topic(push: Push) -> bool:
    if push.push_type is None:
        return False
    row = PUSH_TYPES[push.push_type]
    if row.any_topic:
        return False
    if row.suffix:
        return not push.topic.endswith(row.suffix)
    return push.topic.endswith(SUFFIXES)


def topic_not_covered(push: Push) -> bool:
    """Whether the credential does not cover the topic, or the connection was bound before it did (TOK-14)."""
    session = push.session
    if session.client is not None:
        return not session.certifies(push.topic)
    return not session.covers(push.verified.key, push.topic)


def _no_body(push: Push) -> bool:
    if push.size == 0:
        return True
    # A body over every limit is not kept whole and cannot be parsed; the next check refuses it.
    return push.settings.strict_json and push.size == len(push.body) and not is_object(push.body)


def _big_body(push: Push) -> bool:
    if push.size <= PAYLOAD_LIMIT:
        return False
    if push.push_type is not None:
        return push.size > PUSH_TYPES[push.push_type].limit
    return push.size > (VOIP_PAYLOAD_LIMIT if push.topic.endswith(b".voip") else PAYLOAD_LIMIT)


def _unknown_device_token(push: Push) -> bool:
    token = push.token
    record = push.registry.tokens.get(token)
    if record is None:  # upper-case digits are the same token (REQ-6)
        digits = len(token)
        if not push.settings.min_token_digits <= digits <= push.settings.max_token_digits or not _HEX.match(token):
            return True
        record = push.registry.tokens.get(token.lower())
        if record is None:
            return True
    push.record = record
    return record.environment != push.environment


def _token_of_other_topic(push: Push) -> bool:
    return push.record.topic != push.topic


def _token_expired(push: Push) -> bool:
    return push.record.state == "expired"


def _token_unregistered(push: Push) -> bool:
    return push.record.state == "unregistered"


def _too_many_for_token(push: Push) -> bool:
    rate, record = push.settings.token_rate, push.record
    if rate is None:
        return False
    if push.now - record.window >= 60:
        record.window, record.taken = push.now, 0
    record.taken += 1
    return record.taken > rate


AUTHENTICATION: tuple[Rule, ...] = (
    Rule("BadCertificate", "CERT-8 CERT-10 CERT-12", authentication.bad_certificate),
    Rule("BadCertificateEnvironment", "CERT-3 CERT-8 CERT-9", authentication.certificate_elsewhere, steady=True),
    Rule("MissingProviderToken", "TOK-1 TOK-21", authentication.no_provider_token, steady=True),
    Rule("TooManyProviderTokenUpdates", "TOK-9 TOK-10 SUR-7", authentication.token_changed_too_often),
    Rule("InvalidProviderToken", "TOK-2 TOK-3 TOK-4 TOK-6 TOK-19", authentication.bad_provider_token),
    Rule("ExpiredProviderToken", "TOK-8", authentication.old_provider_token),
    Rule("BadEnvironmentKeyInToken", "TOK-11 TOK-17", authentication.key_of_other_environment, steady=True),
    Rule("InvalidProviderToken", "TOK-12", authentication.other_team, steady=True),
    Rule("UnrelatedKeyIdInToken", "TOK-15 TOK-16", authentication.unrelated_key, steady=True),
)
"""Who asks, and whether that may be: the same on every listener, for pushes, broadcasts and channels."""

RULES: tuple[Rule, ...] = (
    Rule("MethodNotAllowed", "SUR-1", _wrong_method, steady=True),
    Rule("BadPath", "CONN-1", _bad_path),
    Rule("MissingDeviceToken", "4.1", _no_device_token),
    Rule("DuplicateHeaders", "REQ-4", _repeated_header),
    *AUTHENTICATION,
    Rule("BadMessageId", "REQ-1", _bad_apns_id),
    Rule("BadExpirationDate", "REQ-2", _bad_expiration, steady=True),
    Rule("BadPriority", "TYPE-2 LA-1", _bad_priority, steady=True),
    Rule("BadCollapseId", "4.1", _bad_collapse_id, steady=True),
    Rule("InvalidPushType", "4.2", _unknown_push_type, steady=True),
    Rule("MissingTopic", "4.1 CERT-5 CERT-6", _no_topic, steady=True),
    Rule("BadTopic", "4.1", _bad_topic, steady=True),
    Rule("InvalidPushType", "REQ-5", _type_against_topic, steady=True),
    Rule("TopicDisallowed", "TOK-14 TOK-15 TOK-18 CERT-4 CERT-7", topic_not_covered, steady=True),
    Rule("PayloadEmpty", "SIZE-2 SIZE-3", _no_body),
    Rule("PayloadTooLarge", "SIZE-1", _big_body),
    Rule("BadDeviceToken", "REQ-6 REQ-7 LIFE-4", _unknown_device_token),
    Rule("DeviceTokenNotForTopic", "LIFE-3 SUR-13", _token_of_other_topic),
    Rule("ExpiredToken", "LA-4 RESP-6", _token_expired),
    Rule("Unregistered", "LIFE-9 RESP-6", _token_unregistered),
    Rule("TooManyRequests", "LIFE-13", _too_many_for_token),
)
"""The order of checks; what passes them all is answered 200."""

_CHECKS = tuple((rule.objects, rule) for rule in RULES)
_UNSTEADY_CHECKS = tuple((rule.objects, rule) for rule in RULES if not rule.steady)
_BEHIND_STEADY = frozenset(
    rule.objects for rule in RULES[max(at for at, rule in enumerate(RULES) if rule.steady) + 1 :]
)


def _steady_fields(push: Push) -> tuple[bytes | None, ...]:
    """All that steady checks look at in a request."""
    get = push.fields.get
    return (
        push.method,
        get(b"authorization"),
        get(b"apns-topic"),
        push.push_type,
        get(b"apns-priority"),
        get(b"apns-expiration"),
        get(b"apns-collapse-id"),
    )


def judge(push: Push) -> str | None:
    """The reason of the first of RULES that objects, or None: accepted.

    Pushes of one campaign differ in path, id and body alone: what the steady checks have passed on this connection
    they are not asked again.
    """
    session, steady = push.session, _steady_fields(push)
    push.steady = steady
    passed = session.has_passed(steady)
    for objects, rule in _UNSTEADY_CHECKS if passed else _CHECKS:
        if objects(push):
            push.rule = rule
            if not passed and objects in _BEHIND_STEADY:
                _remember(push, steady)
            return rule.reason
    if not passed:
        _remember(push, steady)
    return None


def _remember(push: Push, steady: tuple[bytes | None, ...]) -> None:
    push.session.passes(steady)
    push.session.watch.combination(push)
