"""Ports for servers that must know each other's beforehand, or keep theirs when they are started again."""

from __future__ import annotations

import os
import socket
import sys


def own_host() -> str:
    """An address of this machine's own that no other process of tests uses: who connects from 127.0.0.1 is given any
    port there, and another test's server any that is free at the moment. Linux alone has more of them."""
    if sys.platform != "linux":
        return "127.0.0.1"
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 64}.{pid >> 8 & 255}.{1 + pid % 254}"


def free_ports(count: int, host: str) -> list[int]:
    """Ports of an address that nobody has now, and that differ."""
    taken = [socket.create_server((host, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports
