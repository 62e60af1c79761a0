"""Where APNs is."""

from __future__ import annotations

import msgspec

from ....domain.apps import Environment


class ApnsEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """`host:port` of each environment for pushes and for managing channels, None for Apple's own, and a CA file for a
    simulator's."""

    production: str | None = None
    sandbox: str | None = None
    manage_production: str | None = None
    manage_sandbox: str | None = None
    cafile: str | None = None

    def of(self, environment: Environment) -> str | None:
        """Where an environment takes pushes and broadcasts."""
        return self.production if environment is Environment.PRODUCTION else self.sandbox

    def manage(self, environment: Environment) -> str | None:
        """Where an environment's channels are managed."""
        return self.manage_production if environment is Environment.PRODUCTION else self.manage_sandbox
