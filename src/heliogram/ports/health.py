"""How credentials do, and how this process does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

SILENT_MS = 60_000
"""What a process said of credentials that fail counts for so long; it says so again every 15 s."""


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that the provider refuses: with which reason, since when, and when a push is tried with it next
    (both ms)."""

    reason: str
    since: int
    probe_at: int


class LastAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's last word to a credential: when (ms), its status, and its reason, empty for none. `succeeded` is
    when it took a push last, None when that is not known."""

    at: int
    status: int
    reason: str = ""
    succeeded: int | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a credential does: what is wrong with it, and the provider's last word."""

    failing: Failing | None = None
    answer: LastAnswer | None = None


Troubles = Mapping[tuple[bytes, bytes], Failing]
"""What fails, by account and credential."""
Answers = Mapping[tuple[bytes, bytes], LastAnswer]
"""The last answers, by account and credential."""


def merged_failing(one: Failing | None, other: Failing | None) -> Failing | None:
    """What two know of a credential: what the one says that has known it longer, with the earlier try."""
    if one is None or other is None:
        return one or other
    first = one if one.since <= other.since else other
    return msgspec.structs.replace(first, probe_at=min(one.probe_at, other.probe_at))


def later_answer(one: LastAnswer | None, other: LastAnswer | None) -> LastAnswer | None:
    """The later of two answers, with the later success."""
    if one is None or other is None:
        return one or other
    last = one if one.at >= other.at else other
    succeeded = max((each.succeeded for each in (one, other) if each.succeeded is not None), default=None)
    return msgspec.structs.replace(last, succeeded=succeeded)


class AnswerStore(Protocol):
    """Where whoever sends writes down what the provider says of credentials: seldom, not for each push."""

    async def tell_answers(self, answers: Answers) -> None:
        """Keeps the last answers, unless later ones are known. Credentials that are gone are passed over."""


class StandingStore(AnswerStore, Protocol):
    """What all processes know of credentials."""

    async def tell_troubles(self, node: bytes, troubles: Troubles, at: int) -> None:
        """What fails, as this process knows it at this moment (ms), in place of what it said before."""

    async def credential_standings(self, account: bytes, now: int, *, but: bytes = b"") -> dict[bytes, Standing]:
        """How the account's credentials do, as processes said in the last minute: one fails while any says so. Its
        reason and since when are of the one that has known it longest, the next try is the first of all. `but`: of
        this process it is known better."""

    async def forget_troubles(self, before: int) -> int:
        """Removes what processes said that have not been heard of since (ms); how many rows."""


class Health(Protocol):
    """How credentials do, as far as it is known here."""

    async def standings(self, account: bytes, credentials: Sequence[bytes]) -> dict[bytes, Standing]:
        """What is known of these; one of which nothing is known is not there."""


class Healthy:
    """Where nothing is sent, nothing fails."""

    async def standings(self, account: bytes, credentials: Sequence[bytes]) -> dict[bytes, Standing]:
        """Nothing."""
        return {}


class Readiness(Protocol):
    """Whether this process can do what it is there for."""

    async def missing(self) -> list[str]:
        """What keeps it from that, each in a few words that name no secret; nothing when all is well."""


class Ready:
    """Nothing is ever missing."""

    async def missing(self) -> list[str]:
        """Nothing."""
        return []
