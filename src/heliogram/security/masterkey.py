"""The master key: what all other secrets at rest hang on. It is never in the database, nor in a backup of it.

It is taken from the first of: a file that was named, the environment variable `HELIOGRAM_MASTER_KEY`, the systemd
credential `heliogram-master-key`, `master.key` in the data directory, which is made at the first start.

Wherever it comes from, it is text: one or more keys of 32 bytes in base64, with white space between (in files, lines
that begin with `#` are comments). The first key seals, all of them open: to rotate, put a new key in front.
"""

from __future__ import annotations

import base64
import binascii
import enum
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..durable import sync

KEY_BYTES = 32
KEY_ID_BYTES = 4
MAX_KEYS = 16
MAX_FILE_BYTES = 16_384
ENVIRONMENT = "HELIOGRAM_MASTER_KEY"
CREDENTIAL = "heliogram-master-key"
FILE_NAME = "master.key"
_HEADER = "# The master key of this instance. Without it no stored credential can be opened: keep a copy elsewhere.\n"


class MasterKeyError(ValueError):
    """There is no usable master key; the message says where it was looked for and what to do."""


class KeySource(enum.Enum):
    """Where the master key came from."""

    FILE = "file"
    ENVIRONMENT = "environment"
    SYSTEMD = "systemd credential"
    DATA = "data directory"
    GENERATED = "generated now"
    PROCESS = "another process"


class MasterKey:
    """One master key. It is never used itself: each purpose has a key derived from it."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise MasterKeyError(f"a master key has {KEY_BYTES} bytes; this has {len(secret)}")
        self._secret = secret
        self.id = self.derive("heliogram key id", KEY_ID_BYTES)

    def derive(self, purpose: str, length: int = KEY_BYTES) -> bytes:
        """The key for one purpose (HKDF-SHA256, RFC 5869)."""
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose.encode()).derive(self._secret)

    def __repr__(self) -> str:
        return f"MasterKey({self.id.hex()})"


class KeyRing:
    """The master keys: the first seals, all open."""

    def __init__(self, keys: tuple[MasterKey, ...], source: KeySource, where: str = "") -> None:
        if not 1 <= len(keys) <= MAX_KEYS:
            raise MasterKeyError(f"expected 1 to {MAX_KEYS} master keys, found {len(keys)}")
        self.keys = keys
        self.source = source
        self.where = where

    @property
    def first(self) -> MasterKey:
        """The key that seals."""
        return self.keys[0]

    def hand_over(self) -> list[bytes]:
        """The secrets themselves, for another process of this instance, and nobody else."""
        return [key._secret for key in self.keys]

    @classmethod
    def taken_over(cls, secrets_: list[bytes]) -> KeyRing:
        """The ring that another process handed over. Raises `MasterKeyError`."""
        return cls(tuple(map(MasterKey, secrets_)), KeySource.PROCESS, "the serving process")

    def __repr__(self) -> str:
        return f"KeyRing(keys={len(self.keys)}, first={self.first.id.hex()}, source={self.source.value!r})"


def load_master_key(
    data_directory: Path,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    make: bool = True,
) -> KeyRing:
    """The master key from the first place that has it; made in `data_directory` if none has, unless it is one that
    several nodes are to share (not `make`).

    `source` of the result says which place it was: a key that was GENERATED deserves a loud word in the log.
    Raises `MasterKeyError` for one that cannot be read or is none.
    """
    environ = os.environ if environ is None else environ
    if file is not None:
        return _from_file(file, KeySource.FILE)
    text = environ.get(ENVIRONMENT, "").strip()
    if text:
        return _ring(text, KeySource.ENVIRONMENT, f"the environment variable {ENVIRONMENT}")
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        return _from_file(Path(credentials) / CREDENTIAL, KeySource.SYSTEMD)
    kept = data_directory / FILE_NAME
    if not make and not kept.exists():
        raise MasterKeyError(
            "there is no master key, and all nodes on one database need the same: make one (openssl rand -base64 32)"
            f" and give it to each with --master-key FILE, {ENVIRONMENT} or the systemd credential {CREDENTIAL}"
        )
    made = not kept.exists() and _generate(kept, random_bytes)
    _require_private(kept)
    return _from_file(kept, KeySource.GENERATED if made else KeySource.DATA)


def _from_file(path: Path, source: KeySource) -> KeyRing:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MasterKeyError(f"cannot read the master key {path}: {error.strerror}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise MasterKeyError(f"the master key {path} has more than {MAX_FILE_BYTES} bytes: is it another file?")
    lines = raw.decode("ascii", "replace").splitlines()
    return _ring("\n".join(line for line in lines if not line.lstrip().startswith("#")), source, str(path))


def _ring(text: str, source: KeySource, where: str) -> KeyRing:
    try:
        keys = tuple(MasterKey(base64.b64decode(word, validate=True)) for word in text.split())
    except (binascii.Error, ValueError):
        raise MasterKeyError(
            f"{where}: expected {KEY_BYTES} random bytes in base64 (make them with: openssl rand -base64 32)"
        ) from None
    if not 1 <= len(keys) <= MAX_KEYS:
        raise MasterKeyError(f"{where}: expected 1 to {MAX_KEYS} keys in base64, found {len(keys)}")
    return KeyRing(keys, source, where)


def _require_private(path: Path) -> None:
    """Our own file must be ours alone."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise MasterKeyError(f"others may read the master key {path} (mode {mode:04o}): run chmod 600 {path}")


def _generate(path: Path, random_bytes: Callable[[int], bytes]) -> bool:
    """Makes the file whole or not at all. False when another process was first: its key stands."""
    text = _HEADER + base64.b64encode(random_bytes(KEY_BYTES)).decode() + "\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename, it never replaces
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        sync(path.parent)
    except OSError as error:
        raise MasterKeyError(f"cannot make the master key {path}: {error.strerror}") from error
    return True
