"""The doctor and a proxy on the way to APNs; that all goes through it: tests/e2e/test_proxy.py."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest
from support.proxies import HttpProxy
from support.waiting import HANG_SECONDS

from heliogram.doctor import Finding
from heliogram.doctor.network import Net, Target, look
from heliogram.doctor.proxy import reach, through
from heliogram.settings import Url

pytestmark = pytest.mark.anyio

URL = Url("http://push:hidden@proxy.example:3128")
APNS = Target("api.push.apple.com", (443, 2197))


async def resolve(host: str, port: int) -> Sequence[str]:
    return ["192.0.2.1"]


async def refuse(host: str, port: int) -> socket.socket:
    raise ConnectionRefusedError(111, "Connection refused")


async def nobody(host: str, port: int) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def net(**more: object) -> Net:
    return Net(resolve, refuse, time=lambda: 0.0, seconds=HANG_SECONDS, **more)  # type: ignore[arg-type]


async def test_a_proxy_out_of_reach_is_named_without_its_password() -> None:
    """With what to look at."""
    found = await reach(URL, net())
    assert (found.check, found.state) == ("proxy http://proxy.example:3128", "failed")
    assert found.text == "192.0.2.1: Connection refused"
    assert "apns_proxy" in found.cure


async def test_a_proxy_whose_name_is_unknown() -> None:
    """Is told as any name is."""
    found = await reach(URL, Net(nobody, refuse, time=lambda: 0.0))
    assert found.text == "the name has no address: Name or service not known"


async def test_a_proxy_that_forbids_the_tunnel_is_to_allow_it() -> None:
    """Each host and port is named, and no name is looked up here."""
    async with HttpProxy() as proxy:
        proxy.forbids = True
        url = proxy.url()
        way = through(Url(url), Net(nobody, refuse, time=lambda: 0.0, seconds=HANG_SECONDS))
        found: list[Finding] = [each async for each in look(APNS, way)]
    assert [(each.check, each.state) for each in found] == [
        ("tcp api.push.apple.com:443", "failed"),
        ("tcp api.push.apple.com:2197", "failed"),
    ]
    assert found[0].text == f"api.push.apple.com: proxy {url}: refused the tunnel: 403 Not ?here"
    assert found[1].cure == "have the proxy allow CONNECT to api.push.apple.com:2197"


@pytest.mark.parametrize("spare", [True, False])
async def test_a_proxy_of_the_environment_is_mentioned_where_it_would_help(spare: bool) -> None:
    """HTTPS_PROXY is not read: who has it, and cannot get through, is told so."""
    [first, *_] = [each async for each in look(APNS, net(spare_proxy=spare)) if each.state == "failed"]
    assert first.cure.startswith("have the firewall let TCP 443 out")
    assert ("--apns-proxy (HTTPS_PROXY is set here, but not read)" in first.cure) is spare
