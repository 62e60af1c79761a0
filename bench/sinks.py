"""Starts what clients are measured against: `sink.c`, built on demand, or `sink.py`; and the delaying relay."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
PYTHON_KNOWS = ("--streams", "--window", "--replenish")


class Unsupported(Exception):
    """The Python sink cannot play this part."""


class Child:
    """A server in a process of its own, which prints its port and stops when its standard input closes."""

    def __init__(self, words: Sequence[str], cores: Sequence[int]) -> None:
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        pin(self._process.pid, cores)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(words)} did not start")
        self.port = int(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ask(self) -> dict[str, float]:
        """The counters of a sink: connections, pushes, rejected, refused, data (bytes), overdrawn, cpu (seconds) …"""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        counters: dict[str, float] = json.loads(self._process.stdout.readline())
        return counters


def pin(process: int, cores: Sequence[int]) -> None:
    """Keep a process on these cores, where the system can."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, cores)


def sink(folder: Path, cores: Sequence[int], *options: str, lean: bool = True) -> Child:
    """A sink with these options (see `sink.c`) on these cores; `lean=False` asks for the one in Python."""
    pem = certificate(folder)
    program = build(folder) if lean else None
    if program is None:
        odd = [word for word in options if word.startswith("--") and word not in PYTHON_KNOWS]
        if odd:
            raise Unsupported(f"only sink.c knows {', '.join(odd)}")
        words = [sys.executable, str(HERE / "sink.py"), str(pem)]
    else:
        words = [str(program), str(pem)]
    return Child([*words, *options], cores)


def relay(port: int, cores: Sequence[int], milliseconds: float) -> Child:
    """A way to that port on which bytes take so long in each direction."""
    return Child([sys.executable, str(HERE / "relay.py"), str(port), str(milliseconds)], cores)


@cache
def build(folder: Path) -> Path | None:
    """`sink.c` as a program in that folder; None, and the reason printed, where it cannot be built."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("no C compiler here (Debian: apt-get install gcc libssl-dev): measuring against the slower sink.py")
        return None
    program = folder / "sink"
    words = [compiler, "-O2", "-o", str(program), str(HERE / "sink.c"), "-lssl", "-lcrypto"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.splitlines() or ["no reason given"])[0]
        print(f"sink.c cannot be built here: {said}\n(Debian: apt-get install libssl-dev); using the slower sink.py")
        return None
    return program


@cache
def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file; `ca.pem` beside it is the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    own = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(own), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "sink.pem"
    pem = built.public_bytes(Encoding.PEM)
    path.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "ca.pem").write_bytes(pem)
    return path
