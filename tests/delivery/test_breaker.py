"""When a refused credential lets pushes through, told by moments."""

from __future__ import annotations

from itertools import count

import pytest

from heliogram.delivery.breaker import Breakers, Gate, Pass
from heliogram.domain.apps import Credential, CredentialForm, CredentialType

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000
ACCOUNT = b"a" * 16
CREDENTIAL = Credential(
    account_id=ACCOUNT,
    id=b"c" * 16,
    app_name="shop",
    type=CredentialType.APN,
    form=CredentialForm.TOKEN,
    public={},
    is_default=True,
    created=0,
    updated=0,
)

OTHERS = count()


def gate(breakers: Breakers, topic: str | None = "app", who: bytes = b"") -> Gate:
    return breakers.gate(ACCOUNT, CREDENTIAL.id, topic, who or str(next(OTHERS)).encode())


def refuse(breakers: Breakers, now: int = NOW, *, topic: bool = False) -> None:
    """One sending that is refused, and is over."""
    sending = gate(breakers)
    sending.ask(now)
    sending.refused(CREDENTIAL, "InvalidProviderToken", now, topic=topic)
    sending.close(now)


async def test_after_a_refusal_one_push_at_a_time_is_tried(anyio_backend: str) -> None:
    """After 30 s, 2 min and 10 min, then every 10 min; and of all who ask then, one."""
    breakers = Breakers()
    refuse(breakers)
    now = NOW
    for wait in (30_000, 120_000, 600_000, 600_000):
        assert gate(breakers).ask(now + wait - 1) is Pass.WAIT
        now += wait
        first, second = gate(breakers), gate(breakers)
        assert (first.ask(now), second.ask(now)) == (Pass.PROBE, Pass.WAIT)
        first.refused(CREDENTIAL, "InvalidProviderToken", now)
        first.close(now)


async def test_whoever_sends_at_a_refusal_is_told_to_stop(anyio_backend: str) -> None:
    """The first refusal stops all that goes with the credential, and nothing of another one."""
    breakers = Breakers()
    one, two, other = gate(breakers), gate(breakers), breakers.gate(ACCOUNT, b"d" * 16, "app")
    one.refused(CREDENTIAL, "InvalidProviderToken", NOW)
    assert (one.stop.done(), two.stop.done(), other.stop.done()) == (True, True, False)
    assert other.ask(NOW) is Pass.SEND


async def test_a_topic_that_is_refused_leaves_the_others_alone(anyio_backend: str) -> None:
    """`TopicDisallowed` says that the credential is good: only what has that topic waits."""
    breakers = Breakers()
    refuse(breakers, topic=True)
    assert gate(breakers).ask(NOW) is Pass.WAIT
    assert gate(breakers, "voip").ask(NOW) is Pass.SEND
    assert gate(breakers, None).ask(NOW) is Pass.SEND


async def test_a_probe_whose_topic_is_refused_mends_the_rest(anyio_backend: str) -> None:
    """The credential was taken: what has other topics goes on."""
    breakers = Breakers()
    refuse(breakers)
    probe = gate(breakers)
    assert probe.ask(NOW + 30_000) is Pass.PROBE
    probe.refused(CREDENTIAL, "TopicDisallowed", NOW + 30_000, topic=True)
    probe.close(NOW + 30_000)
    assert probe.mended
    assert gate(breakers, "voip").ask(NOW + 30_000) is Pass.SEND
    assert gate(breakers).ask(NOW + 30_000) is Pass.WAIT


async def test_only_the_probe_opens_the_way(anyio_backend: str) -> None:
    """An acceptance that was under way when the credential was refused says nothing of now."""
    breakers = Breakers()
    late = gate(breakers)
    refuse(breakers)
    late.heard(works=True)
    assert gate(breakers).ask(NOW) is Pass.WAIT
    probe = gate(breakers)
    probe.ask(NOW + 30_000)
    probe.heard(works=True)
    assert probe.mended
    assert gate(breakers).ask(NOW + 30_000) is Pass.SEND


