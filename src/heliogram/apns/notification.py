"""What is sent: one notification, the same for one device or for a million."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import astuple

from .checks import Instant, check_collapse_id, check_text, check_topic, epoch, shown, wrong_type
from .errors import InvalidNotification, PayloadTooLarge
from .fieldtypes import LARGEST, is_plain_alert
from .payload import Alert, CommonAps, InterruptionLevel, Sound, encode
from .pushtypes import RULES, Priority, PushType, TypeRule
from .typed import encode_typed, has_aps, set_fields

_ROUTES = 10_000
COMMON = 7
"""Fields of `Notification` that most notifications have and nothing else."""
encode_json = msgspec.json.Encoder().encode
PLAIN_LIMIT = RULES[PushType.ALERT].limit


class Route(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What becomes the headers that many notifications share. The same values are the same object, mostly."""

    push_type: PushType
    priority: Priority
    topic: str | None


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A notification checked and encoded once: everything that does not depend on the recipient."""

    body: bytes
    route: Route
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """`apns-expiration` and `apns-collapse-id`, when given."""

    @property
    def push_type(self) -> PushType:
        """The value of `apns-push-type`."""
        return self.route.push_type

    @property
    def priority(self) -> Priority:
        """The value of `apns-priority`."""
        return self.route.priority

    @property
    def topic(self) -> str | None:
        """The notification's own topic, or None for the client's."""
        return self.route.topic


class _Memory:
    """Room in a notification for what it is prepared to, sooner read and written than its `__dict__`."""

    __slots__ = ("_prepared",)

    _prepared: Prepared


_remember = _Memory.__dict__["_prepared"].__set__  # a frozen struct refuses plain assignment


class Notification(_Memory, msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True, repr_omit_defaults=True):
    """A notification from typed fields, or from a raw `payload`, with its APNs headers.

    The fields down to `url_args` make the payload, as apns-rules 4.4 names them (`thread_id` is
    `thread-id`). `payload` replaces all of them: bytes are sent untouched, a dict as its JSON.
    Instants are epoch seconds or aware datetimes. The payload is encoded once, at the first use;
    do not change dicts given here afterwards. Nothing is checked before that: `prepare` raises
    `InvalidNotification`, also for a value of another type than its field's, or `PayloadTooLarge`.
    """

    alert: str | Alert | None = None
    badge: int | None = None
    sound: str | Sound | None = None
    thread_id: str | None = None
    category: str | None = None
    mutable_content: bool = False
    custom: dict[str, Any] | None = None
    """Your own keys, beside `aps`."""
    # Those above are what most notifications have and nothing else: `_plain_body` looks at the rest as one.

    content_available: bool = False
    interruption_level: InterruptionLevel | str | None = None
    relevance_score: float | None = None
    target_content_id: str | None = None
    filter_criteria: str | None = None
    stale_date: Instant | None = None
    content_state: dict[str, Any] | None = None
    timestamp: Instant | None = None
    event: str | None = None
    dismissal_date: Instant | None = None
    attributes_type: str | None = None
    attributes: dict[str, Any] | None = None
    input_push_channel: str | None = None
    input_push_token: bool = False
    content_changed: bool = False
    url_args: list[str] | None = None

    payload: bytes | dict[str, Any] | None = None

    push_type: PushType | str | None = None
    """When None: `background` if only `content_available` is set, else `alert`."""
    topic: str | None = None
    """The bundle id (the push type's suffix is added) or the whole topic; None: the client's."""
    priority: Priority | int | None = None
    """When None: what the push type calls for (4.2)."""
    expiration: Instant | None = None
    """When APNs may give up; 0 is one attempt, None is APNs' own 30 days."""
    collapse_id: str | None = None
    """At most 64 bytes; a later notification with the same one replaces it on the device."""

    def prepare(self) -> Prepared:
        """Check and encode, once. Raises `InvalidNotification` or `PayloadTooLarge`."""
        ready: Prepared | None = getattr(self, "_prepared", None)
        if ready is None:
            body = _plain_body(self)
            ready = prepare_carefully(self) if body is None else Prepared(body, PLAIN_ROUTE)
            _remember(self, ready)
        return ready


_REST: tuple[object, ...] = astuple(Notification())[COMMON:]
PLAIN_ROUTE = Route(PushType.ALERT, Priority.HIGH, None)
_routes: dict[tuple[PushType, Priority, str | None], Route] = {
    (PLAIN_ROUTE.push_type, PLAIN_ROUTE.priority, None): PLAIN_ROUTE
}


def _plain_body(it: Notification) -> bytes | None:
    """The JSON of an alert with nothing unusual about it; None when `prepare_carefully` has to look closely.

    This runs once per distinct notification, and says no rather than why not.
    """
    values = astuple(it)
    alert, badge, sound, thread_id, category, mutable, custom = values[:COMMON]
    if badge is not None and (type(badge) is not int or not 0 <= badge <= LARGEST):
        return None
    if (sound is not None and type(sound) is not str) or (mutable is not False and mutable is not True):
        return None
    if (thread_id is not None and type(thread_id) is not str) or (category is not None and type(category) is not str):
        return None
    if type(alert) is not str and not is_plain_alert(alert):
        return None
    aps = CommonAps(alert, badge, sound, thread_id, category, 1 if mutable else None)
    try:
        if values[COMMON:] != _REST:
            return None
        if custom is None:
            body = encode_json({"aps": aps})
        elif type(custom) is not dict or "aps" in custom:
            return None
        else:
            body = encode_json({"aps": aps, **custom})
    except Exception:
        return None
    return body if len(body) <= PLAIN_LIMIT else None


def check_notification(given: object) -> None:
    """Explain what is no notification at all. Raises `InvalidNotification`."""
    if not isinstance(given, Notification):
        what = "the class itself" if given is Notification else f"a {type(given).__name__}"
        raise InvalidNotification("notification", what, "give a Notification(alert=…), or Notification(payload=…)")


def prepare_carefully(it: Notification) -> Prepared:
    """Check everything and encode. Raises `InvalidNotification` or `PayloadTooLarge`."""
    push_type = _push_type(it)
    rule = RULES[push_type]
    body = encode_typed(it, push_type) if it.payload is None else encode_raw(it)
    if len(body) > rule.limit:
        raise PayloadTooLarge(rule.limit, len(body))
    topic, given = it.topic, it.priority
    if topic is not None:
        check_topic(topic)
    priority = rule.priorities[0] if given is None else _priority(given, push_type, rule)
    return Prepared(body, _route(push_type, priority, topic), _own_fields(it, push_type))


def _route(push_type: PushType, priority: Priority, topic: str | None) -> Route:
    route = _routes.get((push_type, priority, topic))
    if route is None:
        if len(_routes) >= _ROUTES:
            _routes.clear()
        route = _routes[push_type, priority, topic] = Route(push_type, priority, topic)
    return route


def _own_fields(it: Notification, push_type: PushType) -> tuple[tuple[bytes, bytes], ...]:
    """`apns-expiration` and `apns-collapse-id`, when they are to be sent."""
    expires, collapse_id = it.expiration, it.collapse_id
    if expires is None and collapse_id is None and push_type is not PushType.PUSHTOTALK:
        return ()
    expiration = None if expires is None else epoch("expiration", expires)
    if push_type is PushType.PUSHTOTALK:
        if expiration:
            raise InvalidNotification("expiration", "a push-to-talk push cannot be stored", "leave it out or give 0")
        expiration = 0
    fields: list[tuple[bytes, bytes]] = []
    if expiration is not None:
        fields.append((b"apns-expiration", b"%d" % expiration))
    if collapse_id is not None:
        fields.append((b"apns-collapse-id", check_collapse_id(collapse_id)))
    return tuple(fields)


def _push_type(it: Notification) -> PushType:
    if it.push_type is not None:
        if type(it.push_type) is PushType:
            return it.push_type
        known = ", ".join(PushType)
        check_text("push_type", it.push_type, f"use one of {known}")
        try:
            return PushType(it.push_type)
        except ValueError:
            raise InvalidNotification("push_type", f"{it.push_type!r:.80} is unknown", f"use one of {known}") from None
    if isinstance(it.payload, dict):
        aps = it.payload.get("aps")
        silent = isinstance(aps, dict) and "content-available" in aps and not aps.keys() & {"alert", "badge", "sound"}
    else:
        silent = it.content_available and it.alert is None and it.badge is None and it.sound is None
    return PushType.BACKGROUND if silent else PushType.ALERT


def _priority(given: object, push_type: PushType, rule: TypeRule) -> Priority:
    if isinstance(given, int) and not isinstance(given, bool) and given in rule.priorities:
        return Priority(given)
    allowed = " or ".join(str(int(one)) for one in sorted(rule.priorities))
    if not isinstance(given, int) or isinstance(given, bool):
        raise wrong_type("priority", given, f"use {allowed}")
    raise InvalidNotification("priority", f"{shown(given)} is not allowed for {push_type} pushes", f"use {allowed}")


def encode_raw(it: Notification) -> bytes:
    """The bytes of a given `payload`. Raises `InvalidNotification`."""
    if has_aps(it) or it.custom is not None:
        both = ", ".join(set_fields(it))
        raise InvalidNotification("payload", f"given together with {both}", "give either the payload or the fields")
    payload: object = it.payload
    if isinstance(payload, dict):
        return encode("payload", payload)
    if not isinstance(payload, bytes):
        raise wrong_type("payload", payload, "give bytes of JSON or a dict")
    if not payload:
        raise InvalidNotification("payload", "is empty", "the smallest payload is {}")
    return payload
