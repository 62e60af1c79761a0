"""Pushing to the world's device, and reading what became of it."""

from __future__ import annotations

import json
from typing import Any

from support.sim_client import World

from heliogram.simulator.device import Device

ALERT = ("apns-push-type", "alert")
BACKGROUND = ("apns-push-type", "background")
SILENT = b'{"aps":{"content-available":1}}'
DAY = 86_400


def alert(text: str, **aps: Any) -> bytes:
    return json.dumps({"aps": {"alert": text, **aps}}).encode()


def shown(world: World, device: Device | None = None) -> list[str | None]:
    device = device or world.device
    return [each.body for each in world.simulator.notifications(device.id)]


def states(world: World, limit: int = 100) -> list[list[str]]:
    """Of each push to the device, the oldest push first."""
    records = world.simulator.registry.log.of_device(world.device.id, limit)
    return [[point.state for point in record.states] for record in reversed(records)]


async def push(world: World, text: str, *extra: tuple[str, str], **options: Any) -> None:
    reply = await world.push(*(extra or (ALERT,)), body=alert(text), **options)
    assert reply.status == 200
