"""The simulator's own fixtures: a world with a key, a device and an app."""

from simulator.conftest import settings, world

__all__ = ["settings", "world"]
