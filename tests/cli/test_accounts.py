"""`heliogram accounts` on a data directory without a running service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heliogram.cli.root import cli
from heliogram.datadir import open_store
from heliogram.ports import Window


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(data: Path, *words: str, group: str = "accounts") -> Result:
    return CliRunner().invoke(cli, [group, *words, "--data", str(data)])


def ran(data: Path, *words: str, group: str = "accounts") -> Any:
    """What a command printed as JSON."""
    result = run(data, *words, "--json", group=group)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_account_is_made_and_listed(data: Path) -> None:
    """Beside the one of the first start, with the default limits."""
    made = ran(data, "create", "other")
    rows = ran(data, "list")
    assert [row["name"] for row in rows] == ["default", "other"]
    assert rows[1] == made
    free = {"requestsPerSecond": None, "burst": None}
    assert made["limits"] == {"apps": 10, "credentialsPerApp": 10, **free, "weight": 1}
    assert "other" in run(data, "list").output


@pytest.mark.parametrize("name", ["", "Other", "-x", "a b", "é", "a" * 65])
def test_a_name_that_cannot_be_is_a_usage_error(data: Path, name: str) -> None:
    """The message says which characters there may be."""
    result = run(data, "create", "--", name)
    assert result.exit_code == 2
    assert not data.exists()


def test_a_name_of_64_characters_will_do(data: Path) -> None:
    """The edge."""
    assert run(data, "create", "a" * 64).exit_code == 0


def test_a_name_is_taken_once(data: Path) -> None:
    """The second of it is an error that says so."""
    run(data, "create", "other")
    again = run(data, "create", "other")
    assert again.exit_code == 1
    assert "already" in again.output


def test_keys_belong_to_their_account(data: Path) -> None:
    """`--account` says whose; revoking finds the account by the key."""
    run(data, "create", "other")
    key = ran(data, "create", "--account", "other", group="api-keys")["keyId"]
    assert [row["keyId"] for row in ran(data, "list", "--account", "other", group="api-keys")] == [key]
    assert ran(data, "list", group="api-keys") == []
    assert run(data, "revoke", key, group="api-keys").exit_code == 0


def test_limits_are_set_one_by_one(data: Path) -> None:
    """What is not given stays, and --unlimited takes the speed limit away."""
    run(data, "create", "other")
    words = ["--apps", "3", "--credentials-per-app", "4", "--requests-per-second", "2.5", "--burst", "9"]
    all_set = {"apps": 3, "credentialsPerApp": 4, "requestsPerSecond": 2.5, "burst": 9, "weight": 1}
    assert ran(data, "limits", "other", *words)["limits"] == all_set
    assert ran(data, "limits", "other", "--apps", "5")["limits"] == {**all_set, "apps": 5}
    shown = run(data, "limits", "other").output
    assert "5 apps, 4 credentials each, 2.5 requests/s, 9 at once" in shown
    free = {"apps": 5, "credentialsPerApp": 4, "requestsPerSecond": None, "burst": None, "weight": 1}
    assert ran(data, "limits", "other", "--unlimited")["limits"] == free


@pytest.mark.parametrize(
    "words",
    [
        ["--apps", "0"],
        ["--apps", "10001"],
        ["--credentials-per-app", "0"],
        ["--credentials-per-app", "1001"],
        ["--requests-per-second", "0.009"],
        ["--requests-per-second", "100001"],
        ["--requests-per-second", "nan"],
        ["--burst", "0"],
        ["--burst", "1000001"],
        ["--weight", "0"],
        ["--weight", "101"],
        ["--unlimited", "--burst", "1"],
    ],
)
def test_a_limit_out_of_range_is_a_usage_error(data: Path, words: list[str]) -> None:
    """One past each edge."""
    run(data, "create", "other")
    assert run(data, "limits", "other", *words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--apps", "1", "--credentials-per-app", "1", "--requests-per-second", "0.01", "--burst", "1"],
        ["--weight", "1"],
        ["--weight", "100"],
        ["--apps", "10000", "--credentials-per-app", "1000", "--requests-per-second", "100000", "--burst", "1000000"],
    ],
)
def test_the_edges_of_limits_are_taken(data: Path, words: list[str]) -> None:
    """And come back."""
    run(data, "create", "other")
    assert run(data, "limits", "other", *words).exit_code == 0


@pytest.mark.parametrize("command", ["limits", "disable", "enable"])
def test_an_account_that_is_not_there_says_where_to_look(data: Path, command: str) -> None:
    """And nothing is made by looking."""
    run(data, "create", "other")
    result = run(data, command, "nobody")
    assert result.exit_code == 1
    assert "heliogram accounts list" in result.output


def test_an_account_is_disabled_and_enabled(data: Path) -> None:
    """Doing it again changes nothing; every change is in the audit log of the account."""
    run(data, "create", "other")
    for command in ("disable", "disable", "enable", "enable"):
        assert run(data, command, "other").exit_code == 0
        assert (ran(data, "list")[1]["disabledAt"] is None) == (command == "enable")
    run(data, "limits", "other", "--apps", "2")
    assert events(data) == ["account.created", "account.disabled", "account.enabled", "account.limited"]


def events(data: Path) -> list[str]:
    """The actions in the audit log of `other`, in order; all of them by the command line."""

    async def read() -> list[str]:
        async with open_store(data, make=False) as (store, _):
            account = await store.account_named("other")
            assert account is not None
            listed = (await store.list_audit(account.id, Window())).items
            assert {event.actor for event in listed} == {"cli"}
            return sorted(event.action for event in listed)

    return asyncio.run(read())
