"""A push goes to the kind of token it is for, end to end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import BUNDLE, Live, living

pytestmark = pytest.mark.anyio


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    """An app with a production key."""
    async with living(tmp_path) as made:
        await made.credential("shop", "APN")
        yield made


async def registered(live: Live, token: str, **more: Any) -> dict[str, Any]:
    """The registration after the app handed over its token."""
    body = {"appName": "shop", "token": token, "provider": "APN", "externalId": "alice", **more}
    return await live.get(f"/DeviceRegistrations/{(await live.post('/DeviceRegistrations', body))['resourceId']}")


async def sent(live: Live, **content: Any) -> list[tuple[str, str, str]]:
    """Sends to the user; each device's token, outcome and reason."""
    body = {"to": [{"externalId": "alice"}], "content": content}
    operation = str((await live.post("", body))["operationId"])
    assert await live.deliver() == 1
    return [(each["token"], each["outcome"], each.get("reason") or "") for each in await live.deliveries(operation)]


def started(live: Live, phone: str) -> tuple[str, str]:
    """A Live Activity that the app started: its id and its update token."""
    activity = live.simulator.registry.activities.start(
        phone, BUNDLE, "Match", attributes={"home": "A"}, content_state={"score": 0}
    )
    assert activity.token is not None
    return activity.id, activity.token.value.decode()


def update(activity: str | None = None) -> dict[str, Any]:
    """Content that updates a Live Activity, or all of the user's."""
    named = {} if activity is None else {"activityId": activity}
    return {"liveActivity": {"event": "update", "contentState": {"score": 1}, **named}}


async def test_alerts_and_live_activities_go_to_tokens_of_their_own(live: Live) -> None:
    """LIFE-3: one user, three tokens; each push takes the one it is for."""
    phone, token = live.phone()
    (first, first_token), (second, second_token) = started(live, phone), started(live, phone)
    await registered(live, token, installationId="i")
    for activity, of in ((first, first_token), (second, second_token)):
        await registered(live, of, kind="liveActivityUpdate", activityId=activity, installationId="i")
    assert await sent(live, body="Hello") == [(token, "ACCEPTED", "")]
    assert await sent(live, **update(second)) == [(second_token, "ACCEPTED", "")]
    assert {of for of, *_ in await sent(live, **update())} == {first_token, second_token}
    assert await sent(live, **update("another")) == []


async def test_the_token_of_an_activity_that_ended_goes_like_any_other(live: Live) -> None:
    """410: it leaves the registration, and the app's other tokens stay."""
    phone, token = live.phone()
    activity, of = started(live, phone)
    await registered(live, token)
    registration = await registered(live, of, kind="liveActivityUpdate", activityId=activity)
    assert len(registration["devices"]) == 2
    live.clock.advance(60)
    live.simulator.registry.activities.dismiss(phone, activity)
    ((_, outcome, reason),) = await sent(live, **update(activity))
    assert (outcome, reason) == ("REJECTED", "ExpiredToken")
    left = (await live.get(f"/DeviceRegistrations/{registration['id']}"))["devices"]
    assert [device["token"] for device in left] == [token]
