"""Broadcast channels: create, read, delete and list them (apns-rules 6.2)."""

from __future__ import annotations

import asyncio
import enum
import os
from typing import TypeAlias, TypeVar, Unpack

import msgspec

from heliogram.wire import Answered, Event

from .answers import header
from .calls import CHANNEL_ID_LIMIT as _ID_LIMIT
from .calls import Call, CallClient, Caller, CallTemplate, Options, check_channel_id
from .certificates import Certificate
from .connection import Connection
from .environment import Environment
from .errors import ApnsError, InvalidChannelRequest
from .keys import SigningKey
from .outcomes import Accepted, NotSent, Rejected, Unknown
from .reasons import Reason, Retry

CHANNELS_LIMIT = 10_000
"""Channels an app may have in one environment (BC-2)."""
BODY_LIMIT = CHANNELS_LIMIT * (_ID_LIMIT + 4) + 1024
"""Bytes of an answer: a full list fits, however long its ids are."""
STREAMS_LIMIT = 16
"""Calls open at a time, so that what is kept of their answers is bounded too."""

Ids: TypeAlias = list[str]
T = TypeVar("T")

_ADVICE = {
    Retry.NEVER: "the same call will be refused again",
    Retry.AFTER_FIX: "mend that, then call again",
    Retry.NEW_CONNECTION: "call again",
    Retry.DELAYED: "call again later",
    Retry.BACK_OFF: "call again later, not before 15 minutes",
}


class MessageStoragePolicy(enum.IntEnum):
    """What APNs keeps for devices that are away. Fixed when the channel is created (BC-3)."""

    NO_MESSAGE_STORED = 0
    """Nothing; allows more frequent updates."""
    MOST_RECENT_MESSAGE_STORED = 1
    """The latest message, for at most 8 hours."""


class Channel(msgspec.Struct, frozen=True):
    """A channel as APNs describes it."""

    policy: MessageStoragePolicy
    push_type: str
    """As it came: `LiveActivity`."""
    channel_id: str
    request_id: str


class ChannelError(ApnsError):
    """A call to the channel API that did not end well; the text says why and what to do.

    `status` is None when no answer came. `reason` is APNs' own word, empty when there is none;
    `policy` is its row in the table of reasons. `request_id` is what Apple's support asks for.
    `may_have_happened` is False when the call provably changed nothing.
    """

    code = "channel_error"

    def __init__(
        self,
        call: str,
        request_id: str,
        problem: str,
        *,
        status: int | None = None,
        reason: str = "",
        retry_after: int | None = None,
        may_have_happened: bool,
    ) -> None:
        self.call = call
        self.request_id = request_id
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.may_have_happened = may_have_happened
        super().__init__(f"{call}: {problem}; {self.what_to_do} (request {request_id})")

    @property
    def policy(self) -> Reason | None:
        """The row of the table of reasons; None when APNs did not refuse the call."""
        return None if self.status is None or self.status < 300 else Reason.lookup(self.status, self.reason)

    @property
    def what_to_do(self) -> str:
        """One sentence for people."""
        if self.may_have_happened and self.call in ("create", "delete"):
            return "it may have been done: look with list() before you call again"
        policy = self.policy
        return "call again" if policy is None else _ADVICE[policy.retry]


class _Created(msgspec.Struct, rename="kebab"):
    message_storage_policy: MessageStoragePolicy
    push_type: str


class _Listed(msgspec.Struct):
    channels: list[str]


class ChannelConnection(Connection):
    """Keeps whole answers, and takes every 2xx for a success."""

    max_body = BODY_LIMIT + 1

    @property
    def room(self) -> int:
        """How many calls it could open now."""
        return max(0, min(super().room, STREAMS_LIMIT - self.inflight))

    def _digest(self, events: list[Event], now: float) -> None:
        super()._digest([_kept(event) if type(event) is Answered else event for event in events], now)


def _kept(event: Answered) -> Answered:
    """The answer as a push would have it, after the call has kept it as it came."""
    succeeded = 200 <= event.status < 300
    event.tag.answer = (event.status, event.headers, event.body if succeeded else b"")
    return msgspec.structs.replace(event, status=200) if succeeded else event


class _ChannelCaller(CallClient):
    _connection = ChannelConnection


