"""Apple Push Notification service behind the Provider port: credentials in, connections per credential, answers out."""

from __future__ import annotations

from .endpoints import ApnsEndpoints
from .provider import MAX_CLIENTS, ApnsProvider

__all__ = ["MAX_CLIENTS", "ApnsEndpoints", "ApnsProvider"]
