"""What happened to devices, in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from heliogram.domain.history import DeviceEvent
from heliogram.domain.history_words import Happened, words_of


@pytest.mark.parametrize("event", list(DeviceEvent))
@pytest.mark.parametrize("known", [False, True])
def test_every_event_has_a_title_and_a_sentence(event: DeviceEvent, known: bool) -> None:
    """With all that may be known of it, and with nothing."""
    more = ("environment", "reason", "invalid_since", "first_registered", "last_registered", "new_token")
    given: dict[str, Any] = dict.fromkeys(more, "X") if known else {}
    words = words_of(Happened(event, "APN", status=410 if known else None)._replace(**given))
    assert words.title != event
    assert words.tone in {"good", "bad", "warn", "plain"}
    assert words.text.endswith(".")
    assert "  " not in words.text
    assert "None" not in words.text


def test_a_dead_token_is_told_with_the_providers_word_and_both_times() -> None:
    """The provider's, and the app's: only together do they say who is right (ERR-1)."""
    it = Happened("REMOVED", "APN", reason="Unregistered", status=410, invalid_since="in May")
    it = it._replace(last_registered="in June")
    assert words_of(it).text.startswith("APNs answered 410 Unregistered, not valid since in May")
    it = it._replace(first_registered="in April")
    assert "The app had registered it first in April, last in June." in words_of(it).text
    it = it._replace(last_registered="in April")
    assert "The app had registered it in April." in words_of(it).text


def test_what_is_not_known_is_said_as_it_is() -> None:
    """A later version's event; another provider; a refusal without a word."""
    assert words_of(Happened("ATE", "APN")) == ("ATE", "plain", "")
    assert words_of(Happened("QUARANTINED", "FCM")).text.startswith("FCM called the token dead.")
