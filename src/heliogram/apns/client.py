"""The client: what an application holds to send pushes with."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from .alike import L, jobs_of, outcome_of, outcomes_of
from .batch import Batch, Items, outcomes
from .certificates import Certificate
from .checks import TOPIC_FIX, check_apns_id, check_text, check_topic
from .clock import Clock, SystemClock
from .connect import Connect
from .connection import Connection
from .devicetoken import normalize_device_token, plain_device_token
from .entitlements import Credential, check_client, check_push, missing_topic
from .environment import Environment
from .errors import ApnsError
from .identity import Identity
from .ids import IdSource
from .job import Job, Template
from .keys import SigningKey
from .listener import Listener, Stats, check_listener
from .making import makers
from .notification import Notification, Prepared, Route, check_notification
from .outcomes import Outcome
from .pool import Pool
from .pushtypes import topic_for
from .rotation import Rotation
from .route import choose_connect, choose_endpoint
from .sending import sender
from .tuning import Tuning

_TEMPLATES = 10_000
_STREAMS = 1000


class Client:
    """Sends pushes with one credential to one environment of APNs.

    Connections open with the first push and stay. Every push ends in exactly one `Outcome`; what is
    raised is wrong configuration (`InvalidSigningKey` or `InvalidCertificate` for a credential that
    cannot work here) or wrong input. `close()`, or leaving `async with`, ends it.

    `topic` is the app's bundle id; a certificate with a single topic needs none. `port` is 443 or
    2197, which Apple serves alike (CONN-5). `endpoint` ("host:port") with `cafile` points at another
    server than Apple's. `proxy` is the URL of an HTTP or SOCKS5 proxy, like `http://user:password@host:port`
    or `socks5://host:port`; `connect` replaces how connections come about. `timeout` is what a push may
    take in all, in seconds. `max_connections` bounds what is opened. `connect_attempts` failures in a
    row end the pushes that wait as `NotSent`; a failure is also a connection that opens and then ends, or
    answers nothing but 500 `InternalServerError`, before it has answered one push as a healthy server does.
    `listener` hears what happens; `stats()` says how it is.
    """

    _connection: ClassVar[type[Connection]] = Connection

    def __init__(
        self,
        credential: SigningKey | Certificate,
        *,
        topic: str | None = None,
        environment: Environment | str = Environment.PRODUCTION,
        port: int | None = None,
        endpoint: str | None = None,
        cafile: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        timeout: float = 30.0,
        max_connections: int = 4,
        connect_attempts: int = 3,
        tuning: Tuning | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        connect: Connect | None = None,
        listener: Listener | None = None,
    ) -> None:
        for name, value in (
            ("timeout", timeout),
            ("max_connections", max_connections),
            ("connect_attempts", connect_attempts),
        ):
            if not value > 0:
                raise ValueError(f"{name}: {value} is not positive; give a number above 0")
        self._environment = Environment(environment)
        self._endpoint = choose_endpoint(self._environment, port, endpoint)
        self._topic = _default_topic(credential, topic)
        self._timeout = timeout
        self._concurrency = _STREAMS * max_connections
        self._tuning = tuning or Tuning()
        self._clock = clock or SystemClock()
        self._random = rng or random.Random()
        self._ids = IdSource(self._random)
        self._templates: dict[Route | tuple[str, Route], Template] = {}
        self._makers = makers(self._templates, self._ids.next, self._job)
        self._make = self._makers[0]
        self._closing: asyncio.Task[None] | None = None
        check_client(credential, self._environment, topic, self._clock.time())
        self._credential: Credential = credential
        self._given = (topic, cafile)
        identity = Identity(credential, cafile, self._clock)
        self._rotation = Rotation(identity, self._clock, self._adopt)
        self._pool = Pool(
            self._endpoint,
            identity,
            clock=self._clock,
            rng=self._random,
            connect=choose_connect(proxy, connect, self._random, self._clock, self._tuning),
            tuning=self._tuning,
            max_connections=max_connections,
            connect_attempts=connect_attempts,
            connection=self._connection,
            listener=check_listener(listener),
        )
        self._send = sender(self._make, self._pool, self._clock.monotonic, timeout)

    def __repr__(self) -> str:
        return f"<Client {self._topic or 'without topic'}, {self._pool!r}>"

    @property
    def pool(self) -> Pool:
        """The connections, for those who watch them."""
        return self._pool

    def stats(self) -> Stats:
        """How many connections there are, and how many pushes are on their way. May be asked in any thread."""
        return self._pool.stats()

    # ---- sending

    def send(
        self,
        device_token: str,
        notification: Notification,
        *,
        apns_id: str | None = None,
        topic: str | None = None,
        timeout: float | None = None,
    ) -> asyncio.Future[Outcome]:
        """Send one push; await the result for its outcome.

        Raises `InvalidDeviceToken`, `InvalidNotification` or `PayloadTooLarge` at once. Cancelling
        the future gives up the wait, not the push.
        """
        if timeout is None and self._send is not None:
            sent = self._send(device_token, notification, apns_id, topic)
            if sent is not None:
                return sent
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        deadline = self._clock.monotonic() + (self._timeout if timeout is None else timeout)
        job = self._make(device_token, notification, apns_id, None, topic, deadline, future.set_result)
        if timeout is None:
            self._pool.deadlines.append(job)
        else:
            self._pool.deadlines.insert(job)
        self._pool.put(job)
        return future

    def send_many(
        self, items: Items, *, concurrency: int | None = None, stop: asyncio.Future[None] | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Send pushes from an iterable or async iterable; yields outcomes in the order of their coming.

        At most `concurrency` pushes are queued or open at a time (default: 1,000 for each allowed
        connection), and no more outcomes are kept, so memory does not depend on the number of
        pushes. A push that cannot be sent yields `NotSent` and stops nothing. An exception of
        `items` ends the feeding and is raised after the last outcome. Leaving the loop early drops
        what is not on the wire yet. So does setting the result of `stop`; then the outcomes of what
        is on the wire still come.
        """
        return outcomes(self.batch(concurrency), items, stop)

    def ready(
        self, form: Notification, letters: Sequence[L], *, topic: str | None = None
    ) -> tuple[list[Job], list[tuple[L, ApnsError]]]:
        """What `send_ready` takes of pushes that share all but token, id, body and collapse id, and what cannot be
        sent. `form` is a notification with what they share. Raises `InvalidNotification` for that."""
        common = form.prepare()
        key = (topic, common.route) if topic else common.route
        template = self._templates.get(key) or self._template(key, topic, common)
        return jobs_of(common, template, letters)

    def send_ready(
        self,
        jobs: Sequence[Job],
        *,
        stop: asyncio.Future[None] | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncGenerator[list[Outcome], None]:
        """Send what `ready` made, each once; yields outcomes as they come, many at a time, the `tag` of each being its
        letter. `stop` is as in `send_many`; `pause` is awaited between slices of jobs, to let others go on."""
        return outcomes_of(self.batch(), jobs, stop, pause)

    def send_one(self, job: Job, *, stop: asyncio.Future[None] | None = None) -> Awaitable[Outcome | None]:
        """Send one job that `ready` made; to be awaited for its outcome. Once `stop` is done only what is on the wire
        already is waited for: None when it had not left."""
        return outcome_of(self._pool, job, self._clock.monotonic() + self._timeout, stop)

    def batch(self, concurrency: int | None = None) -> Batch:
        """What `send_many` is made of, for facades that feed and collect in their own way."""
        limit = self._concurrency if concurrency is None else concurrency
        if limit < 1:
            raise ValueError(f"concurrency: {limit} is not positive; give a number above 0")
        return Batch(self._pool, self._makers, self._clock.monotonic, self._timeout, limit)

    def _job(
        self,
        device_token: str,
        notification: Notification,
        apns_id: str | None,
        tag: Any,
        topic: str | None,
        deadline: float,
        sink: Callable[[Outcome], object],
    ) -> Job:
        try:
            prepared = notification.prepare()
        except (AttributeError, TypeError):
            check_notification(notification)
            raise
        if topic is not None:
            check_text("topic", topic, TOPIC_FIX)
        text = plain_device_token(device_token)
        if text is None:
            device_token = normalize_device_token(device_token)
            text = device_token.encode("ascii")
        if apns_id is None:
            wire_id = self._ids.next()
            apns_id = wire_id.decode("ascii")
        else:
            wire_id = check_apns_id(apns_id)
        key = (topic, prepared.route) if topic else prepared.route
        template = self._templates.get(key)
        if template is None:
            template = self._template(key, topic, prepared)
        own = prepared.fields
        fields = ((b"apns-id", wire_id), *own) if own else ((b"apns-id", wire_id),)
        path = b"/3/device/" + text
        return Job(device_token, apns_id, template, path, fields, prepared.body, deadline, sink, tag)

    def _template(self, key: Route | tuple[str, Route], topic: str | None, prepared: Prepared) -> Template:
        base = topic or prepared.topic or self._topic
        if base is None:
            raise missing_topic(self._credential)
        check_topic(base)
        full = topic_for(base, prepared.push_type)
        check_push(self._credential, full, prepared.push_type)
        if len(self._templates) >= _TEMPLATES:
            self._templates.clear()
        template = Template(full, prepared.push_type, prepared.priority)
        self._templates[key] = template
        return template

    # ---- credentials

    def rotate(self, credential: Credential) -> float:
        """Change the credential in peace: old connections finish what is open, new ones open with the new one.

        Returns the seconds until then: 0, or, with another key of the same team, what is left of the
        20 minutes after the team's last change of provider token (TOK-9, TOK-10); until then the old
        one goes on. A later call replaces what is planned; after `revoke` nothing waits. A queued
        push that the new credential cannot send ends as `NotSent`. Raises as the constructor does,
        and then nothing changes.
        """
        if self._closing is not None:
            raise RuntimeError("this client is closed; make another one")
        topic, cafile = self._given
        check_client(credential, self._environment, topic, self._clock.time())
        identity = Identity(credential, cafile, self._clock)
        return self._rotation.plan(identity, at_once=self._pool.is_suspended)

    def revoke(self) -> None:
        """Close every connection at once, because the credential is in wrong hands or was revoked (TOK-20).

        Nothing more leaves; what was written ends as `Unknown`. What waits, and what is sent from now
        on, waits for `rotate`, or ends as `NotSent` at its deadline. A planned rotation happens now.
        """
        self._pool.suspend("the credential was revoked")
        self._rotation.finish()

    def _adopt(self, identity: Identity) -> None:
        self._credential = identity.credential
        self._topic = _default_topic(identity.credential, self._given[0])
        self._templates.clear()
        self._pool.switch(identity)

    # ---- the end

    def reconnect(self) -> None:
        """Replace all connections in peace: after a change of topics or a rotated key (TOK-14)."""
        self._pool.reconnect()

    async def close(self) -> None:
        """Let what is on its way finish, within `Tuning.drain`; then every push has its outcome.

        Sending to a closed client ends in `NotSent`. Closing again waits for the first close.
        """
        if self._closing is None:
            self._rotation.cancel()
            self._closing = asyncio.get_running_loop().create_task(self._pool.close(self._tuning.drain))
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _default_topic(credential: SigningKey | Certificate, topic: str | None) -> str | None:
    if topic is not None:
        check_topic(topic)
    elif isinstance(credential, Certificate):
        return credential.default_topic
    return topic
