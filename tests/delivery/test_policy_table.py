"""Section 5 of the rule book, row by row, through the whole service: what APNs answers, and all that comes of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.live import Live, living
from support.policy import Trial
from support.retry_page import PAGE, page

from heliogram.apns.reasons import REASONS, OnConnection, OnToken
from heliogram.delivery.providers.apns.verdicts import CLASSES, TABLE, WITHOUT_ANSWER
from heliogram.domain.operations import Lane
from heliogram.ports import DeviceFate

pytestmark = pytest.mark.anyio

BOOK = Path(__file__).parents[2] / "docs/reference/apns-rules.md"
ROW = re.compile(r"^\| (?P<status>[^|]+) \| (?P<reasons>[^|]+) \|")
MINUTE = 60
LADDER = [0, 1, 6, 36, 36 + 15 * MINUTE, 36 + 30 * MINUTE]
"""Of a small send: after 1, 5 and 30 s, then every quarter of an hour."""
QUARTERS = [0, 15 * MINUTE, 30 * MINUTE]
SOON = [0, 1, 6, 36, 96]
DEVICE = [0, 30, 90, 210]
PROBES = [0, 30, 150, 750]
"""Of a credential that is refused: after 30 s, 2 min and 10 min."""


@dataclass(frozen=True)
class Row:
    """What one answer must come to. The last of `attempts` is accepted, unless there is but one. `device` is the state
    of the registration afterwards; `failing`: whether the credential is said to fail when the answer has come;
    `neighbour`: over which connection another push goes just then."""

    status: int
    reason: str
    attempts: tuple[int, ...] = (0,)
    device: str | None = "active"
    failing: bool = False
    neighbour: str = "same"
    lane: Lane = Lane.TX

    def __str__(self) -> str:
        return f"{self.status}-{self.reason or 'unknown'}-{self.lane.name}"


def never(status: int, reason: str, **more: Any) -> Row:
    """It is final, and nothing else happens."""
    return Row(status, reason, **more)


def again(status: int, reason: str, attempts: list[int], **more: Any) -> Row:
    """It is tried at these moments."""
    return Row(status, reason, tuple(attempts), **more)


def stops(status: int, reason: str, **more: Any) -> Row:
    """The credential is refused: what it carries waits for it, and one is tried at a time."""
    return again(status, reason, PROBES, failing=True, neighbour="waits", **more)


ROWS = [
    never(400, "BadCollapseId"),
    never(400, "BadDeviceToken", device="quarantined"),
    never(400, "BadExpirationDate"),
    never(400, "BadMessageId"),
    never(400, "BadPriority"),
    never(400, "BadTopic"),
    never(400, "DeviceTokenNotForTopic", device="quarantined"),
    never(400, "DuplicateHeaders"),
    again(400, "IdleTimeout", SOON, neighbour="new"),
    never(400, "InvalidPushType"),
    never(400, "MissingDeviceToken"),
    never(400, "MissingTopic"),
    never(400, "PayloadEmpty"),
    stops(400, "TopicDisallowed"),
    stops(403, "BadCertificate"),
    stops(403, "BadCertificateEnvironment"),
    never(403, "Forbidden", failing=True, neighbour="waits"),
    stops(403, "InvalidProviderToken"),
    stops(403, "MissingProviderToken"),
    stops(403, "BadEnvironmentKeyIdInToken"),
    stops(403, "BadEnvironmentKeyInToken"),
    never(404, "BadPath"),
    never(405, "MethodNotAllowed"),
    never(410, "ExpiredToken"),  # without a time, and registered a moment ago (ERR-2)
    never(410, "Unregistered"),  # likewise
    never(413, "PayloadTooLarge"),
    again(429, "TooManyProviderTokenUpdates", LADDER, neighbour="new"),
    again(429, "TooManyRequests", DEVICE),
    again(429, "TooManyRequests", DEVICE, lane=Lane.BULK),
    again(500, "InternalServerError", LADDER, neighbour="new"),
    again(500, "InternalServerError", QUARTERS, lane=Lane.BULK, neighbour="new"),
    again(503, "ServiceUnavailable", LADDER),
    again(503, "ServiceUnavailable", QUARTERS, lane=Lane.BULK),
    again(503, "Shutdown", SOON, neighbour="new"),
    # ERR-5: reasons that nobody has seen.
    never(418, "Teapot"),
    stops(401, "Stranger"),
    stops(403, "Stranger"),
    again(429, "Slower", DEVICE),
    again(500, "Strange", LADDER),
    again(599, "Strange", QUARTERS, lane=Lane.BULK),
]


@pytest.fixture
async def trial(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Trial]:
    async with living(tmp_path) as live:
        trial = Trial(live)
        await trial.begin()
        yield trial


def answer(live: Live, trial: Trial, **fault: Any) -> None:
    """What APNs does with the pushes to the phone."""
    live.simulator.faults.add(token=trial.token, **fault)


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_section_5(trial: Trial, row: Row) -> None:
    """ERR-3, ERR-5: attempts, their times and their one id, the registration, the credential and the connection."""
    refusals = max(1, len(row.attempts) - 1)
    answer(trial.live, trial, reason=row.reason, status=row.status, next=refusals)
    seen = await trial.watch(await trial.send(row.lane))
    assert seen.attempts == list(row.attempts)
    assert len(seen.ids) == 1
    if len(row.attempts) > 1:
        assert (seen.outcome, seen.final) == ("ACCEPTED", True)
    else:
        assert (seen.outcome, seen.reason, seen.final) == ("REJECTED", row.reason, True)
    assert seen.device == row.device
    assert seen.neighbour == row.neighbour
    assert seen.failed == (row.reason if row.failing else None)


async def test_err_3_each_quick_attempt_is_on_a_new_connection(trial: Trial) -> None:
    """ERR-3: a 5xx may be the connection's fault; a small send asks over another one each time."""
    answer(trial.live, trial, reason="ServiceUnavailable", next=3)
    seen = await trial.watch(await trial.send(), 2 * MINUTE)
    assert len(set(seen.connections)) == len(seen.attempts) == 4


