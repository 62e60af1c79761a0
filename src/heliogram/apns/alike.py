"""Pushes that differ in token, id and body alone: what they share is checked once, their outcomes come many at a time.

What a service sends to thousands is made of what it has made itself, so that a push needs no notification of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from heliogram import _accel

from .batch import CHUNK, Batch
from .checks import check_apns_id, check_collapse_id
from .devicetoken import MAX_DIGITS, MIN_DIGITS, normalize_device_token
from .errors import ApnsError
from .job import Job, Template
from .notification import Notification, Prepared
from .outcomes import Outcome
from .pool import Pool
from .pushtypes import RULES

SLICE = 128
"""Jobs that are queued, and written, in one go."""

_twins = _accel.is_native()
_ID_SIZE = 36
_LEAST, _MOST = MIN_DIGITS // 2, MAX_DIGITS // 2


class Letter(Protocol):
    """What one push has of its own: the raw token, a UUID, the JSON and perhaps a collapse id."""

    token: bytes
    apns_id: str
    payload: bytes
    collapse_id: str | None


L = TypeVar("L", bound=Letter)


def jobs_of(common: Prepared, template: Template, letters: Sequence[L]) -> tuple[list[Job], list[tuple[L, ApnsError]]]:
    """The jobs of letters, the `tag` of each being its letter, and what cannot be sent, each with the reason. They have
    no deadline and no sink yet. `common` and `template` are what they share: push type, priority, topic, expiration."""
    limit = RULES[common.push_type].limit
    jobs: list[Job] = []
    refused: list[tuple[L, ApnsError]] = []
    kind: Any = type(letters[0]) if letters else None
    twin = _twin_of(kind) if _twins and kind is not None and type(letters) is list else None
    if twin is None:
        refused = _jobs_of(common, template, letters, limit, jobs)
        return jobs, refused
    at = 0
    while (at := twin(letters, at, template, common.fields, limit, jobs)) < len(letters):
        refused += _jobs_of(common, template, letters[at : at + 1], limit, jobs)
        at += 1
    return jobs, refused


def _jobs_of(
    common: Prepared, template: Template, letters: Sequence[L], limit: int, jobs: list[Job]
) -> list[tuple[L, ApnsError]]:
    refused: list[tuple[L, ApnsError]] = []
    shared: str | None = None
    collapse = b""
    more = common.fields
    for letter in letters:
        token, apns_id, body, collapse_id = letter.token, letter.apns_id, letter.payload, letter.collapse_id
        if not (_LEAST <= len(token) <= _MOST and 0 < len(body) <= limit and len(apns_id) == _ID_SIZE):
            try:
                _check(common, letter)
            except ApnsError as error:
                refused.append((letter, error))
                continue
        wire_id = apns_id.encode("ascii")
        fields: Any = ((b"apns-id", wire_id), *more)
        if collapse_id is not None:
            if collapse_id is apns_id:
                collapse, shared = wire_id, collapse_id
            elif collapse_id is not shared:
                try:
                    collapse, shared = check_collapse_id(collapse_id), collapse_id
                except ApnsError as error:
                    refused.append((letter, error))
                    continue
            fields = (*fields, (b"apns-collapse-id", collapse))
        text = token.hex()
        path = b"/3/device/" + text.encode("ascii")
        jobs.append(Job(text, apns_id, template, path, fields, body, 0.0, _nowhere, letter))
    return refused


def _check(common: Prepared, letter: Letter) -> None:
    """What `Client.send` says of such a push. Raises `ApnsError`."""
    check_apns_id(letter.apns_id)
    normalize_device_token(letter.token.hex())
    Notification(payload=letter.payload, push_type=common.push_type, priority=common.priority).prepare()


def _nowhere(outcome: Outcome) -> None:
    raise AssertionError(f"an outcome before the push was sent: {outcome!r}")


@lru_cache(maxsize=8)
def _twin_of(kind: Hashable) -> Any:
    """The twin in C of `_jobs_of`, for letters of that class."""
    model = Job("", "", Template("", "", 0), b"", (), b"", 0.0, _nowhere)
    return _accel.twin("alike", Job, kind, model, b"apns-id", b"apns-collapse-id")


async def outcome_of(pool: Pool, job: Job, deadline: float, stop: asyncio.Future[None] | None = None) -> Outcome | None:
    """Sends one job and returns its outcome: what `outcomes_of` does for many, with less around it. Once `stop` is done
    only what is on the wire already is waited for; None when it had not left."""
    if stop is not None and stop.done():
        return None
    ended: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
    sink = ended.set_result  # one object, by which the pool finds it again
    job.deadline, job.sink = deadline, sink

    def end(_: asyncio.Future[None]) -> None:
        if pool.withdraw(sink) and not ended.done():
            ended.set_result(None)

    pool.deadlines.append(job)
    pool.put(job)
    if stop is not None:
        stop.add_done_callback(end)
    try:
        return await ended
    except asyncio.CancelledError:
        pool.withdraw(sink)
        raise
    finally:
        if stop is not None:
            stop.remove_done_callback(end)


async def outcomes_of(
    batch: Batch,
    jobs: Sequence[Job],
    stop: asyncio.Future[None] | None = None,
    pause: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[list[Outcome], None]:
    """Sends jobs and yields their outcomes as they come, at most 1,000 at a time. Once `stop` is done only what is on
    the wire already is waited for."""
    done, at = batch.outcomes, 0
    halted = stop is not None and stop.done()

    def end(_: asyncio.Future[None]) -> None:
        nonlocal halted
        halted = True
        batch.close()
        batch.wake()

    if stop is not None:
        stop.add_done_callback(end)
    try:
        while True:
            room = 0 if halted else min(batch.room, SLICE, len(jobs) - at)
            if room > 0:
                batch.queue(list(jobs[at : at + room]))
                at += room
            if done:
                yield [done.popleft() for _ in range(min(len(done), CHUNK))]
            elif (halted or at == len(jobs)) and not batch.open:
                break
            elif room > 0 and at < len(jobs) and batch.room > 0:
                # Connections write what they have before more is queued.
                await (asyncio.sleep(0) if pause is None else pause())
            else:
                await batch.wait()
    finally:
        if stop is not None:
            stop.remove_done_callback(end)
        batch.close()
