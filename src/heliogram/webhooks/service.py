"""Webhooks as the API sees them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..domain import ids
from ..domain.errors import Unavailable
from ..domain.webhooks import TEST, WEBHOOK, Event
from ..ports import Probe
from . import signing, urls
from .courier import Tools, sign
from .envelopes import batch_body, envelope, source_of
from .posting import Answer

LONGEST_TEST_MS = 20_000
"""A test takes at most 10 s; that of a process that died under it is over after so long."""


class WebhookService:
    """`ports.Webhooks` over what couriers use. `wake` hints that there is something to tell, to whoever tells it."""

    def __init__(self, tools: Tools, wake: Callable[[], object], new_ids: ids.IdFactory) -> None:
        self._tools, self._wake, self._ids = tools, wake, new_ids
        self._testing = 0

    def __repr__(self) -> str:
        return f"WebhookService(testing={self._testing})"

    def problem_with(self, url: str) -> str | None:
        """What is wrong with an address, None when it can be used."""
        try:
            urls.read(url, self._tools.rules)
        except urls.BadUrl as error:
            return str(error)
        return None

    def new_secrets(self, account: bytes, webhook_id: bytes) -> tuple[str, bytes]:
        """A new signing secret: as it is shown once, and sealed."""
        secret = signing.new_secret()
        held = signing.Secrets(secret)
        return secret, signing.seal(self._tools.sealer, held, account=account, webhook=webhook_id)

    def shown(self, account: bytes, webhook_id: bytes, sealed: bytes) -> str:
        """The signing secret that was sealed, as it is shown once."""
        return signing.unseal(self._tools.sealer, sealed, account=account, webhook=webhook_id).current

    def rotated(self, account: bytes, webhook_id: bytes, sealed: bytes, now: int) -> tuple[str, bytes, int]:
        """The same with the one before, which goes on signing until the time (ms) that is the last of the three."""
        held = signing.unseal(self._tools.sealer, sealed, account=account, webhook=webhook_id)
        secret = signing.new_secret()
        turned = held.rotated(now, secret)
        return secret, signing.seal(self._tools.sealer, turned, account=account, webhook=webhook_id), turned.until

    async def test(self, account: bytes, webhook_id: bytes) -> Probe | None:
        """Sends a test event now, to each webhook one at a time, whichever node is asked: nobody floods a receiver with
        them. None when there is no such webhook."""
        store = self._tools.store
        webhook = await store.get_webhook(account, webhook_id)
        sealed = await store.webhook_secrets(account, webhook_id)
        if webhook is None or sealed is None:
            return None
        now = self._tools.now()
        if not await store.begin_webhook_test(account, webhook_id, now, now + LONGEST_TEST_MS):
            return Probe(delivered=False, status=None, error="a test of this webhook is under way", took_ms=0)
        self._testing += 1
        try:
            answer = await self._test(account, webhook_id, webhook.url, sealed)
        finally:
            self._testing -= 1
            with contextlib.suppress(Unavailable):  # then it is over by itself
                await store.end_webhook_test(account, webhook_id, now + LONGEST_TEST_MS)
        if answer.taken:
            await store.webhook_reached(account, webhook_id, self._tools.now())
            self.wake()
        return Probe(delivered=answer.taken, status=answer.status or None, error=answer.error, took_ms=answer.took_ms)

    def wake(self) -> None:
        """A hint that there is something to tell."""
        self._wake()

    async def _test(self, account: bytes, webhook_id: bytes, url: str, sealed: bytes) -> Answer:
        try:
            target = urls.read(url, self._tools.rules)
        except urls.BadUrl as error:
            return Answer(error=f"the address cannot be used: {error}", refused=True)
        secrets = signing.unseal(self._tools.sealer, sealed, account=account, webhook=webhook_id)
        now, text = self._tools.now(), ids.encode(WEBHOOK, webhook_id)
        data = {"webhookId": text, "message": "This is a test: the webhook works."}
        event = Event(id=self._ids.new(), type=TEST, at=now, subject=text, data=data)
        body = batch_body([envelope(event, source_of(self._tools.public_url, account))])
        async with self._tools.poster.session(target) as session:
            return await session.post(sign(secrets, event.id, now, body), body)
