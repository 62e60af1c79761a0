"""Reading answers that are not what they should be."""

from __future__ import annotations

import pytest

from heliogram.apns.answers import reason_and_timestamp


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("1800000000000", 1_800_000_000_000),
        ("1800000000000.0", 1_800_000_000_000),
        ("0", 0),
        (str((1 << 48) - 1), (1 << 48) - 1),
        (str(1 << 48), None),
        ("-1", None),
        ("1e300", None),
        (str(10**40), None),
        ("true", None),
        ('"1800000000000"', None),
        ("1.5", None),
    ],
)
def test_a_timestamp_is_a_moment_in_milliseconds_or_nothing(text: str, timestamp: int | None) -> None:
    """RESP-6: what is no moment is not handed on to be compared or stored."""
    body = f'{{"reason":"Unregistered","timestamp":{text}}}'.encode()
    assert reason_and_timestamp(body) == ("Unregistered", timestamp)
