"""The proxy on the way to APNs: whether it can be reached, and a network that goes through it."""

from __future__ import annotations

import asyncio
import dataclasses
import socket

from ..apns.clock import SystemClock
from ..apns.environment import Endpoint
from ..apns.proxy import Proxy, ProxyDialer
from ..settings import Url
from .finding import Finding, failed, ok
from .network import Net, names, why


async def reach(url: Url, net: Net) -> Finding:
    """Whether the proxy itself can be connected to."""
    address = Proxy.parse(url.text).address
    check = f"proxy {url}"
    found = await names(check, address.host, address.port, net)
    if isinstance(found, Finding):
        return found
    problems = []
    for each in found:
        try:
            async with asyncio.timeout(net.seconds):
                (await net.dial(each, address.port)).close()
        except OSError as error:
            problems.append(f"{each}: {why(error, net)}")
        else:
            return ok(
                check, f"connected to {each}; HTTPS_PROXY is not read" if net.spare_proxy else f"connected to {each}"
            )
    cure = "see that the proxy runs, and that this machine may connect to it; apns_proxy names it"
    return failed(check, "; ".join(problems), cure)


def through(url: Url, net: Net) -> Net:
    """The same network by way of a proxy, which looks names up and is asked for each connection."""
    dialer = ProxyDialer(Proxy.parse(url.text), SystemClock(), net.seconds)

    async def dial(host: str, port: int) -> socket.socket:
        return await dialer.reach(Endpoint(host, port))

    return dataclasses.replace(net, dial=dial, through=str(url))
