"""Network namespaces joined by a bridge: each process with an address of its own, cables that can be pulled.

Everything hangs on one process a namespace, which ends with the one that made it: nothing is left behind, not even by
kill -9. The bridge has a namespace, too. All that shows on the machine is one interface, `hgc<number>`, whose name is
taken by making it: so each network of any process has a subnet of its own, of those for tests of networks (RFC 2544).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from support.waiting import eventually

CURE = (
    "run the tests as root on Linux with iproute2, util-linux and network namespaces (not in a locked-down container)"
)
SUBNETS = 512
NOWHERE = "02:00:00:00:00:01"
"""A hardware address that nobody has."""
_NEEDED = ("ip", "unshare", "nsenter", "setpriv")


class NoNamespaces(RuntimeError):
    """This machine, or this user, cannot make network namespaces."""


@cache
def why_not() -> str | None:
    """Why there are no network namespaces here, None where there are."""
    if os.geteuid() != 0:
        return "not root"
    missing = [each for each in _NEEDED if shutil.which(each) is None]
    if missing:
        return f"no {', '.join(missing)}"
    try:
        Network().close()
    except NoNamespaces as error:
        return str(error)
    return None


def require_namespaces() -> None:
    """Without them the test is skipped by name; in CI it fails."""
    reason = why_not()
    if reason is not None:
        message = f"network namespaces cannot be made ({reason}): {CURE}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@dataclass
class Namespace:
    """One of them: `name` is the bridge's name for its cable, `address` its own. `number` counts from 1."""

    network: Network
    number: int
    address: str
    keeper: subprocess.Popen[bytes] = field(repr=False)

    @property
    def enter(self) -> list[str]:
        """What is put in front of a command that is to run in it, and to end with this process."""
        return [*_ENDS_WITH_US, "nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", "--"]

    def plug(self, *, up: bool) -> None:
        """Pulls its cable out of the bridge, or puts it back."""
        self.network.hub(f"link set p{self.number} {'up' if up else 'down'}")

    def refuse(self, other: str, *, refused: bool) -> None:
        """What it sends to another address goes nowhere, without a word; or goes there again."""
        if refused:
            _ip(self.keeper.pid, f"neigh replace {other} lladdr {NOWHERE} dev eth0 nud permanent")
        else:
            _ip(self.keeper.pid, f"neigh del {other} dev eth0")


class Network:
    """A bridge, and this process's own cable to it. Raises `NoNamespaces`."""

    def __init__(self) -> None:
        self._keepers: list[subprocess.Popen[bytes]] = []
        self._cuts: set[frozenset[str]] = set()
        try:
            self._bridge = self._keep()
            self.number = self._own_cable()
            _ip(self._bridge.pid, "link add br0 type bridge", "link set br0 up", "link set up0 master br0 up")
            self._places = 9
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Network({self.prefix}0/24, namespaces={len(self._keepers) - 1}, cuts={len(self._cuts)})"

    @property
    def prefix(self) -> str:
        """The first three parts of all its addresses."""
        return f"198.{18 + self.number // 256}.{self.number % 256}."

    @property
    def own_address(self) -> str:
        """This process's."""
        return f"{self.prefix}1"

    def hub(self, *commands: str) -> None:
        """Runs commands of `ip` where the bridge is."""
        _ip(self._bridge.pid, *commands)

    def place(self) -> Namespace:
        """Another namespace with a cable to the bridge."""
        keeper = self._keep()
        self._places += 1
        number, address = self._places, f"{self.prefix}{self._places}"
        self.hub(f"link add p{number} type veth peer name eth0 netns {keeper.pid}", f"link set p{number} master br0 up")
        _ip(keeper.pid, "link set lo up", f"address add {address}/24 dev eth0", "link set eth0 up")
        return Namespace(self, number, address, keeper)

    def cut(self, one: Namespace, other: Namespace) -> None:
        """Nothing passes between two any more, in either direction, and nobody is told."""
        self._cuts.add(frozenset((one.address, other.address)))
        one.refuse(other.address, refused=True)
        other.refuse(one.address, refused=True)

    def join(self, one: Namespace, other: Namespace) -> None:
        """What was cut passes again."""
        pair = frozenset((one.address, other.address))
        if pair in self._cuts:
            self._cuts.discard(pair)
            one.refuse(other.address, refused=False)
            other.refuse(one.address, refused=False)

    def close(self) -> None:
        """Removes all of it."""
        while self._keepers:
            keeper = self._keepers.pop()
            keeper.kill()
            keeper.wait()
        if hasattr(self, "number"):  # it goes with the bridge's namespace, but by and by
            subprocess.run(["ip", "link", "del", f"hgc{self.number}"], capture_output=True, check=False)

    def _keep(self) -> subprocess.Popen[bytes]:
        keeper = subprocess.Popen([*_ENDS_WITH_US, "unshare", "--net", "sleep", "infinity"], stderr=subprocess.PIPE)
        own = Path("/proc/self/ns/net").readlink()
        self._keepers.append(keeper)

        def there() -> bool:
            if keeper.poll() is not None:
                assert keeper.stderr is not None
                raise NoNamespaces(keeper.stderr.read().decode().strip() or "unshare --net failed")
            return Path(f"/proc/{keeper.pid}/ns/net").readlink() != own

        eventually(there, what="a network namespace")
        assert keeper.stderr is not None
        keeper.stderr.close()
        return keeper

    def _own_cable(self) -> int:
        """The number of this network: that of the first interface whose name is free."""
        start = os.getpid() * 7  # most often the first one is free
        for each in range(SUBNETS):
            number = (start + each) % SUBNETS
            command = ["ip", "link", "add", f"hgc{number}", "type", "veth", "peer", "name", "up0"]
            made = subprocess.run(
                [*command, "netns", str(self._bridge.pid)], capture_output=True, text=True, check=False
            )
            if made.returncode == 0:
                self.number = number
                _ip(None, f"address add {self.own_address}/24 dev hgc{number}", f"link set hgc{number} up")
                return number
            if "File exists" not in made.stderr:
                raise NoNamespaces(made.stderr.strip())
        raise NoNamespaces(f"all of {SUBNETS} networks are in use")


_ENDS_WITH_US = ["setpriv", "--pdeathsig=KILL"]


def _ip(pid: int | None, *commands: Sequence[str] | str) -> None:
    """Runs commands of `ip` in the network namespace of a process, or in this one's."""
    enter = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]
    text = "".join(f"{command}\n" for command in commands)
    done = subprocess.run([*enter, "ip", "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"{commands}: {done.stderr.strip()}")
