"""What whoever sends needs of the store: the part of it that a process without the rest is given."""

from __future__ import annotations

from typing import Protocol

from .apps import OneAppStore
from .credentials import CredentialStates
from .health import AnswerStore
from .registrations import DeviceStore
from .work import LeaseStore


class SendingStore(OneAppStore, CredentialStates, AnswerStore, DeviceStore, LeaseStore, Protocol):
    """Chunks, and what it takes to deliver them."""
