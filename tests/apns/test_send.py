"""Sending over real TLS and HTTP/2: the plain cases."""

from __future__ import annotations

import pytest
from support.apns_server import ApnsServer, Peer, Received, header

from heliogram.apns import Accepted, Alert, InvalidDeviceToken, Notification, Rejected

from .conftest import MakeClient

pytestmark = pytest.mark.anyio
TOKEN = "ab" * 32
HELLO = Notification(alert=Alert(title="Hi", body="There"))


async def test_accepted(server: ApnsServer, make_client: MakeClient) -> None:
    """A 200 is an `Accepted` with the id that was sent (RESP-1)."""
    outcome = await make_client().send(TOKEN, HELLO, apns_id="0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
    assert outcome == Accepted(TOKEN, "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b", wire_ms=0)
    assert outcome.ok
