"""A node of the API that dies in the middle of a request, and a caller that asks another one again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import httpx2
import pytest
from support.cluster_callers import Sent
from support.cluster_trial import Trial
from support.waiting import HANG_SECONDS, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@contextmanager
def nobody_may_write(url: str, table: str) -> Iterator[None]:
    """Whoever writes to the table waits until this is left."""
    leave, entered = threading.Event(), threading.Event()

    async def hold() -> None:
        link = await asyncpg.connect(url)
        try:
            async with link.transaction():
                await link.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
                entered.set()
                await asyncio.to_thread(leave.wait)
        finally:
            await link.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert entered.wait(HANG_SECONDS)
        yield
    finally:
        leave.set()
        thread.join()


def waiting_for_locks(trial: Trial) -> bool:
    """Whether somebody waits for a lock."""
    return bool(trial.ledger.locked())


def test_an_api_node_is_killed_in_mid_request(trial: Trial) -> None:
    """It had reserved the key and was about to accept the send. The caller asks the other node with the same key, which
    is told that it is in use until the dead node's hold on it ends; then the send is done, once."""
    callers = trial.load(threads=0)
    body = {"to": [{"token": trial.cluster.tokens[0], "provider": "APN"}], "content": {"body": "once"}}
    sent = Sent(0, json.dumps({**body, "tags": {"caller": callers.name, "n": "0"}}).encode())
    callers.sends.append(sent)
    first, second = trial.cluster["api-1"], trial.cluster["api-2"]
    failed = list[BaseException]()

    def ask() -> None:
        headers = {"content-type": "application/json", "idempotency-key": f"{callers.name}-0"}
        try:
            httpx2.post(
                f"{first.url}/v1/PushNotifications",
                content=sent.body,
                headers=headers,
                auth=callers.auth,
                timeout=HANG_SECONDS,
            )
        except httpx2.TransportError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    with nobody_may_write(trial.ledger.url, "operation"):
        thread.start()
        eventually(lambda: waiting_for_locks(trial), what="the request to be under way")
        trial.kill(first)
        thread.join()
    assert failed
    with httpx2.Client(auth=callers.auth, trust_env=False) as http:
        callers.post(http, sent, callers.urls.index(second.url))
    trial.ask("api-2")
    trial.settle()
    trial.judge(f"API node killed in a request: answered by the other after {sent.seconds:.1f} s, {sent.tries} tries")


def test_an_api_node_is_killed_again_and_again(trial: Trial) -> None:
    """Callers with keys do not notice but for the time: each of their sends is done once."""
    trial.ask("api-2")
    with trial.load(threads=4) as callers:
        for _ in range(3):
            trial.until_sending(60)
            trial.kill(trial.cluster["api-1"])
            trial.until_sending(60)
            trial.cluster["api-1"].start()
    trial.settle()
    trial.judge(f"API node killed three times: the slowest request took {callers.slowest:.1f} s")
