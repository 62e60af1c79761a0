"""Sending: `POST /PushNotifications`. Answered only when the operation is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, ClassVar

import msgspec
import structlog

from ..domain.accounts import Scope
from ..domain.apps import CredentialType, ProviderName
from ..domain.composing import addressed, compose, payload_problems
from ..domain.content import Content
from ..domain.errors import Code, FieldProblem, Invalid
from ..domain.lookups import Known, Wanted
from ..domain.notifications import MAX_RECIPIENTS, MIN_RECIPIENTS, Priority, Recipient, SendSpec
from ..domain.operations import SMALL_SEND, Lane, Operation, OperationStatus, cut
from ..domain.render import Renderer
from ..lines import tell
from ..ports import Hold
from ..rest import Call, Result, endpoint
from . import examples
from .answers import OperationAccepted, account_of, operation_accepted
from .idempotency import made_operation
from .long_bodies import LongBody
from .problems import missing
from .recipients import MAX_PROBLEMS, Read, RecipientIn, find_users, name_users, read_recipients
from .schedule import ExpiresAtIn, ScheduleIn, Timing, TtlIn, read_timing
from .sender import Sender, SenderIn, choose_sender, is_app, sender_of
from .state import ApiState
from .tags import TagsIn, read_tags
from .topics import topic_of_send
from .trial import Trial, TrialOut

log = structlog.get_logger(__name__)

MAX_SOUND = 255
ValidateOnlyIn = Annotated[
    bool, msgspec.Meta(description="Check and render everything, keep and send nothing; answers 200.")
]
_LABORIOUS = 2_000
"""Bytes of content from which on its templates are read beside the event loop."""
_NAMES = {"sender": "from", "expires_at": "expiresAt", "validate_only": "validateOnly"}


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """A send to 1 to 10,000 recipients. Without `from` the account's default app sends, without `schedule` at once."""

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.SEND}

    to: Annotated[
        list[RecipientIn],
        msgspec.Meta(
            description="Device tokens and users, mixed at will. One that is named twice gets it twice.",
            extra_json_schema={"minItems": MIN_RECIPIENTS, "maxItems": MAX_RECIPIENTS},
        ),
    ]
    content: Content
    sender: SenderIn | None = None
    priority: (
        Annotated[
            Priority,
            msgspec.Meta(
                description="HIGH at once, LOW when it suits the battery. Default: HIGH, where the push type allows it."
            ),
        ]
        | None
    ) = None
    sound: (
        Annotated[
            str,
            msgspec.Meta(
                min_length=1,
                max_length=MAX_SOUND,
                description="A sound file in the app, or `default`: as `content.sound`.",
            ),
        ]
        | None
    ) = None
    schedule: ScheduleIn | None = None
    ttl: TtlIn | None = None
    expires_at: ExpiresAtIn | None = None
    tags: TagsIn | None = None
    validate_only: ValidateOnlyIn | None = False


@endpoint(
    "POST",
    "/PushNotifications",
    summary="Send a push notification",
    tag="PushNotifications",
    body=SendRequest,
    returns=OperationAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404, 409),
    also={200: TrialOut},
    response_headers={
        "Location": "The operation's address.",
        "Operation-Id": "The same as operationId.",
        "Operation-Location": "The same as operationLocation.",
    },
    recover=made_operation,
    read=LongBody(SendRequest, "to").read,
)
async def send_push_notification(call: Call[ApiState]) -> Result:
    """Accepts a send: when this answers 202, every recipient is on disk and will get exactly one outcome.

    Recipients are device tokens or users (by `userId` or `externalId`), mixed at will. A user that does not exist is a
    404 that names it, and nothing is sent. With `validateOnly` the answer is a 200 that tells what would be sent.
    """
    state, account = call.state, account_of(call)
    body: SendRequest = call.body
    now = state.now()
    read = await read_recipients(body.to)
    known = await _look_up(state, account, body, read) if len(body.to) <= SMALL_SEND and is_app(body.sender) else None
    if known is None:
        sender, sender_problems, unknown = await choose_sender(state.store, account, body.sender)
    else:
        sender, sender_problems, unknown = sender_of(known.app, None if body.sender is None else body.sender.app_name)
    timing, timing_problems = read_timing(body.schedule, body.ttl, body.expires_at, now)
    tags, tag_problems = read_tags(body.tags)
    spec, problems = _compose(body, sender or Sender(app_name=""), timing, now)
    problems = [*read.problems, *timing_problems, *sender_problems, *problems, *tag_problems]
    renderer = None
    if spec is not None:
        renderer, payload_problems = await _render(spec, payload_limit(state, spec))
        problems += payload_problems
    if sender is not None:
        problems += _unreachable(body.to, sender)
    if problems:
        raise Invalid(problems)
    if known is None:
        unknown += await find_users(state.store, account, read, _ahead(body, spec, timing))
    else:
        unknown += name_users(read, known.named, known.missing)
    if unknown or spec is None or renderer is None or sender is None:
        raise missing(unknown)
    sender.check_revoked()
    if body.validate_only:
        topic = await topic_of_send(state, account, spec)
        trial = Trial(spec, renderer, read.recipients, payload_limit(state, spec), state.clock, topic=topic)
        return Result(await trial.run(state.store, account, sender), status=200)
    if known is not None:
        known.renderer = renderer
    return operation_accepted(call, await accept_send(state, account, spec, read.recipients, timing, tags, known))


