"""kill -9 at random points: nothing accepted is lost, and what comes twice was not yet on disk."""

from __future__ import annotations

from pathlib import Path

from support.rampage import POINTS, SENDER, Rampage

SEED = 20260101


def test_ten_kills_lose_nothing(tmp_path: Path) -> None:
    """While requests are accepted, chunks claimed, pushes sent and recorded, old ones removed, a backup made, the
    service drained: every push is received, twice only if its answer was not on disk, and no send with a key is done
    twice. After all that the database is well."""
    points = [*POINTS, "accept", "sending"]
    with Rampage(tmp_path, SEED) as rampage:
        rampage.random.shuffle(points)
        for number, point in enumerate(points):
            if number == points.index("retention"):
                rampage.settle()  # so that there is something that has ended
            rampage.kill(point)
        rampage.settle()
        rampage.check()
        rampage.judge().check()


def test_killing_a_sender_and_then_the_service_loses_nothing(tmp_path: Path) -> None:
    """What the sender had sent goes on with another, or after the service's own end: twice only what was not on disk
    at one of the kills."""
    with Rampage(tmp_path, SEED, senders=2) as rampage:
        rampage.kill(SENDER)
        rampage.settle()
        rampage.check()
        rampage.judge().check()
