"""The engine needs what the base distribution declares, and nothing else: shown by a Python that has nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from packaging.requirements import Requirement
from support.tls import key_pem

import heliogram
from heliogram.simulator import Simulator

pytestmark = pytest.mark.anyio

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ELSEWHERE = ("api", "store", "rest", "delivery", "queue", "domain", "cli", "security", "observe", "simulator", "ports")
BUNDLE = "com.example.app"

PROGRAM = """
import asyncio, json, sys

site, words = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, site)

from heliogram.apns import Client, Notification, SigningKey, sync

key = SigningKey.from_p8(words["p8"], key_id="ABC123DEFG", team_id="DEF123GHIJ")
place = {"topic": words["topic"], "endpoint": words["endpoint"], "cafile": words["cafile"]}


async def push():
    async with Client(key, **place) as client:
        return await client.send(words["token"], Notification(alert="from a loop"))


outcomes = [asyncio.run(push())]
with sync.Client(key, **place) as client:
    outcomes.append(client.send(words["token"], Notification(alert="from a script")))
print(json.dumps({"ok": [one.ok for one in outcomes], "modules": sorted(sys.modules)}))
"""


def base_distributions() -> set[str]:
    """The distributions that `pip install heliogram` brings, without extras."""
    wanted = list(tomllib.loads(PROJECT.read_text())["project"]["dependencies"])
    found: set[str] = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if needed and requirement.name not in found:
            found.add(requirement.name)
            wanted += metadata.requires(requirement.name) or ()
    return found


def lay_out(site: Path) -> None:
    """A directory of packages as `pip install heliogram` would make it, of links."""
    (site / "heliogram").symlink_to(Path(heliogram.__path__[0]), target_is_directory=True)
    for name in base_distributions():
        for file in metadata.files(name) or ():
            top = file.parts[0]
            here = Path(os.fspath(file.locate())).parents[len(file.parts) - 1] / top
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(here)


def run(site: Path, words: dict[str, Any]) -> dict[str, Any]:
    """The program's report. `-I -S`: no environment, no site-packages, nothing but the standard library."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", PROGRAM, str(site), json.dumps(words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


async def test_the_engine_with_its_declared_dependencies_alone(tmp_path: Path) -> None:
    """One push with each client reaches the simulator; no module of the service, nor of its packages, was loaded."""
    site = tmp_path / "site"
    site.mkdir()
    lay_out(site)
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with Simulator() as simulator:
        simulator.add_key("ABC123DEFG", "DEF123GHIJ", public)
        device = simulator.add_device("phone")
        simulator.install(device.id, BUNDLE, "production")
        host, port = simulator.ports["production"]
        words = {
            "p8": key_pem(private).decode(),
            "topic": BUNDLE,
            "endpoint": f"{host}:{port}",
            "cafile": str(simulator.ca_path),
            "token": simulator.launch(device.id, BUNDLE).device_token,
        }
        report = await asyncio.to_thread(run, site, words)
        shown = [one.body for one in simulator.notifications(device.id)]
    assert report["ok"] == [True, True]
    assert shown == ["from a loop", "from a script"]
    loaded = set(report["modules"])
    assert not {f"heliogram.{room}" for room in ELSEWHERE} & loaded
    tops = {name.partition(".")[0] for name in loaded} - {*sys.stdlib_module_names, "__main__"}
    assert tops <= {"heliogram", "msgspec", "cryptography", "_cffi_backend", "_openssl"}


def test_the_base_distribution_is_small() -> None:
    """Two packages, and what cryptography itself needs."""
    assert base_distributions() - {"cffi", "pycparser"} == {"cryptography", "msgspec"}
