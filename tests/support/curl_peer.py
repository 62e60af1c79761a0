"""curl, where it speaks HTTP/2 (with nghttp2): a client anyone has at the command line."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .peers import Result, missing
from .sim_client import TOPIC, Signer, World, write_ca


def curl_program() -> str:
    """The path of a curl with HTTP/2."""
    path = shutil.which("curl")
    if path is None:
        missing("no curl here: apt-get install curl")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if "HTTP2" not in version.split():
        missing("this curl has no HTTP/2: apt-get install curl")
    return path


async def run(curl: str, world: World, ca: Path, path: str, *arguments: str) -> tuple[int, str, dict[str, str], str]:
    """Status, HTTP version, headers and body of one curl call."""
    host, port = world.simulator.ports["production"]
    process = await asyncio.create_subprocess_exec(
        curl,
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--cacert",
        str(ca),
        "--write-out",
        "\n%{http_code} %{http_version} %{header_json}",
        *arguments,
        f"https://{host}:{port}{path}",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    body, _, rest = output.decode().partition("\n")
    status, version, headers = rest.split(" ", 2)
    return int(status), version, {name: values[0] for name, values in json.loads(headers).items()}, body


async def push(world: World, token: str, texts: Sequence[str], signer: Signer) -> list[Result]:
    """A call, and so a connection, for each; curl signs nothing, the token comes as a script would make it."""
    curl, bearer = curl_program(), signer.token(int(time.time()))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        ca = write_ca(world.simulator, Path(folder))
        for text in texts:
            headers = (f"authorization: bearer {bearer}", f"apns-topic: {TOPIC}", "apns-push-type: alert")
            given = [word for header in headers for word in ("--header", header)]
            data = json.dumps({"aps": {"alert": text}})
            status, _, _, body = await run(curl, world, ca, f"/3/device/{token}", "--http2", *given, "--data", data)
            said = json.loads(body) if body else {}
            results.append(Result(status, said.get("reason"), said.get("timestamp")))
    return results
