"""ERR rules as the service keeps them."""

from __future__ import annotations

import pytest
from delivery.conftest import Delivery
from support.apns_server import ApnsServer
from support.stores import token_of

from heliogram.domain.notifications import Recipient

pytestmark = pytest.mark.anyio
DAY = 24 * 3600


@pytest.mark.parametrize(("silent", "left"), [(DAY - 1, 1), (DAY + 1, 0)])
async def test_410_without_a_timestamp(delivery: Delivery, apns: ApnsServer, silent: int, left: int) -> None:
    """ERR-2: without a time, 410 ends a token only if its app has not registered for a day."""
    await delivery.app()
    bench = delivery.bench
    made = await bench.device(token_of(1))
    bench.clock.advance(silent)
    apns.on_request = lambda peer, request: peer.reject(request, 410, "ExpiredToken")
    await bench.accept([Recipient(user=made.user_id)])
    await delivery.deliver()
    registration = await bench.store.get_registration(bench.account, made.registration_id)
    assert (0 if registration is None else len(registration.devices)) == left
