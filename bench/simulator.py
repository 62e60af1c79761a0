"""The engine against the simulator, which checks every push and keeps it on a virtual device."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import clients
from bench.harness import Bench, Place, Verdict, alternate, table
from bench.sinks import pin

DEVICES = 100
TEAM = "DEF123GHIJ"
TOPIC = "com.example.app"


def simulator(bench: Bench) -> Iterator[Verdict]:
    """Pushes to 100 virtual devices of the simulator. No target: it limits the rate, not the CPU figure."""
    names = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
    listeners = [word for name in names for word in (f"--{name}", "127.0.0.1:0")]
    with tempfile.TemporaryDirectory(prefix="heliogram-bench-") as folder:
        words = [sys.executable, "-m", "heliogram", "simulator", *listeners, "--data", folder, "--json"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            pin(process.pid, bench.server_cores)
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            issued = prepare(ready["control"], Path(folder))
            place = Place(int(ready["production"].rpartition(":")[2]), ready["ca"])
            own = ["--key", f"{folder}/key.p8", "--key-id", issued, "--tokens", f"{folder}/tokens"]
            chosen = [clients.heliogram(f"heliogram {way}", "--way", way, *own) for way in ("many", "send")]
            table(alternate(chosen, place, bench.pushes, max(1, bench.rounds // 2)), None)
        finally:
            process.terminate()
            process.wait(10)
    yield from ()


def prepare(control: str, folder: Path) -> str:
    """A key and the devices, written to files for `load.py`; the key's id."""

    def ask(path: str, body: object) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(control + path, data, {"content-type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own child on loopback
            return json.load(answer)

    issued = ask("/portal/keys", {"teamId": TEAM})
    tokens = []
    for number in range(DEVICES):
        device = ask("/devices", {"name": f"phone {number}", "platform": "ios"})["id"]
        ask(f"/devices/{device}/apps", {"bundleId": TOPIC, "environment": "production"})
        tokens.append(ask(f"/devices/{device}/apps/{TOPIC}/launch", {})["deviceToken"])
    (folder / "key.p8").write_text(issued["p8"])
    (folder / "tokens").write_text("\n".join(tokens))
    return str(issued["keyId"])
