"""Who shares the 20 minutes between provider tokens: each reading of the rule (TOK-9, TOK-10)."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from support.sim_client import TEAM, Clock, Signer, World

from heliogram.simulator import Settings, Simulator
from heliogram.simulator.floors import Floors
from heliogram.simulator.jwt import claimed
from heliogram.simulator.tables import TOKEN_FLOOR_SCOPES, TokenFloorScope

pytestmark = pytest.mark.anyio

REFUSED = (429, "TooManyProviderTokenUpdates")


async def verdicts(world: World, signer: Signer, count: int, source: str | None = None) -> list[int]:
    """The statuses of ``count`` different tokens, each on a connection of its own."""
    found = []
    for age in range(count):
        client = await world.connect(source=source)
        found.append((await client.push(world.token, signer.token(int(world.clock.now) - age))).status)
    return found


def second_key(world: World, team: str = TEAM) -> Signer:
    signer = Signer("KEYSECOND1", team)
    world.simulator.add_key(signer.key_id, team, signer.public_pem)
    return signer


class TestByKeyAndAddress:
    """TOK-10, reading B: a key's connections from one address share a memory."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(token_floor="key")

    async def test_connections_share(self, world: World) -> None:
        """TOK-10, reading B: the third token of a key from one address is refused, on whichever connection."""
        assert await verdicts(world, world.signer, 3) == [200, 200, 429]

    async def test_keys_do_not_share(self, world: World) -> None:
        """TOK-10, reading B: another key of the team has a memory of its own."""
        assert await verdicts(world, world.signer, 3) == [200, 200, 429]
        assert await verdicts(world, second_key(world), 2) == [200, 200]

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers for all of 127.0.0.0/8")
    async def test_addresses_do_not_share(self, world: World) -> None:
        """TOK-10, reading B: from another address the same key starts anew, as reported of 770438."""
        assert await verdicts(world, world.signer, 3) == [200, 200, 429]
        assert await verdicts(world, world.signer, 2, source="127.0.0.2") == [200, 200]

    async def test_one_token_on_many_connections(self, world: World) -> None:
        """TOK-10: the same token on any number of connections is one token."""
        for _ in range(5):
            client = await world.connect()
            assert (await client.push(world.token, world.bearer)).status == 200

    async def test_the_memory_outlives_the_connections(self, world: World) -> None:
        """TOK-10, reading B: reconnecting does not help; 20 minutes after the first token counted do."""
        await verdicts(world, world.signer, 3)
        world.clock.move(1199)
        assert (await world.push(bearer=world.signer.token(int(world.clock.now)))).verdict == REFUSED
        world.clock.move(1)
        assert (await world.push(bearer=world.signer.token(int(world.clock.now)))).status == 200

    async def test_reset_forgets(self, world: World) -> None:
        """A fresh start between two tests is one for open connections too."""
        await verdicts(world, world.signer, 2)
        client = await world.connect()
        assert (await client.push(world.token, world.signer.token(int(world.clock.now) - 2))).verdict == REFUSED
        world.simulator.reset()
        reason = (await client.push(world.token, world.signer.token(int(world.clock.now) - 2))).reason
        assert reason == "InvalidProviderToken"


class TestByTeam:
    """TOK-10, the harshest reading: a team's connections share a memory, wherever they come from."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(token_floor="team")

    async def test_keys_of_a_team_share(self, world: World) -> None:
        """TOK-10, team-wide: two tokens of one key, and the other key's first is refused."""
        assert await verdicts(world, world.signer, 2) == [200, 200]
        assert await verdicts(world, second_key(world), 1) == [429]

    async def test_teams_do_not_share(self, world: World) -> None:
        """TOK-10, team-wide: another team has a memory of its own."""
        assert await verdicts(world, world.signer, 3) == [200, 200, 429]
        assert await verdicts(world, second_key(world, "OTHERTEAM1"), 1) == [200]

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers for all of 127.0.0.0/8")
    async def test_addresses_share(self, world: World) -> None:
        """TOK-10, team-wide: another address does not help."""
        assert await verdicts(world, world.signer, 2) == [200, 200]
        assert await verdicts(world, second_key(world), 1, source="127.0.0.2") == [429]

    async def test_environments_share(self, world: World) -> None:
        """TOK-10, team-wide: the sandbox counts what production was shown."""
        await verdicts(world, world.signer, 2)
        client = await world.connect("sandbox")
        reply = await client.push(world.token, world.signer.token(int(world.clock.now) - 2))
        assert reply.verdict == REFUSED

    async def test_what_is_no_token_has_a_memory_of_its_own(self, world: World) -> None:
        """SUR-7: junk is counted too, but costs no team its pushes."""
        for junk in ("a", "b.c", "d.e.f"):
            client = await world.connect()
            await client.push(world.token, junk)
        assert (await world.push(bearer="g")).verdict == REFUSED
        assert (await world.push()).status == 200


class TestOff:
    """The rule switched off."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(token_floor="off")

    async def test_any_number(self, world: World) -> None:
        """With the switch off a connection may change its token at will."""
        client = await world.connect()
        for age in range(10):
            assert (await client.push(world.token, world.signer.token(int(world.clock.now) - age))).status == 200


@pytest.mark.parametrize("scope", TOKEN_FLOOR_SCOPES)
def test_selectable_in_python(scope: TokenFloorScope) -> None:
    """`Simulator(settings=Settings(token_floor=…))`."""
    simulator = Simulator(clock=Clock(), settings=Settings(token_floor=scope))
    assert repr(simulator.apns.floors) == f"<Floors {scope} shared=0>"


def test_unknown_scope() -> None:
    """The error names the field and what may be given."""
    with pytest.raises(ValueError, match="token_floor must be one of connection, key, team, off, not 'all'"):
        Settings(token_floor="all")  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError, match="token_floor"):
        msgspec.convert({"token_floor": "all"}, Settings)


@pytest.mark.parametrize("command", [["heliogram", "simulator"], ["heliogram.simulator"]])
def test_selectable_on_the_command_line(command: list[str]) -> None:
    """Both programs take `--token-floor`, and refuse what is none of its values with status 2."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "--token-floor", "all"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--token-floor" in done.stderr
    assert all(scope in done.stderr for scope in TOKEN_FLOOR_SCOPES)


def test_shared_memories_are_bounded() -> None:
    """Ten thousand are kept; one more and the oldest leaves."""
    floors = Floors("key", 2)
    first = floors.of(b"bearer x", "address 0")
    for at in range(1, 10_000):
        floors.of(b"bearer x", f"address {at}")
    assert floors.of(b"bearer x", "address 0") is first
    floors.of(b"bearer x", "one more")
    assert repr(floors) == "<Floors key shared=10000>"
    assert floors.of(b"bearer x", "address 0") is not first


def test_what_a_token_claims() -> None:
    """Team and key are read without a look at the signature; any bytes will do."""
    token = Signer().token(1).encode()
    assert claimed(token) == claimed(token[:-10] + b"AAAAAAAAAA") == (TEAM, "KEY1234567")
    for junk in (b"", b".", b"a.b", b"..", b"\xff.\xff", token.replace(b".", b""), b"e30.e30.x", b"." + b"x" * 5000):
        assert claimed(junk) == ("", "")
