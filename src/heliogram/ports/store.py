"""The store as a whole."""

from __future__ import annotations

from typing import Protocol

from .accounts import AccountStore
from .activity import LaneStore, MeasuredStore
from .apps import AppStore
from .audit import AuditStore
from .credentials import CredentialStore
from .health import StandingStore
from .idempotency import IdempotencyStore
from .keys import KeyStore
from .operations import OperationStore
from .registrations import RegistrationStore
from .retention import RetentionStore
from .sessions import SessionStore
from .users import UserStore
from .webhooks import WebhookStore
from .work import WorkStore


class Store(
    AccountStore,
    KeyStore,
    AuditStore,
    AppStore,
    CredentialStore,
    StandingStore,
    UserStore,
    RegistrationStore,
    OperationStore,
    IdempotencyStore,
    WorkStore,
    WebhookStore,
    RetentionStore,
    SessionStore,
    LaneStore,
    MeasuredStore,
    Protocol,
):
    """The truth. Adapters: `store.sqlite` and, later, `store.postgres`; one conformance suite for both."""

    async def close(self) -> None:
        """Finishes what was begun and closes."""
