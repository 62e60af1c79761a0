"""`heliogram tail` on its way: what is missed, and a service that goes away and comes back."""

from __future__ import annotations

import json
from itertools import islice

from support.misbehaving import misbehaving

from heliogram.cli.tail import follow, line
from heliogram.client import Heliogram


def answer(*sequences: int, last: int, missed: int = 0) -> bytes:
    outcomes = [{"sequence": each} for each in sequences]
    return json.dumps({"outcomes": outcomes, "last": last, "missed": missed}).encode()


def test_a_service_that_goes_away_is_waited_for() -> None:
    """Told once; what it counts anew after a start is shown from its beginning; what is not kept is counted."""
    with misbehaving() as server:
        server.script = [
            answer(6, 7, last=7),
            answer(8, last=8, missed=1200),
            "drop",
            "drop",
            answer(last=2),  # started anew
            answer(1, 2, last=2),
        ]
        server.good = answer(last=2)
        paused = list[float]()
        with Heliogram(server.url, "id.secret", retries=0, raw=True) as client:
            told = [*islice(follow(client, 1, once=False, pause=paused.append), 7)]
    shown = [each if isinstance(each, str) else each["sequence"] for each in told]
    assert shown[:3] == [7, "1,200 more were not kept", 8]
    assert str(shown[3]).endswith("; waiting for it")
    assert shown[4:] == ["it is there again", 1, 2]
    assert paused == [1.0] * 4


def test_a_line_is_clean_and_masked() -> None:
    """What a provider says cannot drive the terminal."""
    told = line(
        {
            "at": "2026-11-22T21:22:46.626Z",
            "outcome": "failed",
            "status": 0,
            "reason": "lost\x1b[31m",
            "token": "",
            "notificationId": "n",
        }
    )
    assert told.split() == ["21:22:46.626", "failed", "-", "lost�[31m", "n"]
