"""The engine's own fixtures: a scripted APNs, a clock that stands still, clients."""

import pytest
from apns.conftest import authority, clock, make_client, server, signing_key
from support.chaos import Book

__all__ = ["authority", "clock", "make_client", "server", "signing_key"]


@pytest.fixture
def book() -> Book:
    return Book()
