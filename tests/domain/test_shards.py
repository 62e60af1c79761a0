"""Which shard a send goes through."""

from __future__ import annotations

import pytest

from heliogram.domain.apps import Credential, CredentialForm, CredentialType
from heliogram.domain.shards import MAX_SHARDS, Sharding, team_of


def credential(**public: str) -> Credential:
    return Credential(
        account_id=bytes(16),
        id=bytes(range(16)),
        app_name="shop",
        type=CredentialType.APN,
        form=CredentialForm.TOKEN,
        public=dict(public),
        is_default=True,
        created=0,
        updated=0,
    )


def test_a_team_has_one_shard() -> None:
    """All of its operations go through it, in whichever process that is told: the hash is not Python's own."""
    sharding = Sharding(count=64)
    assert {sharding.of("TEAM123456", bytes([n]) * 16) for n in range(50)} == {sharding.of("TEAM123456")}
    assert sharding.of("TEAM123456") == 30


def test_teams_spread_over_the_shards() -> None:
    """A thousand teams leave none of 64 shards without any."""
    sharding = Sharding(count=64)
    assert {sharding.of(f"TEAM{n:06}") for n in range(1000)} == set(range(64))


def test_a_hot_team_has_several_shards() -> None:
    """Its operations are spread over as many as it was given, and no more."""
    sharding = Sharding(count=8, hot={"HOT1234567": 3})
    assert len({sharding.of("HOT1234567", bytes([n]) * 16) for n in range(100)}) == 3
    everywhere = Sharding(count=8, hot={"HOT1234567": 8})
    assert {everywhere.of("HOT1234567", bytes([n]) * 16) for n in range(200)} == set(range(8))


def test_one_shard_is_for_all() -> None:
    """An embedded service has one."""
    assert Sharding().of("TEAM123456", bytes(16)) == 0


@pytest.mark.parametrize(
    ("count", "hot", "field"),
    [(0, {}, "count"), (MAX_SHARDS + 1, {}, "count"), (8, {"T": 0}, "hot"), (8, {"T": 9}, "hot")],
)
def test_bounds_are_checked(count: int, hot: dict[str, int], field: str) -> None:
    """1 to 1,024 shards, and a team has no more than there are."""
    with pytest.raises(ValueError, match=f"^{field}: expected 1 to"):
        Sharding(count=count, hot=hot)
    assert Sharding(count=MAX_SHARDS, hot={"T": 1}).count == MAX_SHARDS


def test_a_credential_belongs_to_its_team() -> None:
    """By the team's id; a certificate that names none stands for itself, and so does anything else."""
    assert team_of(credential(teamId="TEAM123456", keyId="ABCDE12345")) == "TEAM123456"
    assert team_of(credential(fingerprint="ab12")) == "ab12"
    assert team_of(credential()) == bytes(range(16)).hex()
