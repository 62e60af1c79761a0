"""Notifications by the tags of their operation."""

from __future__ import annotations

import pytest
from support.stores import Bench, recipients_of

from heliogram.ports import NotificationFilter, Window

pytestmark = pytest.mark.anyio


async def test_notifications_are_filtered_by_tags(bench: Bench) -> None:
    """All of the wanted pairs, page after page, together with other filters; never another account's."""
    made = []
    for tags in ({"k": "1", "l": "2"}, None, {"k": "1"}, {"k": "12"}):
        made.append((await bench.accept(recipients_of(3), tags=tags)).id)
        bench.clock.advance(1)

    async def found(tags: dict[str, str] | None, operation: bytes | None = None) -> list[int]:
        seen: list[int] = []
        after: bytes | None = None
        while True:
            wanted = NotificationFilter(tags=tags, operation_id=operation)
            page = await bench.store.list_notifications(bench.account, Window(limit=2, after=after), wanted)
            seen += [made.index(each.operation_id) for each in page.items]
            after = page.next
            if after is None:
                return seen

    assert await found({"k": "1"}) == [2, 2, 2, 0, 0, 0]
    assert await found({"k": "1", "l": "2"}) == [0, 0, 0]
    assert await found({"l": "1"}) == []
    assert await found({"k": "1"}, made[0]) == [0, 0, 0]
    assert await found({}) == await found(None) == [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]
    other = await bench.store.list_notifications(b"o" * 16, Window(limit=2), NotificationFilter(tags={"k": "1"}))
    assert other.items == ()
