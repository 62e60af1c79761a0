"""Broadcasts (6.3): one update of a Live Activity to everybody who follows a channel, judged by ONE list of checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .answer import Answer
from .channel import NO_MESSAGE_STORED, TOPIC_SUFFIX
from .lockscreen import Arrival
from .managing import (
    ChannelAnswerer,
    ChannelRequest,
    ChannelRule,
    authentication,
    bad_channel_id,
    bad_request_id,
    broadcast_is_off,
    judge,
    no_channel_id,
    not_a_bundle_id,
    not_covered,
    repeated_header,
    suffix_on_bundle_id,
    unknown_channel,
    unreadable_body,
)
from .session import Session
from .tables import BROADCAST_LIMIT, Environment

if TYPE_CHECKING:
    from .answering import Headers

_APP_PATH = b"/4/broadcasts/apps/"
_EXPIRATION = re.compile(rb"[0-9]{1,18}\Z")
_PRIORITIES = frozenset({b"10", b"5", b"1"})
_EVENTS = ("update", "end")


def _wrong_method(request: ChannelRequest) -> bool:
    return request.method != b"POST"


def _bad_path(request: ChannelRequest) -> bool:
    path = request.path
    return not path.startswith(_APP_PATH) or not_a_bundle_id(request, path[len(_APP_PATH) :])


def _no_push_type(request: ChannelRequest) -> bool:
    return not request.push_type


def _other_push_type(request: ChannelRequest) -> bool:
    # The table of Apple's page prints it with a capital, its samples without (6.3).
    return (request.push_type or b"").lower() != b"liveactivity"


def _bad_expiration(request: ChannelRequest) -> bool:
    value = request.fields.get(b"apns-expiration")
    if value is None:
        return not request.settings.broadcast_defaults
    return _EXPIRATION.match(value) is None


def _bad_priority(request: ChannelRequest) -> bool:
    value = request.fields.get(b"apns-priority")
    if value is None:
        return not request.settings.broadcast_defaults
    return value not in _PRIORITIES


def _expiration_without_storage(request: ChannelRequest) -> bool:
    return request.channel.policy == NO_MESSAGE_STORED and expiration(request) != 0


def _no_body(request: ChannelRequest) -> bool:
    return request.size == 0


def _big_body(request: ChannelRequest) -> bool:
    return request.size > BROADCAST_LIMIT


def _no_update(request: ChannelRequest) -> bool:
    return request.settings.strict_broadcast and bool(activity_findings(request.document))


def _too_many(request: ChannelRequest) -> bool:
    return not request.channels.within_rate(request.channel, request.now)


BROADCAST_RULES: tuple[ChannelRule, ...] = (
    ChannelRule("MethodNotAllowed", "SUR-1", _wrong_method),
    ChannelRule("BadPath", "CONN-4", _bad_path),
    ChannelRule("DuplicateHeaders", "REQ-4", repeated_header),
    *authentication(),
    ChannelRule("BadMessageId", "6.3", bad_request_id),
    ChannelRule("MissingChannelId", "6.3", no_channel_id),
    ChannelRule("BadChannelId", "6.4", bad_channel_id),
    ChannelRule("MissingPushType", "6.3", _no_push_type),
    ChannelRule("InvalidPushType", "6.3", _other_push_type),
    ChannelRule("BadExpirationDate", "6.3", _bad_expiration),
    ChannelRule("BadPriority", "6.3", _bad_priority),
    ChannelRule("TopicDisallowed", "6.3 6.4", suffix_on_bundle_id),
    ChannelRule("TopicMismatch", "6.4", not_covered),
    ChannelRule("FeatureNotEnabled", "BC-1", broadcast_is_off),
    ChannelRule("ChannelNotRegistered", "BC-2", unknown_channel),
    ChannelRule("BadExpirationDate", "BC-3 6.3", _expiration_without_storage),
    ChannelRule("PayloadEmpty", "6.4", _no_body),
    ChannelRule("PayloadTooLarge", "SIZE-1 6.3", _big_body),
    ChannelRule("BadRequestPayload", "6.4", unreadable_body),
    ChannelRule("BadRequestPayload", "LA-1 LA-3", _no_update),
    ChannelRule("TooManyRequests", "6.4", _too_many),
)
"""The order of checks on a broadcast: authenticate, check the channel, then fan out (6.3)."""


class Broadcasting(ChannelAnswerer):
    """Answers broadcasts on the push listeners."""

    def answer(self, session: Session, environment: Environment, headers: Headers, body: bytes, size: int) -> Answer:
        """Judge the request; when this returns, everybody who follows the channel and can be reached has it."""
        request = self.request(session, environment, headers, body, size)
        reason = judge(BROADCAST_RULES, request)
        if reason is not None:
            return self.refuse(request, environment, reason)
        request_id, unique_id = self.request_id(request), self.apns.made_id().lower()
        arrival = Arrival(
            request_id,
            unique_id,
            request.topic + TOPIC_SUFFIX,
            b"liveactivity",
            request.fields.get(b"apns-priority"),
            None,
            body,
            request.now,
            expiration=request.fields.get(b"apns-expiration"),
            channel=request.channel_id,
        )
        findings = tuple(activity_findings(request.document))
        request.channels.broadcast(request.channel, arrival, expiration(request), findings)
        self.note(request, environment, request_id, 200, None)
        return Answer(200, ((b"apns-request-id", request_id), (b"apns-unique-id", unique_id)), b"")


def expiration(request: ChannelRequest) -> int:
    """Seconds since the epoch; 0 when it was left out."""
    return int(request.fields.get(b"apns-expiration", b"0"))


def activity_findings(payload: dict[str, Any]) -> list[str]:
    """What a device will not make an update or an end of (LA-1, LA-3)."""
    aps = payload.get("aps")
    if not isinstance(aps, dict):
        return ["aps is missing: a broadcast updates or ends a Live Activity"]
    findings = []
    event, timestamp = aps.get("event"), aps.get("timestamp")
    if event == "start":
        findings.append("aps.event is start: a broadcast cannot start a Live Activity")
    elif event not in _EVENTS:
        findings.append("aps.event is neither update nor end")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        findings.append("aps.timestamp is no number of seconds")
    if not isinstance(aps.get("content-state"), dict):
        findings.append("aps.content-state is no dictionary")
    return findings
