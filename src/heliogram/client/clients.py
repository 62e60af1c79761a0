"""The two clients."""

from __future__ import annotations

import random as chance
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic

from .. import __version__
from .administering import Accounts, ApiKeys, Audit, HealthOf, Webhooks
from .audience import Registrations, RegistrationTokens, Users
from .binding import Mode
from .exchange import Talk
from .managing import Apps, Channels, Credentials
from .sending import ActivityNow, Notifications, Operations
from .transports import Async, Sync, options

if TYPE_CHECKING:
    import ssl

    import httpx2

TIMEOUT = 30.0
"""Seconds for the service to answer."""
RETRIES = 4
"""How often a request is asked again that got no answer, or 429, 502, 503 or 504."""


class _Parts(Generic[Mode]):
    """The parts of the API, over a transport."""

    def __init__(self, transport: Mode) -> None:
        self._transport: Mode = transport
        self.notifications: Notifications[Mode] = Notifications(transport)
        self.operations: Operations[Mode] = Operations(transport)
        self.activity: ActivityNow[Mode] = ActivityNow(transport)
        self.apps: Apps[Mode] = Apps(transport)
        self.credentials: Credentials[Mode] = Credentials(transport)
        self.channels: Channels[Mode] = Channels(transport)
        self.registrations: Registrations[Mode] = Registrations(transport)
        self.registration_tokens: RegistrationTokens[Mode] = RegistrationTokens(transport)
        self.users: Users[Mode] = Users(transport)
        self.account: Accounts[Mode] = Accounts(transport)
        self.api_keys: ApiKeys[Mode] = ApiKeys(transport)
        self.audit: Audit[Mode] = Audit(transport)
        self.webhooks: Webhooks[Mode] = Webhooks(transport)
        self.health: HealthOf[Mode] = HealthOf(transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.talk.url!r})"

    @property
    def repeated(self) -> int:
        """How many writes of this client had been done before, under the same idempotency key: they were not done
        again, and their first answers were given."""
        return self._transport.talk.repeated


class Heliogram(_Parts[Sync]):
    """A client of a running service, for code that waits. Safe to share between threads.

        with Heliogram("http://127.0.0.1:8080", "comms_api_key_….secret") as heliogram:
            accepted = heliogram.notifications.send(Recipient.for_external_id("user-42"), "Hello")
            print(heliogram.operations.wait(accepted.operation_id).stats)

    `url` is the service's address, `api_key` the key's id and secret as `keyId.secret` or `keyId:secret`. `timeout`
    (seconds) is for connecting and for each silence within an answer. A request without an answer, or answered with
    429, 502, 503 or 504, is asked again up to `retries` times, after as long as the service says, or after a pause
    that doubles; writes carry an idempotency key, so nothing is done twice. `verify` is as in httpx2: a context, or
    the path of a CA file. With `raw`, answers are what their JSON decodes to, without structs. `pause` and `random` are
    for tests.

    Raises `ValueError` for arguments that cannot be right; the methods raise `HeliogramError`.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        verify: ssl.SSLContext | str | bool = True,
        pause: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = chance.random,
        raw: bool = False,
    ) -> None:
        import httpx2

        talk = Talk(url, api_key, retries=retries, random=random, raw=raw, agent=_AGENT)
        self._http: httpx2.Client = httpx2.Client(**options(talk.url, timeout, verify))
        super().__init__(Sync(talk, self._http, pause))

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def __enter__(self) -> Heliogram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncHeliogram(_Parts[Async]):
    """The same for asyncio: methods are awaited, lists walked with `async for`.

        async with AsyncHeliogram("http://127.0.0.1:8080", "comms_api_key_….secret") as heliogram:
            accepted = await heliogram.notifications.send(Recipient.for_external_id("user-42"), "Hello")

    Arguments and errors are those of `Heliogram`.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        verify: ssl.SSLContext | str | bool = True,
        pause: Callable[[float], Awaitable[None]] | None = None,
        random: Callable[[], float] = chance.random,
        raw: bool = False,
    ) -> None:
        import httpx2

        talk = Talk(url, api_key, retries=retries, random=random, raw=raw, agent=_AGENT)
        self._http: httpx2.AsyncClient = httpx2.AsyncClient(**options(talk.url, timeout, verify))
        super().__init__(Async(talk, self._http, pause or _sleep))

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncHeliogram:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


_AGENT = f"heliogram-python/{__version__}"


async def _sleep(seconds: float) -> None:
    import asyncio  # late: who does not use it need not wait for it

    await asyncio.sleep(seconds)
