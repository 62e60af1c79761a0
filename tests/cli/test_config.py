"""`heliogram config`, and which of several places has the say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heliogram.cli.demo.processes import variables
from heliogram.cli.root import cli
from heliogram.service import endpoints_of
from heliogram.settings import Address, Role, ServeSettings

SECRET = "postgresql://me:hidden@db.example/push"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with nothing of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, **variables: str) -> Result:
    """The command with these variables."""
    return CliRunner().invoke(cli, words, env=variables)


def effective(*words: str, **variables: str) -> dict[str, dict[str, Any]]:
    """Each setting as `config show` tells it."""
    result = run("config", "show", "--json", *words, **variables)
    assert result.exit_code == 0, result.output
    assert "hidden" not in result.output.replace("(hidden)", "")
    return {row["name"]: row for row in json.loads(result.stdout)["settings"]}


def served(monkeypatch: pytest.MonkeyPatch, *words: str, **variables: str) -> ServeSettings:
    """What `serve` would run with."""
    seen: list[ServeSettings] = []
    monkeypatch.setattr("heliogram.app.run", lambda settings, ready: seen.append(settings))
    result = run("serve", *words, **variables)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_the_command_line_stands_over_the_environment_over_the_file_over_the_default(here: Path) -> None:
    """And each value is told with the place it comes from."""
    (here / "heliogram.toml").write_text("senders = 1\nmax_queued = 20000\nbehind_proxy = true\n")
    plain = effective()["senders"]
    assert plain == {"name": "senders", "value": 1, "from": "file", "where": "heliogram.toml:1"}
    told = effective(HELIOGRAM_SENDERS="2")["senders"]
    assert told == {"name": "senders", "value": 2, "from": "environment", "where": "HELIOGRAM_SENDERS"}
    shown = effective("--senders", "3", "--no-behind-proxy", HELIOGRAM_SENDERS="2")
    assert shown["senders"] == {"name": "senders", "value": 3, "from": "command line", "where": "--senders"}
    assert (shown["behind_proxy"]["value"], shown["max_queued"]["value"]) == (False, 20000)
    assert shown["retention_days"] == {"name": "retention_days", "value": 7, "from": "default", "where": ""}


def test_serve_takes_what_config_show_tells(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file, with tables, and from the environment."""
    (here / "heliogram.toml").write_text(
        'data = "kept"\nstore = "postgresql://db/push"\nqueue = ["nats://a:1", "nats://b:2"]\nrole = ["api"]\n'
        "[hot_team]\nABCDE12345 = 4\n[webhooks]\nallow_http = true\n"
    )
    settings = served(monkeypatch, HELIOGRAM_LISTEN=":9000")
    assert settings.data == Path("kept")
    assert [url.text for url in settings.queue] == ["nats://a:1", "nats://b:2"]
    assert (settings.roles, settings.hot_teams, settings.webhooks_allow_http) == (
        frozenset({Role.API}),
        {"ABCDE12345": 4},
        True,
    )
    assert settings.listen == Address("127.0.0.1", 9000)
    teams = served(monkeypatch, HELIOGRAM_HOT_TEAM="ABCDE12345=2,FGHIJ67890=3").hot_teams
    assert teams == {"ABCDE12345": 2, "FGHIJ67890": 3}
    teams = served(monkeypatch, "--hot-team", "ABCDE12345=5", "--hot-team", "FGHIJ67890=6").hot_teams
    assert teams == {"ABCDE12345": 5, "FGHIJ67890": 6}


def test_commands_on_the_data_directory_read_the_file_too(here: Path) -> None:
    """`--data` need not be repeated."""
    (here / "heliogram.toml").write_text('data = "kept"\n')
    assert run("accounts", "create", "other").exit_code == 0
    assert (here / "kept" / "heliogram.db").exists()
    assert "other" in run("accounts", "list").output


