"""Telling one webhook what it asked for: one POST at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from ..domain import ids
from ..domain.webhooks import DOWN_AFTER, MAX_KEPT, MESSAGE, WEBHOOK
from ..measures import WebhookCounts
from ..ports import Batch, Clock, Failure, Sealer, WebhookStore, WebhookWork
from . import signing, urls
from .backoff import BackOff
from .batches import Drawn, Reel
from .envelopes import CONTENT_TYPE, source_of
from .posting import Answer, Poster, Session

log = structlog.get_logger(__name__)

GONE = 410


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What couriers share. `public_url` names the source of events; without it the account does."""

    store: WebhookStore
    sealer: Sealer
    clock: Clock
    poster: Poster
    rules: urls.UrlRules = urls.UrlRules()
    back_off: BackOff = BackOff()
    public_url: str | None = None
    uniform: Callable[[float, float], float] = random.uniform
    counts: WebhookCounts = msgspec.field(default_factory=WebhookCounts)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock.time() * 1000)


class Cannot(Exception):
    """A webhook cannot be told anything as it is; the message says why."""


Post = Callable[[Batch], Awaitable[Answer]]
"""Takes a batch to the receiver, and brings its answer."""


def sign(secrets: signing.Secrets, ident: bytes, now: int, body: bytes) -> dict[str, str]:
    """The headers of a batch."""
    signed = secrets.headers(ids.encode(MESSAGE, ident), now, body)
    return {"Content-Type": CONTENT_TYPE, **signed}


class Courier:
    """Takes a webhook's batches to it until there is nothing to do, or until it must wait.

    Everything it goes by stands in the store, so that another one can go on where it was stopped. Kept batches that
    are due go before new ones. While the receiver is down, one batch at a time tries it.
    """

    def __init__(self, tools: Tools, account: bytes, webhook: bytes) -> None:
        self._tools, self._account, self._webhook = tools, account, webhook
        self._reel: Reel | None = None
        self._draining = False
        self.posts = 0

    def __repr__(self) -> str:
        return f"Courier({ids.encode(WEBHOOK, self._webhook)}, posts={self.posts})"

    def drain(self) -> None:
        """Begins nothing more."""
        self._draining = True

    async def run(self) -> None:
        """Works until nothing is to be done now."""
        work = await self._tools.store.webhook_work_of(self._account, self._webhook)
        while work is not None and not self._draining:
            work = await self._visit(work)

    async def _visit(self, work: WebhookWork) -> WebhookWork | None:
        """Posts over one connection as long as address, types and secrets stay; returns how things stand then, None
        when nothing is to be done."""
        known = (work.webhook.url, work.webhook.types, work.sealed)
        source = source_of(self._tools.public_url, self._account)
        self._reel = Reel(self._tools.store, self._account, self._webhook, work.webhook.wanted, source)
        try:
            target, secrets = self._open(work)
        except Cannot as error:
            await self._step(work, _refusing(str(error)))
            return None
        async with self._tools.poster.session(target) as session:
            post = self._posting(session, secrets)
            while (work.webhook.url, work.webhook.types, work.sealed) == known:
                if self._draining or not await self._step(work, post):
                    return None
                now = await self._tools.store.webhook_work_of(self._account, self._webhook)
                if now is None:
                    return None
                work = now
        return work

    def _open(self, work: WebhookWork) -> tuple[urls.Target, signing.Secrets]:
        try:
            target = urls.read(work.webhook.url, self._tools.rules)
        except urls.BadUrl as error:
            raise Cannot(f"the address cannot be used: {error}") from None
        try:
            secrets = signing.unseal(self._tools.sealer, work.sealed, account=self._account, webhook=self._webhook)
        except ValueError as error:
            log.error("webhook.secret_not_opened", webhook=ids.encode(WEBHOOK, self._webhook), error=str(error))
            raise Cannot("its secret cannot be opened: see the server's log") from None
        return target, secrets

    async def _step(self, work: WebhookWork, post: Post) -> bool:
        """One attempt, if there is one to make; False when nothing is to be done now."""
        now = self._tools.now()
        if now < work.held_until:
            return False
        if work.kept:
            down = work.failures >= DOWN_AFTER
            batch = await self._tools.store.due_batch(self._account, self._webhook, None if down else now)
            if batch is not None:
                await self._try_again(work, batch, post)
                return True
            if work.kept >= MAX_KEPT:
                return False
        assert self._reel is not None  # noqa: S101 - made before every visit
        drawn = await self._reel.draw(work.place, now)
        if drawn.batch is not None:
            return await self._try_new(work, drawn, drawn.batch, post)
        if drawn.to == work.place:
            return False
        store = self._tools.store
        moved = await store.batch_taken(
            self._account, self._webhook, work.place, drawn.to, at=None, skipped=drawn.skipped
        )
        return moved and drawn.more

    async def _try_new(self, work: WebhookWork, drawn: Drawn, batch: Batch, post: Post) -> bool:
        answer = await post(batch)
        store, places = self._tools.store, (work.place, drawn.to)
        if answer.taken:
            at = self._tools.now()
            return await store.batch_taken(self._account, self._webhook, *places, at=at, skipped=drawn.skipped)
        failure = self._failure(work, batch, answer)
        kept = await store.batch_refused(self._account, self._webhook, *places, batch, failure, skipped=drawn.skipped)
        await self._after_failure(work, answer)
        return kept

    async def _try_again(self, work: WebhookWork, batch: Batch, post: Post) -> None:
        answer = await post(batch)
        store = self._tools.store
        if answer.taken:
            await store.kept_batch_taken(self._account, self._webhook, batch.id, self._tools.now())
            return
        failure = self._failure(work, batch, answer)
        await store.kept_batch_refused(self._account, self._webhook, batch.id, failure)
        await self._after_failure(work, answer)

    def _posting(self, session: Session, secrets: signing.Secrets) -> Post:
        async def post(batch: Batch) -> Answer:
            self.posts += 1
            began = time.perf_counter()
            answer = await session.post(sign(secrets, batch.id, self._tools.now(), batch.body), batch.body)
            self._tools.counts.count(taken=answer.taken, seconds=time.perf_counter() - began)
            return answer

        return post

    def _failure(self, work: WebhookWork, batch: Batch, answer: Answer) -> Failure:
        return self._tools.back_off.failure(
            answer,
            now=self._tools.now(),
            created=batch.created,
            attempts=batch.attempts,
            failures=work.failures,
            uniform=self._tools.uniform,
        )

    async def _after_failure(self, work: WebhookWork, answer: Answer) -> None:
        webhook = ids.encode(WEBHOOK, self._webhook)
        if answer.status == GONE:
            reason = "the receiver answered 410 Gone: it wants no more"
            await self._tools.store.disable_webhook(self._account, self._webhook, reason, self._tools.now())
            log.warning("webhook.disabled", webhook=webhook, reason=reason)
        elif work.failures + 1 == DOWN_AFTER:
            log.warning("webhook.down", webhook=webhook, error=answer.error)


def _refusing(why: str) -> Post:
    """Stands in for a webhook that cannot be posted to."""

    async def refuse(batch: Batch) -> Answer:
        return Answer(error=why, refused=True)

    return refuse
