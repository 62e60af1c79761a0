"""The client alone: what it needs, and that importing it costs little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import heliogram
from heliogram.client import AsyncHeliogram, Heliogram

ALONE = """
import importlib.abc, sys
sys.path.insert(0, {source!r})
SERVERS = {{"apsw", "click", "cryptography", "jinja2", "prometheus_client", "rich", "starlette", "structlog", "uvicorn",
            "uvloop", "asyncpg", "nats", "liquid", "opentelemetry"}}
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in SERVERS or name.startswith("heliogram.") and not name.startswith("heliogram.client"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import heliogram.client as client
early = [name for name in ("httpx2", "asyncio", "heliogram.client.clients") if name in sys.modules]
for name in client.__all__:
    getattr(client, name)
late = [name for name in ("httpx2", "asyncio") if name in sys.modules]
with client.Heliogram("http://127.0.0.1:1", "id.secret") as made:
    print(early, late, made)
"""


def test_it_needs_msgspec_and_httpx2_alone_and_imports_them_late() -> None:
    """Everything else of the service may be missing; httpx2 is imported when a client is made."""
    source = str(Path(heliogram.__file__).parents[1])
    code = ALONE.format(source=source)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] [] Heliogram('http://127.0.0.1:1')"


def test_no_representation_shows_the_key() -> None:
    """Clients and their parts are named by their address."""
    with Heliogram("http://127.0.0.1:1", "id.se-cret") as made:
        parts = [made, made.apps, made._transport, made._transport.talk, made.apps.list()]
    parts += [AsyncHeliogram("http://127.0.0.1:1", "id.se-cret")]
    assert not any("se-cret" in repr(each) for each in parts)
