"""Outcomes and troubles in plain words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from heliogram.api.failures import _CURES, _PREFIXES
from heliogram.web.inprocess import ApiProblem
from heliogram.web.pages._outcome_words import delivery_words, not_sent, notification_words, reason_words, refusal
from heliogram.web.pages._troubles import troubles
from heliogram.web.pages.operations import shown
from heliogram.web.templating import counted, span, wall, when

CREDENTIAL: dict[str, Any] = {
    "id": "comms_credential_1",
    "appName": "shop",
    "credentialType": "APN",
    "revokedAt": None,
    "expiresInDays": None,
    "failing": None,
}
BACKLOG = {"deadLetters": 0, "retryingBatches": 0}
WEBHOOK: dict[str, Any] = {
    "id": "webhook_1",
    "url": "https://a.example",
    "state": "active",
    "disabledReason": None,
    "backlog": BACKLOG,
}


def delivery(outcome: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A delivery as the API tells it."""
    told = {"outcome": outcome, "reason": reason, "status": 400, "environment": "PRODUCTION", "final": True, "at": "1"}
    return {**told, **more}


@pytest.mark.parametrize("reason", sorted(_CURES))
def test_every_reason_that_the_api_has_a_cure_for_has_words(reason: str) -> None:
    """No reason is told by its name alone."""
    words = refusal(reason, 400, "SANDBOX")
    assert reason not in words.said
    assert words.cure
    assert "{" not in words.said + words.cure + reason_words(reason)


@pytest.mark.parametrize("reason", sorted(_PREFIXES))
def test_every_push_that_was_not_tried_has_words(reason: str) -> None:
    """The reasons of what never left, as the API knows them."""
    words = not_sent(f"{reason}: more")
    assert reason not in words.said or reason == "Expired"
    assert words.cure


def test_a_reason_without_words_is_shown_as_it_is() -> None:
    """Apple may add some."""
    assert refusal("NewReason", 400, None).said == "APNs refused: NewReason"
    assert refusal("", 599, None) == (
        "bad",
        "APNs refused: status 599",
        "That is Apple's trouble: send it again later.",
    )


def test_what_is_tried_again_says_so() -> None:
    """An attempt is not the end as long as another one comes."""
    words = delivery_words(delivery("REJECTED", "ServiceUnavailable", final=False))
    assert words == ("going", "APNs refused: it was not available. It is tried again", "")


@pytest.mark.parametrize(
    ("outcome", "tone"),
    [("ACCEPTED", "good"), ("REJECTED", "bad"), ("NOT_SENT", "bad"), ("UNKNOWN", "warn"), ("UNADDRESSABLE", "bad")],
)
def test_every_outcome_has_a_tone_and_words(outcome: str, tone: str) -> None:
    """Accepted is not delivered, and unknown may have arrived."""
    words = delivery_words(delivery(outcome, "BadDeviceToken"))
    assert (words.tone, bool(words.said), bool(words.cure)) == (tone, True, True)


def test_a_failed_notification_tells_of_its_last_device() -> None:
    """Devices that could not be tried at all count only when there was no other."""
    one = {"status": "FAILED", "unaddressable": False}
    tried = [delivery("REJECTED", "Unregistered", at="2"), delivery("REJECTED", "BadTopic", at="1")]
    assert "removed from this phone" in notification_words({**one, "deliveries": tried}).said
    assert "no device" in notification_words({**one, "deliveries": [delivery("UNADDRESSABLE")]}).said
    assert notification_words({**one, "deliveries": []}).said == "It failed"


def test_nothing_is_wrong_with_what_works() -> None:
    """Neither with credentials nor lanes nor webhooks; what was revoked is no trouble."""
    lanes = [{"lane": "tx", "waiting": 5, "later": 0, "oldestSeconds": 9.9}]
    revoked = {**CREDENTIAL, "revokedAt": "2026", "expiresInDays": -5}
    healthy = {**CREDENTIAL, "expiresInDays": 31}
    assert troubles({"lanes": lanes}, [CREDENTIAL, revoked, healthy], [WEBHOOK]) == []
    assert troubles(None, [], []) == []


