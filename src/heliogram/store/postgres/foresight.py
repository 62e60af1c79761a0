"""What a small send looks up, in one round trip: what its job is going to ask is foreseen, and asked all at once.

The job is run twice. First it is shown the account's apps as they were last, and nothing of all else: so it tells its
statements with their values. They go to the server as parts of one, which sees one moment and needs no transaction of
several steps. Then the job is run on the answers. Where it asks anything else than was foreseen (an app was added, a
token is known in both environments) it is run as any other job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, cast

import apsw
from msgspec import structs

from ...domain.lookups import Known, Wanted
from ..sqlite import statements
from ..sqlite.lookups import Lookups, known_of
from ..sqlite.statements import Statement
from .base import PostgresBase
from .catalogue import PACKAGE
from .facade import Job, Rows
from .link import Link

_apps = statements.load("apps")

FEW = 100
"""Of more recipients the answers are large, and a round trip is little beside them."""
MOST_ACCOUNTS = 10_000


class _Unforeseen(Exception):
    """The job asks what was not foreseen."""


class _Rehearsal:
    """Writes down what a job asks, and shows it the apps alone."""

    def __init__(self, apps: Sequence[Any]) -> None:
        self._apps = apps
        self.asked: dict[Statement, Any] = {}

    def execute(self, statement: Statement, values: Any) -> Rows:
        if statement in self.asked:
            raise _Unforeseen
        self.asked[statement] = values
        return Rows(self._apps if statement == _apps.select_apps else ())


class _Foreseen:
    """Shows a job what was asked for it, if it asks just that."""

    def __init__(self, asked: dict[Statement, Any], answers: Sequence[Sequence[Any]]) -> None:
        self._known = {each: (values, rows) for (each, values), rows in zip(asked.items(), answers, strict=True)}

    def execute(self, statement: Statement, values: Any) -> Rows:
        known = self._known.get(statement)
        if known is None or known[0] != values:
            raise _Unforeseen
        return Rows(known[1] or ())


class _Asker(NamedTuple):
    """Who waits until what is on its way is here, to be asked for together with others."""

    wanted: Wanted
    answer: asyncio.Future[Known]


_Kind = tuple[bytes, Wanted]
"""An account, and what is wanted but for of whom."""


class Foresight(PostgresBase, Lookups):
    """`ports.LookupStore`. Of one kind a single question is on its way; those that come meanwhile are asked as one."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._seen_apps: dict[bytes, Sequence[Any]] = {}
        self._askers: dict[_Kind, list[_Asker]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def look_up(self, account: bytes, wanted: Wanted) -> Known:
        """As the port says."""
        if wanted.names or _size(wanted) > FEW:
            return await super().look_up(account, wanted)
        kind = account, structs.replace(wanted, users=frozenset(), tokens=frozenset())
        askers = self._askers.get(kind)
        if askers is not None:
            asker = _Asker(wanted, asyncio.get_running_loop().create_future())
            askers.append(asker)
            return await asker.answer
        self._askers[kind] = []
        try:
            return await self._ask(account, wanted)
        finally:
            self._go_on(kind)

    def _go_on(self, kind: _Kind) -> None:
        """Those who have waited are next, as many as are few."""
        askers = self._askers.pop(kind)
        if not askers:
            return
        size, count = 0, 0
        for asker in askers:
            size += _size(asker.wanted)
            if count and size > FEW:
                break
            count += 1
        self._askers[kind] = askers[count:]
        task = asyncio.get_running_loop().create_task(self._ask_for(kind, askers[:count]))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask_for(self, kind: _Kind, askers: list[_Asker]) -> None:
        account, wanted = kind
        users = frozenset[bytes]().union(*[each.wanted.users for each in askers])
        tokens = frozenset[bytes]().union(*[each.wanted.tokens for each in askers])
        try:
            known = await self._ask(account, structs.replace(wanted, users=users, tokens=tokens))
        except Exception as error:
            for each in askers:
                if not each.answer.done():
                    each.answer.set_exception(error)
        else:
            for each in askers:
                if not each.answer.done():
                    each.answer.set_result(_part_of(known, each.wanted))
        finally:
            self._go_on(kind)

    async def _ask(self, account: bytes, wanted: Wanted) -> Known:
        at = self._clock.monotonic()
        job = partial(known_of, account=account, array=self._array, now=self._now())
        try:
            known = await self._foreseen(account, partial(job, wanted=wanted), job, wanted)
        except _Unforeseen:
            return await super().look_up(account, wanted)
        known.at = at
        return known

    async def _foreseen(self, account: bytes, job: Job[Known], first: Callable[..., Known], wanted: Wanted) -> Known:
        apps = self._seen_apps.get(account)
        rehearsal = _Rehearsal(apps or ())
        # Users without a device are few: who they are is not asked before.
        first(cast("apsw.Connection", rehearsal), wanted=structs.replace(wanted, missing=False))
        asked, values = rehearsal.asked, dict[str, Any]()
        for each in asked.values():
            if any(values.setdefault(name, value) != value for name, value in each.items()):
                raise _Unforeseen
        text = together(tuple(asked))
        (answers,) = await self._jobs.look(partial(_execute, statement=text, values=values))
        if _apps.select_apps in asked:
            if len(self._seen_apps) >= MOST_ACCOUNTS:
                self._seen_apps.clear()
            self._seen_apps[account] = answers[list(asked).index(_apps.select_apps)]
        return job(cast("apsw.Connection", _Foreseen(asked, answers)))


def _size(wanted: Wanted) -> int:
    return len(wanted.users) + len(wanted.tokens)


def _part_of(known: Known, wanted: Wanted) -> Known:
    """What one of several asked for."""
    return Known(
        at=known.at,
        app=known.app,
        credential=known.credential,
        missing=known.missing & wanted.users,
        devices={user: known.devices[user] for user in wanted.users if user in known.devices},
        environments={token: known.environments[token] for token in wanted.tokens if token in known.environments},
        refused={token: known.refused[token] for token in wanted.tokens if token in known.refused},
    )


@cache
def together(asked: tuple[Statement, ...]) -> str:
    """One statement that answers with the rows of several, each an array."""
    texts = _texts()
    parts = [f"ARRAY(SELECT row(q.*) FROM (\n{texts[each.key]}\n) q)" for each in asked]  # noqa: S608 - our own texts
    return f"SELECT {', '.join(parts)}"


@cache
def _texts() -> dict[str, Statement]:
    return statements.load_all(PACKAGE)


async def _execute(link: Link, statement: str, values: dict[str, Any]) -> Sequence[Any]:
    return await link.execute(statement, values)
