"""One connection to the broker: requests to JetStream, and the few messages that are merely sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from .errors import ApiRefused, QueueDown

log = structlog.get_logger(__name__)

START_SECONDS = 30.0
"""How long a process waits at its start for a broker that is not there yet: servers that start together need up to ten
seconds until they have chosen who leads, and more where they are short of time."""
TELL_SECONDS = 2.0
REQUEST_SECONDS = 5.0
TRY_SECONDS = 1.5
"""A server that was asked while nobody led never answers: it is asked again. All that is asked may be asked twice."""
MAKE_SECONDS = 30.0
"""What is made is flushed to the disks of all who keep it."""
RECONNECT_WAIT_S = 0.25
PING_SECONDS = 10
MOST_UNSENT = 1024 * 1024
"""Bytes that may wait to be sent where there is another way. From twice as many on whoever publishes waits with them,
for as long as the server takes nothing."""
API = "$JS.API."
STATUS = "Status"
_TROUBLE = (nats.errors.Error, OSError, asyncio.TimeoutError)

Handler = Callable[[Msg], Awaitable[None]]


class Link:
    """A connection that comes back by itself. Its repr and its messages name servers without what they are opened
    with."""

    def __init__(self, client: Client, servers: Sequence[str]) -> None:
        self._client = client
        self._names = ",".join(_shown(server) for server in servers)
        self._back: set[Callable[[], object]] = set()
        self._closing = False
        self.reconnects = 0

    def __repr__(self) -> str:
        return f"Link({self._names}, connected={self.is_connected}, reconnects={self.reconnects})"

    @classmethod
    async def open(
        cls, servers: str | Sequence[str], *, name: str = "heliogram", seconds: float = START_SECONDS, **options: Any
    ) -> Link:
        """Connects to one of the servers (`nats://…` or `tls://…`), for which it waits. `options` are those of nats-py
        (`tls`, `user`, `user_credentials` …). Raises `QueueDown` when none answers in time."""
        given = [servers] if isinstance(servers, str) else list(servers)
        link = cls(Client(), given)
        tell = asyncio.get_running_loop().call_later(
            TELL_SECONDS, lambda: log.warning("queue.waiting", what="a server that answers", servers=link._names)
        )
        try:
            async with asyncio.timeout(seconds):
                await link._client.connect(
                    given,
                    name=name,
                    error_cb=link._failed,
                    disconnected_cb=link._disconnected,
                    reconnected_cb=link._reconnected,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type] # seconds, whatever it says
                    ping_interval=PING_SECONDS,
                    skip_subject_validation=True,  # subjects are our own; it takes as long as all the rest
                    **options,
                )
        except _TROUBLE as error:
            await link.close()
            reason = str(error) or type(error).__name__
            raise QueueDown(
                f"no NATS server answers at {link._names} ({reason}): check --queue and the server"
            ) from None
        finally:
            tell.cancel()
        return link

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._client.is_connected)

    @property
    def is_stuck(self) -> bool:
        """Whether much waits to be sent: the server, or the way to it, takes nothing just now."""
        return self._client.pending_data_size > MOST_UNSENT

    @property
    def info(self) -> Mapping[str, Any]:
        """What the server said of itself: version, JetStream, its cluster."""
        return self._client._server_info

    def on_reconnect(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Calls back whenever the connection is there again; what it returns ends this."""
        self._back.add(callback)
        return lambda: self._back.discard(callback)

    def new_inbox(self) -> str:
        """A subject that nobody else has."""
        return str(self._client.new_inbox())

    # ---- what is waited for

    async def api(
        self,
        subject: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = REQUEST_SECONDS,
        each: float = TRY_SECONDS,
    ) -> dict[str, Any]:
        """Asks JetStream's API: `STREAM.INFO.<name>` and the like. An answer is waited for so many seconds in all,
        `each` for each time it is asked. Raises `ApiRefused`, and `QueueDown` when nobody answers."""
        data = b"" if body is None else json.dumps(body).encode()
        return await self.request(API + subject, data, seconds=seconds, each=each)

    async def request(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        seconds: float = REQUEST_SECONDS,
        each: float = TRY_SECONDS,
    ) -> dict[str, Any]:
        """The answer of JetStream to a message: of its API, or that it is stored. Raises as `api`."""
        msg = await self._answer(subject, data, headers, seconds, each)
        answer: dict[str, Any] = json.loads(msg.data)
        refused = refusal_of(subject, answer)
        if refused is not None:
            raise refused
        return answer

    async def _answer(
        self, subject: str, data: bytes, headers: dict[str, str] | None, seconds: float, each: float
    ) -> Msg:
        left = seconds
        while True:
            try:
                return await self._client.request(subject, data, timeout=min(each, left), headers=headers)
            except nats.errors.NoRespondersError:
                raise nobody_for(subject) from None
            except _TROUBLE as error:
                left -= each
                if left <= 0 or not isinstance(error, nats.errors.TimeoutError):
                    said = str(error) or type(error).__name__
                    raise QueueDown(f"NATS does not answer: {said} ({subject}, {seconds:g} s)") from None

    async def gather(self, subject: str, data: bytes, *, seconds: float) -> list[dict[str, Any]]:
        """All answers to one question that come in time, none where nobody may be asked."""
        inbox, answers = self.new_inbox(), list[dict[str, Any]]()
        over = asyncio.Event()

        async def take(msg: Msg) -> None:
            if msg.headers is not None and STATUS in msg.headers:
                over.set()
            else:
                answers.append(json.loads(msg.data))

        subscription = await self.subscribe(inbox, take)
        await self.publish(subject, data, reply=inbox)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds)
        await self.unsubscribe(subscription)
        return answers

    async def flush(self) -> bool:
        """Whether the server has got all that was published."""
        try:
            await self._client.flush(int(REQUEST_SECONDS))
        except _TROUBLE:
            return False
        return True

    # ---- what is merely sent

    async def try_publish(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> QueueDown | None:
        """Sends; why it could not be sent, None as a rule."""
        try:
            await self._client.publish(subject, data, reply=reply, headers=headers)
        except _TROUBLE as error:
            return QueueDown(f"NATS is away: {str(error) or type(error).__name__} ({subject})")
        return None

    async def publish(self, subject: str, data: bytes, *, reply: str = "") -> None:
        """Sends; what cannot be sent is left out, for it is said again or missed by nobody."""
        await self.try_publish(subject, data, reply=reply)

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """Has messages handled, one after another. Raises `QueueDown` once this is closed."""
        try:
            return await self._client.subscribe(subject, cb=handler)
        except _TROUBLE as error:
            raise QueueDown(f"NATS is away: {str(error) or type(error).__name__} ({subject})") from None

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Ends it."""
        with contextlib.suppress(*_TROUBLE):
            await subscription.unsubscribe()

    async def close(self) -> None:
        """Sends what is left to send, and closes. May be called more than once."""
        self._closing = True
        if not self._client.is_closed:
            if self.is_connected:
                await self.flush()
            await self._client.close()

    # ---- what nats-py tells

    async def _failed(self, error: Exception) -> None:
        log.debug("queue.trouble", servers=self._names, error=str(error) or type(error).__name__)

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("queue.disconnected", servers=self._names)

    async def _reconnected(self) -> None:
        self.reconnects += 1
        log.info("queue.reconnected", servers=self._names)
        for callback in list(self._back):
            callback()


def refusal_of(subject: str, answer: Mapping[str, Any]) -> ApiRefused | None:
    """What is wrong, by JetStream's answer; None when nothing is."""
    refused = answer.get("error")
    if refused is None:
        return None
    return ApiRefused(subject, refused.get("code", 0), refused.get("err_code", 0), refused.get("description", ""))


def nobody_for(subject: str) -> ApiRefused:
    """As JetStream would say it, had it a stream for this subject."""
    return ApiRefused(subject, 503, 0, "nobody is responsible for this subject")


def _shown(server: str) -> str:
    """A server's address without user and password."""
    parts = urlsplit(server if "://" in server else f"nats://{server}")
    return parts.netloc.rpartition("@")[2]
