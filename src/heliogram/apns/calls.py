"""Requests to APNs that are no device pushes, over the connections and queue of a `Client` (apns-rules section 6)."""

from __future__ import annotations

import asyncio
import os
import random
import re
from types import TracebackType
from typing import Any, Self, TypedDict

from heliogram.wire import Headers

from .client import Client
from .clock import Clock
from .connect import Connect
from .entitlements import Credential
from .environment import Environment
from .errors import InvalidChannelRequest
from .job import Job, Template
from .listener import Listener, Stats
from .outcomes import Outcome
from .tuning import Tuning

CHANNEL_ID_LIMIT = 256
"""Characters of a channel id that are sent. Apple names no length (BC-2); ids seen have fewer than 30."""

_channel_id = re.compile(r"[A-Za-z0-9+/=_-]+").fullmatch
_bundle_id = re.compile(r"[A-Za-z0-9.-]{1,255}").fullmatch
_request_id = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_SUFFIX = ".push-type.liveactivity"


class Options(TypedDict, total=False):
    """What `Client` takes besides, with the same meaning."""

    proxy: str | None
    timeout: float
    max_connections: int
    connect_attempts: int
    tuning: Tuning | None
    clock: Clock | None
    rng: random.Random | None
    connect: Connect | None
    listener: Listener | None


class CallTemplate(Template):
    """The method and the header pairs that calls share."""

    __slots__ = ("method",)

    def __init__(self, bundle_id: str, method: bytes, pairs: Headers = ()) -> None:
        self.topic = bundle_id
        self.push_type = dict(pairs).get(b"apns-push-type", b"").decode("ascii")
        self.method = method
        self.pairs = pairs


class Call(Job, gc=False, eq=False):
    """A job that is no push. Its `device_token` is the channel id, its `apns_id` the request id."""

    answer: tuple[int, Headers | None, bytes] | None = None
    """Status, headers and body, kept by connections that look at them."""


class CallClient(Client):
    """A client whose jobs are calls."""

    def call(
        self,
        template: CallTemplate,
        path: bytes,
        *,
        channel_id: str = "",
        fields: Headers = (),
        body: bytes = b"",
        request_id: str | None = None,
        timeout: float | None = None,
        tag: Any = None,
    ) -> tuple[Call, asyncio.Future[Outcome]]:
        """Queue a request; the future is for its outcome."""
        own = self._ids.next().decode("ascii") if request_id is None else check_request_id(request_id)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        fields = ((b"apns-request-id", own.encode("ascii")), *fields)
        deadline = self._clock.monotonic() + (self._timeout if timeout is None else timeout)
        call = Call(channel_id, own, template, path, fields, body, deadline, future.set_result, tag)
        if timeout is None:
            self.pool.deadlines.extend((call,))
        else:
            self.pool.deadlines.insert(call)
        self.pool.add((call,))
        return call, future


class Caller:
    """What the clients of section 6 have in common: credential, bundle id, connections and their end."""

    _kind: type[CallClient] = CallClient

    def __init__(
        self,
        credential: Credential,
        bundle_id: str,
        environment: Environment | str,
        endpoint: str,
        cafile: str | os.PathLike[str] | None,
        options: Options,
    ) -> None:
        self.bundle_id = check_bundle_id(bundle_id)
        self._client = self._kind(
            credential, topic=bundle_id, environment=environment, endpoint=endpoint, cafile=cafile, **options
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.bundle_id}, {self._client.pool!r}>"

    def rotate(self, credential: Credential) -> float:
        """Change the credential in peace; the seconds until then. See `Client.rotate`."""
        return self._client.rotate(credential)

    def revoke(self) -> None:
        """Close every connection at once; what was written may have happened. See `Client.revoke`."""
        self._client.revoke()

    def stats(self) -> Stats:
        """How many connections there are, and what is on its way. May be asked in any thread."""
        return self._client.stats()

    def reconnect(self) -> None:
        """Replace all connections in peace: after a rotated key (TOK-20)."""
        self._client.reconnect()

    async def close(self) -> None:
        """Let what is on its way finish, within `Tuning.drain`; then everything has ended. May be called again."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def check_bundle_id(bundle_id: object) -> str:
    """The bundle id as it goes into a path, without a push type's suffix (6.3). Raises `InvalidChannelRequest`."""
    if not isinstance(bundle_id, str) or not _bundle_id(bundle_id):
        problem = f"{bundle_id!r} is not a bundle id"
        raise InvalidChannelRequest("bundle_id", problem, "give the app's, like com.example.app")
    if bundle_id.endswith(_SUFFIX):
        raise InvalidChannelRequest("bundle_id", f"ends with {_SUFFIX}", "leave the push type's suffix out")
    return bundle_id


def check_channel_id(channel_id: object) -> str:
    """A channel id that can be sent (`BadChannelId`). Raises `InvalidChannelRequest`."""
    if not isinstance(channel_id, str) or not _channel_id(channel_id):
        problem = f"{channel_id!r:.80} is not base64"
    elif len(channel_id) > CHANNEL_ID_LIMIT:
        problem = f"{len(channel_id)} characters, the limit is {CHANNEL_ID_LIMIT}"
    else:
        return channel_id
    raise InvalidChannelRequest("channel_id", problem, "give it as create() or list() returned it")


def check_request_id(request_id: object) -> str:
    """A request id in lower case, as APNs wants it (6.2). Raises `InvalidChannelRequest`."""
    lower = request_id.lower() if isinstance(request_id, str) else ""
    if not _request_id(lower):
        fix = "give one like 0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
        raise InvalidChannelRequest("request_id", f"{request_id!r:.80} is not a UUID", fix)
    return lower