class ChannelClient(Caller):
    """Manages the broadcast channels of one app in one environment; channels do not cross (BC-2).

    `bundle_id` has no suffix. `endpoint` ("host:port") with `cafile` points at another server than
    Apple's. The other options are those of `Client`. Each call takes an id of your own for the
    request, a UUID, and seconds it may take in all; it raises `InvalidChannelRequest` for what APNs
    would refuse anyway, and `ChannelError` when it fails. A call is sent again only if APNs
    provably did not process it. A call that is cancelled before it was written is not sent.
    """

    _kind = _ChannelCaller

    def __init__(
        self,
        credential: SigningKey | Certificate,
        *,
        bundle_id: str,
        environment: Environment | str = Environment.PRODUCTION,
        endpoint: str | None = None,
        cafile: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        if endpoint is None:
            endpoint = Environment(environment).channel_endpoint.authority
        options.setdefault("max_connections", 1)
        super().__init__(credential, bundle_id, environment, endpoint, cafile, options)
        self._templates = {method: CallTemplate(bundle_id, method) for method in (b"POST", b"GET", b"DELETE")}

    async def create(
        self,
        policy: MessageStoragePolicy | int,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """Make a channel; its id. At most 10,000 per app (`CannotCreateChannelConfig`)."""
        document = {"message-storage-policy": int(check_policy(policy)), "push-type": "LiveActivity"}
        body = msgspec.json.encode(document)
        call = await self._call("create", b"POST", "", body=body, request_id=request_id, timeout=timeout)
        channel_id = header(call.answer[1], b"apns-channel-id") if call.answer else None
        if not channel_id:
            raise _unreadable("create", call, "has no apns-channel-id")
        return channel_id

    async def read(self, channel_id: str, *, request_id: str | None = None, timeout: float | None = None) -> Channel:
        """What a channel is like."""
        call = await self._call("read", b"GET", check_channel_id(channel_id), request_id=request_id, timeout=timeout)
        found = _decode("read", call, _Created)
        return Channel(found.message_storage_policy, found.push_type, channel_id, _request_id(call))

    async def delete(self, channel_id: str, *, request_id: str | None = None, timeout: float | None = None) -> None:
        """Remove a channel for good: its id never comes back. Messages stored already are not recalled (BC-2)."""
        await self._call("delete", b"DELETE", check_channel_id(channel_id), request_id=request_id, timeout=timeout)

    async def list(self, *, request_id: str | None = None, timeout: float | None = None) -> Ids:
        """The ids of all channels of the app."""
        call = await self._call("list", b"GET", "", request_id=request_id, timeout=timeout)
        return _decode("list", call, _Listed).channels

    async def _call(
        self,
        name: str,
        method: bytes,
        channel_id: str,
        *,
        body: bytes = b"",
        request_id: str | None,
        timeout: float | None,
    ) -> Call:
        resource = "all-channels" if name == "list" else "channels"
        call, future = self._client.call(
            self._templates[method],
            f"/1/apps/{self.bundle_id}/{resource}".encode("ascii"),
            channel_id=channel_id,
            fields=((b"apns-channel-id", channel_id.encode("ascii")),) if channel_id else (),
            body=body,
            request_id=request_id,
            timeout=timeout,
        )
        try:
            outcome = await future
        except asyncio.CancelledError:
            self._client.pool.withdraw(call.sink)
            raise
        match outcome:
            case Accepted():
                return call
            case Rejected(status=status, reason=reason):
                raise _refused(name, call, status, reason, outcome.retry_after)
            case NotSent(cause=cause) | Unknown(cause=cause):
                unknown = isinstance(outcome, Unknown)
                raise ChannelError(name, call.apns_id, cause, may_have_happened=unknown)


def check_policy(policy: MessageStoragePolicy | int) -> MessageStoragePolicy:
    """The storage policy. Raises `InvalidChannelRequest` (BC-4)."""
    if not isinstance(policy, bool):
        try:
            return MessageStoragePolicy(policy)
        except ValueError:
            pass
    raise InvalidChannelRequest("policy", f"{policy!r:.80} is unknown", "give a MessageStoragePolicy")


def _request_id(call: Call) -> str:
    """The id as the answer has it: APNs always sends one (6.2)."""
    return (header(call.answer[1], b"apns-request-id") if call.answer else None) or call.apns_id


def _refused(name: str, call: Call, status: int, reason: str, retry_after: int | None) -> ChannelError:
    meaning = Reason.lookup(status, reason).meaning
    said = f"{status} {reason}" if reason else str(status)
    return ChannelError(
        name,
        _request_id(call),
        f"APNs answered {said}: {meaning}",
        status=status,
        reason=reason,
        retry_after=retry_after,
        may_have_happened=status >= 500,
    )


def _unreadable(name: str, call: Call, problem: str) -> ChannelError:
    status = call.answer[0] if call.answer else None
    text = f"the answer with status {status} {problem}"
    return ChannelError(name, _request_id(call), text, status=status, may_have_happened=True)


def _decode(name: str, call: Call, kind: type[T]) -> T:
    body = call.answer[2] if call.answer else b""
    if len(body) > BODY_LIMIT:
        raise _unreadable(name, call, f"has more than {BODY_LIMIT} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(name, call, f"cannot be read ({error})") from None