async def accept_send(
    state: ApiState,
    account: bytes,
    spec: SendSpec,
    recipients: list[Recipient],
    timing: Timing,
    tags: dict[str, str] | None,
    known: Known | None = None,
) -> bytes:
    """Makes the operation durable, then has it worked on, which begins with what is `known`. Raises `QueueFull` when
    too much waits already."""
    now, ident = state.now(), state.ids.new()
    lane = Lane.of(len(recipients))
    operation = Operation(
        account_id=account,
        id=ident,
        spec=spec,
        lane=lane,
        recipients=len(recipients),
        status=OperationStatus.PROCESSING if timing.send_at is None else OperationStatus.SCHEDULED,
        created=now,
        updated=now,
        send_at=timing.send_at,
        send_at_text=timing.send_at_text,
        tags=tags,
    )
    chunks = cut(ident, recipients, known=known)
    shard = 0 if state.shards is None else await state.shards.of(account, spec, ident)

    def accept(hold: Hold | None) -> Awaitable[None]:
        return state.store.accept(account, operation, chunks, shard=shard, bounds=state.settings.queue, hold=hold)

    await state.queue.put(operation, chunks, accept, shard=shard)
    tell(log, lane, "operation.accepted", ident, app=spec.app_name, recipients=len(recipients))
    return ident


async def _look_up(state: ApiState, account: bytes, body: SendRequest, read: Read) -> Known:
    """Who sends, and what sending needs to know of a few recipients: asked once, for accepting and for sending."""
    kind, activity_id = addressed(body.content)
    wanted = Wanted(
        app_name=None if body.sender is None else body.sender.app_name,
        kind=kind,
        activity_id=activity_id,
        users=frozenset(read.users),
        names=frozenset(read.named.values()),
        tokens=frozenset([each.token for each in read.recipients if each.token]),
        refused=body.content.headers.apns_topic is None,
        missing=True,
    )
    return await state.store.look_up(account, wanted)


def _ahead(body: SendRequest, spec: SendSpec | None, timing: Timing) -> Wanted | None:
    """What planning will ask of the users, where that is as soon as the send is accepted."""
    if spec is None or body.validate_only or timing.send_at is not None:
        return None
    return Wanted(app_name=spec.app_name, kind=spec.kind, activity_id=spec.activity_id)


def payload_limit(state: ApiState, spec: SendSpec) -> int:
    """The most bytes that a payload of this spec may have."""
    return state.providers[ProviderName.APN].payload_limit(spec.measured_as)


def _compose(body: SendRequest, sender: Sender, timing: Timing, now: int) -> tuple[SendSpec | None, list[FieldProblem]]:
    return compose(
        body.content,
        app_name=sender.app_name,
        apn=sender.apn,
        fcm=sender.fcm,
        priority=body.priority,
        sound=body.sound,
        expires_at=timing.expires_at,
        leaves=now if timing.send_at is None else timing.send_at,
    )


async def _render(spec: SendSpec, limit: int) -> tuple[Renderer, list[FieldProblem]]:
    """`payload_problems`, beside the event loop when the templates are long: reading them may take a tenth of a
    second."""
    written = msgspec.json.encode(spec.content)
    if len(written) < _LABORIOUS or not any(mark in written for mark in (b"{{", b"{%")):
        return payload_problems(spec, limit)
    return await asyncio.to_thread(payload_problems, spec, limit)


def _unreachable(to: list[RecipientIn], sender: Sender) -> list[FieldProblem]:
    """Direct APNs tokens, when the sender has nothing to send them with; everybody, when it has nothing at all."""
    if sender.apn is not None or sender.types & {CredentialType.APN, CredentialType.APN_SANDBOX}:
        return []
    message = f"the sending app {sender.app_name!r} has no APN credential: create one or choose another sender"
    if not sender.types:
        return [FieldProblem("$.from", message, Code.NO_CREDENTIAL)]
    return [
        FieldProblem(f"$.to[{index}].provider", message, Code.NO_CREDENTIAL)
        for index, each in enumerate(to)
        if each.provider is ProviderName.APN
    ][:MAX_PROBLEMS]