def test_what_is_wrong_comes_worst_first_with_where_to_mend_it() -> None:
    """Failing and expired credentials, old work, webhooks that take nothing."""
    failing = {"reason": "InvalidProviderToken", "waiting": 2}
    found = troubles(
        {"lanes": [{"lane": "tx", "waiting": 1, "later": 0, "oldestSeconds": 10.0}]},
        [{**CREDENTIAL, "expiresInDays": 30}, {**CREDENTIAL, "expiresInDays": -1}, {**CREDENTIAL, "failing": failing}],
        [
            {**WEBHOOK, "state": "disabled"},
            {**WEBHOOK, "backlog": {**BACKLOG, "deadLetters": 1}},
            {**WEBHOOK, "backlog": {**BACKLOG, "retryingBatches": 3}},
        ],
    )
    assert [each.tone for each in found] == ["bad"] * 5 + ["warn"] * 2
    assert "2 recipients waiting" in found[1].text
    assert {each.page.split("?")[0] for each in found} == {
        *("/credentials/comms_credential_1", "/operations", "/webhooks/webhook_1")
    }


def test_times_and_counts_are_for_people() -> None:
    """In their largest unit, with thousands apart."""
    now = 1_700_000_000.0
    assert [when(text, now) for text in ("2023-11-14T22:13:20Z", "2023-11-14T22:13:19Z", "2023-11-14T23:13:20Z")] == [
        *("now", "1 s ago", "in 1 h")
    ]
    assert [span(0.5), span(59.9), span(60), span(90_000)] == ["less than 1 s", "59 s", "1 min", "1 d"]
    assert [counted(1, "recipient"), counted(2000, "recipient")] == ["1 recipient", "2,000 recipients"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Expected `str` of length >= 1.", "Fill this in."),
        ("Expected `str` of length <= 64.", "Give at most 64 characters."),
        ("Expected `array` of length >= 1.", "Fill this in."),
        ("Expected `int` >= 0.", "Give 0 or more."),
        ("Expected `float` <= 100.0.", "Give 100.0 or less."),
        ("Invalid enum value 'stop'.", "'stop' is none of the choices."),
        ("Expected `str` matching regex '^[a-z]+$'.", "This is not written as such a value is"),
        ("This time has passed: give one that is to come.", "This time has passed: give one that is to come."),
    ],
)
def test_what_is_wrong_with_a_field_is_said_without_a_programs_words(message: str, words: str) -> None:
    """Of what the API says the form keeps what is plain already."""
    (told,) = ApiProblem(400, 400, "Invalid", "", [{"message": message}]).errors
    assert told["message"] == words


@pytest.mark.parametrize(
    ("status", "counts", "tone"),
    [
        ("COMPLETED", (2, 0, 0), None),
        ("COMPLETED", (1, 1, 0), "warn"),
        ("COMPLETED", (1, 0, 1), "warn"),
        ("COMPLETED", (0, 1, 1), "bad"),
        ("PROCESSING", (0, 1, 0), None),
    ],
)
def test_an_operation_that_lost_some_is_not_green(status: str, counts: tuple[int, int, int], tone: str | None) -> None:
    """That all has ended is good only where all arrived."""
    sent, failed, unaddressable = counts
    stats = {"total": 2, "sent": sent, "failed": failed, "unaddressable": unaddressable, "canceled": 0}
    assert shown({"status": status, "stats": stats})["tone"] == tone


@pytest.mark.parametrize(
    ("written", "shown_as"),
    [
        ("2026-11-24T09:00:00+01:00", "2026-11-24 09:00 +01:00"),
        ("2026-11-24t09:00:30.123456789z", "2026-11-24 09:00:30 UTC"),
        ("2026-11-24T09:00:00-03:30", "2026-11-24 09:00 -03:30"),
    ],
)
def test_a_moment_that_a_caller_wrote_is_shown_where_its_clock_hangs(written: str, shown_as: str) -> None:
    """In every spelling that the API takes."""
    assert wall(written) == shown_as
    assert when(written, datetime(2026, 11, 22, tzinfo=UTC).timestamp()).startswith("in 2 d")
