"""The delivery's own fixtures: store, worker, engine, and a scripted APNs."""

from delivery.conftest import apns, authority, delivery

__all__ = ["apns", "authority", "delivery"]
