"""One book of provider tokens for all clients of a process (TOK-9, TOK-10)."""

from __future__ import annotations

import gc
import threading

import pytest
from support.apns_server import ApnsServer, header
from support.credentials import key_id, make_key
from support.engine import HELLO, TOKEN, MakeClient
from support.manual_clock import ManualClock

from heliogram.apns import SigningKey, SystemClock, Tuning
from heliogram.apns.clock import Timer
from heliogram.apns.ledger import LIMIT, TOKEN_LIFE, Ledger, ledger_of
from heliogram.apns.providertoken import LATENESS, SLOT
from heliogram.apns.rotation import LONGEST, PATIENCE

QUIET = Tuning(ping_after=1e9, max_age=1e9)
TEAM = "DEF123GHIJ"


def keys_used(server: ApnsServer) -> list[str]:
    return [key_id(one) for one in server.requests]


# ---- the book


def test_only_what_is_new_is_a_change() -> None:
    """A token that another connection has presented already changes nothing."""
    book = Ledger()
    book.present(TEAM, b"one", 10)
    book.present(TEAM, b"one", 20)
    book.present("OTHER12345", b"other", 30)
    assert (book.changed(TEAM), book.changed("OTHER12345"), book.changed("NEVER12345")) == (10, 30, None)
    book.present(TEAM, b"two", 40)
    assert book.changed(TEAM) == 40
    assert [book.knows(token) for token in (b"one", b"two", b"three")] == [True, True, False]


@pytest.mark.parametrize(("later", "known"), [(TOKEN_LIFE, True), (TOKEN_LIFE + 1, False)])
def test_a_token_is_remembered_for_its_life(later: float, known: bool) -> None:
    """An hour, and not a second more."""
    book = Ledger()
    book.present(TEAM, b"one", 0)
    book.present("OTHER12345", b"other", later)
    assert book.knows(b"one") is known
    assert (book.changed(TEAM) == 0) is known


@pytest.mark.parametrize("more", [0, 1])
def test_the_book_is_bounded(more: int) -> None:
    """At its limit nothing is lost, one more and the oldest leaves."""
    book = Ledger()
    for i in range(LIMIT + more):
        book.present(f"TEAM{i:06}", b"%d" % i, i / 1000)
    assert repr(book) == f"<Ledger {LIMIT} tokens of {LIMIT} teams>"
    assert book.knows(b"0") is (more == 0)
    assert book.knows(b"1")
    assert (book.changed("TEAM000000") == 0) is (more == 0)


