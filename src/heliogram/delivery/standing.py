"""How credentials do: what this process heard of them, written down for all others, seldom, and read together with what
they wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from ..domain.errors import Unavailable
from ..ports import AnswerStore, Clock, Failing, LastAnswer, Standing, StandingStore
from ..ports.health import Answers, later_answer, merged_failing
from .breaker import Breakers

log = structlog.get_logger(__name__)

REPEAT_MS = 15_000
"""What has not changed is written again so often: four times within `ports.health.SILENT_MS`."""
MOST_AT_ONCE = 500
"""Answers of so many credentials are written at once."""
KEPT_MS = 600_000
"""What was written of a credential that nobody has sent with for so long is kept in the store alone."""
LAST_WORD_SECONDS = 2.0
"""How long the last writing may take of a process that ends."""


class _Word(msgspec.Struct):
    """The last answer to one credential; `told` is what was written of it, and `told_at` when (ms)."""

    at: int
    status: int
    reason: str
    succeeded: int | None = None
    told: tuple[int, int, str] | None = None
    told_at: int = 0

    def is_news(self, now: int) -> bool:
        """Whether to write it: at once when the provider says something else, else now and then."""
        if self.told is None or self.told[1:] != (self.status, self.reason):
            return True
        return self.told[0] != self.at and not 0 <= now - self.told_at < REPEAT_MS

    @property
    def answer(self) -> LastAnswer:
        return LastAnswer(at=self.at, status=self.status, reason=self.reason, succeeded=self.succeeded)


class Heard:
    """The provider's last word to each credential that this process sends with."""

    def __init__(self) -> None:
        self._words: dict[tuple[bytes, bytes], _Word] = {}

    def __repr__(self) -> str:
        return f"Heard({len(self._words)})"

    def take(self, account: bytes, credential_id: bytes, status: int, reason: str, now: int, *, success: bool) -> None:
        """The provider answered at `now` (ms). `success`: it took a push."""
        word = self._words.get((account, credential_id))
        if word is None:
            word = self._words[account, credential_id] = _Word(now, status, reason)
        word.at, word.status, word.reason = now, status, reason
        if success:
            word.succeeded = now

    def succeeded(self, account: bytes, credential_id: bytes, now: int) -> None:
        """It took a push, and something came after it that is no answer."""
        word = self._words.get((account, credential_id))
        if word is None:
            self.take(account, credential_id, 200, "", now, success=True)
        else:
            word.succeeded = now

    def last(self, account: bytes, credential_id: bytes) -> LastAnswer | None:
        """What it said last, as far as this process knows."""
        word = self._words.get((account, credential_id))
        return None if word is None else word.answer

    def news(self, now: int, *, everything: bool = False) -> Answers:
        """What to write now, at most `MOST_AT_ONCE` at a time; `written` says that it was."""
        found: dict[tuple[bytes, bytes], LastAnswer] = {}
        for place, word in list(self._words.items()):
            if word.is_news(now) or (everything and word.told != (word.at, word.status, word.reason)):
                found[place] = word.answer
                if len(found) == MOST_AT_ONCE:
                    break
            elif now - max(word.at, word.told_at) > KEPT_MS:
                del self._words[place]
        return found

    def written(self, answers: Answers, now: int) -> None:
        """These are in the store."""
        for place, answer in answers.items():
            word = self._words.get(place)
            if word is not None:
                word.told, word.told_at = (answer.at, answer.status, answer.reason), now


class Troubles:
    """What fails in this process, written down under its name: when it changes, and again and again while it lasts."""

    def __init__(self, store: StandingStore, node: bytes, breakers: Breakers) -> None:
        self._store, self._node, self._breakers = store, node, breakers
        self._told: dict[tuple[bytes, bytes], Failing] = {}
        self._told_at = 0

    def __repr__(self) -> str:
        return f"Troubles(told={len(self._told)})"

    async def look(self, now: int) -> None:
        """Writes what has changed by now (ms). Raises what the store does."""
        found = self._breakers.troubles()
        if found == self._told and (not found or 0 <= now - self._told_at < REPEAT_MS):
            return
        await self._store.tell_troubles(self._node, found, now)
        self._told, self._told_at = found, now

    async def close(self, now: int) -> None:
        """This process says nothing more."""
        if self._told:
            await self._store.tell_troubles(self._node, {}, now)
            self._told = {}


class Reporter:
    """Writes down what was heard; `troubles` of a process that speaks for itself."""

    def __init__(self, store: AnswerStore, heard: Heard, troubles: Troubles | None = None) -> None:
        self._store, self._heard, self._troubles = store, heard, troubles

    def __repr__(self) -> str:
        return f"Reporter({self._heard!r}, {self._troubles!r})"

    async def look(self, now: int) -> None:
        """Writes what is news at this moment (ms). Raises what the store does."""
        if self._troubles is not None:
            await self._troubles.look(now)
        await self._tell(now, everything=False)

    async def close(self, now: int) -> None:
        """Writes the last of it, if the store can be reached."""
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                if self._troubles is not None:
                    await self._troubles.close(now)
                await self._tell(now, everything=True)
        except (TimeoutError, Unavailable) as error:  # what fails is not repeated, and so forgotten
            log.warning("credentials.last_word_lost", error=str(error) or type(error).__name__)

    async def _tell(self, now: int, *, everything: bool) -> None:
        answers = self._heard.news(now, everything=everything)
        if answers:
            await self._store.tell_answers(answers)
            self._heard.written(answers, now)


class NodeHealth:
    """`ports.Health`: what this process knows itself, at once, and what all others wrote."""

    def __init__(
        self, store: StandingStore, clock: Clock, breakers: Breakers, heard: Heard | None = None, node: bytes = b""
    ) -> None:
        self._store, self._clock, self._breakers = store, clock, breakers
        self._heard, self._node = heard or Heard(), node

    def __repr__(self) -> str:
        return f"NodeHealth({self._breakers!r}, {self._heard!r})"

    async def standings(self, account: bytes, credentials: Sequence[bytes]) -> dict[bytes, Standing]:
        """What is known of these."""
        now = int(self._clock.time() * 1000)
        others = await self._store.credential_standings(account, now, but=self._node)
        found: dict[bytes, Standing] = {}
        for ident in credentials:
            other = others.get(ident, Standing())
            found[ident] = Standing(
                failing=merged_failing(self._breakers.failing(account, ident), other.failing),
                answer=later_answer(self._heard.last(account, ident), other.answer),
            )
        return found
