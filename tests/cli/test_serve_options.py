"""What `heliogram serve` refuses before it starts."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from heliogram.cli.root import cli
from heliogram.settings import Address, ServeSettings, SettingsError


def serve(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["serve", "--data", str(tmp_path / "data"), *words])


def test_beyond_loopback_it_needs_tls_or_a_proxy(tmp_path: Path) -> None:
    """API keys must not travel in the clear unawares; the message names both ways out."""
    result = serve(tmp_path, "--listen", "0.0.0.0:0")
    assert result.exit_code == 2
    assert "--tls-cert" in result.output
    assert "--behind-proxy" in result.output
    assert not (tmp_path / "data").exists()


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    """One without the other is a usage error."""
    certificate = tmp_path / "cert.pem"
    certificate.write_text("x")
    result = serve(tmp_path, "--tls-cert", str(certificate))
    assert result.exit_code == 2
    assert "--tls-cert and --tls-key go together" in result.output


def test_a_taken_port_is_named_with_the_option_to_change(tmp_path: Path) -> None:
    """The error says which address, why, and what to give instead."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = serve(tmp_path, "--listen", address)
    assert result.exit_code == 1
    assert f"cannot listen on {address}" in result.output
    assert "--listen" in result.output


@pytest.mark.parametrize("text", ["nonsense", "host:", "host:65536", "host:-1", ""])
def test_an_address_that_is_none_is_refused_with_an_example(tmp_path: Path, text: str) -> None:
    """HOST:PORT, the port at most 65,535."""
    result = serve(tmp_path, "--listen", text)
    assert result.exit_code == 2
    assert "expected HOST:PORT" in result.output


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        (":8080", "127.0.0.1", 8080, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:65535", "::1", 65535, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("push.example.com:443", "push.example.com", 443, False),
    ],
)
def test_addresses_are_read_in_every_usual_form(text: str, host: str, port: int, loopback: bool) -> None:
    """IPv4, IPv6 in brackets, a name, or a port alone."""
    address = Address.parse(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)


def test_a_missing_file_names_its_option(tmp_path: Path) -> None:
    """Settings are checked whoever made them, not only by the command line."""
    settings = ServeSettings(apns_cacert=tmp_path / "no.pem")
    with pytest.raises(SettingsError, match=r"--apns-cacert: there is no file .*no\.pem"):
        settings.check()


@pytest.mark.parametrize("options", [["--tls-cert", "--tls-key"], ["--apns-cacert"]])
def test_a_file_that_is_no_certificate_is_found_out_at_start(tmp_path: Path, options: list[str]) -> None:
    """Not at the first connection, and not with a traceback."""
    file = tmp_path / "nonsense.pem"
    file.write_text("nonsense")
    result = serve(tmp_path, *[word for option in options for word in (option, str(file))])
    assert result.exit_code == 2
    assert f"{options[0]}" in result.output
    assert "not a PEM certificate" in result.output


@pytest.mark.parametrize("seconds", ["nan", "-0.1", "3600.1"])
def test_the_time_to_drain_is_a_number_from_0_to_3600(tmp_path: Path, seconds: str) -> None:
    """Also NaN, which is in no range, is refused at the start: at the end it would break the drain."""
    result = serve(tmp_path, "--listen", "127.0.0.1:0", "--drain-seconds", seconds)
    assert result.exit_code == 2
    assert "--drain-seconds" in result.output


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """What is wrong with the data directory is said without a traceback."""
    (tmp_path / "data" / "serve.lock").mkdir(parents=True)
    (tmp_path / "data").chmod(0o700)
    result = serve(tmp_path, "--listen", "127.0.0.1:0")
    assert result.exit_code == 1
    assert "serve.lock: Is a directory" in result.output


def test_webhooks_go_to_public_https_addresses_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each opening is an option of its own."""
    seen: list[ServeSettings] = []
    monkeypatch.setattr("heliogram.app.run", lambda settings, ready: seen.append(settings))
    for words in ((), ("--webhooks-allow-private",), ("--webhooks-allow-http",)):
        assert serve(tmp_path, *words).exit_code == 0
    opened = [(settings.webhooks_allow_private, settings.webhooks_allow_http) for settings in seen]
    assert opened == [(False, False), (True, False), (False, True)]


@pytest.mark.parametrize("days", [0, 366, -1])
def test_things_are_kept_a_day_at_least_and_a_year_at_most(tmp_path: Path, days: int) -> None:
    """One past either edge is refused, on the command line and in the settings."""
    result = serve(tmp_path, "--retention-days", str(days))
    assert result.exit_code == 2
    assert "--retention-days" in result.output
    assert not (tmp_path / "data").exists()
    with pytest.raises(SettingsError, match="--retention-days: expected 1 to 365"):
        ServeSettings(retention_days=days).check()


@pytest.mark.parametrize("days", [1, 365])
def test_the_edges_of_retention_are_good(days: int) -> None:
    """A day, and a year."""
    ServeSettings(retention_days=days).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_queued": 19_999}, "--max-queued: expected 20000 to 1000000000, got 19999"),
        ({"max_queued": 1_000_000_001}, "--max-queued: expected"),
        ({"max_queued_per_account": 19_999}, "--max-queued-per-account: expected 20000 to 5000000 "),
        ({"max_queued": 30_000, "max_queued_per_account": 30_001}, "expected 20000 to 30000 "),
    ],
)
def test_bounds_of_the_queue_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    """One past the edges; an account may not have more than all of them together."""
    with pytest.raises(SettingsError, match=re.escape(message)):
        ServeSettings(**options).check()  # type: ignore[arg-type] # of two whole numbers


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ({}, (5_000_000, 2_500_000)),
        ({"max_queued": 20_000}, (20_000, 20_000)),
        ({"max_queued": 1_000_000_000}, (1_000_000_000, 500_000_000)),
        ({"max_queued": 30_000, "max_queued_per_account": 20_000}, (30_000, 20_000)),
        ({"max_queued": 30_000, "max_queued_per_account": 30_000}, (30_000, 30_000)),
    ],
)
def test_an_account_may_fill_half_of_the_queue(options: dict[str, int], bounds: tuple[int, int]) -> None:
    """Unless something else is said; the edges are good."""
    settings = ServeSettings(**options)  # type: ignore[arg-type] # of two whole numbers
    settings.check()
    assert (settings.queue_bounds.total, settings.queue_bounds.account) == bounds


@pytest.mark.parametrize(("senders", "well"), [(0, True), (64, True), (65, False), (-1, False)])
def test_senders_have_a_bound(tmp_path: Path, senders: int, well: bool) -> None:
    """At the bounds and one past them, on the command line and in settings."""
    settings = ServeSettings(data=tmp_path, senders=senders)
    if well:
        settings.check()
        return
    with pytest.raises(SettingsError, match="--senders: expected 0 to 64"):
        settings.check()
    result = serve(tmp_path, "--senders", str(senders))
    assert result.exit_code == 2
    assert "--senders" in result.output
