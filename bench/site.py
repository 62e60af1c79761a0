"""A data directory with a large database, and the service that runs on it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.harness import at_rest, cpu_of
from bench.population import APP, History, Population, fill_devices, fill_notifications
from bench.service import CORES, PUSH, post, start
from heliogram.domain import ids

BUNDLE = "com.example.bench"
RETENTION_DAYS = 30
"""Nothing that is stored may go while it is measured."""
_BUILD_CACHE_KIB = 4 << 20


class Apns(NamedTuple):
    """What takes the pushes."""

    port: int
    cafile: str


class Size(NamedTuple):
    """How much a database holds."""

    devices: int
    notifications: int

    def __str__(self) -> str:
        return f"{self.devices:,} devices, {self.notifications:,} notifications"

    @property
    def folder(self) -> str:
        """The name of its data directory."""
        return f"{self.devices}-{self.notifications}"


def built(place: Path, size: Size, apns: Apns) -> tuple[Path, History]:
    """The data directory of that size below `place`, made unless it is there, and what is in it."""
    folder = place / size.folder
    manifest = folder / "scale.json"
    if not manifest.exists():
        shutil.rmtree(folder, ignore_errors=True)
        begin = time.perf_counter()
        if size.notifications:
            source, known = built(place, Size(size.devices, 0), apns)
            shutil.copytree(source, folder)
            manifest.unlink()
            _fill(folder, size, known.population.now)
        else:
            _found(folder, apns)
            _fill(folder, size, int(time.time() * 1000))
        print(f"built {size} in {time.perf_counter() - begin:.0f} s", flush=True)
    told = json.loads(manifest.read_text())
    population = Population(bytes.fromhex(told["account"]), size.devices, told["now"])
    return folder, History(population, size.notifications, bytes.fromhex(told["credential"]))


def _found(folder: Path, apns: Apns) -> None:
    """An empty data directory whose default account has an app with a credential."""
    with ExitStack() as stack:
        site = Site(stack, folder, apns)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        content = {"signingKey": pem, "keyId": "ABC123DEFG", "teamId": "DEF123GHIJ", "bundleId": BUNDLE}
        post(site.api, f"{PUSH}/Credentials", {"credentialType": "APN", "appName": APP, "content": content})


def _fill(folder: Path, size: Size, now: int) -> None:
    """Writes what the database is to hold beside what it holds; nothing of it would survive a crash."""
    file = folder / "heliogram.db"
    connection = apsw.Connection(str(file))
    try:
        connection.pragma("journal_mode", "OFF")
        for pragma, value in (("synchronous", "OFF"), ("cache_size", -_BUILD_CACHE_KIB), ("locking_mode", "EXCLUSIVE")):
            connection.pragma(pragma, value)
        account, credential = _row(connection, "SELECT account_id, id FROM credential")
        before = _pages(connection)
        population = Population(account, size.devices, now)
        connection.execute("BEGIN")
        if size.notifications:
            population = population._replace(
                now=json.loads((folder.parent / f"{size.devices}-0/scale.json").read_text())["now"]
            )
            now = population.now
            fill_notifications(connection, History(population, size.notifications, credential))
        else:
            fill_devices(connection, population)
        connection.execute("COMMIT")
        grown = _pages(connection) - before
    finally:
        connection.close()
    told = {"account": account.hex(), "credential": credential.hex(), "now": now, "grown": grown}
    (folder / "scale.json").write_text(json.dumps(told))


def _row(connection: apsw.Connection, sql: str) -> Any:
    return connection.execute(sql).fetchone()


def _pages(connection: apsw.Connection) -> int:
    return int(_row(connection, "PRAGMA page_count")[0]) * int(_row(connection, "PRAGMA page_size")[0])


class Site:
    """`heliogram serve` on a data directory, on one core; calls to it come from the other."""

    def __init__(self, stack: ExitStack, data: Path, apns: Apns, *options: str) -> None:
        self.data = data
        words = ["--data", str(data), "--listen", "127.0.0.1:0", "--log-level", "warning"]
        words += ["--apns-production", f"127.0.0.1:{apns.port}", "--apns-cacert", apns.cafile]
        words += ["--retention-days", str(RETENTION_DAYS), *options]
        begin = time.perf_counter()
        service, told = start(stack, CORES[:1], "serve", *words)
        self.started = time.perf_counter() - begin
        self.pid = service.pid
        made = [sys.executable, "-m", "heliogram", "api-keys", "create", "--data", str(data), "--json"]
        key = json.loads(subprocess.run(made, check=True, capture_output=True).stdout)
        auth = (key["keyId"], key["secret"])
        self.api = stack.enter_context(httpx2.Client(base_url=told["url"], auth=auth, timeout=120, trust_env=False))
        self._authorization = "Basic " + base64.b64encode(":".join(auth).encode()).decode()

    def cpu(self) -> float:
        """CPU seconds the service has used."""
        return cpu_of(self.pid)

    def settle(self) -> None:
        """Waits until the service uses no CPU to speak of."""
        at_rest(self.cpu)

    def send(self, bodies: list[bytes]) -> int:
        """Sends one after another, and waits until all have ended; how many recipients were sent to."""
        made = []
        for body in bodies:
            answer = self.api.post(PUSH, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 202, answer.text
            made.append(answer.json()["operationId"])
        return sum(self._ended(operation) for operation in made)

    def _ended(self, operation: str) -> int:
        while True:
            found = self.api.get(f"{PUSH}/Operations/{operation}").json()
            if found["status"] == "COMPLETED":
                assert found["stats"]["sent"] == found["stats"]["total"], found
                return int(found["stats"]["sent"])
            time.sleep(0.02)

    def ask(self, method: str, requests: Iterator[tuple[str, bytes]], connections: int = 64) -> list[float]:
        """All these requests (path and body) over so many connections; the seconds that each answer took."""
        return asyncio.run(self._ask(method, requests, connections))

    async def _ask(self, method: str, requests: Iterator[tuple[str, bytes]], connections: int) -> list[float]:
        waits: list[float] = []
        url = self.api.base_url

        async def one() -> None:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            for path, body in requests:
                begin = time.perf_counter()
                head = f"{method} {path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: {self._authorization}\r\n"
                if body:
                    head += "Content-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                content = await reader.readexactly(int(length))
                assert answer[9:10] == b"2", (answer, content)
                waits.append(time.perf_counter() - begin)
            writer.close()

        await asyncio.gather(*(one() for _ in range(connections)))
        return waits


def user_text(population: Population, number: int) -> str:
    """The n-th user's id as the API takes it."""
    return ids.encode(ids.USER, population.user(number))


def nothing_else() -> None:
    """This process and what it starts besides the service stay off the service's core."""
    os.sched_setaffinity(0, CORES[-1:])
