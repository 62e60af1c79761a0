"""Where APNs is."""

from __future__ import annotations

import msgspec

from ....apns.proxy import Proxy
from ....domain.apps import Environment


class ApnsEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """`host:port` of each environment for pushes and for managing channels, None for Apple's own, and a CA file for a
    simulator's. `proxy` is the URL of the proxy that all connections go through; it may hold a password, which no repr
    shows."""

    production: str | None = None
    sandbox: str | None = None
    manage_production: str | None = None
    manage_sandbox: str | None = None
    cafile: str | None = None
    proxy: str | None = None

    def __repr__(self) -> str:
        places = (self.production, self.sandbox, self.manage_production, self.manage_sandbox)
        proxy = "" if self.proxy is None else f", {Proxy.parse(self.proxy)!r}"
        return f"ApnsEndpoints({', '.join(each or 'Apple' for each in places)}{proxy})"

    def of(self, environment: Environment) -> str | None:
        """Where an environment takes pushes and broadcasts."""
        return self.production if environment is Environment.PRODUCTION else self.sandbox

    def manage(self, environment: Environment) -> str | None:
        """Where an environment's channels are managed."""
        return self.manage_production if environment is Environment.PRODUCTION else self.manage_sandbox
