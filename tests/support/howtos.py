"""The blocks of a page, run as they are printed, in a network where this machine is Apple.

A `World` has a network of its own, in which every port of the documents is free, and a `hosts` file of its own, in
which APNs' names are this machine. Where it is `furnished` the simulator and the service run on their default ports,
with an app `shop`, its credentials, phones, and an API key in `$KEY`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from support.peers import missing
from support.waiting import HANG_SECONDS, eventually

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SERVER = re.compile(r"^(?:\w+=\S+ )?heliogram (?P<name>serve|simulator)(?: --?\w.*)?$", re.MULTILINE)
_READY = {"simulator": "simulator ready", "serve": "is ready"}
_HOSTS = """127.0.0.1 localhost api.push.apple.com api-manage-broadcast.push.apple.com
127.0.0.2 api.sandbox.push.apple.com api-manage-broadcast.sandbox.push.apple.com
127.0.0.1 push.example.com hooks.example.com
"""
_NAMES = " ".join(
    f"--name {each}" for line in _HOSTS.splitlines()[:2] for each in line.split()[1:] if each != "localhost"
)
_BEGIN = """
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
C=http://127.0.0.1:8090
"""
_FURNISH = """
heliogram api-keys create --data ./data --name documents | tee api-key.txt
awk '{print $2}' api-key.txt | paste -sd: > KEY
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out AuthKey_ABC123DEFG.p8
python phones.py
export HELIOGRAM_API_KEY=$(cat KEY)
for more in "" --sandbox; do
  heliogram credentials upload --app shop --key-file AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ \\
            --bundle-id com.example.app $more
done
for user in ann ann@example.com user-42 user-43; do
  heliogram devices register $(cat "token-$user") --app shop --user $user --environment production
done
"""
_PHONES = """
import json, subprocess, urllib.request

def ask(path, body):
    request = urllib.request.Request("http://127.0.0.1:8090" + path, json.dumps(body).encode(), method="POST")
    request.add_header("content-type", "application/json")
    return json.load(urllib.request.urlopen(request))

