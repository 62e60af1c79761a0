"""What the demo remembers between two runs: `DATA/demo.json`, mode 0600."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

_APPLE_ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Memory(msgspec.Struct, omit_defaults=True, rename="camel"):
    """The signing key and its ids; the API key and the credential once they are made."""

    p8: str
    key_id: str
    team_id: str
    api_key_id: str = ""
    api_secret: str = ""
    credential_id: str = ""

    def __repr__(self) -> str:
        return f"Memory(key_id={self.key_id}, team_id={self.team_id}, credential_id={self.credential_id})"

    @property
    def public_key(self) -> str:
        """The PEM of the public half of the signing key: what Apple would keep."""
        private = serialization.load_pem_private_key(self.p8.encode(), None)
        return (
            private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )


def load(path: Path) -> tuple[Memory, bool]:
    """What was remembered, and whether anything was; a damaged file is started anew."""
    try:
        memory = msgspec.json.decode(path.read_bytes(), type=Memory)
        _ = memory.public_key
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError, ValueError):
        return _fresh(), False
    return memory, True


def save(path: Path, memory: Memory) -> None:
    """Writes it for the next run, whole or not at all."""
    _write(path, msgspec.json.encode(memory))


def save_netrc(path: Path, memory: Memory) -> Path:
    """The API key in the form curl reads, so that no secret needs to be printed."""
    _write(path, f"machine 127.0.0.1 login {memory.api_key_id} password {memory.api_secret}\n".encode())
    return path


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


def _fresh() -> Memory:
    p8 = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Memory(p8=p8.decode(), key_id=_apple_id(), team_id=_apple_id())


def _apple_id() -> str:
    return "".join(secrets.choice(_APPLE_ID) for _ in range(10))
