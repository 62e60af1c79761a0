"""What a connection asks of the pool it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .ends import Ends
from .job import Job
from .reporter import Reporter

if TYPE_CHECKING:
    from .link import Link


class Owner(Protocol):
    """What a connection asks of the pool it belongs to."""

    ends: Ends
    """Gives pushes their outcome."""
    reporter: Reporter
    """Tells what happens."""

    def progress(self) -> None:
        """There may be room now: take a turn in this pass of the event loop."""

    def pour(self) -> None:
        """There is room now, and more to be taken in before this pass ends: write what is queued."""

    def hand_back(self, jobs: list[Job]) -> None:
        """Provably unprocessed pushes, oldest first: send them again, at the front."""

    def proven(self, connection: Link) -> None:
        """APNs has answered a push on this connection like a healthy server."""

    def leaving(self, connection: Link, failure: str | None) -> None:
        """The connection opens no more streams; `failure` when it never proved itself."""

    def lost(self, connection: Link) -> None:
        """The transport is gone."""
