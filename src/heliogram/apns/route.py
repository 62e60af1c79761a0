"""Where a client connects to, and by which way."""

from __future__ import annotations

import random

from .clock import Clock
from .connect import Connect, Dialer
from .environment import Endpoint, Environment
from .proxy import Proxy, ProxyDialer
from .tuning import Tuning

PORTS = (443, 2197)
"""Apple's two: 2197 lets a firewall admit APNs while it blocks other HTTPS (CONN-1, CONN-5)."""


def choose_endpoint(environment: Environment, port: int | None, endpoint: str | None) -> Endpoint:
    """The given endpoint, or Apple's host of the environment. Raises `ValueError`."""
    if endpoint is not None:
        if port is not None:
            raise ValueError("port: given together with endpoint; write it into the endpoint, as host:port")
        return Endpoint.parse(endpoint)
    if port is None:
        return environment.endpoint
    if port not in PORTS:
        raise ValueError(f"port: APNs does not listen on {port}; give 443 or 2197, or an endpoint of your own")
    return Endpoint(environment.endpoint.host, port)


def choose_connect(
    proxy: str | None, connect: Connect | None, rng: random.Random, clock: Clock, tuning: Tuning
) -> Connect:
    """The given way, a proxy's, or the direct one. Raises `ValueError`."""
    if proxy is None:
        return connect or Dialer(rng)
    if connect is not None:
        raise ValueError("proxy: given together with connect; one of the two opens the connections")
    return ProxyDialer(Proxy.parse(proxy), clock, tuning.proxy_timeout)
