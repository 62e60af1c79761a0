"""`heliogram simulator issue-certificate`: offline, from the simulator's data directory."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.sim_client import TOPIC, SimClient

from heliogram.apns import Certificate
from heliogram.cli.root import cli
from heliogram.simulator import Simulator


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def issue(data: Path, *words: Any) -> Result:
    order = ("simulator", "issue-certificate", "--bundle-id", TOPIC, "--data", data, *words)
    return CliRunner().invoke(cli, [str(word) for word in order])


async def push(data: Path, certificate: Path, key: Path) -> int:
    """The status of a push with the certificate to a simulator that starts only now."""
    async with Simulator(data) as simulator:
        device = simulator.add_device("phone")
        simulator.install(device.id, TOPIC, "sandbox")
        token = simulator.launch(device.id, TOPIC).device_token
        assert token is not None
        context = ssl.create_default_context(cadata=simulator.ca_pem.decode())
        context.load_cert_chain(certificate, key)
        client = await SimClient.connect(simulator.ports["sandbox"], simulator.ca_pem, context=context)
        reply = await client.push(token, None)
        await client.close()
        [known] = simulator.portal.certificates
        assert not known.issued
        return reply.status


def test_pem(tmp_path: Path, data: Path) -> None:
    """CERT-1: a certificate made before the simulator runs is taken by it; nobody else may read the files."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    done = issue(data, "--out", certificate, "--key", key, "--team-id", "DEF123GHIJ")
    assert done.exit_code == 0, done.output
    assert f"Apple Push Services: {TOPIC}, serial " in done.output
    assert {stat.S_IMODE(path.stat().st_mode) for path in (certificate, key)} == {0o600}
    assert asyncio.run(push(data, certificate, key)) == 200


def test_p12(tmp_path: Path, data: Path) -> None:
    """CERT-1, CERT-3: as a key chain exports it, for one environment; the words are JSON for programs."""
    path, password = tmp_path / "push.p12", tmp_path / "password"
    password.write_text("secret word\nignored\n")
    done = issue(data, "--p12", path, "--password-file", password, "--environment", "sandbox", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["topics"], told["environments"]) == ([TOPIC], ["sandbox"])
    assert Certificate.from_pkcs12(path, "secret word").topics == (TOPIC,)


def test_the_simulators_own_data(tmp_path: Path) -> None:
    """`--data` may stand before the command, as for the simulator itself."""
    words = ["simulator", "--data", tmp_path / "here", "issue-certificate", "--bundle-id", TOPIC]
    files = ["--out", tmp_path / "c", "--key", tmp_path / "k"]
    done = CliRunner().invoke(cli, [str(word) for word in words + files])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "here" / "ca.pem").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--out", "c"],
        ["--key", "k"],
        ["--p12", "p"],
        ["--password-file", "pw"],
        ["--out", "c", "--key", "k", "--p12", "p"],
        ["--out", "c", "--key", "k", "--p12", "p", "--password-file", "pw"],
        ["--out", "c", "--key", "c"],
        ["--out", "pw", "--key", "k"],
        ["--p12", "p", "--password-file", "empty"],
        ["--p12", "p", "--password-file", "binary"],
    ],
)
def test_files_that_cannot_be(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """One way whole, two files, nothing overwritten, a password of at least a character: or nothing is written."""
    monkeypatch.chdir(tmp_path)
    for name, content in (("pw", b"secret"), ("empty", b"\nsecret"), ("binary", b"\xff")):
        (tmp_path / name).write_bytes(content)
    done = issue(data, *words)
    assert done.exit_code == 2, done.output
    assert {path.name for path in tmp_path.iterdir()} == {"pw", "empty", "binary"}


def test_orders_that_cannot_be(tmp_path: Path, data: Path) -> None:
    """The error names what is wrong, and no file is left."""
    files = ("--out", tmp_path / "c", "--key", tmp_path / "k")
    for words, why in ((("--days", "0"), "days must be 1 to 3650"), (("--kind", "pass"), "begin with pass.")):
        done = issue(data, *words, *files)
        assert done.exit_code == 1
        assert why in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(tmp_path: Path, data: Path) -> None:
    """The error names the file."""
    done = issue(data, "--out", tmp_path / "none" / "c", "--key", tmp_path / "none" / "k")
    assert done.exit_code == 1
    assert "none/k: No such file or directory" in done.output


def test_nothing_stays_behind_of_what_was_not_written_whole(tmp_path: Path, data: Path) -> None:
    """A key whose certificate cannot be written goes again, so that the same words can be repeated."""
    certificate, key = tmp_path / "nowhere" / "cert.pem", tmp_path / "key.pem"
    assert issue(data, "--out", certificate, "--key", key).exit_code == 1
    assert not key.exists()
    certificate.parent.mkdir()
    done = issue(data, "--out", certificate, "--key", key)
    assert done.exit_code == 0, done.output
