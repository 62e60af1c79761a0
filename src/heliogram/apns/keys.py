"""The signing key of token mode: a P-256 key from Apple's `.p8` file, its key id and its team id."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Collection
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from . import keykinds, pem
from .environment import Environment
from .errors import InvalidSigningKey
from .keykinds import KeyKind

_IDENTIFIER = re.compile(r"[A-Z0-9]{10}").fullmatch
_PRIVATE = ("PRIVATE KEY", "EC PRIVATE KEY")
_ES256 = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class SigningKey:
    """Signs provider tokens (TOK-1 to TOK-5). Immutable; `repr` shows the ids alone.

    What the portal restricts a key to (TOK-11) cannot be read from it, so say it: `environment` of a
    key that is for one of them, `topics` (1 to 400) of a topic-specific key, and its related key, if
    it has one. A client then refuses what APNs would refuse. A listed bundle id covers the topics
    that push types derive from it.
    """

    __slots__ = ("_key", "_minted", "environment", "key_id", "related_key_id", "team_id", "topics")

    def __init__(
        self,
        private_key: ec.EllipticCurvePrivateKey,
        *,
        key_id: str,
        team_id: str,
        environment: Environment | str | None = None,
        topics: Collection[str] | None = None,
        related_key_id: str | None = None,
    ) -> None:
        if private_key.curve.name != "secp256r1":
            raise InvalidSigningKey("signing key: APNs takes P-256 keys alone; download a key of APNs' own")
        self._key = private_key
        self.key_id = _identifier("key_id", key_id, "the name of the .p8 file has it: AuthKey_<key id>.p8")
        self.team_id = _identifier("team_id", team_id, "the membership page of your developer account has it")
        self.environment = keykinds.check_environment(environment)
        self.topics = keykinds.check_topics(topics, self.environment)
        self.related_key_id = (
            None if related_key_id is None else _identifier("related_key_id", related_key_id, "the portal shows it")
        )
        keykinds.check_related(self.related_key_id, self.key_id, self.topics)
        self._minted: tuple[int, bytes] | None = None

    @classmethod
    def from_p8(
        cls,
        source: str | bytes | os.PathLike[str],
        *,
        key_id: str,
        team_id: str,
        environment: Environment | str | None = None,
        topics: Collection[str] | None = None,
        related_key_id: str | None = None,
    ) -> SigningKey:
        """A key from the path of a `.p8` file, from its PEM text, or from base64 of that text.

        Missing line breaks are mended. Raises `InvalidSigningKey`.
        """
        return cls(
            _load(_read(source)),
            key_id=key_id,
            team_id=team_id,
            environment=environment,
            topics=topics,
            related_key_id=related_key_id,
        )

    @property
    def kind(self) -> KeyKind:
        """What the key is restricted to."""
        if self.topics is not None:
            return KeyKind.TOPIC_SPECIFIC
        return KeyKind.TEAM if self.environment is None else KeyKind.TEAM_SCOPED

    def same_tokens(self, other: SigningKey) -> bool:
        """Whether both sign the same provider tokens."""
        return (self.team_id, self.key_id) == (
            other.team_id,
            other.key_id,
        ) and self._key.public_key() == other._key.public_key()

    def provider_token(self, issued_at: int) -> bytes:
        """The provider token with this `iat`: the same bytes in every process (TOK-10)."""
        minted = self._minted
        if minted is None or minted[0] != issued_at:
            minted = self._minted = (issued_at, self._mint(issued_at))
        return minted[1]

    def _mint(self, issued_at: int) -> bytes:
        header = msgspec.json.encode({"alg": "ES256", "kid": self.key_id})
        claims = msgspec.json.encode({"iss": self.team_id, "iat": issued_at})
        signed = _base64url(header) + b"." + _base64url(claims)
        r, s = utils.decode_dss_signature(self._key.sign(signed, _ES256))
        return signed + b"." + _base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def __repr__(self) -> str:
        where = "" if self.environment is None else f", {self.environment} only"
        what = "" if self.topics is None else f", {len(self.topics)} topics"
        return f"<SigningKey key {self.key_id} of team {self.team_id}{where}{what}>"


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _identifier(field: str, value: object, where: str) -> str:
    if isinstance(value, str) and _IDENTIFIER(value):
        return value
    wrong = f"this one has {len(value)} characters" if isinstance(value, str) else f"this is a {type(value).__name__}"
    raise InvalidSigningKey(f"{field}: must be 10 characters of A-Z and 0-9, {wrong}; {where}")


def _read(source: str | bytes | os.PathLike[str]) -> str | bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and (pem.MARKER in pem.unwrap(source) or "\n" in source):
        return source
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        # The argument may be a mangled key: its text stays out of the message.
        cause = error.strerror if isinstance(error, OSError) else "not a path"
        raise InvalidSigningKey(
            f"signing key: neither PEM text nor a readable file ({cause}); give the .p8 file's path or its content"
        ) from None


def _load(source: str | bytes) -> ec.EllipticCurvePrivateKey:
    try:
        found = pem.blocks(source)
    except ValueError as error:
        raise InvalidSigningKey(f"signing key: {error}") from None
    block = next((one for one in found if one.label in _PRIVATE), None)
    if block is None:
        seen = f"a {found[0].label}" if found else "no PEM block"
        raise InvalidSigningKey(
            f"signing key: found {seen}, expected a PRIVATE KEY; give the .p8 file as Apple's portal handed it out"
        )
    try:
        key = load_pem_private_key(block.pem(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidSigningKey(
            "signing key: the PEM block holds no private key that can be read; download or copy the .p8 file again"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidSigningKey("signing key: not an elliptic-curve key; APNs takes P-256 keys alone")
    return key
