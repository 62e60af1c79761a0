"""`heliogram doctor` as a command, without a way to APNs; with one: tests/e2e/test_doctor.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.service import signing_key

from heliogram.cli.root import cli


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", "--offline", "--listen", "127.0.0.1:0", *words])


def findings(result: Result) -> dict[str, dict[str, Any]]:
    """By the check."""
    return {each["check"]: each for each in json.loads(result.stdout)["findings"]}


def test_a_new_place_is_well_and_nothing_is_made(here: Path) -> None:
    """Before the first start, too."""
    result = run()
    assert result.exit_code == 0, result.output
    assert "failed  " not in result.output
    assert result.output.splitlines()[-1].endswith("0 failed")
    assert list(here.iterdir()) == []


def test_mistakes_in_the_configuration_are_findings(here: Path) -> None:
    """It goes on with what is right in the file; exit code 1."""
    (here / "heliogram.toml").write_text('sender = 1\nretention_days = 0\nlog_level = "debug"\n')
    result = run("--json", "--tls-cert", "no.pem")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ok"] is False
    texts = [each["text"] for each in told["findings"] if each["check"] == "configuration"]
    assert texts[0] == "heliogram.toml:1: there is no setting 'sender'; did you mean senders?"
    assert any("retention_days: expected 1 to 365" in text for text in texts)
    assert any("--tls-cert and --tls-key go together" in text for text in texts)


def test_a_file_that_is_no_toml_is_a_finding(here: Path) -> None:
    """And the rest is looked at with the defaults."""
    (here / "x.toml").write_text("[")
    result = run("--config", "x.toml", "--json")
    assert result.exit_code == 1
    assert "this is no TOML" in findings(result)["configuration"]["text"]


def test_a_key_is_read_without_knowing_its_ids(here: Path) -> None:
    """Offline, it is said that it can be read; one that cannot is told with the reason."""
    (here / "key.p8").write_text(signing_key())
    result = run("--key-file", "key.p8", "--json")
    assert result.exit_code == 0, result.output
    assert findings(result)["key"]["state"] == "ok"
    (here / "key.p8").write_text("nonsense")
    result = run("--key-file", "key.p8", "--json")
    assert result.exit_code == 1
    assert findings(result)["key"]["state"] == "failed"


def test_stored_credentials_are_opened(here: Path) -> None:
    """With none there yet, it says what to do; offline, none is asked about."""
    assert CliRunner().invoke(cli, ["api-keys", "create"]).exit_code == 0
    found = findings(run("--json"))
    assert found["credentials"]["state"] == "warning"
    assert "POST /v1/PushNotifications/Credentials" in found["credentials"]["cure"]


def test_an_address_that_cannot_be_listened_on_is_told(here: Path) -> None:
    """Such as one of another machine."""
    found = findings(run("--json", "--listen", "192.0.2.1:8080", "--behind-proxy"))
    assert found["listen 192.0.2.1:8080"]["state"] == "failed"
    assert "--listen" in found["listen 192.0.2.1:8080"]["cure"]


@pytest.mark.parametrize(("seconds", "code"), [("0.1", 0), ("600", 0), ("0.09", 2), ("600.1", 2), ("nan", 2)])
def test_a_step_may_take_so_long(here: Path, seconds: str, code: int) -> None:
    """At the bounds and beside them."""
    result = run("--timeout", seconds)
    assert result.exit_code == code
    assert code == 0 or "--timeout" in result.output
