"""The page of webhook events tells of every event, as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from heliogram.domain.endings import Ending
from heliogram.domain.notifications import DeliveryRecord, NotificationStatus, Outcome, Recipient
from heliogram.domain.webhooks import GROUPS, TEST, EventType, subject_of
from heliogram.ports import Ended
from heliogram.webhooks.envelopes import envelope, event_of

PAGE = (Path(__file__).parents[2] / "docs/reference/webhooks.md").read_text("utf-8")
SECTION = re.compile(r"^### (com\.\S+)\n.*?^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES: dict[str, Any] = {name: json.loads(text) for name, text in SECTION.findall(PAGE)}


def test_every_event_has_its_section() -> None:
    """With an example, and no event more than there are."""
    assert set(EXAMPLES) == {*(each.value for each in EventType), TEST}
    assert all(f"`{group}`" in PAGE for group in GROUPS)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_a_cloudevent_of_its_type(name: str) -> None:
    """With the attributes that are sent, about what its data names."""
    example = EXAMPLES[name]
    made = json.loads(envelope(event_of(ended()), "/accounts/x"))
    assert example.keys() == made.keys()
    assert example["type"] == name
    assert example["subject"] == subject_of(example["data"])
    assert re.fullmatch(r"event_[0-7][0-9a-hjkmnp-tv-z]{25}", example["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", example["time"])


def test_a_notifications_example_has_the_fields_that_are_sent() -> None:
    """Its own and those of a delivery."""
    shown, made = EXAMPLES[EventType.NOTIFICATION_SENT]["data"], event_of(ended()).data
    assert shown.keys() == made.keys()
    assert shown["deliveries"][0].keys() == made["deliveries"][0].keys()
    failed = event_of(ended(NotificationStatus.FAILED)).data
    assert EXAMPLES[EventType.NOTIFICATION_FAILED]["data"].keys() | {"tags"} == failed.keys()


def ended(status: NotificationStatus = NotificationStatus.SENT) -> Ended:
    record = DeliveryRecord(sequence=0, slot=1, outcome=Outcome.ACCEPTED, final=True, at=0, token=b"x")
    return Ended(
        result=1,
        offset=0,
        operation_id=b"\0" * 16,
        app_name="shop",
        tags={"a": "b"},
        recipient=Recipient(token=b"x"),
        ending=Ending(sequence=0, status=status, unaddressable=False, deliveries=(record,), at=0),
    )