def test_any_thread_may_write() -> None:
    """Clients without an event loop have threads of their own."""
    book = Ledger()

    def write(team: str) -> None:
        for i in range(2000):
            book.present(team, f"{team}{i}".encode(), 1)

    threads = [threading.Thread(target=write, args=(f"TEAM00000{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repr(book) == "<Ledger 8000 tokens of 4 teams>"


def test_a_book_belongs_to_a_clock_and_goes_with_it() -> None:
    """Moments of two clocks cannot be compared; whoever counts by the system's shares one book."""
    one, two = ManualClock(), ManualClock()
    assert ledger_of(one) is ledger_of(one) is not ledger_of(two)
    assert ledger_of(SystemClock()) is ledger_of(SystemClock())
    before = ledger_of(one)
    before.present(TEAM, b"one", one.monotonic())
    kept = id(one)
    del one
    gc.collect()
    again = ManualClock()
    assert ledger_of(again) is not before, kept


def test_a_clock_that_cannot_be_held_weakly() -> None:
    """Its clients keep books of their own, as if they were alone."""

    class Slotted:
        __slots__ = ()

        def time(self) -> float:
            return 0.0

        def monotonic(self) -> float:
            return 0.0

        def call_later(self, delay: float, callback: object) -> Timer:
            raise AssertionError

    clock = Slotted()
    assert ledger_of(clock) is not ledger_of(clock)


def test_no_token_is_kept() -> None:
    """The book has digests: neither its repr nor what it holds shows a token."""
    book = Ledger()
    token = make_key().provider_token(1_750_000_000)
    book.present(TEAM, token, 0)
    assert token not in book._shown
    assert repr(book) == "<Ledger 1 tokens of 1 teams>"


# ---- several clients


@pytest.mark.anyio
async def test_another_clients_change_counts(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A client that rotates waits 20 minutes from the first token of another client with another key of the team."""
    one, two = make_client(tuning=QUIET), make_client(tuning=QUIET, credential=make_key("SECOND1234"))
    await one.send(TOKEN, HELLO)
    clock.advance(600)
    await two.send(TOKEN, HELLO)
    clock.advance(100)
    assert one.rotate(make_key("THIRD12345")) == PATIENCE - 100


@pytest.mark.anyio
async def test_another_team_does_not_count(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """What other teams do is no matter."""
    one, two = make_client(tuning=QUIET), make_client(tuning=QUIET, credential=make_key(team_id="OTHER12345"))
    await one.send(TOKEN, HELLO)
    clock.advance(PATIENCE)
    await two.send(TOKEN, HELLO)
    assert one.rotate(make_key("THIRD12345")) == 0


@pytest.mark.anyio
async def test_a_key_that_is_in_use_is_no_change(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """Two clients of one key present one token: the second to rotate to the same new key does not wait again."""
    new = make_key()
    one, two = make_client(tuning=QUIET), make_client(tuning=QUIET)
    await one.send(TOKEN, HELLO)
    await two.send(TOKEN, HELLO)
    assert [one.rotate(new), two.rotate(new)] == [PATIENCE, PATIENCE]
    clock.advance(PATIENCE)
    await one.send(TOKEN, HELLO)
    await two.send(TOKEN, HELLO)
    assert keys_used(server) == ["ABC123DEFG", "ABC123DEFG", "NEW123DEFG", "NEW123DEFG"]


@pytest.mark.anyio
async def test_two_rotations_that_are_due_together(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """To two different keys: the second waits until the first is 20 minutes old."""
    one, two = make_client(tuning=QUIET), make_client(tuning=QUIET)
    await one.send(TOKEN, HELLO)
    await two.send(TOKEN, HELLO)
    one.rotate(make_key("FIRST12345"))
    two.rotate(make_key("SECOND1234"))
    clock.advance(PATIENCE)
    await one.send(TOKEN, HELLO)
    await two.send(TOKEN, HELLO)
    clock.advance(PATIENCE)
    await two.send(TOKEN, HELLO)
    assert keys_used(server)[2:] == ["FIRST12345", "ABC123DEFG", "SECOND1234"]


@pytest.mark.anyio
async def test_a_change_while_it_waits(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A rotation that waits waits on when another client of the team changes its token meanwhile."""
    one, two = make_client(tuning=QUIET), make_client(tuning=QUIET, credential=make_key("SECOND1234"))
    clock.advance(LATENESS + SLOT - clock.time() % SLOT)  # no slot ends during what follows
    await one.send(TOKEN, HELLO)
    one.rotate(make_key())
    clock.advance(300)
    await two.send(TOKEN, HELLO)
    clock.advance(PATIENCE - 1)
    await one.send(TOKEN, HELLO)
    clock.advance(1)
    await one.send(TOKEN, HELLO)
    assert keys_used(server) == ["ABC123DEFG", "SECOND1234", "ABC123DEFG", "NEW123DEFG"]


@pytest.mark.anyio
@pytest.mark.parametrize("early", [1, 0])
async def test_it_does_not_wait_for_ever(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock, early: int
) -> None:
    """However often the team's token changes, a planned rotation happens within an hour."""
    client = make_client(tuning=QUIET)
    await client.send(TOKEN, HELLO)
    client.rotate(make_key())
    for i in range(4):
        clock.advance(LONGEST / 4 - (early if i == 3 else 0))
        other = make_client(tuning=QUIET, credential=make_key(f"OTHER{i:05}"))
        await other.send(TOKEN, HELLO)
    server.requests.clear()
    await client.send(TOKEN, HELLO)
    assert keys_used(server) == ["ABC123DEFG" if early else "NEW123DEFG"]


@pytest.mark.anyio
async def test_two_clients_of_one_key_over_several_slots(
    server: ApnsServer, make_client: MakeClient, signing_key: SigningKey, clock: ManualClock
) -> None:
    """Production and two topics with one key: one token at a time, and never three within 20 minutes."""
    clients = [make_client(tuning=QUIET, topic=f"com.example.app{i}") for i in range(3)]
    seen: list[tuple[float, bytes]] = []
    for turn in range(60):
        assert (await clients[turn % 3].send(TOKEN, HELLO)).ok
        seen.append((clock.elapsed, header(server.requests[-1], b"authorization")))
        if turn % 7 == 0:
            clients[turn % 3].reconnect()
        clock.advance(SLOT / 7)
    first = {token: min(at for at, shown in seen if shown == token) for _, token in seen}
    changes = sorted(first.values())
    assert len(changes) > 5
    assert all(later - earlier >= PATIENCE for earlier, later in zip(changes, changes[2:], strict=False))
