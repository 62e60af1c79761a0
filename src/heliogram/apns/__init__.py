"""The APNs engine: usable alone, knows nothing of the service around it.

Sending ends in an outcome, never in an exception: `Accepted`, `Rejected`, `NotSent` (provably not
processed) or `Unknown` (perhaps processed). Exceptions are wrong configuration and wrong input.
"""

from .batch import Push
from .broadcast import BroadcastClient
from .causes import CauseKind
from .certificates import Certificate
from .channels import Channel, ChannelClient, ChannelError, MessageStoragePolicy
from .client import Client
from .clock import Clock, SystemClock
from .devicetoken import normalize_device_token
from .environment import Endpoint, Environment
from .errors import (
    ApnsError,
    InvalidCafile,
    InvalidCertificate,
    InvalidChannelRequest,
    InvalidDeviceToken,
    InvalidNotification,
    InvalidSigningKey,
    PayloadTooLarge,
)
from .keykinds import KeyKind
from .keys import SigningKey
from .listener import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    GoawayReceived,
    Listener,
    PushEnded,
    Stats,
    StreamLimitChanged,
    TokenChanged,
)
from .notification import Notification
from .outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from .payload import Alert, InterruptionLevel, Sound
from .providertoken import TokenSource
from .pushtypes import Priority, PushType, payload_limit, topic_for
from .reasons import REASONS, OnConnection, OnCredential, OnToken, Reason, Retry
from .tuning import Tuning

__all__ = [
    "REASONS",
    "Accepted",
    "Alert",
    "ApnsError",
    "BroadcastClient",
    "CauseKind",
    "Certificate",
    "Channel",
    "ChannelClient",
    "ChannelError",
    "Client",
    "Clock",
    "ConnectionClosed",
    "ConnectionFailed",
    "ConnectionOpened",
    "Endpoint",
    "Environment",
    "GoawayReceived",
    "InterruptionLevel",
    "InvalidCafile",
    "InvalidCertificate",
    "InvalidChannelRequest",
    "InvalidDeviceToken",
    "InvalidNotification",
    "InvalidSigningKey",
    "KeyKind",
    "Listener",
    "MessageStoragePolicy",
    "NotSent",
    "Notification",
    "OnConnection",
    "OnCredential",
    "OnToken",
    "Outcome",
    "PayloadTooLarge",
    "Priority",
    "Push",
    "PushEnded",
    "PushType",
    "Reason",
    "Rejected",
    "Retry",
    "SigningKey",
    "Sound",
    "Stats",
    "StreamLimitChanged",
    "SystemClock",
    "TokenChanged",
    "TokenSource",
    "Tuning",
    "Unknown",
    "normalize_device_token",
    "payload_limit",
    "topic_for",
]
