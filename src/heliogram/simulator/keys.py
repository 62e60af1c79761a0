"""Signing keys as Apple knows them: the public half, the team, and what the key may be used for (TOK-7, TOK-11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from .errors import Conflict, Invalid, Missing
from .names import check_identifier, check_topic
from .tables import (
    ENVIRONMENTS,
    TEAM_KEYS_PER_ENVIRONMENT,
    TOPIC_KEYS_PER_ENVIRONMENT,
    TOPICS_PER_KEY,
    Environment,
)

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Key(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One key. ``topics`` None: all of the team's; ``environment`` None: both (a legacy team key, TOK-11)."""

    key_id: str
    team_id: str
    public_key: ec.EllipticCurvePublicKey
    topics: frozenset[bytes] | None = None
    environment: Environment | None = None
    related_key_id: str | None = None
    issued: bool = False

    def related_to(self, other: Key) -> bool:
        """Whether the two are a pair of related topic-specific keys (TOK-11, TOK-15); either may name the other."""
        return other.key_id == self.related_key_id or self.key_id == other.related_key_id


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key the portal has just made; the only time its private half is seen (TOK-7)."""

    key_id: str
    team_id: str
    p8: str

    def __repr__(self) -> str:
        return f"IssuedKey(key_id={self.key_id!r}, team_id={self.team_id!r})"


class KeyRing:
    """All keys of all teams. ``generation`` changes whenever a key does, so that verdicts on tokens can be kept."""

    def __init__(self, choose: Callable[[str], str]) -> None:
        self._keys: dict[str, Key] = {}
        self._choose = choose
        self.generation = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<KeyRing keys={len(self)} teams={len({key.team_id for key in self._keys.values()})}>"

    def get(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)

    def all(self) -> list[Key]:
        """Every key, oldest first."""
        return list(self._keys.values())

    def add(
        self,
        key_id: str,
        team_id: str,
        public_key: str,
        *,
        topics: Iterable[str] | None = None,
        environment: Environment | None = None,
        related_key_id: str | None = None,
    ) -> Key:
        """Import a public key (PEM). The same key again replaces its topics and environment.

        Raises Invalid naming the field, or Conflict when the id belongs to another key.
        """
        key = Key(
            key_id=check_identifier(key_id, "keyId"),
            team_id=check_identifier(team_id, "teamId"),
            public_key=_load(public_key),
            topics=_topics(topics),
            environment=_environment(environment),
            related_key_id=None if related_key_id is None else check_identifier(related_key_id, "relatedKeyId"),
        )
        known = self._keys.get(key_id)
        if known is not None and (known.team_id != team_id or known.public_key != key.public_key):
            raise Conflict(f"key {key_id} exists with another public key or team; give another keyId", field="keyId")
        return self._put(msgspec.structs.replace(key, issued=known is not None and known.issued))

    def issue(
        self,
        team_id: str,
        *,
        topics: Iterable[str] | None = None,
        environment: Environment | None = None,
        related_key_id: str | None = None,
    ) -> IssuedKey:
        """Make a key as the developer portal does. Its private half is in the answer and nowhere else (TOK-7)."""
        check_identifier(team_id, "teamId")
        wanted = _topics(topics)
        self._check_quota(team_id, wanted, _environment(environment))
        private = ec.generate_private_key(ec.SECP256R1())
        key_id = "".join(self._choose(_ALPHABET) for _ in range(10))
        while key_id in self._keys:
            key_id = "".join(self._choose(_ALPHABET) for _ in range(10))
        self._put(
            Key(
                key_id=key_id,
                team_id=team_id,
                public_key=private.public_key(),
                topics=wanted,
                environment=environment,
                related_key_id=None if related_key_id is None else check_identifier(related_key_id, "relatedKeyId"),
                issued=True,
            )
        )
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
        return IssuedKey(key_id=key_id, team_id=team_id, p8=pem)

    def download(self, key_id: str) -> IssuedKey:
        """Ask for the private half again: always refused (TOK-7). Raises Missing or Conflict."""
        key = self._keys.get(key_id)
        if key is None or not key.issued:
            raise Missing(f"the portal has issued no key {key_id}", field="keyId")
        raise Conflict(
            f"the .p8 of key {key_id} was handed out when it was made and cannot be downloaded again; issue a new key",
            field="keyId",
        )

    def revoke(self, key_id: str) -> None:
        """Forget a key: every token signed with it is ``InvalidProviderToken`` from now on (TOK-19)."""
        if self._keys.pop(key_id, None) is None:
            raise Missing(f"there is no key {key_id}", field="keyId")
        self.generation += 1

    def clear(self) -> None:
        self._keys.clear()
        self.generation += 1

    def _put(self, key: Key) -> Key:
        self._keys[key.key_id] = key
        self.generation += 1
        return key

    def _check_quota(self, team_id: str, topics: frozenset[bytes] | None, environment: Environment | None) -> None:
        if environment is None:
            return
        same = [
            key
            for key in self._keys.values()
            if key.issued
            and key.team_id == team_id
            and key.environment == environment
            and (key.topics is None) == (topics is None)
        ]
        limit = TEAM_KEYS_PER_ENVIRONMENT if topics is None else TOPIC_KEYS_PER_ENVIRONMENT
        if len(same) >= limit:
            kind = "team-scoped" if topics is None else "topic-specific"
            raise Conflict(f"team {team_id} has its {limit} {kind} keys for {environment} already", field="teamId")


def _load(pem: str) -> ec.EllipticCurvePublicKey:
    if "PRIVATE KEY" in pem:
        raise Invalid("publicKey holds a private key; give the public half: openssl ec -pubout", field="publicKey")
    try:
        key = load_pem_public_key(pem.encode("utf-8", "replace"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid("publicKey must be a PEM public key (BEGIN PUBLIC KEY)", field="publicKey") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("publicKey must be an elliptic-curve key on P-256 (ES256)", field="publicKey")
    return key


def _topics(topics: Iterable[str] | None) -> frozenset[bytes] | None:
    if topics is None:
        return None
    checked = frozenset(check_topic(topic, f"topics[{at}]") for at, topic in enumerate(topics))
    if not 1 <= len(checked) <= TOPICS_PER_KEY:
        raise Invalid(f"topics must hold 1 to {TOPICS_PER_KEY} topics, or be left out for all", field="topics")
    return checked


def _environment(environment: Environment | None) -> Environment | None:
    if environment is not None and environment not in ENVIRONMENTS:
        raise Invalid("environment must be production or sandbox, or be left out for both", field="environment")
    return environment