made = subprocess.run(["openssl", "pkey", "-in", "AuthKey_ABC123DEFG.p8", "-pubout"], capture_output=True, text=True)
ask("/keys", {"keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "publicKey": made.stdout})
for user in ("ann", "ann@example.com", "user-42", "user-43", "nobody", "sandbox"):
    phone = ask("/devices", {"name": user, "platform": "ios"})["id"]
    environment = "sandbox" if user == "sandbox" else "production"
    ask(f"/devices/{phone}/apps", {"bundleId": "com.example.app", "environment": environment})
    open(f"token-{user}", "w").write(ask(f"/devices/{phone}/apps/com.example.app/launch", {})["deviceToken"])
    open(f"phone-{user}", "w").write(phone)
"""
# APNs' own ports, of both of its environments; a child of the namespace's holder.
_RELAY = """
import asyncio

async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def relay(host, port, to):
    async def serve(reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pipe(reader, back), pipe(there, writer))
    return await asyncio.start_server(serve, host, port)

async def main():
    ways = [("127.0.0.1", 443, 2197), ("127.0.0.2", 443, 2198), ("127.0.0.2", 2197, 2198), ("127.0.0.2", 2195, 2195)]
    servers = [await relay(*way) for way in ways]
    print("there", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    text: str


def fenced(page: str, language: str) -> str:
    """The one block of that language on a page."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


def blocks(page: str) -> list[Block]:
    """The blocks for a shell or for Python, in the page's order."""
    return [Block(*found) for found in _BLOCK.findall((ROOT / page).read_text("utf-8"))]


@dataclass(frozen=True)
class Recipe:
    """What a reader does beside the printed words: other names in place of placeholders (`replaced`), something done
    before a block, and what is to be read in the end."""

    replaced: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[int, str] = field(default_factory=dict)
    """By the block's number; shell before a block for the shell, Python in front of one of Python."""
    awaits: frozenset[int] = frozenset()
    """Blocks of Python that stand within a coroutine."""
    after: str = ""
    """Shell, when all blocks have been run."""
    expected: tuple[str, ...] = ()
    furnished: bool = True
    """In the world that has everything, or in one of its own, in which nothing runs yet."""


class World:
    """A network, a `hosts` file and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        (self.home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        (folder / "bin").mkdir()
        for name in ("heliogram", "python"):
            program = folder / "bin" / name
            words = " -m heliogram" if name == "heliogram" else ""
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
            program.chmod(0o755)
        (folder / "hosts").write_text(_HOSTS)
        (folder / "relay.py").write_text(_RELAY)
        (folder / "phones.py").write_text(_PHONES)
        held = 'mount --bind hosts /etc/hosts && ip link set lo up && ip address add 10.0.0.5/32 dev lo && exec "$@"'
        ways = ["--net", "--mount"] if os.geteuid() == 0 else ["--map-root-user", "--net", "--mount"]
        unshare = shutil.which("unshare")
        if unshare is None or subprocess.run([unshare, *ways, "true"], capture_output=True, check=False).returncode:
            missing("no network namespaces here: unshare --net --mount (util-linux) is refused")
        self._holder = subprocess.Popen(
            [unshare, *ways, "sh", "-ec", held, "sh", sys.executable, "relay.py"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "there\n", "the network did not come up"

    def __repr__(self) -> str:
        return f"World({str(self.folder)!r})"

    def variables(self) -> dict[str, str]:
        """What the programs in it find around them."""
        found = {name: value for name, value in os.environ.items() if not name.startswith(("HELIOGRAM_", "XDG_"))}
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return found | {"HOME": str(self.home), "PATH": path, "SSL_CERT_FILE": f"{self.folder}/data/simulator/ca.pem"}

    def run(self, program: str, folder: Path) -> str:
        """Runs a program of the shell to its end; what it printed. It must end well."""
        enter = ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", f"--wd={folder}"]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        process = subprocess.Popen(
            [*enter, "bash", "-c", _BEGIN + program], env=self.variables(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said = process.communicate(timeout=2 * HANG_SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"it hangs after:\n{process.communicate()[0]}")
        assert process.returncode == 0, said
        return said

    def furnish(self) -> None:
        """Starts the simulator and the service, and makes what the pages take for granted."""
        start = f"""
(heliogram simulator --data ./data/simulator {_NAMES} > simulator.log 2>&1 & echo $! > world-simulator.pid)
until grep -qs 'simulator ready' simulator.log; do sleep 0.1; done
(heliogram serve --data ./data > serve.log 2>&1 & echo $! > world-serve.pid)
until grep -qs 'is ready' serve.log; do sleep 0.1; done
"""
        self.run(start + _FURNISH, self.folder)

    def page_folder(self, name: str) -> Path:
        """A folder for one page, with the files that pages name."""
        made = self.folder / "pages" / name
        made.mkdir(parents=True)
        for each in ("data", "AuthKey_ABC123DEFG.p8"):
            (made / each).symlink_to(self.folder / each)
        return made

    def close(self) -> None:
        """Ends everything in it."""
        for name in ("world-serve.pid", "world-simulator.pid"):
            if (self.folder / name).exists():
                pid = int((self.folder / name).read_text())
                os.kill(pid, signal.SIGTERM)
                eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists() or None, what=name)  # type: ignore[misc]
        os.killpg(self._holder.pid, signal.SIGTERM)
        self._holder.communicate()


def program(page: str, recipe: Recipe, not_run: frozenset[int]) -> str:
    """A page as one program for bash, each block announced by its number. A command that serves stays in the
    background, and ends when another one begins."""
    lines = []
    if recipe.furnished:
        lines.append("export HELIOGRAM_API_KEY=$(cat ../../KEY); KEY=$HELIOGRAM_API_KEY")
        lines.append("P=http://127.0.0.1:8080/v1/PushNotifications; J='content-type: application/json'")
    for number, (language, text) in enumerate(blocks(page)):
        if number in not_run:
            continue
        for old, new in recipe.replaced.items():
            text = text.replace(old, new)
        before = recipe.before.get(number, "")
        lines.append(f"echo '== block {number}'")
        if language == "python":
            if number in recipe.awaits:
                text = (
                    f"import asyncio\nasync def main():\n{textwrap.indent(before + text, '    ')}\nasyncio.run(main())"
                )
                before = ""
            lines.append(f"cat > block{number}.py <<'PYTHON_BLOCK'\n{before}{text}\nPYTHON_BLOCK")
            lines.append(f"python -W error block{number}.py")
        else:
            lines += [before, _serving(text)]
    return "\n".join([*lines, recipe.after])


def _serving(text: str) -> str:
    """The commands that serve, in the background until they are ready."""

    def behind(found: re.Match[str]) -> str:
        name = found["name"]
        if found.group().endswith("&"):  # the page itself puts it into the background
            return found.group()
        return (
            f"if [ -e {name}.pid ]; then kill $(cat {name}.pid); wait $(cat {name}.pid) || true; fi\n"
            f"{found.group().split('  #')[0]} > {name}.log 2>&1 & echo $! > {name}.pid\n"
            f"until grep -qs '{_READY[name]}' {name}.log; do\n"
            f"  kill -0 $! || {{ cat {name}.log; exit 1; }}\n  sleep 0.1\ndone"
        )

    return _SERVER.sub(behind, text.replace("\\\n", " ") if _SERVER.search(text.replace("\\\n", " ")) else text)
