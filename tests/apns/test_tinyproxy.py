"""A proxy that others wrote in front of a real TLS server: what our own small ones do, it does, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.apns_server import ApnsServer
from support.engine import HELLO, TOKEN, MakeClient
from support.tinyproxy import Tinyproxy

from heliogram.apns import NotSent

pytestmark = pytest.mark.anyio

LOGIN = ("push", "pa55word")


@pytest.mark.parametrize(
    ("login", "cause"),
    [
        ("push:pa55word", None),
        ("", "wants a user and a password (407)"),
        ("push:wrong", "did not take the user and password (401)"),
    ],
)
async def test_pushes_go_through_with_the_right_password(
    server: ApnsServer, make_client: MakeClient, tmp_path: Path, login: str, cause: str | None
) -> None:
    """And a wrong one is told as what it is."""
    port = int(server.endpoint.rpartition(":")[2])
    with Tinyproxy(tmp_path, LOGIN, port) as proxy:
        client = make_client(proxy=proxy.url(login), connect_attempts=1)
        outcome = await client.send(TOKEN, HELLO)
        await client.close()
    if cause is None:
        assert outcome.ok
    else:
        assert isinstance(outcome, NotSent)
        assert f"proxy {proxy.url()}: {cause}" in outcome.cause


async def test_a_port_that_it_does_not_allow(server: ApnsServer, make_client: MakeClient, tmp_path: Path) -> None:
    """Proxies allow CONNECT to few ports: 2195 to 2197 are seldom among them, and the answer says so."""
    with Tinyproxy(tmp_path, LOGIN, 443) as proxy:
        client = make_client(proxy=proxy.url("push:pa55word"), connect_attempts=1)
        outcome = await client.send(TOKEN, HELLO)
        await client.close()
    assert isinstance(outcome, NotSent)
    assert f"proxy {proxy.url()}: refused the tunnel: 403" in outcome.cause
