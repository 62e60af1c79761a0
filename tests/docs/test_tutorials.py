"""The tutorials' commands are run as they are printed, one block after the other, in a network of their own.

In it every port of the documents is free. A block that starts a server stays in the background, as in a terminal of its
own; a key that a command asks for is given as a reader would give it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.peers import missing
from support.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(3 * HANG_SECONDS)

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STARTS_A_SERVER = re.compile(r"heliogram (?:simulator|serve) ")
# The words on which a server's output says that it is there.
_READY = {"simulator": "simulator ready", "serve": "heliogram is ready"}
SIMULATED = (
    "--apns-production 127.0.0.1:2197 --apns-sandbox 127.0.0.1:2198 --apns-cacert ./data/simulator/ca.pem"
    " --apns-manage-production 127.0.0.1:2196 --apns-manage-sandbox 127.0.0.1:2195"
)


def script(page: str, replaced: dict[str, str]) -> str:
    """One program for bash out of a page's blocks, each announced by its number."""
    text = (ROOT / "docs/tutorial" / page).read_text("utf-8")
    lines = ["set -euo pipefail", "ip link set lo up", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for number, block in enumerate(_BLOCK.findall(text)):
        for old, new in replaced.items():
            block = block.replace(old, new)
        lines.append(f"echo '== block {number}'")
        starts = _STARTS_A_SERVER.match(block)
        if starts:
            name = block.split()[1]
            lines += [
                f"{block.strip()} > {name}.log 2>&1 &",
                f"until grep -q '{_READY[name]}' {name}.log; do sleep 0.1; done",
            ]
        else:
            # What `api-keys create` says is what `login` asks for.
            block = block.replace(
                "api-keys create --name tutorial\n", "api-keys create --name tutorial | tee key.txt\n"
            )
            given = "awk '{print $2}' key.txt | paste -sd. | heliogram login"
            lines.append(re.sub(r"^heliogram login$", given, block, flags=re.MULTILINE).strip())
    return "\n".join(lines)


def follow(page: str, folder: Path, replaced: dict[str, str] | None = None, before: str = "") -> str:
    """What a reader sees who does all of it."""
    words = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        missing("no network namespaces here: unshare --net (util-linux) is refused")
    for program, package in (("ip", "iproute2"), ("curl", "curl"), ("openssl", "openssl")):
        if shutil.which(program) is None:
            missing(f"no {program} here: scripts/test-services (as root) installs {package}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAM_")}
    environment |= {"HOME": str(folder / "home"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("XDG_CONFIG_HOME", None)
    (folder / "home").mkdir()
    program = script(page, replaced or {}).replace("ip link set lo up", f"ip link set lo up\n{before}", 1)
    process = subprocess.Popen(
        [*words, "bash", "-c", program],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=2 * HANG_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"it hangs after:\n{process.communicate()[0]}")
    assert process.returncode == 0, said
    return said


def test_the_first_push(tmp_path: Path) -> None:
    """From nothing to a notification on a virtual iPhone, then to a dead token that nothing is wasted on."""
    said = follow("first-push.md", tmp_path, {"scripts/setup run": "true"})  # this environment is ready
    assert "1 accepted by APNs" in said
    assert "SENT: accepted for 1 device" in said
    assert "Unregistered" in said
    assert "There is no such device" in said
    assert "1 without a device" in said


def test_the_push_to_an_iphone(tmp_path: Path) -> None:
    """The same with the file that Apple's portal gives out: only the addresses of Apple are the simulator's."""
    begun = f"""
heliogram simulator --data ./data/simulator > simulator.log 2>&1 &
until grep -q 'simulator ready' simulator.log; do sleep 0.1; done
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out AuthKey_ABC123DEFG.p8
openssl pkey -in AuthKey_ABC123DEFG.p8 -pubout -out public.pem
{sys.executable} - <<'PYTHON'
import json, urllib.request

def ask(path, body, method="POST"):
    request = urllib.request.Request("http://127.0.0.1:8090" + path, json.dumps(body).encode(), method=method)
    request.add_header("content-type", "application/json")
    return json.load(urllib.request.urlopen(request))

ask("/keys", {{"keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "publicKey": open("public.pem").read()}})
phone = ask("/devices", {{"name": "iPhone", "platform": "ios"}})["id"]
ask(f"/devices/{{phone}}/apps", {{"bundleId": "com.example.shop", "environment": "sandbox"}})
open("token", "w").write(ask(f"/devices/{{phone}}/apps/com.example.shop/launch", {{}})["deviceToken"])
PYTHON
"""
    replaced = {
        "heliogram serve --data ./data": f"heliogram serve --data ./data {SIMULATED}",
        "heliogram doctor --data ./data": f"heliogram doctor --data ./data {SIMULATED}",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08": "$(cat token)",
    }
    said = follow("your-iphone.md", tmp_path, replaced, begun)
    assert "1 accepted by APNs" in said
