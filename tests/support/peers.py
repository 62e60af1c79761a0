"""Foreign clients as programs: where they come from, and one way to have each of them push.

`scripts/peers` installs what PyPI does not have. What is missing on a user's machine is a skip that names its cure;
where `CI` is set it is a failure, but for Go, which runs only where it is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .sim_client import TOPIC, Signer, World

PEERS = Path(__file__).parents[1] / "peers"
SECONDS = 60
"""How long a client may take; only one that hangs takes it."""


@dataclass(frozen=True)
class Result:
    """What a client says became of a push."""

    status: int
    reason: str | None = None
    timestamp: int | None = None


def missing(message: str, *, in_ci_too: bool = False) -> NoReturn:
    """Skip by name with the cure; where `CI` is set this is a failure, unless it may be missing there."""
    if os.environ.get("CI") and not in_ci_too:
        pytest.fail(message)
    pytest.skip(message)


def cache() -> Path:
    """Where `scripts/peers` keeps things."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heliogram" / "peers"


def node_folder() -> Path:
    """The folder that `scripts/peers` has made: ``node``, and ``node_modules``."""
    locked = b"".join((PEERS / "node" / name).read_bytes() for name in ("package-lock.json", "requirements.txt"))
    folder = cache() / f"node-{hashlib.sha256(locked).hexdigest()[:12]}"
    if not os.access(folder / "node", os.X_OK):
        missing("no node 20 with the npm packages of tests/peers/node: run scripts/peers")
    return folder


def go_program() -> Path:
    """The Go client, built once for each state of its source."""
    go = shutil.which("go")
    if go is None:
        missing("no go here: install Go 1.21 or newer", in_ci_too=True)
    version = subprocess.run([go, "version"], capture_output=True, check=True).stdout
    source = b"".join(path.read_bytes() for path in sorted((PEERS / "go").iterdir()))
    program = cache() / f"go-{hashlib.sha256(version + source).hexdigest()[:12]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            made = Path(folder) / "client"
            options = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
            words = [go, "build", "-o", str(made), "."]
            done = subprocess.run(words, cwd=PEERS / "go", env=os.environ | options, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()
            made.replace(program)
    return program


def node_variables(folder: Path) -> dict[str, str]:
    """The environment in which Node finds the packages, wherever the script lies."""
    return os.environ | {"NODE_PATH": str(folder / "node_modules")}


def p8(signer: Signer) -> str:
    """The signing key as the portal hands it out."""
    return signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def ran(words: Sequence[str | Path], text: str, variables: dict[str, str] | None = None) -> str:
    """What a program prints that gets this text."""
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables
    )
    async with asyncio.timeout(SECONDS):
        output, errors = await process.communicate(text.encode())
    assert process.returncode == 0, errors.decode()
    return output.decode()


class Program:
    """A client that takes a job on standard input: where, with which key, to which token, which texts."""

    def __init__(self, *words: str | Path, variables: dict[str, str] | None = None) -> None:
        self._words = words
        self._variables = variables

    async def __call__(self, world: World, token: str, texts: Sequence[str], signer: Signer) -> list[Result]:
        host, port = world.simulator.ports["production"]
        job: dict[str, Any] = {
            "host": host,
            "port": port,
            "ca": world.simulator.ca_pem.decode(),
            "key": p8(signer),
            "keyId": signer.key_id,
            "teamId": signer.team_id,
            "topic": TOPIC,
            "token": token,
            "texts": list(texts),
        }
        told = json.loads(await ran(self._words, json.dumps(job), self._variables))
        return [Result(one["status"], one.get("reason"), one.get("timestamp")) for one in told]


def node_program(script: str) -> Program:
    """A client of tests/peers/node."""
    folder = node_folder()
    return Program(folder / "node", PEERS / "node" / script, variables=node_variables(folder))
