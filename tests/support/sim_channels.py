"""Channels and broadcasts as a provider asks for them, everything of a request open to change."""

from __future__ import annotations

import json
from typing import Any

from support.sim_client import TOPIC, Reply, SimClient, World

CREATE = {"message-storage-policy": 0, "push-type": "LiveActivity"}
NOWHERE = "dHN0LXNyY2gtY2hubA=="
UUID = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


def goal(home: int = 1, event: str = "update", timestamp: int = 1_800_000_000) -> bytes:
    """An update of a Live Activity."""
    return json.dumps({"aps": {"timestamp": timestamp, "event": event, "content-state": {"home": home}}}).encode()


class Provider:
    """One world's provider, with a connection to each listener it needs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._clients: dict[str, SimClient] = {}

    async def client(self, listener: str) -> SimClient:
        if listener not in self._clients:
            self._clients[listener] = await self.world.connect(listener)
        return self._clients[listener]

    async def manage(
        self,
        method: str,
        *extra: tuple[str, str],
        body: bytes = b"",
        channel: str | None = None,
        bundle: str = TOPIC,
        resource: str = "channels",
        path: str | None = None,
        listener: str = "manage_production",
        bearer: str | None = "",
    ) -> Reply:
        """A request of the management API."""
        fields = [*extra] if channel is None else [("apns-channel-id", channel), *extra]
        client = await self.client(listener)
        return await client.push(
            "",
            self.world.bearer if bearer == "" else bearer,
            *fields,
            body=body,
            topic=None,
            method=method,
            path=f"/1/apps/{bundle}/{resource}" if path is None else path,
        )

    async def create(self, policy: int = 0, **options: Any) -> str:
        """A channel; its id."""
        body = json.dumps({**CREATE, "message-storage-policy": policy}).encode()
        reply = await self.manage("POST", body=body, **options)
        assert reply.status == 201, reply
        return reply.headers["apns-channel-id"]

    async def ids(self, **options: Any) -> list[str]:
        """The ids of the app's channels."""
        reply = await self.manage("GET", resource="all-channels", **options)
        assert reply.status == 200, reply
        return list(reply.json["channels"])

    async def broadcast(
        self,
        channel: str | None,
        *extra: tuple[str, str],
        body: bytes | None = None,
        bundle: str = TOPIC,
        listener: str = "production",
        bearer: str | None = "",
        method: str = "POST",
        path: str | None = None,
        push_type: str | None = "liveactivity",
        expiration: str | None = "0",
        priority: str | None = "10",
    ) -> Reply:
        """A broadcast; a header given as None is left out."""
        given = (
            ("apns-channel-id", channel),
            ("apns-push-type", push_type),
            ("apns-expiration", expiration),
            ("apns-priority", priority),
        )
        client = await self.client(listener)
        return await client.push(
            "",
            self.world.bearer if bearer == "" else bearer,
            *((name, value) for name, value in given if value is not None),
            *extra,
            body=goal() if body is None else body,
            topic=None,
            method=method,
            path=f"/4/broadcasts/apps/{bundle}" if path is None else path,
        )
