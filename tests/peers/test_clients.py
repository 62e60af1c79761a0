"""Clients that share no line with this project, each in its own words: pushed, rejected, gone, wrong key, too old.

More of aioapns and curl is in `test_aioapns.py` and `test_curl.py`; the programs are in `tests/peers/node` and
`tests/peers/go`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from support import aioapns_peer, curl_peer
from support.peers import Program, Result, go_program, node_program
from support.sim_client import KEY_ID, TEAM, TOPIC, Signer, World

pytestmark = pytest.mark.anyio

Push = Callable[[World, str, Sequence[str], Signer], Awaitable[list[Result]]]

CLIENTS: dict[str, Callable[[], Push]] = {
    "aioapns": lambda: aioapns_peer.push,
    "curl": lambda: curl_peer.push,
    "node-apn": lambda: node_program("node-apn.js"),
    "apns2": lambda: node_program("apns2.js"),
    "go": lambda: Program(go_program()),
}
TEXTS = [f"Grüße {number}" for number in range(12)]


@pytest.fixture(params=list(CLIENTS))
def push(request: pytest.FixtureRequest) -> Push:
    return CLIENTS[str(request.param)]()


def broken(world: World) -> list[str]:
    """The rules that the simulator saw broken."""
    return [violation.rule for violation in world.simulator.apns.violations.latest()]


async def test_accepted(world: World, push: Push) -> None:
    """RESP-1: one push and then several at once are accepted, and each stands on the device once."""
    assert await push(world, world.token, TEXTS, world.signer) == [Result(200)] * len(TEXTS)
    shown = [one.body for one in world.simulator.notifications(world.device.id)]
    assert shown[0] == TEXTS[0]
    assert sorted(map(str, shown)) == sorted(TEXTS)


async def test_bad_token(world: World, push: Push) -> None:
    """RESP-2: the client understands a rejection and its reason."""
    assert await push(world, "00" * 32, ["x"], world.signer) == [Result(400, "BadDeviceToken")]


async def test_unregistered(world: World, push: Push) -> None:
    """RESP-6: it understands the 410 of an app that is gone, with its timestamp in milliseconds."""
    world.simulator.uninstall(world.device.id, TOPIC)
    gone = Result(410, "Unregistered", int(world.clock.now * 1000))
    assert await push(world, world.token, ["x"], world.signer) == [gone]


async def test_wrong_key(world: World, push: Push) -> None:
    """TOK-19: a key that APNs does not know by that id is InvalidProviderToken, and noted."""
    stranger = Signer(KEY_ID, TEAM)
    assert await push(world, world.token, ["x"], stranger) == [Result(403, "InvalidProviderToken")]
    assert broken(world) == ["TOK-19"]


async def test_expired_token(world: World, push: Push) -> None:
    """TOK-8: the token it signs now is too old for an APNs whose clock is an hour ahead; that is noted."""
    world.clock.move(3700)
    assert await push(world, world.token, ["x"], world.signer) == [Result(403, "ExpiredProviderToken")]
    assert set(broken(world)) == {"TOK-8"}


async def test_conduct(world: World, push: Push, request: pytest.FixtureRequest) -> None:
    """CONN-25: none of them breaks a rule, but for curl, which opens a connection for each push."""
    await push(world, world.token, TEXTS, world.signer)
    assert broken(world) == (["CONN-25"] if "curl" in request.node.name else [])