async def test_tok_22_an_expired_provider_token_is_replaced_once(trial: Trial) -> None:
    """TOK-22: at once, with a new token on a new connection, and not counted as an attempt."""
    answer(trial.live, trial, reason="ExpiredProviderToken", next=1)
    seen = await trial.watch(await trial.send(), MINUTE, silent=True)
    assert (len(seen.attempts), len(set(seen.connections)), seen.failed) == (2, 2, None)
    assert (seen.outcome, seen.device) == ("ACCEPTED", "active")


async def test_tok_22_one_that_does_not_heal_stops_the_credential(trial: Trial) -> None:
    """TOK-22: refused again, the credential fails, and the push waits for it."""
    answer(trial.live, trial, reason="ExpiredProviderToken")
    seen = await trial.watch(await trial.send(), 10, silent=True)
    assert (seen.outcome, seen.final, seen.failed) == ("REJECTED", False, "ExpiredProviderToken")
    assert seen.neighbour == "waits"


async def test_tok_16_an_unrelated_key_gets_another_connection(trial: Trial) -> None:
    """TOK-16: the engine asks once over a new connection, then the service after a second, and no credential fails."""
    answer(trial.live, trial, reason="UnrelatedKeyIdInToken", next=2)
    seen = await trial.watch(await trial.send(), MINUTE, silent=True)
    assert (len(seen.attempts), len(set(seen.connections)), len(seen.ids)) == (3, 3, 1)
    assert (seen.outcome, seen.device, seen.failed) == ("ACCEPTED", "active", None)


async def test_refused_stream_is_sent_again_at_once(trial: Trial) -> None:
    """Provably not processed: again at once, with the same id, and not counted."""
    answer(trial.live, trial, kind="reset", code="REFUSED_STREAM", next=1)
    seen = await trial.watch(await trial.send())
    assert (seen.attempts, len(seen.ids), seen.outcome, seen.neighbour) == ([0, 0], 1, "ACCEPTED", "same")


async def test_conn_22_goaway_moves_on_to_another_connection(trial: Trial) -> None:
    """CONN-22: what is open is answered, what comes goes over a new connection at once."""
    answer(trial.live, trial, kind="goaway", next=1)
    seen = await trial.watch(await trial.send())
    assert (seen.attempts, seen.outcome, seen.neighbour) == ([0], "ACCEPTED", "new")


@pytest.mark.parametrize(("kind", "wait"), [("close", 0), ("silence", 30)])
async def test_no_answer_is_asked_once_more(trial: Trial, kind: str, wait: int) -> None:
    """Unknown outcome: once more after a second, with the same id and collapse id; then it is final."""
    answer(trial.live, trial, kind=kind, processed=True)
    seen = await trial.watch(await trial.send(), silent=True)
    assert len(seen.attempts) == 2
    assert seen.attempts[1] == pytest.approx(wait + 1, abs=1)
    assert (len(seen.ids), seen.outcome, seen.final) == (1, "UNKNOWN", True)
    headers = [trial.collapse_id(number) for number in seen.numbers]
    assert headers[0] == headers[1] != ""


async def test_no_connection_waits_without_being_lost(trial: Trial) -> None:
    """Nothing reached APNs: tried again after 1, 5, 30 s and every minute, until there is a way."""
    fault = trial.live.simulator.faults.add(kind="refuse")
    trial.live.simulator.faults.add(kind="close", next=1, token=trial.other)  # ends the connection there is
    await trial.live.send(trial.other)
    await trial.deliver(silent=True)
    operation = await trial.send()
    seen = await trial.watch(operation, 100, silent=True)
    assert (seen.attempts, seen.outcome, seen.final, seen.neighbour) == ([], "NOT_SENT", False, "waits")
    assert (seen.failed or "").startswith("Unreachable: cannot use ")
    trial.live.simulator.faults.remove(fault.id)
    seen = await trial.watch(operation, 10 * MINUTE, silent=True)
    assert (seen.outcome, len(seen.attempts), seen.device) == ("ACCEPTED", 1, "active")
    assert seen.attempts[0] <= MINUTE + 5


