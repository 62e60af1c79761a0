"""The protocols the service depends on; `app.py` fills them with adapters.

Every store method takes the account first: there is no look-up by a bare id, except of an API key, by which the
account is found. Times are milliseconds since 1970, ids are 16 raw bytes.
"""

from __future__ import annotations

from .accounts import AccountStore
from .activity import (
    ActivityBook,
    ActivityStore,
    LaneDepth,
    LaneStore,
    NoActivity,
    NoTap,
    SecondOf,
    SeenOutcome,
    SeenOutcomes,
    Tap,
    ToldActivity,
    Wanted,
)
from .apps import AppStore, OneAppStore
from .audit import AuditStore
from .basics import Authenticator, Clock, Listed, Sealer, Timer, Window
from .credentials import CredentialStates, CredentialStore
from .health import AnswerStore, Failing, Health, Healthy, LastAnswer, Readiness, Ready, Standing, StandingStore
from .idempotency import IdempotencyStore, KeptAnswer, KeyTaken, Reserved
from .keys import KeyMaker, KeyStore
from .operations import Cancellation, NotificationFilter, OperationStore
from .providers import (
    ChannelRefused,
    CheckResult,
    DeviceFate,
    Provider,
    Providers,
    Push,
    PushResult,
    Retry,
)
from .registrations import DeviceStore, RegistrationStore
from .retention import Removal, RetentionStore
from .sending import SendingStore
from .sessions import SessionStore
from .store import Store
from .users import UserStore
from .webhooks import (
    Backlog,
    Batch,
    DeadLetter,
    Ended,
    Failure,
    Feed,
    Place,
    Probe,
    WebhookChange,
    Webhooks,
    WebhookStore,
    WebhookWork,
)
from .work import (
    ON_THE_ROAD,
    ChunkRef,
    Hold,
    InHand,
    Lease,
    LeasedChunk,
    LeaseStore,
    PackedLease,
    ReferenceStore,
    Slots,
    WorkQueue,
    WorkStore,
)

__all__ = [
    "ON_THE_ROAD",
    "AccountStore",
    "ActivityBook",
    "ActivityStore",
    "AnswerStore",
    "AppStore",
    "AuditStore",
    "Authenticator",
    "Backlog",
    "Batch",
    "Cancellation",
    "ChannelRefused",
    "CheckResult",
    "ChunkRef",
    "Clock",
    "CredentialStates",
    "CredentialStore",
    "DeadLetter",
    "DeviceFate",
    "DeviceStore",
    "Ended",
    "Failing",
    "Failure",
    "Feed",
    "Health",
    "Healthy",
    "Hold",
    "IdempotencyStore",
    "InHand",
    "KeptAnswer",
    "KeyMaker",
    "KeyStore",
    "KeyTaken",
    "LaneDepth",
    "LaneStore",
    "LastAnswer",
    "Lease",
    "LeaseStore",
    "LeasedChunk",
    "Listed",
    "NoActivity",
    "NoTap",
    "NotificationFilter",
    "OneAppStore",
    "OperationStore",
    "PackedLease",
    "Place",
    "Probe",
    "Provider",
    "Providers",
    "Push",
    "PushResult",
    "Readiness",
    "Ready",
    "ReferenceStore",
    "RegistrationStore",
    "Removal",
    "Reserved",
    "RetentionStore",
    "Retry",
    "Sealer",
    "SecondOf",
    "SeenOutcome",
    "SeenOutcomes",
    "SendingStore",
    "SessionStore",
    "Slots",
    "Standing",
    "StandingStore",
    "Store",
    "Tap",
    "Timer",
    "ToldActivity",
    "UserStore",
    "Wanted",
    "WebhookChange",
    "WebhookStore",
    "WebhookWork",
    "Webhooks",
    "Window",
    "WorkQueue",
    "WorkStore",
]
