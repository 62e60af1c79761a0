"""From what a caller asks for to what an operation sends: one precedence for every kind of send.

`apn` goes before the content's own fields, and these before the send's `priority` and `sound`.
"""

from __future__ import annotations

from .content import ActivityEvent, Content
from .content_rules import apns_priority, content_problems, seconds_of
from .devices import TokenKind
from .errors import Code, FieldProblem
from .notifications import NOT_STORED, Priority, SendSpec
from .pushtypes import RULES, PushType
from .render import Renderer


def compose(
    content: Content,
    *,
    app_name: str,
    leaves: int,
    apn: bytes | None = None,
    fcm: bytes | None = None,
    priority: Priority | None = None,
    sound: str | None = None,
    expires_at: int | None = None,
    channel: str | None = None,
) -> tuple[SendSpec | None, list[FieldProblem]]:
    """The spec of a send that leaves at `leaves` (ms), or None with everything that is wrong with its content.

    `priority` is None when the caller did not insist. The payload's size and templates are for `payload_problems`.
    """
    problems = content_problems(content)
    apns, wrong = apns_priority(content, priority)
    push_type = content.effective_push_type
    problems += wrong
    if sound is not None and push_type is PushType.BACKGROUND and content.payload is None:
        problems.append(FieldProblem("$.sound", "a background push plays nothing: leave it out, or say pushType alert"))
    if problems:
        return None, problems
    expiration = content.headers.apns_expiration
    if expiration is not None:
        expires_at = int(expiration) * 1000 if int(expiration) else NOT_STORED
    kind, activity_id = addressed(content)
    spec = SendSpec(
        app_name=app_name,
        content=content,
        priority=Priority.of(apns),
        sound=sound,
        apn=apn,
        fcm=fcm,
        expires_at=expires_at,
        push_type=push_type.value,
        kind=kind,
        activity_id=activity_id,
        collapse_id=content.effective_collapse_id,
        channel=channel,
        apns_priority=apns if apns != Priority.of(apns).apns else None,
        topic=content.headers.apns_topic,
        timestamp=_timestamp(content, leaves),
    )
    return spec, []


def payload_problems(spec: SendSpec, limit: int) -> tuple[Renderer, list[FieldProblem]]:
    """The renderer of a spec, and what is wrong for every recipient alike: templates, or a size over `limit` that no
    variables can make fit."""
    renderer = Renderer(spec)
    if renderer.problems or renderer.least <= limit:
        return renderer, renderer.problems
    size = f"the payload is {renderer.least} bytes"
    if not renderer.static:
        size += " before any variable is filled in"
    path = "$.content" if spec.content.payload is None else "$.content.apn.payload"
    message = f"{size}; the limit is {limit} for {spec.measured_as}: shorten the content"
    return renderer, [FieldProblem(path, message, Code.PAYLOAD_TOO_LARGE)]


def addressed(content: Content) -> tuple[TokenKind, str | None]:
    """The kind of token the push goes to, and of which Live Activity alone: one has another for its updates than for
    its start."""
    push_type, activity = content.effective_push_type, content.live_activity
    if push_type is not PushType.LIVEACTIVITY:
        return RULES[push_type].kind, None
    if activity is not None:
        event: object = activity.event
    else:
        aps = (content.payload or {}).get("aps")
        event = aps.get("event") if isinstance(aps, dict) else None
    if event == ActivityEvent.START:
        return TokenKind.LIVE_ACTIVITY_START, None
    return TokenKind.LIVE_ACTIVITY_UPDATE, None if activity is None else activity.activity_id


def _timestamp(content: Content, leaves: int) -> int | None:
    activity = content.live_activity
    if activity is None or content.payload is not None:
        return None
    return leaves // 1000 if activity.timestamp is None else seconds_of(activity.timestamp)