@pytest.mark.parametrize(("said", "device"), [(-2, "active"), (2, None)])
async def test_err_1_a_410_counts_from_its_time_on(trial: Trial, said: int, device: str | None) -> None:
    """ERR-1: a token that was registered after it died is alive; else it is taken out."""
    at = trial.live.clock.ms + said * 1000
    trial.live.clock.advance(5)
    answer(trial.live, trial, reason="Unregistered", timestamp=at, next=1)
    assert (await trial.watch(await trial.send())).device == device


@pytest.mark.parametrize(("hours", "device"), [(23, "active"), (25, None)])
async def test_err_2_a_410_without_a_time_counts_after_a_day(trial: Trial, hours: int, device: str | None) -> None:
    """ERR-2: the token goes if its app has been silent for more than 24 hours."""
    trial.live.clock.advance(hours * 3600)
    answer(trial.live, trial, reason="ExpiredToken", next=1)
    assert (await trial.watch(await trial.send())).device == device


@pytest.mark.parametrize("reason", ["Unregistered", "BadDeviceToken"])
async def test_a_registration_brings_a_dead_token_back(trial: Trial, reason: str) -> None:
    """LIFE-9, ERR-1: removed or quarantined, the token is sent to again once its app has handed it to us anew."""
    answer(trial.live, trial, reason=reason, timestamp=trial.live.clock.ms + 1, next=1)
    assert (await trial.watch(await trial.send())).device != "active"
    trial.live.clock.advance(60)
    await trial.register()
    seen = await trial.watch(await trial.send())
    assert (seen.outcome, seen.device) == ("ACCEPTED", "active")


async def test_resp_7_retry_after_is_waited_for(trial: Trial) -> None:
    """RESP-7: an attempt comes no sooner than `retry-after` asks."""
    answer(trial.live, trial, reason="ServiceUnavailable", retry_after="120", next=2)
    assert (await trial.watch(await trial.send())).attempts == [0, 120, 240]


async def test_nothing_is_tried_after_its_end(trial: Trial) -> None:
    """The notification's own expiry ends all attempts, and the reason is kept."""
    answer(trial.live, trial, reason="ServiceUnavailable")
    seen = await trial.watch(await trial.send(ttl=20))
    assert seen.attempts == [0, 1, 6]
    assert (seen.reason, seen.final) == ("Expired: ServiceUnavailable", True)


@pytest.mark.parametrize("reason", ["ServiceUnavailable", "TooManyRequests", "Shutdown"])
async def test_req_2_an_expiration_of_0_is_one_attempt(trial: Trial, reason: str) -> None:
    """REQ-2: now or never."""
    answer(trial.live, trial, reason=reason)
    seen = await trial.watch(await trial.send(ttl=0))
    assert (seen.attempts, seen.reason, seen.final) == ([0], reason, True)


# ---- the table itself


def section_5() -> list[tuple[str, str]]:
    """Status and reason of each row of the rule book."""
    text = BOOK.read_text().partition("## 5. ")[2].partition("\n## 6. ")[0]
    found = []
    for line in text.splitlines():
        row = ROW.match(line)
        if row is None or row["status"] in ("status", "---"):
            continue
        names = re.findall(r"`(\w+)`", row["reasons"]) or [row["reasons"]]
        found += [(row["status"], name) for name in names]
    return found


def test_the_table_has_every_row_of_the_rule_book() -> None:
    """Section 5 in its order, and nothing else."""
    book = [(int(status), name) for status, name in section_5() if status.isdigit() and status != "200"]
    assert [(row.status, row.reason) for row in TABLE] == book
    without = [status if name == "\N{EN DASH}" else name for status, name in section_5() if not status.isdigit()]
    assert len(without) == 3
    assert len(WITHOUT_ANSWER) == 4  # "no connection" is Heliogram's own


def test_every_row_is_tried_above() -> None:
    """No answer of the table is without a test through the whole service."""
    tried = {(row.status, row.reason) for row in ROWS} | {(403, "ExpiredProviderToken"), (403, "UnrelatedKeyIdInToken")}
    assert {(row.status, row.reason) for row in TABLE} <= tried
    assert {row.status for row in CLASSES} - {410} <= {row.status for row in ROWS if row.reason not in REASONS}


def test_the_engine_and_the_service_agree() -> None:
    """What is said of device and connection is the same in the engine's table."""
    fates = {
        OnToken.KEEP: DeviceFate.KEEP,
        OnToken.QUARANTINE: DeviceFate.QUARANTINE,
        OnToken.REMOVE: DeviceFate.REMOVE,
    }
    for row in TABLE:
        engine = REASONS[row.reason]
        assert engine.statuses == (row.status,)
        assert fates[engine.token] is row.device
        assert (engine.connection is OnConnection.REPLACE) is row.replaces, row.reason


def test_the_page_of_the_policy_is_up_to_date() -> None:
    """docs/reference/retry-policy.md is what `tests/support/retry_page.py` writes from the table."""
    assert PAGE.read_text("utf-8") == page()
