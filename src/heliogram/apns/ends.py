"""How pushes come by their one outcome, and the listener by its knowledge of it."""

from __future__ import annotations

from asyncio import InvalidStateError
from collections.abc import Callable

from .job import DONE, Job
from .outcomes import NotSent, Outcome, Unknown


class Ends:
    """Gives pushes their outcome, and shows it to whoever listens."""

    __slots__ = ("heed",)

    def __init__(self, heed: Callable[[Job, Outcome], None] | None) -> None:
        self.heed = heed
        """Sees each outcome just before it is handed over; never raises. None: nobody does."""

    def __repr__(self) -> str:
        return f"<Ends, {'nobody listens' if self.heed is None else 'somebody listens'}>"

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Give a push its one outcome."""
        job.state = DONE
        job.connection = None
        if self.heed is not None:
            self.heed(job, outcome)
        try:
            job.sink(outcome)
        except InvalidStateError:
            return  # whoever waited has cancelled the future

    def not_sent(self, job: Job, cause: str) -> None:
        """End a push that APNs provably did not process."""
        self.finish(job, NotSent(job.device_token, job.apns_id, cause, job.tag))

    def unknown(self, job: Job, cause: str, now: float) -> None:
        """End a push that was written and has no answer; `now` in monotonic seconds."""
        waited = int((now - job.written) * 1000)
        self.finish(job, Unknown(job.device_token, job.apns_id, cause, job.tag, waited))
