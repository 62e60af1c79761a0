"""What a process writes down of how credentials do: seldom, and so that every other one can tell."""

from __future__ import annotations

from typing import Any

import pytest
from support.clock import FakeClock

from heliogram.delivery.breaker import Breakers
from heliogram.delivery.refusal import WHOLE, Refusal
from heliogram.delivery.standing import KEPT_MS, MOST_AT_ONCE, REPEAT_MS, Heard, NodeHealth, Reporter, Troubles
from heliogram.domain.errors import Unavailable
from heliogram.ports import Failing, LastAnswer, Standing

pytestmark = pytest.mark.anyio

NODE, ACCOUNT, CREDENTIAL = b"n" * 16, b"a" * 16, b"c" * 16
PLACE = ACCOUNT, CREDENTIAL
NOW = 1_000_000_000


class Paper:
    """A store that keeps what is written, in the order it came."""

    def __init__(self) -> None:
        self.troubles: list[dict[tuple[bytes, bytes], Failing]] = []
        self.answers: list[dict[tuple[bytes, bytes], LastAnswer]] = []
        self.away = False
        self.others: dict[bytes, Standing] = {}

    async def tell_troubles(self, node: bytes, troubles: Any, at: int) -> None:
        assert node == NODE
        if self.away:
            raise Unavailable("away")
        self.troubles.append(dict(troubles))

    async def tell_answers(self, answers: Any) -> None:
        if self.away:
            raise Unavailable("away")
        self.answers.append(dict(answers))

    async def credential_standings(self, account: bytes, now: int, *, but: bytes = b"") -> dict[bytes, Standing]:
        assert (account, but) == (ACCOUNT, NODE)
        return self.others

    async def forget_troubles(self, before: int) -> int:
        raise AssertionError("nobody asks for it here")


def refuse(breakers: Breakers, *, since: int = NOW, probe_at: int = NOW + 30_000) -> None:
    """The credential is refused."""
    breakers.hear(
        Refusal(
            account=ACCOUNT, credential_id=CREDENTIAL, place=WHOLE, reason="Bad", since=since, probe_at=probe_at, step=0
        )
    )


async def test_a_change_is_written_at_once_and_repeated_seldom() -> None:
    """While nothing fails, nothing is written at all."""
    paper, breakers = Paper(), Breakers()
    troubles = Troubles(paper, NODE, breakers)
    await troubles.look(NOW)
    assert paper.troubles == []
    refuse(breakers)
    for at in (NOW, NOW + 1, NOW + REPEAT_MS - 1, NOW + REPEAT_MS, NOW + REPEAT_MS + 1):
        await troubles.look(at)
    failing = {PLACE: Failing(reason="Bad", since=NOW, probe_at=NOW + 30_000)}
    assert paper.troubles == [failing, failing]
    breakers.reset(*PLACE)
    for at in (NOW + REPEAT_MS + 2, NOW + 3 * REPEAT_MS):
        await troubles.look(at)
    assert paper.troubles == [failing, failing, {}]


async def test_what_could_not_be_written_is_tried_again() -> None:
    """At the next look, a second later."""
    paper, breakers = Paper(), Breakers()
    troubles = Troubles(paper, NODE, breakers)
    refuse(breakers)
    paper.away = True
    with pytest.raises(Unavailable):
        await troubles.look(NOW)
    paper.away = False
    await troubles.look(NOW + 1_000)
    assert len(paper.troubles) == 1


async def test_a_process_that_ends_takes_back_what_it_said() -> None:
    """And writes the last answers; a store that is away keeps nobody from ending."""
    paper, breakers, heard = Paper(), Breakers(), Heard()
    reporter = Reporter(paper, heard, Troubles(paper, NODE, breakers))
    refuse(breakers)
    heard.take(*PLACE, 200, "", NOW, success=True)
    await reporter.look(NOW)
    heard.take(*PLACE, 200, "", NOW + 1, success=True)
    await reporter.look(NOW + 1)
    assert len(paper.answers) == 1
    await reporter.close(NOW + 2)
    assert paper.troubles[-1] == {}
    assert paper.answers[-1] == {PLACE: LastAnswer(at=NOW + 1, status=200, succeeded=NOW + 1)}
    await reporter.close(NOW + 3)
    assert (len(paper.troubles), len(paper.answers)) == (2, 2)
    heard.take(*PLACE, 403, "Bad", NOW + 4, success=False)
    paper.away = True
    await reporter.close(NOW + 5)


