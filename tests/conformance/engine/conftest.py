"""The engine's own fixtures: a scripted APNs, a clock that stands still, clients."""

from apns.conftest import authority, clock, make_client, server, signing_key

__all__ = ["authority", "clock", "make_client", "server", "signing_key"]
