"""Broadcasts: one update of a Live Activity to everybody who follows a channel, as an ordinary operation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from ..domain.accounts import Scope
from ..domain.apps import Environment
from ..domain.composing import compose, payload_problems
from ..domain.content import Content
from ..domain.devices import TokenKind
from ..domain.errors import FieldProblem, Invalid
from ..domain.notifications import Priority, Recipient, SendSpec
from ..domain.pushtypes import PushType
from ..rest import Call, Result, endpoint
from . import examples
from .answers import OperationAccepted, account_of, operation_accepted
from .channels import PARAMS, PATH, EnvironmentIn, access, channel_in_path
from .idempotency import made_operation
from .schedule import ExpiresAtIn, ScheduleIn, TtlIn, read_timing
from .send import ValidateOnlyIn, accept_send
from .sender import Sender
from .state import ApiState
from .tags import TagsIn, read_tags
from .trial import Trial, TrialOut


class BroadcastRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A broadcast. `content.liveActivity` updates or ends the activities that follow the channel (a broadcast starts
    none); `content.apn.payload` may say the same in Apple's own words. Nobody is named, so templates have no variables.

    Without `ttl` or `expiresAt` APNs makes one attempt and stores nothing, which a channel of `NO_MESSAGE_STORED` asks
    for: any other expiry is refused there (`BadExpirationDate`).
    """

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.BROADCAST}

    content: Content
    environment: EnvironmentIn = None
    priority: (
        Annotated[Priority, msgspec.Meta(description="HIGH at once, LOW when it suits the battery. Default: HIGH.")]
        | None
    ) = None
    schedule: ScheduleIn | None = None
    ttl: TtlIn | None = None
    expires_at: ExpiresAtIn | None = None
    tags: TagsIn | None = None
    validate_only: ValidateOnlyIn | None = False


@endpoint(
    "POST",
    PATH + "/{channelId}/Broadcasts",
    summary="Broadcast to a channel",
    tag="Channels",
    body=BroadcastRequest,
    returns=OperationAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404,),
    also={200: TrialOut},
    basis="ours",
    params=PARAMS,
    response_headers={
        "Location": "The operation's address.",
        "Operation-Id": "The same as operationId.",
        "Operation-Location": "The same as operationLocation.",
    },
    recover=made_operation,
)
async def broadcast(call: Call[ApiState]) -> Result:
    """Accepts a broadcast: an operation with one recipient, retried, recorded and listed as every other. Its
    notification is `to` the `channelId`; SENT means that APNs took it, and nobody learns how many devices follow.

    It goes out with the app's default credential for the environment. At most 5,120 bytes. With `validateOnly` the
    answer is a 200 with the payload and headers that would be sent.
    """
    body: BroadcastRequest = call.body
    now = call.state.now()
    channel_id = channel_in_path(call)
    environment = body.environment or Environment.PRODUCTION
    app, provider, _ = await access(call, environment, "$.environment")
    timing, problems = read_timing(body.schedule, body.ttl, body.expires_at, now)
    tags, tag_problems = read_tags(body.tags)
    spec, content_problems = compose(
        body.content,
        app_name=app.name,
        priority=body.priority,
        expires_at=timing.expires_at,
        channel=channel_id,
        leaves=now if timing.send_at is None else timing.send_at,
    )
    problems = [*problems, *tag_problems, *content_problems]
    limit, renderer = provider.payload_limit("broadcast"), None
    if spec is not None:
        spec = msgspec.structs.replace(spec, environment=environment)
        problems += _broadcast_problems(spec)
        if not problems:
            renderer, problems = payload_problems(spec, limit)
    if problems or spec is None or renderer is None:
        raise Invalid(problems)
    account, recipients = account_of(call), [Recipient(channel=channel_id)]
    if body.validate_only:
        trial = Trial(spec, renderer, recipients, limit, call.state.clock)
        return Result(await trial.run(call.state.store, account, Sender(app_name=app.name)), status=200)
    return operation_accepted(call, await accept_send(call.state, account, spec, recipients, timing, tags))


def _broadcast_problems(spec: SendSpec) -> list[FieldProblem]:
    """What keeps a spec from being a broadcast (6.3)."""
    if spec.push_type != PushType.LIVEACTIVITY:
        message = f"a broadcast updates or ends Live Activities, and this is a push of type {spec.push_type}"
        return [FieldProblem("$.content.liveActivity", f"{message}: give liveActivity")]
    problems = []
    if spec.kind is TokenKind.LIVE_ACTIVITY_START:
        message = "a broadcast starts no Live Activity: send a start to the devices, it may name this channel"
        problems.append(FieldProblem("$.content.liveActivity.event", message))
    if spec.activity_id is not None:
        message = "a broadcast goes to every activity that follows the channel: leave activityId out"
        problems.append(FieldProblem("$.content.liveActivity.activityId", message))
    if spec.collapse_id is not None:
        problems.append(FieldProblem("$.content.collapseId", "a broadcast has no collapse id: leave it out"))
    if spec.topic is not None:
        message = "a broadcast's topic is the app's bundle id: leave apns-topic out"
        problems.append(FieldProblem('$.content.apn.headers["apns-topic"]', message))
    return problems