async def test_answers_are_written_when_they_say_something_else() -> None:
    """Never for each push: the same again at most every 15 seconds."""
    paper, heard = Paper(), Heard()
    reporter = Reporter(paper, heard)
    for millisecond in range(100):
        heard.take(*PLACE, 200, "", NOW + millisecond, success=True)
        await reporter.look(NOW + millisecond)
    assert len(paper.answers) == 1
    heard.take(*PLACE, 410, "Unregistered", NOW + 100, success=False)
    await reporter.look(NOW + 100)
    assert paper.answers[1] == {PLACE: LastAnswer(at=NOW + 100, status=410, reason="Unregistered", succeeded=NOW + 99)}
    heard.take(*PLACE, 410, "Unregistered", NOW + 101, success=False)
    for at in (NOW + 102, NOW + 99 + REPEAT_MS, NOW + 100 + REPEAT_MS, NOW + 100 + 2 * REPEAT_MS):
        await reporter.look(at)
    assert len(paper.answers) == 3


async def test_many_credentials_are_written_in_parts() -> None:
    """So that no writing takes long; what nobody sends with any more is not kept here."""
    paper, heard = Paper(), Heard()
    reporter = Reporter(paper, heard)
    for number in range(MOST_AT_ONCE + 1):
        heard.take(ACCOUNT, number.to_bytes(16, "big"), 200, "", NOW, success=True)
    for at in (NOW, NOW + 1, NOW + 2):
        await reporter.look(at)
    assert [len(each) for each in paper.answers] == [MOST_AT_ONCE, 1]
    await reporter.look(NOW + KEPT_MS + 1)
    assert repr(heard) == "Heard(1)"  # of the last it was written a moment later
    await reporter.look(NOW + KEPT_MS + 2)
    assert repr(heard) == "Heard(0)"


async def test_a_success_before_something_that_is_no_answer_counts() -> None:
    """The last of several results may be that no answer came."""
    heard = Heard()
    heard.succeeded(*PLACE, NOW)
    assert heard.last(*PLACE) == LastAnswer(at=NOW, status=200, succeeded=NOW)
    heard.take(*PLACE, 400, "BadTopic", NOW + 1, success=False)
    heard.succeeded(*PLACE, NOW + 2)
    assert heard.last(*PLACE) == LastAnswer(at=NOW + 1, status=400, reason="BadTopic", succeeded=NOW + 2)


async def test_what_this_process_knows_is_told_with_what_others_wrote() -> None:
    """Its own is exact, and not read back from what it wrote."""
    paper, breakers, heard = Paper(), Breakers(), Heard()
    health = NodeHealth(paper, FakeClock(), breakers, heard, NODE)
    assert await health.standings(ACCOUNT, [CREDENTIAL]) == {CREDENTIAL: Standing()}
    refuse(breakers)
    heard.take(*PLACE, 403, "Bad", NOW + 7, success=False)
    other = Failing(reason="Worse", since=NOW - 1, probe_at=NOW + 40_000)
    paper.others = {CREDENTIAL: Standing(failing=other, answer=LastAnswer(at=NOW, status=200, succeeded=NOW))}
    (told,) = (await health.standings(ACCOUNT, [CREDENTIAL])).values()
    assert told == Standing(
        failing=Failing(reason="Worse", since=NOW - 1, probe_at=NOW + 30_000),
        answer=LastAnswer(at=NOW + 7, status=403, reason="Bad", succeeded=NOW),
    )