def test_a_secret_may_stand_in_a_file_of_its_own(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named on the command line, in the environment or in the configuration file; the nearer place has the say."""
    for name in ("one", "two", "three"):
        (here / name).write_text(f"postgresql://me:hidden@{name}/push\n")
    (here / "heliogram.toml").write_text('store_file = "three"\n')
    shown = effective()["store"]
    assert shown["value"] == "postgresql://three/push"
    assert shown["where"] == "heliogram.toml:1"
    assert effective(HELIOGRAM_STORE_FILE="two")["store"]["where"] == "HELIOGRAM_STORE_FILE"
    assert effective("--store-file", "one", HELIOGRAM_STORE_FILE="two")["store"]["value"] == "postgresql://one/push"
    assert effective("--store", SECRET, HELIOGRAM_STORE_FILE="two")["store"]["value"] == "postgresql://db.example/push"
    settings = served(monkeypatch)
    assert settings.store is not None
    assert settings.store.text == "postgresql://me:hidden@three/push"


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["--store", SECRET, "--store-file", "one"], {}, "give --store or --store-file, not both"),
        (["--store-file", "none"], {}, "--store-file: none: No such file or directory"),
        (["--store-file", "empty"], {}, "--store-file: empty: expected one line, got 0 characters"),
        ([], {"HELIOGRAM_STORE": SECRET, "HELIOGRAM_STORE_FILE": "one"}, "not both"),
    ],
)
def test_a_secret_that_cannot_be_told_is_refused(
    here: Path, words: list[str], variables: dict[str, str], message: str
) -> None:
    """Without showing it."""
    (here / "one").write_text(SECRET)
    (here / "empty").write_text("\n")
    result = run("config", "show", *words, **variables)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "hidden" not in result.output


def test_the_proxy_is_shown_without_its_password(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And reaches the engine with it."""
    url = "http://push:hid%40den@proxy.example:3128"
    assert effective("--apns-proxy", url)["apns_proxy"]["value"] == "http://proxy.example:3128"
    settings = served(monkeypatch, HELIOGRAM_APNS_PROXY=url)
    endpoints = endpoints_of(settings)
    assert endpoints.proxy == url
    assert "hid" not in f"{settings!r}{endpoints!r}"
    assert "http://proxy.example:3128" in repr(endpoints)


def test_systemd_may_hand_over_secrets(here: Path) -> None:
    """As credentials; the file stands over them."""
    (here / "heliogram-store").write_text(SECRET)
    shown = effective(CREDENTIALS_DIRECTORY=str(here))["store"]
    assert shown["from"] == "credential"
    assert shown["value"] == "postgresql://db.example/push"
    (here / "heliogram.toml").write_text('store = "postgresql://mine/push"\n')
    assert effective(CREDENTIALS_DIRECTORY=str(here))["store"]["value"] == "postgresql://mine/push"


def test_the_master_key_of_the_environment_stands_over_the_files(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is never shown."""
    (here / "heliogram.toml").write_text('master_key_file = "key"\n')
    assert served(monkeypatch).master_key == Path("key")
    shown = effective(HELIOGRAM_MASTER_KEY="hidden")
    assert shown["master_key"] == {
        "name": "master_key",
        "value": "(hidden)",
        "from": "environment",
        "where": "HELIOGRAM_MASTER_KEY",
    }
    assert shown["master_key_file"]["value"] is None
    assert served(monkeypatch, "--master-key", "named", HELIOGRAM_MASTER_KEY="x").master_key == Path("named")


def test_a_file_with_mistakes_stops_every_command_that_reads_it(here: Path) -> None:
    """All of them are said, before anything is done."""
    (here / "heliogram.toml").write_text("sender = 1\nsenders = 65\n")
    for words in (["serve"], ["accounts", "create", "x"], ["config", "show"]):
        result = run(*words)
        assert result.exit_code == 2
        assert "heliogram.toml:1: there is no setting 'sender'; did you mean senders?" in result.output
        assert "heliogram.toml:2: senders: expected 0 to 64, got 65" in result.output
    assert not (here / "data").exists()
    assert run("config", "show", "--config", "/dev/null").exit_code == 0


def test_check_says_everything_at_once(here: Path) -> None:
    """Of the file, the environment, and both together; exit code 1."""
    (here / "heliogram.toml").write_text('sender = 1\nlisten = "0.0.0.0:80"\ntls_cert = "no.pem"\n')
    result = run("config", "check", HELIOGRAM_QUEUE_SHARDS="0", HELIOGRAM_QUEUE="nats://x", HELIOGRAM_ROLES="api")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:4] == [
        "heliogram.toml:1: there is no setting 'sender'; did you mean senders?",
        "HELIOGRAM_QUEUE_SHARDS: expected 1 to 1024, got 0",
        "--tls-cert and --tls-key go together: give both, or neither",
        "--tls-cert: there is no file no.pem",
    ]
    assert "--queue goes with --store" in result.stdout
    assert "HELIOGRAM_ROLES is none that is read; did you mean HELIOGRAM_ROLE?" in result.stderr


def test_check_of_a_named_file_leaves_the_environment_out(here: Path) -> None:
    """As before a rollout."""
    (here / "new.toml").write_text("senders = 2\n")
    result = run("config", "check", "new.toml", HELIOGRAM_SENDERS="99")
    assert (result.exit_code, result.stdout) == (0, "new.toml is well\n")
    assert run("config", "check", HELIOGRAM_SENDERS="99").exit_code == 1
    told = json.loads(run("config", "check", "none.toml", "--json").stdout)
    assert told["ok"] is False
    assert told["problems"][0].startswith("none.toml: No such file")


def test_check_follows_files_of_secrets(here: Path) -> None:
    """What stands in them is checked, and never shown."""
    (here / "url").write_text("http://hidden@x")
    (here / "heliogram.toml").write_text('store_file = "url"\nqueue_file = "none"\n')
    result = run("config", "check")
    assert result.exit_code == 1
    assert "heliogram.toml:1: url: expected an address that begins with postgresql://" in result.stdout
    assert "heliogram.toml:2: none: No such file or directory" in result.stdout
    assert "hidden" not in result.output


def test_a_password_that_others_may_read_is_worth_a_note(here: Path) -> None:
    """Not an error: who may read it is the operator's to say."""
    file = here / "heliogram.toml"
    file.write_text(f'store = "{SECRET}"\n')
    file.chmod(0o644)
    result = run("config", "check")
    assert result.exit_code == 0
    assert "heliogram.toml:1: store holds a password and others may read the file" in result.stderr
    file.chmod(0o600)
    assert "password" not in run("config", "check").stderr


def test_the_example_is_a_file_to_begin_with(here: Path) -> None:
    """It is right as it is."""
    (here / "heliogram.toml").write_text(run("config", "example").stdout)
    assert run("config", "check").stdout == "heliogram.toml is well\n"


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        ('store = "postgresql://db/push"', {}),
        ('store_file = "url"', {}),
        ("", {"HELIOGRAM_STORE": "postgresql://db/push"}),
        ("", {"HELIOGRAM_STORE_FILE": "url"}),
    ],
)
def test_a_command_for_the_embedded_database_says_so_where_postgresql_is_configured(
    here: Path, file: str, variables: dict[str, str]
) -> None:
    """However it is named; an embedded one can still be named on the command line."""
    (here / "heliogram.toml").write_text(file)
    result = run("backup", "copy.db", **variables)
    assert result.exit_code == 2
    assert "names PostgreSQL: pg_dump" in " ".join(result.output.split())
    assert "there is no database in other" in run("backup", "copy.db", "--data", "other", **variables).output


def test_the_demo_does_not_meet_what_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its children get no settings from the environment, and no file."""
    monkeypatch.setenv("HELIOGRAM_STORE", SECRET)
    monkeypatch.setenv("HELIOGRAM_QUEUE_FILE", "url")
    monkeypatch.setenv("HELIOGRAM_PURE", "1")
    given = variables()
    assert {name for name in given if name.startswith(("HELIOGRAM_STORE", "HELIOGRAM_QUEUE"))} == set()
    assert (given["HELIOGRAM_CONFIG"], given["HELIOGRAM_PURE"]) == ("/dev/null", "1")
