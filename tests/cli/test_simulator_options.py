"""`heliogram simulator` started with what cannot work."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx2
from support.programs import Program, heliogram
from support.sim_client import ALERT, TEAM, Signer, SimClient


def test_a_damaged_ca_is_told_without_a_traceback(tmp_path: Path) -> None:
    """The CA that clients trust is not replaced: the error names the files to remove."""
    (tmp_path / "ca.pem").write_text("junk")
    (tmp_path / "ca.key").write_text("junk")
    done = heliogram("simulator", "--control", "127.0.0.1:0", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "remove ca.pem and ca.key" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


async def reasons_of(signer: Signer, place: str, ca_pem: bytes, count: int) -> list[str | None]:
    """What so many different tokens are told, each on a connection of its own."""
    host, _, port = place.rpartition(":")
    found = []
    for age in range(count):
        client = await SimClient.connect((host, int(port)), ca_pem)
        found.append((await client.push("ab" * 32, signer.token(int(time.time()) - age), body=ALERT)).reason)
        await client.close()
    return found


def test_the_token_floor_is_chosen(tmp_path: Path) -> None:
    """`--token-floor team`: three connections with a token each, and the third is told that these are too many."""
    listeners = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
    words = [word for name in listeners for word in (f"--{name}", "127.0.0.1:0")]
    words += ["--data", str(tmp_path), "--token-floor", "team"]
    with Program("simulator", *words, log=tmp_path / "log") as program:
        signer = Signer()
        key = {"keyId": signer.key_id, "teamId": TEAM, "publicKey": signer.public_pem}
        httpx2.post(f"{program.ready['control']}/keys", json=key, trust_env=False).raise_for_status()
        ca_pem = Path(program.ready["ca"]).read_bytes()
        reasons = asyncio.run(reasons_of(signer, program.ready["production"], ca_pem, 3))
    assert reasons == ["BadDeviceToken", "BadDeviceToken", "TooManyProviderTokenUpdates"]


def test_settings_are_chosen(tmp_path: Path) -> None:
    """`--set NAME=VALUE` is for every setting, those of a scenario too; a mistake is told before anything opens."""
    scenario = tmp_path / "world.json"
    scenario.write_text('{"heliogramScenario": 1, "settings": {"journal": 5, "token_changes": 3}}')
    listeners = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
    words = [word for name in listeners for word in (f"--{name}", "127.0.0.1:0")]
    words += ["--data", str(tmp_path), "--scenario", str(scenario)]
    chosen = ("--set", "journal=7", "--set", "strict_json=true")
    with Program("simulator", *words, *chosen, log=tmp_path / "log") as program:
        document = httpx2.get(f"{program.ready['control']}/scenario", trust_env=False).json()
    assert document["settings"] == {"journal": 7, "token_changes": 3, "strict_json": True}
    done = heliogram("simulator", *words, "--set", "jornal=7")
    assert done.returncode == 1
    assert "--set jornal=7: give NAME=VALUE with one of token_floor" in " ".join(done.stderr.split())
