"""The channel management API (6.2): create, read, delete and list, judged by ONE list of checks as pushes are."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .answer import Answer
from .channel import POLICIES, PUSH_TYPE, Channel
from .channels import Channels
from .errors import Invalid
from .journal import Entry
from .names import check_bundle_id
from .rules import AUTHENTICATION, Push, is_apns_id, topic_not_covered
from .session import Session
from .tables import CHANNEL_ID_LIMIT, PAYLOAD_LIMIT, STATUS, SUFFIXES, Environment

if TYPE_CHECKING:
    from .answering import Apns, Headers

MANAGEMENT_METHODS = frozenset({b"POST", b"GET", b"DELETE"})
_PATH = re.compile(rb"/1/apps/([^/]+)/(channels|all-channels)\Z")
_LISTENER = {"production": "manage_production", "sandbox": "manage_sandbox"}
_MEMBERS = frozenset({"message-storage-policy", "push-type"})


class ChannelRequest(Push):
    """A request about channels under judgement; ``topic`` is the bundle id of its path.

    ``bundle_id`` and ``resource`` are there once the path is known to be right, ``channel`` once it is known to exist,
    ``document`` once the body has been read.
    """

    bundle_id: str
    resource: bytes
    channel: Channel
    document: dict[str, Any]

    __slots__ = ("bundle_id", "channel", "channels", "document", "resource")

    channels: Channels

    def __repr__(self) -> str:
        return f"<ChannelRequest {self.environment} {self.method!r} {self.path!r} size={self.size}>"

    @property
    def channel_id(self) -> bytes:
        return self.fields.get(b"apns-channel-id", b"")

    @property
    def request_id(self) -> bytes | None:
        """The client's own id; one of Apple's samples uses ``apns-id`` in place of ``apns-request-id`` (6.3)."""
        return self.fields.get(b"apns-request-id") or self.fields.get(b"apns-id")


class ChannelRule(NamedTuple):
    """One step: the reason it gives, the rules it stands on, and the check, True when it objects."""

    reason: str
    basis: str
    objects: Callable[[ChannelRequest], bool]


def authentication() -> tuple[ChannelRule, ...]:
    """The checks that all lists begin with: who asks, and whether that may be."""
    return tuple(ChannelRule(rule.reason, rule.basis, rule.objects) for rule in AUTHENTICATION)


# --- checks of both lists ---


def not_a_bundle_id(request: ChannelRequest, raw: bytes) -> bool:
    """Whether the path holds no bundle id; if it does, the request is about that."""
    try:
        request.bundle_id = check_bundle_id(raw.decode("ascii"))
    except (Invalid, UnicodeDecodeError):
        return True
    request.topic = raw
    return False


def repeated_header(request: ChannelRequest) -> bool:
    return request.repeated


def bad_request_id(request: ChannelRequest) -> bool:
    own = request.request_id
    return own is not None and not is_apns_id(own)


def suffix_on_bundle_id(request: ChannelRequest) -> bool:
    return request.topic.endswith(SUFFIXES)


def not_covered(request: ChannelRequest) -> bool:
    return topic_not_covered(request)


def broadcast_is_off(request: ChannelRequest) -> bool:
    enabled = request.channels.enabled
    return enabled is not None and not enabled(request.bundle_id)


def no_channel_id(request: ChannelRequest) -> bool:
    return not request.channel_id


def bad_channel_id(request: ChannelRequest) -> bool:
    if len(request.channel_id) > CHANNEL_ID_LIMIT:
        return True
    try:
        base64.b64decode(request.channel_id, validate=True)
    except ValueError:
        return True
    return False


def unknown_channel(request: ChannelRequest) -> bool:
    channel_id = request.channel_id.decode("ascii")
    channel = request.channels.find(channel_id, request.bundle_id, request.environment)
    if channel is None:
        return True
    request.channel = channel
    return False


# --- checks of the management API ---


def _foreign_method(request: ChannelRequest) -> bool:
    return request.method not in MANAGEMENT_METHODS


def _bad_path(request: ChannelRequest) -> bool:
    match = _PATH.match(request.path)
    if match is None:
        return True
    request.resource = match[2]
    return not_a_bundle_id(request, match[1])


def _wrong_method(request: ChannelRequest) -> bool:
    return request.resource == b"all-channels" and request.method != b"GET"


def _creates(check: Callable[[ChannelRequest], bool]) -> Callable[[ChannelRequest], bool]:
    """The check, for the call that makes a channel alone."""
    return lambda request: request.method == b"POST" and check(request)


def _names(check: Callable[[ChannelRequest], bool]) -> Callable[[ChannelRequest], bool]:
    """The check, for the calls that name a channel alone."""
    return lambda request: request.method != b"POST" and request.resource == b"channels" and check(request)


def _no_body(request: ChannelRequest) -> bool:
    return request.size == 0


def _big_body(request: ChannelRequest) -> bool:
    return request.size > PAYLOAD_LIMIT


def unreadable_body(request: ChannelRequest) -> bool:
    try:
        document = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if not isinstance(document, dict):
        return True
    request.document = document
    return False


def _unknown_member(request: ChannelRequest) -> bool:
    return not request.document.keys() <= _MEMBERS


def _bad_policy(request: ChannelRequest) -> bool:
    policy = request.document.get("message-storage-policy")
    return type(policy) is not int or policy not in POLICIES


def _no_push_type(request: ChannelRequest) -> bool:
    return request.document.get("push-type") in (None, "")


def _other_push_type(request: ChannelRequest) -> bool:
    return bool(request.document["push-type"] != PUSH_TYPE)


def _full(request: ChannelRequest) -> bool:
    return request.channels.full(request.bundle_id, request.environment)


MANAGEMENT_RULES: tuple[ChannelRule, ...] = (
    ChannelRule("MethodNotAllowed", "SUR-1 6.2", _foreign_method),
    ChannelRule("BadPath", "CONN-3 6.2", _bad_path),
    ChannelRule("MethodNotAllowed", "6.2", _wrong_method),
    ChannelRule("DuplicateHeaders", "REQ-4", repeated_header),
    *authentication(),
    ChannelRule("BadMessageId", "6.2", bad_request_id),
    ChannelRule("TopicDisallowed", "6.4", suffix_on_bundle_id),
    ChannelRule("TopicMismatch", "6.4", not_covered),
    ChannelRule("FeatureNotEnabled", "BC-1", broadcast_is_off),
    ChannelRule("MissingChannelId", "6.2", _names(no_channel_id)),
    ChannelRule("BadChannelId", "6.4", _names(bad_channel_id)),
    ChannelRule("ChannelNotRegistered", "BC-2", _names(unknown_channel)),
    ChannelRule("PayloadEmpty", "6.4", _creates(_no_body)),
    ChannelRule("PayloadTooLarge", "6.4", _creates(_big_body)),
    ChannelRule("BadRequestPayload", "6.4", _creates(unreadable_body)),
    ChannelRule("BadRequestParams", "6.4", _creates(_unknown_member)),
    ChannelRule("MissingChannelQueueSize", "BC-4", _creates(_bad_policy)),
    ChannelRule("MissingPushType", "6.4", _creates(_no_push_type)),
    ChannelRule("InvalidPushType", "6.4", _creates(_other_push_type)),
    ChannelRule("CannotCreateChannelConfig", "BC-2", _creates(_full)),
)
"""The order of checks on the management listeners; what passes them all is done."""


def judge(rules: Sequence[ChannelRule], request: ChannelRequest) -> str | None:
    """The reason of the first that objects, or None: accepted."""
    for rule in rules:
        if rule.objects(request):
            return rule.reason
    return None


class ChannelAnswerer:
    """What the two APIs on channels share: requests made, ids echoed, answers written down."""

    def __init__(self, apns: Apns) -> None:
        self.apns = apns

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.apns.channels!r}>"

    def request(
        self, session: Session, environment: Environment, headers: Headers, body: bytes, size: int
    ) -> ChannelRequest:
        """A request, ready to be judged at the present moment."""
        apns = self.apns
        apns.agenda.look()
        made = ChannelRequest(
            headers,
            body,
            size,
            environment=environment,
            session=session,
            registry=apns.registry,
            settings=apns.settings,
            now=apns.clock(),
        )
        made.channels = apns.channels
        return made

    def request_id(self, request: ChannelRequest) -> bytes:
        """The client's own, or a made one in lower case; a malformed one is not echoed."""
        own = request.request_id
        return own if own is not None and is_apns_id(own) else self.apns.made_id().lower()

    def note(self, request: ChannelRequest, listener: str, request_id: bytes, status: int, reason: str | None) -> None:
        """Write it down; the request id stands where a push has its ``apns-id``."""
        self.apns.journal.add(
            Entry(
                at=request.now,
                connection=request.session.number,
                listener=listener,
                method=request.method,
                path=request.path,
                topic=request.topic or None,
                push_type=request.push_type,
                apns_id=request_id,
                status=status,
                reason=reason,
                device=None,
                headers=request.headers,
                body=request.body,
                size=request.size,
            )
        )

    def refuse(self, request: ChannelRequest, listener: str, reason: str) -> Answer:
        """An error as 6.4 has it: ``apns-request-id``, and a body with nothing but ``reason``."""
        request_id = self.request_id(request)
        spelled = self.apns.spelled(reason)
        self.note(request, listener, request_id, STATUS[spelled], spelled)
        return self.apns.error(spelled, (b"apns-request-id", request_id))


