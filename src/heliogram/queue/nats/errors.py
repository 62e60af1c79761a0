"""What can be wrong with the broker. Each message says what to do."""

from __future__ import annotations


class QueueError(Exception):
    """The broker cannot be used, or not as it is."""


class QueueDown(QueueError):
    """The broker does not answer. What was accepted waits in the store."""


class ServerTooOld(QueueError):
    """The server takes settings that it does not know without a word, and then ignores them."""


class JetStreamMissing(QueueError):
    """The server has no JetStream for this account."""


class UnsafeQueue(QueueError):
    """Streams or servers are set up so that references get lost, again and again, or the work of many is held up."""


class ApiRefused(QueueError):
    """JetStream refused a request. `code` is like one of HTTP, `number` is JetStream's own."""

    SUBJECT_FULL = 10077
    NOBODY_LEADS = frozenset({10005, 10008, 10023, 10041, 10118, 10119})
    """No peers for a stream, JetStream unavailable, not enough resources, trouble with the others' agreement, a stream
    or a consumer that is offline: what servers say that have just started."""

    def __init__(self, subject: str, code: int, number: int, description: str) -> None:
        super().__init__(f"{subject}: {description} ({code}, {number})")
        self.code, self.number, self.description = code, number, description

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for is not there."""
        return self.code == 404

    @property
    def is_passing(self) -> bool:
        """Whether it may be otherwise as soon as the servers have chosen who leads."""
        return self.number in self.NOBODY_LEADS or (self.code == 503 and self.number == 0)
