"""Sending: `POST /PushNotifications`. Answered only when the operation is durable."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import CredentialType, ProviderName
from ..domain.errors import Code, FieldProblem, Invalid
from ..domain.notifications import MAX_RECIPIENTS, MIN_RECIPIENTS, Content, Priority, Recipient, SendSpec
from ..domain.operations import Lane, Operation, OperationStatus, cut
from ..domain.render import check_templates, smallest_payload
from ..rest import Call, FieldError, Result, endpoint
from .answers import OperationAccepted, account_of, operation_accepted
from .problems import missing
from .recipients import RecipientIn, read_recipients
from .schedule import ExpiresAtIn, ScheduleIn, Timing, TtlIn, read_timing
from .sender import Sender, SenderIn, choose_sender
from .state import ApiState

MAX_SOUND = 255
MAX_TEXT = 16_384
"""Characters of a title or body as sent to us: four times what a payload holds, the rest being tags."""
PUSH_TYPE = "alert"


_NAMES = {"sender": "from", "expires_at": "expiresAt"}


class ContentIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the notification says. Both fields may hold `{{ name }}` and `{{ name | default: 'text' }}`, and have at
    most 16,384 characters with them."""

    body: Annotated[str, msgspec.Meta(min_length=1)]
    title: str | None = None


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """A send to 1 to 10,000 recipients. Without `from` the account's default app sends, without `schedule` at once."""

    to: Annotated[
        list[RecipientIn], msgspec.Meta(extra_json_schema={"minItems": MIN_RECIPIENTS, "maxItems": MAX_RECIPIENTS})
    ]
    content: ContentIn
    sender: SenderIn | None = None
    priority: Priority = Priority.HIGH
    sound: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOUND)] | None = None
    schedule: ScheduleIn | None = None
    ttl: TtlIn | None = None
    expires_at: ExpiresAtIn | None = None


@endpoint(
    "POST",
    "/PushNotifications",
    summary="Send a push notification",
    tag="PushNotifications",
    body=SendRequest,
    returns=OperationAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404,),
    response_headers={
        "Location": "The operation's address.",
        "Operation-Id": "The same as operationId.",
        "Operation-Location": "The same as operationLocation.",
    },
)
async def send_push_notification(call: Call[ApiState]) -> Result:
    """Accepts a send: when this answers 202, every recipient is on disk and will get exactly one outcome.

    Recipients are device tokens or users, mixed at will. A `userId` that does not exist is a 404 that names it, and
    nothing is sent.
    """
    state, account = call.state, account_of(call)
    body: SendRequest = call.body
    recipients, problems = read_recipients(body.to)
    sender, sender_problems, unknown = await choose_sender(state.store, account, body.sender)
    timing, timing_problems = read_timing(body.schedule, body.ttl, body.expires_at, state.now())
    problems = [*problems, *timing_problems, *sender_problems]
    spec = _spec(body, sender, timing)
    problems += _content_problems(state, spec)
    if sender is not None:
        problems += _unreachable(body.to, sender)
    if problems:
        raise Invalid(problems)
    unknown = [*unknown, *await _unknown_users(state, account, recipients)]
    if unknown:
        raise missing(unknown)
    return operation_accepted(call, await _accept(state, account, spec, recipients, timing))


async def _accept(
    state: ApiState, account: bytes, spec: SendSpec, recipients: list[Recipient], timing: Timing
) -> bytes:
    """Makes the operation durable, then tells the workers."""
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
    )
    await state.store.accept(account, operation, cut(ident, recipients))
    state.queue.wake(lane)
    return ident


def _spec(body: SendRequest, sender: Sender | None, timing: Timing) -> SendSpec:
    sender = sender or Sender(app_name="")
    return SendSpec(
        app_name=sender.app_name,
        content=Content(body=body.content.body, title=body.content.title),
        priority=body.priority,
        sound=body.sound,
        apn=sender.apn,
        fcm=sender.fcm,
        expires_at=timing.expires_at,
    )


def _content_problems(state: ApiState, spec: SendSpec) -> list[FieldProblem]:
    """What is wrong with the content for every recipient alike: templates, and a size no variables can make fit."""
    provider = state.providers.get(ProviderName.APN)
    limit = provider.payload_limit(PUSH_TYPE) if provider is not None else 0
    too_long = _text_problems(spec.content, limit)
    if too_long:
        return too_long
    try:
        check_templates(spec.content)
    except Invalid as error:
        return list(error.problems)
    size = smallest_payload(spec)
    if not limit or size <= limit:
        return []
    message = f"the payload is {size} bytes before any variable is filled in; the limit is {limit}: shorten the content"
    return [FieldProblem("$.content", message, Code.PAYLOAD_TOO_LARGE)]


def _text_problems(content: Content, limit: int) -> list[FieldProblem]:
    """Texts too long to be looked into: reading templates takes time."""
    texts = {"title": content.title or "", "body": content.body}
    return [
        FieldProblem(
            f"$.content.{name}",
            f"{len(text)} characters; a text may have {MAX_TEXT} with its tags, and the payload limit is {limit} bytes",
            Code.PAYLOAD_TOO_LARGE,
        )
        for name, text in texts.items()
        if len(text) > MAX_TEXT
    ]


def _unreachable(to: list[RecipientIn], sender: Sender) -> list[FieldProblem]:
    """Direct APNs tokens, when the sender has nothing to send them with."""
    if sender.apn is not None or sender.types & {CredentialType.APN, CredentialType.APN_SANDBOX}:
        return []
    message = f"the sending app {sender.app_name!r} has no APN credential: create one or choose another sender"
    return [
        FieldProblem(f"$.to[{index}].provider", message, Code.NO_CREDENTIAL)
        for index, each in enumerate(to)
        if each.provider is ProviderName.APN
    ]


async def _unknown_users(state: ApiState, account: bytes, recipients: list[Recipient]) -> list[FieldError]:
    users = {each.user for each in recipients if each.user}
    if not users:
        return []
    unknown = await state.store.missing_users(account, users)
    return [
        FieldError(
            f"$.to[{index}].userId",
            f"There is no user {ids.encode(ids.USER, each.user)!r} in this account.",
            Code.UNKNOWN_USER,
        )
        for index, each in enumerate(recipients)
        if each.user in unknown
    ]
