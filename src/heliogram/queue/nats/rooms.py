"""How many more references each shard of a lane may have waiting at the broker."""

from __future__ import annotations

import msgspec

from ...domain.operations import Lane
from ...ports import Clock
from .broker import Broker
from .errors import ApiRefused, QueueDown

LOOK_SECONDS = 1.0
"""How long what the broker said of a shard's room is believed."""
ASK_SECONDS = 1.0
"""How long it is waited for what the broker says: others are asked meanwhile, and it is asked again soon."""
_GONE = "gone"
_NEVER = float("-inf")


class Room(msgspec.Struct):
    """How many references a shard may still take, as of when (s); `made` is when its consumer was made, and `is_new`
    whether that was since the last look: what was on the road may be lost then. `used` were published since."""

    left: int = 0
    used: int = 0
    looked: float = _NEVER
    made: str = ""
    is_new: bool = False


class Rooms:
    """What one process knows of all shards' rooms."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker, self._clock = broker, clock
        self._rooms: dict[tuple[Lane, int], Room] = {}

    def __repr__(self) -> str:
        return f"Rooms(known={len(self._rooms)})"

    def forget(self) -> None:
        """What is known may be wrong."""
        for room in self._rooms.values():
            room.looked = _NEVER

    def known(self, lane: Lane, shard: int) -> Room | None:
        """The room of a shard, None when it is to be looked at first."""
        room = self._rooms.get((lane, shard))
        if room is None or room.left <= 0 or self._clock.monotonic() - room.looked >= LOOK_SECONDS:
            return None
        return room

    def last(self, lane: Lane, shard: int) -> Room | None:
        """What was seen at the last look, however long ago, and what is left of it; None when there was none."""
        room = self._rooms.get((lane, shard))
        return None if room is None or room.looked == _NEVER else room

    def is_seen(self, lane: Lane, shard: int, seconds: float) -> bool:
        """Whether it was looked at in these last seconds, and nothing is to be done about what was seen."""
        room = self.last(lane, shard)
        return room is not None and not room.is_new and self.age(room) < seconds

    def age(self, room: Room) -> float:
        """Seconds since the look."""
        return self._clock.monotonic() - room.looked

    async def look(self, lane: Lane, shard: int) -> Room:
        """Asks the broker. Raises `QueueDown` when it cannot say, and has it repaired where the consumer is gone."""
        layout, now = self._broker.layout, self._clock.monotonic()
        room = self._rooms.setdefault((lane, shard), Room())
        try:
            subject = f"CONSUMER.INFO.{layout.stream(lane)}.{layout.consumer(shard)}"
            info = await self._broker.link.api(subject, seconds=ASK_SECONDS)
        except ApiRefused as error:
            if error.is_missing:
                room.made = _GONE
            if error.is_missing or error.code == 503:
                await self._broker.repair()
            raise QueueDown(f"shard {shard} of {lane.name} has no consumer just now") from None
        room.is_new = room.is_new or room.made not in ("", info["created"])
        room.left, room.used = layout.most(lane) - info["num_pending"], 0
        room.looked, room.made = now, info["created"]
        return room
