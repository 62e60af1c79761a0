"""tinyproxy, a small HTTP proxy that many networks have, as Debian packages it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from support.peers import missing
from support.ports import free_ports, own_host
from support.waiting import eventually

_CONFIGURATION = """
Port {port}
Listen {host}
Timeout 600
LogFile "{log}"
LogLevel Info
MaxClients 20
BasicAuth {user} {password}
ConnectPort {allowed}
"""


class Tinyproxy:
    """One that wants a user and a password, and lets CONNECT through to a single port."""

    def __init__(self, directory: Path, login: tuple[str, str], allowed: int) -> None:
        found = shutil.which("tinyproxy")
        if found is None:
            missing("tinyproxy is not installed: scripts/test-services (as root) installs tinyproxy-bin")
        self.host, [self.port] = own_host(), free_ports(1, own_host())
        self.log = directory / "tinyproxy.log"
        user, password = login
        (directory / "tinyproxy.conf").write_text(
            _CONFIGURATION.format(
                port=self.port, host=self.host, log=self.log, user=user, password=password, allowed=allowed
            )
        )
        self._command = ["setpriv", "--pdeathsig=KILL", found, "-d", "-c", str(directory / "tinyproxy.conf")]

    def url(self, login: str = "") -> str:
        """For `Client(proxy=…)`."""
        return f"http://{login and login + '@'}{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(self._listens, what="tinyproxy to listen")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        text = self.log.read_text() if self.log.exists() else ""
        assert self._process.poll() is None, text
        return "Accepting connections" in text
