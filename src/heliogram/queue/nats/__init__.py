"""The queue over NATS JetStream: references travel, the store stays the truth."""

from .broker import Broker
from .dispatcher import Dispatcher
from .errors import ApiRefused, JetStreamMissing, QueueDown, QueueError, ServerTooOld, UnsafeQueue
from .layout import Layout
from .link import Link
from .queue import NatsQueue

__all__ = [
    "ApiRefused",
    "Broker",
    "Dispatcher",
    "JetStreamMissing",
    "Layout",
    "Link",
    "NatsQueue",
    "QueueDown",
    "QueueError",
    "ServerTooOld",
    "UnsafeQueue",
]