async def test_a_probe_that_says_nothing_is_made_again_as_late(anyio_backend: str) -> None:
    """No answer, or trouble at APNs: the same wait once more."""
    breakers = Breakers()
    refuse(breakers)
    probe = gate(breakers)
    probe.ask(NOW + 30_000)
    probe.heard(works=False)
    probe.close(NOW + 30_000)
    assert gate(breakers).ask(NOW + 59_999) is Pass.WAIT
    assert gate(breakers).ask(NOW + 60_000) is Pass.PROBE


async def test_a_probe_that_never_left_is_the_next_ones(anyio_backend: str) -> None:
    """Nothing was sent, so nobody has to wait for it."""
    breakers = Breakers()
    refuse(breakers)
    probe = gate(breakers)
    probe.ask(NOW + 30_000)
    probe.close(NOW + 30_000)
    assert gate(breakers).ask(NOW + 30_000) is Pass.PROBE


async def test_who_tries_comes_at_the_next_probe_and_the_others_seldom(anyio_backend: str) -> None:
    """They are told when it works: they need not ask each time."""
    breakers = Breakers()
    tried, other = gate(breakers), gate(breakers)
    tried.refused(CREDENTIAL, "InvalidProviderToken", NOW)
    assert (tried.due(NOW), other.due(NOW)) == (NOW + 30_000, NOW + 600_000)


async def test_the_alarm_hears_of_it(anyio_backend: str) -> None:
    """At the first refusal and at each probe that is refused; not from those that were under way."""
    heard: list[str] = []
    breakers = Breakers(alarm=lambda credential, reason: heard.append(reason))
    first, second = gate(breakers), gate(breakers)
    for each in (first, second):
        each.refused(CREDENTIAL, "InvalidProviderToken", NOW)
        each.close(NOW)
    refuse(breakers, NOW + 30_000)
    assert len(heard) == 2


async def test_what_neither_fails_nor_sends_is_forgotten(anyio_backend: str) -> None:
    """No credential is kept longer than it must be."""
    breakers = Breakers()
    gate(breakers).close(NOW)
    other = gate(breakers)
    other.close(NOW)
    assert "known=0" in repr(breakers)
    refuse(breakers)
    assert repr(breakers) == "Breakers(open=1, known=1)"
    breakers.reset(ACCOUNT, CREDENTIAL.id)
    assert "known=0" in repr(breakers)


async def test_others_are_called_when_nobody_tries(anyio_backend: str) -> None:
    """Five seconds after the time of the next try, and again after as long as that was waited for; not while somebody
    tries, and not of what works."""
    breakers, place = Breakers(), (ACCOUNT, CREDENTIAL.id)
    refuse(breakers)
    due = NOW + 30_000
    calls = [breakers.call_others(now) for now in (NOW, due + 4_999, due + 5_000, due + 5_001)]
    assert calls == [[], [], [place], []]
    assert [breakers.call_others(due + 5_000 + wait) for wait in (29_999, 30_000)] == [[], [place]]
    probe = gate(breakers)
    assert probe.ask(due + 40_000) is Pass.PROBE
    assert breakers.call_others(due + 100_000) == []
    probe.refused(CREDENTIAL, "InvalidProviderToken", due + 100_000)
    probe.close(due + 100_000)
    assert [breakers.call_others(due + 220_000 + wait) for wait in (4_999, 5_000)] == [[], [place]]
    breakers.reset(*place)
    assert breakers.call_others(due + 900_000) == []


async def test_who_is_to_try_may_come_before(anyio_backend: str) -> None:
    """A chunk that is taken up for something else in the meantime comes back at the time of the next try all the same;
    the others need not."""
    breakers = Breakers()
    refuse(breakers)
    due = NOW + 30_000
    assert gate(breakers, who=b"one").due(NOW) == due
    assert gate(breakers, who=b"two").due(NOW) == NOW + 600_000
    assert gate(breakers, who=b"one").due(NOW + 1_000) == due
