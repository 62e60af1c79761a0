"""The simulator's CA and server certificate."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from support.sim_client import SimClient

from heliogram.simulator import Invalid, Simulator
from heliogram.simulator.certificates import SERVER_FILE, Certificates

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


def server(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())


def test_made_once(tmp_path: Path) -> None:
    """The CA and the server's certificate outlive a restart."""
    Certificates(tmp_path, now=NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    Certificates(tmp_path, now=NOW)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"ca.pem", "ca.key", "server.pem", "server.key"}


def test_private_keys_are_private(tmp_path: Path) -> None:
    """Nobody else may read the keys."""
    Certificates(tmp_path, now=NOW)
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_names(tmp_path: Path) -> None:
    """The certificate is good for this machine and for APNs' own names."""
    Certificates(tmp_path, now=NOW)
    names = server(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "api.push.apple.com", "api.sandbox.push.apple.com"} <= set(
        names.get_values_for_type(x509.DNSName)
    )
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}


def test_names_of_its_own(tmp_path: Path) -> None:
    """Hosts and addresses by which other machines call it; a server that has them already is not made anew."""
    Certificates(tmp_path)
    plain = (tmp_path / SERVER_FILE).read_bytes()
    Certificates(tmp_path, names=("APNS.test", "10.0.0.7", "fd00::7"))
    named = (tmp_path / SERVER_FILE).read_bytes()
    Certificates(tmp_path, names=("apns.test",))
    assert (tmp_path / SERVER_FILE).read_bytes() == named != plain
    names = x509.load_pem_x509_certificate(named).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"apns.test", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"10.0.0.7", "fd00::7"} <= {str(each) for each in names.get_values_for_type(x509.IPAddress)}


@pytest.mark.parametrize("name", ["", "-a", "a b", "https://apns.test", "a..b", "*.test", "a" * 64, "a." * 126 + "bb"])
def test_a_name_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    """With the option that gave it."""
    with pytest.raises(Invalid, match="--name: expected a host name or an address"):
        Certificates(tmp_path, names=(name,))


def test_the_longest_names(tmp_path: Path) -> None:
    """63 characters of a label, 253 in all."""
    Certificates(tmp_path, names=("a" * 63, "a." * 126 + "b"))


def test_ca_lives_ten_years(tmp_path: Path) -> None:
    """The CA need not be handed out again soon."""
    certificates = Certificates(tmp_path, now=NOW)
    authority = x509.load_pem_x509_certificate(certificates.ca_path.read_bytes())
    assert authority.not_valid_after_utc - NOW == datetime.timedelta(days=3652)


@pytest.mark.parametrize(("days", "renewed"), [(366, False), (367, True)])
def test_server_certificate_is_renewed_before_its_end(tmp_path: Path, days: int, renewed: bool) -> None:
    """With 30 days left, and not earlier, a new one is issued by the same CA."""
    certificates = Certificates(tmp_path, now=NOW)
    authority, first = certificates.ca_path.read_bytes(), server(tmp_path)
    Certificates(tmp_path, now=NOW + datetime.timedelta(days=days))
    assert certificates.ca_path.read_bytes() == authority
    assert (server(tmp_path) != first) is renewed


@pytest.mark.parametrize("damage", ["server.pem", "server.key"])
def test_damaged_server_files_are_replaced(tmp_path: Path, damage: str) -> None:
    """What the CA can mend is mended."""
    Certificates(tmp_path, now=NOW)
    (tmp_path / damage).write_text("junk")
    Certificates(tmp_path, now=NOW).server_context()


@pytest.mark.parametrize("damage", ["ca.pem", "ca.key"])
def test_damaged_ca_is_told(tmp_path: Path, damage: str) -> None:
    """A CA that clients trust is never replaced in silence."""
    Certificates(tmp_path, now=NOW)
    (tmp_path / damage).write_text("junk")
    with pytest.raises(Invalid, match=r"--data: cannot read the CA .* remove ca.pem and ca.key"):
        Certificates(tmp_path, now=NOW)


def test_a_ca_key_with_a_password_is_told(tmp_path: Path) -> None:
    """Somebody encrypted the key: the error says what to do, like that of any other damage."""
    Certificates(tmp_path, now=NOW)
    key = load_pem_private_key((tmp_path / "ca.key").read_bytes(), password=None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "ca.key").write_bytes(sealed)
    with pytest.raises(Invalid, match="cannot read the CA"):
        Certificates(tmp_path, now=NOW)


def test_foreign_ca_key_is_told(tmp_path: Path) -> None:
    """A key of another CA is not used."""
    Certificates(tmp_path / "a", now=NOW)
    Certificates(tmp_path / "b", now=NOW)
    (tmp_path / "a" / "ca.key").write_bytes((tmp_path / "b" / "ca.key").read_bytes())
    with pytest.raises(Invalid, match="do not belong together"):
        Certificates(tmp_path / "a", now=NOW)


@pytest.mark.anyio
async def test_client_keeps_trusting_after_a_restart(tmp_path: Path) -> None:
    """With a data directory the CA a client was given stays good."""
    async with Simulator(tmp_path) as first:
        ca_pem = first.ca_pem
    async with Simulator(tmp_path) as second:
        client = await SimClient.connect(second.ports["sandbox"], ca_pem)
        await client.close()


@pytest.mark.anyio
async def test_nothing_is_left_without_a_data_directory() -> None:
    """The temporary directory goes with the simulator."""
    async with Simulator() as simulator:
        directory = simulator.ca_path.parent
        assert directory.exists()
    assert not directory.exists()
