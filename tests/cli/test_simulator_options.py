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
