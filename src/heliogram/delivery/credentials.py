"""Credentials for the delivery room: opened when needed, followed while connections are open, and heard of when APNs
refuses them."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from ..domain import ids
from ..domain.apps import Credential, OpenedCredential
from ..domain.errors import Unavailable
from ..once import Once
from ..ports import Clock, CredentialStates, CredentialStore, OneAppStore, Provider, Providers, Sealer
from .mending import Mender
from .standing import Reporter

log = structlog.get_logger(__name__)

WATCH_SECONDS = 1.0
"""How often is asked what became of credentials with connections. With the second for which one is kept open this
bounds how long another process sends with a revoked one: 5 s at most (TOK-20)."""
ALARM_AGAIN = 3600.0
"""Seconds before the same complaint about a credential is told again."""
MAX_ALARMS = 1_000


class CredentialOpener:
    """Opens credentials from the store, and keeps the last few open for `ttl` seconds."""

    def __init__(self, store: OneAppStore, sealer: Sealer, clock: Clock, *, ttl: float = 1.0, most: int = 256) -> None:
        self._store, self._sealer, self._clock, self._ttl, self._most = store, sealer, clock, ttl, most
        self._opened: dict[tuple[bytes, bytes], tuple[float, OpenedCredential | None]] = {}
        self._asking = Once[tuple[bytes, bytes], OpenedCredential | None]()

    def __repr__(self) -> str:
        return f"CredentialOpener(open={len(self._opened)})"

    async def __call__(self, account: bytes, credential_id: bytes, *, fresh: bool = False) -> OpenedCredential | None:
        """The credential with its secret, None when it is gone; `fresh` as it stands now. Raises `ValueError` when its
        secret does not open."""
        place, now = (account, credential_id), self._clock.monotonic()
        kept = self._opened.get(place)
        if fresh:
            return await self._look(place, now)
        if kept is not None and now - kept[0] < self._ttl:
            return kept[1]
        return await self._asking.ask(place, partial(self._look, place, now))

    async def _look(self, place: tuple[bytes, bytes], now: float) -> OpenedCredential | None:
        account, credential_id = place
        if len(self._opened) >= self._most:
            self._opened.clear()
        found = await self._store.sealed_credential(account, credential_id)
        opened = None
        if found is not None:
            credential, sealed = found
            secret = self._sealer.open(sealed, table="credential", column="sealed", row=credential_id, account=account)
            opened = OpenedCredential(credential=credential, secret=secret)
        self._opened[place] = now, opened
        return opened


class CredentialWatch:
    """Asks again and again what became of the credentials that have connections, so that a rotation, a reconnection or
    a revocation by another process acts here, too: also on connections that nobody uses just now. Then the `mender`
    looks for credentials that failed and are others now, and the `reporter` writes down how they do."""

    def __init__(
        self,
        store: CredentialStates,
        providers: Providers,
        open_credential: CredentialOpener,
        clock: Clock,
        *,
        seconds: float = WATCH_SECONDS,
        mender: Mender | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._store, self._providers, self._open, self._clock = store, providers, open_credential, clock
        self._seconds, self._mender, self._reporter = seconds, mender, reporter
        self._stopped = False
        self._awake = asyncio.Event()

    def __repr__(self) -> str:
        return f"CredentialWatch(providers={len(self._providers)}, every={self._seconds})"

    async def run(self) -> None:
        """Looks every `seconds` until `stop`."""
        while not self._stopped:
            try:
                await self.look()
            except Unavailable as error:  # the store may be locked or away for a while
                log.warning("credentials.watch_failed", error=str(error))
            except Exception:
                log.exception("credentials.watch_failed")
            await self._pause()

    def stop(self) -> None:
        """Ends `run`."""
        self._stopped = True
        self._awake.set()

    async def look(self) -> None:
        """Looks once."""
        for provider in self._providers.values():
            held = provider.held()
            states = {account: await self._store.credential_states(account) for account in {each[0] for each in held}}
            for account, credential_id, followed in held:
                state = states[account].get(credential_id)
                if state is None or state.revoked is not None:
                    provider.end(credential_id)
                    log.info("credential.ended", credential=ids.encode(ids.CREDENTIAL, credential_id))
                elif state != followed:
                    await self._follow(provider, account, credential_id)
        if self._mender is not None:
            await self._mender.look(int(self._clock.time() * 1000))
        if self._reporter is not None:
            await self._reporter.look(int(self._clock.time() * 1000))

    async def _follow(self, provider: Provider, account: bytes, credential_id: bytes) -> None:
        try:
            opened = await self._open(account, credential_id, fresh=True)
        except ValueError as error:
            shown = ids.encode(ids.CREDENTIAL, credential_id)
            log.error("credential.not_opened", credential=shown, error=str(error))
            return
        if opened is not None:
            provider.follow(opened)

    async def _pause(self) -> None:
        self._awake = asyncio.Event()
        timer = self._clock.call_later(self._seconds, self._awake.set)
        try:
            if not self._stopped:
                await self._awake.wait()
        finally:
            timer.cancel()


class CredentialAlarm:
    """Hears from the provider that APNs refuses a credential, and has the store tell of it: of the same complaint once
    an hour."""

    def __init__(self, store: CredentialStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._told: dict[tuple[bytes, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"CredentialAlarm(told={len(self._told)}, telling={len(self._tasks)})"

    def __call__(self, credential: Credential, reason: str) -> None:
        """Takes a complaint; returns at once."""
        complaint, now = (credential.id, reason), self._clock.monotonic()
        told = self._told.get(complaint)
        if told is not None and now - told < ALARM_AGAIN:
            return
        if len(self._told) >= MAX_ALARMS:
            self._told.clear()
        self._told[complaint] = now
        task = asyncio.get_running_loop().create_task(self._tell(credential, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, credential: Credential, reason: str) -> None:
        shown = ids.encode(ids.CREDENTIAL, credential.id)
        log.error("credential.failing", credential=shown, app=credential.app_name, reason=reason)
        try:
            await self._store.tell_of_failing_credential(
                credential.account_id, credential.id, reason=reason, at=int(self._clock.time() * 1000)
            )
        except Exception:
            log.exception("credential.failing_not_told", credential=shown)

    async def close(self) -> None:
        """Waits until everything heard is told."""
        while self._tasks:
            await asyncio.wait(self._tasks)
