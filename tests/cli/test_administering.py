"""`heliogram api-keys` and `heliogram audit` against a running service, over its API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.remote import Remote, remote
from support.waiting import eventually

from heliogram.cli.root import cli
from heliogram.client import Scope as KeyScope


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        yield made


def test_a_key_is_made_listed_rotated_and_revoked_over_the_api(there: Remote) -> None:
    """With the same answers as on the data directory; the secret is shown once, and works."""
    words = ("--name", "shop", "--scope", "send", "--scope", "read", "--expires-days", "30")
    made = there.json("api-keys", "create", "--remote", *words)
    assert set(made) == {"keyId", "secret"}
    assert there.run("apps", "list", "--api-key", f"{made['keyId']}.{made['secret']}").exit_code == 0
    new = there.json("api-keys", "rotate", made["keyId"], "--remote", "--grace-seconds", "0")
    done = there.json("api-keys", "revoke", new["keyId"], "--remote")
    assert done == {"keyId": new["keyId"], "revoked": True}
    here = there.json("api-keys", "list", "--data", str(there.data))
    rows = there.json("api-keys", "list", "--remote")
    assert rows == here
    states = {row["keyId"]: (row["state"], row["name"], row["scopes"]) for row in rows}
    assert states[made["keyId"]] == ("expired", "shop", ["send", "read"])
    assert states[new["keyId"]] == ("revoked", "shop", ["send", "read"])
    assert made["secret"] not in there.ok("api-keys", "list", "--remote")


def test_a_secret_is_shown_once_to_people(there: Remote) -> None:
    """On standard output, and that it is kept nowhere beside it."""
    done = there.run("api-keys", "create", "--url", there.url, "--scope", "read")
    assert re.fullmatch(r"keyId   key_\S+\nsecret  \S+\n", done.stdout)
    assert "store it now" in done.stderr


def test_the_environment_alone_means_this_machine(there: Remote, tmp_path: Path) -> None:
    """HELIOGRAM_URL is set for the other commands: without an option `api-keys` is for the data directory."""
    done = there.run("api-keys", "list", "--data", str(tmp_path / "none"))
    assert done.exit_code == 1
    assert "there is no database" in done.output


def test_a_keys_name_makes_a_terminal_do_nothing(there: Remote) -> None:
    """Whoever may make keys over the API writes it, and whoever lists them is somebody else."""
    made = there.client.api_keys.create([KeyScope.READ], name="\x1b]0;mine\x07\x9b2Jx\u202e")
    for place in (("--remote",), ("--data", str(there.data))):
        told = there.ok("api-keys", "list", *place), there.ok("api-keys", "list", *place, "--json")
        for each in told:
            assert made.id in each
            assert set("\x1b\x07\x9b\u202e").isdisjoint(each)
        assert "\x1b]0;mine\x07\x9b2Jx\u202e" in [row["name"] for row in json.loads(told[1])]


def test_one_of_both_places_is_named(there: Remote, tmp_path: Path) -> None:
    """A data directory and a service together are a mistake."""
    done = there.run("api-keys", "list", "--data", str(tmp_path), "--url", there.url)
    assert done.exit_code == 2
    assert "--data is for what is on this machine, --url for a running service: leave one out" in done.output
    done = there.run("api-keys", "create", "--remote", "--account", "other")
    assert "--account is for what is on this machine, --remote" in done.output


def test_the_key_that_asks_is_ended_after_a_question(there: Remote) -> None:
    """So that nobody locks himself out by mistake."""
    own = there.json("api-keys", "create", "--remote")
    key = f"{own['keyId']}.{own['secret']}"
    asked = there.run("api-keys", "revoke", own["keyId"], "--api-key", key, input="n\n")
    assert asked.exit_code == 1
    assert "is the key that asks" in asked.output
    assert there.run("api-keys", "revoke", own["keyId"], "--api-key", key, "--yes").exit_code == 0

    def refused() -> str | None:
        done = there.run("apps", "list", "--api-key", key)
        return done.output if done.exit_code == 1 else None

    assert "does not take the API key" in eventually(refused, what="the key to be refused, within a second")


def test_only_admin_keys_administer(there: Remote) -> None:
    """The scope that is lacking is named."""
    made = there.json("api-keys", "create", "--remote", "--scope", "read")
    for words in (["api-keys", "list"], ["audit", "list"]):
        done = there.run(*words, "--api-key", f"{made['keyId']}.{made['secret']}")
        assert done.exit_code == 1
        assert "admin" in done.output


def test_the_audit_log_is_filtered(there: Remote) -> None:
    """By what was done, by whom, to what, and when."""
    made = there.json("api-keys", "create", "--remote", "--name", "watched", "--scope", "read")
    events = there.json("audit", "list", "--subject", made["keyId"])
    assert [(each["action"], each["actor"], each["detail"]["name"]) for each in events] == [
        ("apiKey.created", there.key.partition(".")[0], "watched")
    ]
    assert {each["actor"] for each in there.json("audit", "list", "--actor", "cli")} == {"cli"}
    assert there.json("audit", "list", "--until", "2020-01-01") == []
    told = there.ok("audit", "list", "--action", "apiKey.created", "--subject", made["keyId"])
    assert "name=watched, scopes=read" in told
    assert len(there.json("audit", "list", "--since", "2020-01-01T00:00:00Z", "--limit", "1")) == 1


def test_a_moment_that_is_none_is_refused_before_it_is_asked() -> None:
    """With what one looks like."""
    done = CliRunner().invoke(cli, ["audit", "list", "--since", "yesterday", "--api-key", "key_x.y"])
    assert done.exit_code == 2
    assert "--since: expected a date or a moment, such as 2027-01-31T09:00:00Z; got 'yesterday'" in done.output


def test_profiles_say_which_service(there: Remote, tmp_path: Path) -> None:
    """`--profile` alone is enough, wherever one is."""
    folder = tmp_path / "heliogram"
    folder.mkdir()
    text = f'[profiles.staging]\nurl = "{there.url}"\napi_key = "{there.key}"\n'
    (folder / "config.toml").write_text(text)
    (folder / "config.toml").chmod(0o600)
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HELIOGRAM_URL": "http://127.0.0.1:9", "HELIOGRAM_API_KEY": "a.b"}
    done = there.run("api-keys", "list", "--profile", "staging", "--json", env=environment)
    assert done.exit_code == 0, done.output
    assert there.key.partition(".")[0] in [each["keyId"] for each in json.loads(done.stdout)]
