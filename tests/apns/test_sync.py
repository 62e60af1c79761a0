"""The engine without an event loop of the caller's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from support.apns_server import ApnsServer
from support.tls import Authority

from heliogram.apns import Accepted, InvalidDeviceToken, Notification, NotSent, Outcome, SigningKey
from heliogram.apns.sync import Client

HELLO = Notification(alert="Hello")


@pytest.fixture(scope="module")
def endpoint(authority: Authority) -> Iterator[str]:
    """A server that accepts everything, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ApnsServer(authority.server_context())
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(20)
    yield server.endpoint
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


@pytest.fixture
def client(endpoint: str, authority: Authority, signing_key: SigningKey) -> Iterator[Client]:
    with Client(signing_key, topic="com.example.app", endpoint=endpoint, cafile=authority.cafile) as client:
        yield client


def tokens(count: int) -> Iterator[tuple[str, Notification]]:
    return ((f"{n:064x}", HELLO) for n in range(count))


def by_token(outcome: Outcome) -> str:
    return outcome.device_token


def test_a_push_is_a_plain_call(client: Client) -> None:
    """`send` waits and returns the outcome."""
    outcome = client.send("ab" * 32, HELLO)
    assert isinstance(outcome, Accepted)
    assert outcome.device_token == "ab" * 32


def test_wrong_input_is_raised_in_the_callers_thread(client: Client) -> None:
    """As in the asynchronous client."""
    with pytest.raises(InvalidDeviceToken):
        client.send("nonsense", HELLO)


def test_bulk_yields_one_outcome_for_each_push(client: Client) -> None:
    """More pushes than may be on their way at once, and one that cannot be sent among them."""
    items = [*tokens(2500), ("nonsense", HELLO)]
    found = Counter(type(outcome) for outcome in client.send_many(items, concurrency=300))
    assert found == {Accepted: 2500, NotSent: 1}


def test_the_iterable_is_consumed_in_the_callers_thread(client: Client) -> None:
    """A database cursor may stand behind it."""
    threads = set()

    def source() -> Iterator[tuple[str, Notification]]:
        for item in tokens(1200):
            threads.add(threading.current_thread())
            yield item

    assert sum(outcome.ok for outcome in client.send_many(source())) == 1200
    assert threads == {threading.current_thread()}


def test_an_error_of_the_iterable_comes_after_the_last_outcome(client: Client) -> None:
    """What was taken from it before has its outcome."""

    def source() -> Iterator[tuple[str, Notification]]:
        yield from tokens(3)
        raise LookupError("the cursor is closed")

    outcomes = client.send_many(source())
    assert [next(outcomes).ok for _ in range(3)] == [True] * 3
    with pytest.raises(LookupError, match="the cursor is closed"):
        next(outcomes)


def test_leaving_the_loop_early_leaves_the_client_usable(client: Client) -> None:
    """What nobody waits for any more is dropped or ends unseen."""
    for _ in client.send_many(tokens(2000)):
        break
    assert client.send("cd" * 32, HELLO).ok


def test_many_threads_share_one_client(client: Client) -> None:
    """Calls from any thread, bulk and single at the same time."""
    counts: list[int] = []

    def work() -> None:
        counts.append(sum(outcome.ok for outcome in client.send_many(tokens(200))) + client.send("ef" * 32, HELLO).ok)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert counts == [201] * 6


def test_a_closed_client_says_so(client: Client) -> None:
    """Closing twice is harmless; sending afterwards is an error in the program."""
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.send("ab" * 32, HELLO)
    assert "closed" in repr(client)


FORK = """
import os, sys, threading
from cryptography.hazmat.primitives.asymmetric import ec
from heliogram.apns import Notification, SigningKey, ledger
from heliogram.apns.clock import SystemClock
from heliogram.apns.sync import Client

key = SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id="ABC123DEFG", team_id="DEF123GHIJ")
client = Client(key, topic="com.example.app", endpoint="127.0.0.1:9")
book = ledger.ledger_of(SystemClock())
with ledger._lock, book._lock:
    child = os.fork()
    if not child:
        assert not book.knows(b"")
        Client(key, topic="com.example.app", endpoint="127.0.0.1:9").close()
        for work in (lambda: client.send("ab" * 32, Notification(alert="Hi")), client.reconnect):
            try:
                work()
            except RuntimeError as error:
                assert "after a fork" in str(error)
            else:
                raise AssertionError("it must not be used here")
        sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def test_a_forked_child_ends_and_is_told_to_make_its_own_client() -> None:
    """The engine's thread stays in the parent: the child hangs neither at a lock, nor at a call, nor at its exit."""
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(program, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr


class Unreadable(dict[str, object]):
    """Nobody may look into it."""

    def __contains__(self, key: object) -> bool:
        raise ZeroDivisionError("no")


def test_a_notification_that_raises_anything_stops_nothing(client: Client) -> None:
    """A push that cannot be made yields `NotSent`; the others have their outcomes, and nobody waits for ever."""
    odd = Notification(alert="Hi", custom=Unreadable())
    good, bad, last = sorted(client.send_many([("ab" * 32, HELLO), ("cd" * 32, odd), ("ef" * 32, HELLO)]), key=by_token)
    assert good.ok
    assert last.ok
    assert isinstance(bad, NotSent)
    assert bad.cause.startswith("item: ")


def test_it_must_not_be_called_from_its_own_thread(client: Client) -> None:
    """That would wait for itself for ever."""
    caught: list[str] = []

    def call() -> None:
        try:
            client.send("ab" * 32, HELLO)
        except RuntimeError as error:
            caught.append(str(error))
        done.set()

    done = threading.Event()
    client._loop.call_soon_threadsafe(call)
    assert done.wait(90)
    assert "heliogram.apns.Client" in caught[0]
