"""A real Prometheus, as Debian packages it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import pytest
from support.waiting import HANG_SECONDS, eventually

CURE = "scripts/test-services (as root) installs prometheus"
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


def require(program: str) -> str:
    """The path of `prometheus` or `promtool`. Without it the test is skipped, in CI it fails."""
    found = shutil.which(program)
    if found is None:
        message = f"{program} is not installed: {CURE}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def promtool(*arguments: str | Path) -> None:
    """Runs promtool, which must be content."""
    command = [require("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A server on a free port. Entering starts it, leaving ends it."""

    def __init__(self, config: Path, directory: Path) -> None:
        self._command = [
            *("setpriv", "--pdeathsig=KILL", require("prometheus")),  # it must not outlive us
            *(f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"),
            *("--web.listen-address=127.0.0.1:0", "--log.format=logfmt"),
        ]
        self._log = directory / "prometheus.log"

    def __enter__(self) -> Prometheus:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        address = eventually(self._address, what="Prometheus to listen")
        self._http = httpx2.Client(base_url=f"http://{address}", trust_env=False, timeout=HANG_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._process.kill()
        self._process.wait()

    def _address(self) -> str | None:
        text = self._log.read_text()
        assert self._process.poll() is None, text
        found = _LISTENING.search(text)
        return None if found is None else found[1]

    def ask(self, path: str, **params: str) -> Any:
        """`data` of an answer of its API."""
        answer = self._http.get(f"/api/v1/{path}", params=params)
        body = json.loads(answer.text or "{}")
        assert body.get("status") == "success", f"{params}: {answer.text}"
        return body["data"]

    def query(self, expression: str) -> list[Any]:
        """What an expression gives now."""
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found