class Management(ChannelAnswerer):
    """Answers the management listeners."""

    def answer(self, session: Session, environment: Environment, headers: Headers, body: bytes, size: int) -> Answer:
        """Judge the request and do what it asks for."""
        request = self.request(session, environment, headers, body, size)
        reason = judge(MANAGEMENT_RULES, request)
        listener = _LISTENER[environment]
        if reason is not None:
            return self.refuse(request, listener, reason)
        status, more, content = self._done(request)
        request_id = self.request_id(request)
        self.note(request, listener, request_id, status, None)
        return Answer(status, ((b"apns-request-id", request_id), *more), content)

    def _done(self, request: ChannelRequest) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
        channels = request.channels
        typed = ((b"content-type", b"application/json"),)
        if request.method == b"POST":
            policy: int = request.document["message-storage-policy"]
            channel = channels.create(request.bundle_id, request.environment, policy)
            return 201, ((b"apns-channel-id", channel.id.encode("ascii")),), b""
        if request.method == b"DELETE":
            channels.delete(request.channel.id)
            return 204, (), b""
        if request.resource == b"channels":
            policy = request.channel.policy
            return 200, typed, b'{"message-storage-policy":%d,"push-type":"%b"}' % (policy, PUSH_TYPE.encode())
        ids = [channel.id for channel in channels.all(request.bundle_id, request.environment)]
        return 200, typed, msgspec.json.encode({"channels": ids})
