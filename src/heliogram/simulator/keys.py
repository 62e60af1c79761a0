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
from msgspec import UNSET, UnsetType

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
        """Whether the other was this one's related key when this was looked up (TOK-11, TOK-15)."""
        return other.key_id == self.related_key_id


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
        self.changed: Callable[[Key, str], object] | None = None
        """Told of each key that is ``made``, ``changed`` or ``gone``."""
        self._keys: dict[str, Key] = {}
        self._choose = choose
        self.generation = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<KeyRing keys={len(self)} teams={len({key.team_id for key in self._keys.values()})}>"

    def get(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)

    def find(self, key_id: str) -> Key:
        """Raises Missing."""
        key = self._keys.get(key_id)
        if key is None:
            raise Missing(f"there is no key {key_id}", field="keyId")
        return key

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
        issued: bool = False,
    ) -> Key:
        """Import a public key (PEM). The same key again replaces its topics, environment and related key.

        ``issued``: it is one the portal made, in a run before this one.

        The related key may be imported later; then it need not name this one. Raises Invalid naming the field, or
        Conflict when the id belongs to another key, or the related one is related to a third (TOK-11).
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
        self._check_related(key)
        return self._put(msgspec.structs.replace(key, issued=issued or (known is not None and known.issued)))

    def issue(
        self,
        team_id: str,
        *,
        topics: Iterable[str] | None = None,
        environment: Environment | None = None,
        related_key_id: str | None = None,
    ) -> IssuedKey:
        """Make a key as the developer portal does. Its private half is in the answer and nowhere else (TOK-7).

        Raises Invalid naming the field, or Conflict past the limits of TOK-11.
        """
        check_identifier(team_id, "teamId")
        wanted = _topics(topics)
        self._check_quota(team_id, wanted, _environment(environment))
        private = ec.generate_private_key(ec.SECP256R1())
        key_id = "".join(self._choose(_ALPHABET) for _ in range(10))
        while key_id in self._keys:
            key_id = "".join(self._choose(_ALPHABET) for _ in range(10))
        key = Key(
            key_id=key_id,
            team_id=team_id,
            public_key=private.public_key(),
            topics=wanted,
            environment=environment,
            related_key_id=None if related_key_id is None else check_identifier(related_key_id, "relatedKeyId"),
            issued=True,
        )
        self._check_related(key, exists=True)
        self._put(key)
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

    def change(
        self,
        key_id: str,
        *,
        topics: Iterable[str] | UnsetType | None = UNSET,
        related_key_id: str | UnsetType | None = UNSET,
    ) -> Key:
        """Give a topic-specific key other topics or another related key; connections keep what they had (TOK-15).

        ``related_key_id`` None: none any more. Raises Missing, Invalid naming the field (a team-scoped key covers all
        topics and has no related key), or Conflict when the related key is related to a third.
        """
        key = self.find(key_id)
        if topics is not UNSET:
            wanted = _topics(topics)
            if (key.topics is None) != (wanted is None):
                kind = "team-scoped" if key.topics is None else "topic-specific"
                raise Invalid(f"topics: key {key_id} is {kind} and stays so; issue another key", field="topics")
            key = msgspec.structs.replace(key, topics=wanted)
        if related_key_id is not UNSET:
            if related_key_id is not None:
                check_identifier(related_key_id, "relatedKeyId")
            key = msgspec.structs.replace(key, related_key_id=related_key_id)
            self._check_related(key, exists=True)
        return self._put(key)

    def revoke(self, key_id: str) -> None:
        """Forget a key: every token signed with it is ``InvalidProviderToken`` from now on (TOK-19). Raises Missing."""
        key = self.find(key_id)
        del self._keys[key_id]
        self._unrelate(key_id, None)
        self.generation += 1
        self._tell(key, "gone")

    def clear(self) -> None:
        self._keys.clear()
        self.generation += 1

    def _put(self, key: Key) -> Key:
        """Store a key, and have its related one name it in turn: each of two related keys knows of the other."""
        known = self._keys.get(key.key_id)
        if known is None and key.related_key_id is None:  # another may have been imported that names it already
            named = next((one.key_id for one in self._keys.values() if one.related_key_id == key.key_id), None)
            key = msgspec.structs.replace(key, related_key_id=named)
        self._keys[key.key_id] = key
        self._unrelate(key.key_id, key.related_key_id)
        self._relate(key.related_key_id, key.key_id)
        self.generation += 1
        self._tell(key, "made" if known is None else "changed")
        return key

    def _relate(self, key_id: str | None, related_key_id: str) -> None:
        key = None if key_id is None else self._keys.get(key_id)
        if key is not None and key.related_key_id != related_key_id:
            self._keys[key.key_id] = msgspec.structs.replace(key, related_key_id=related_key_id)
            self._tell(key, "changed")

    def _unrelate(self, key_id: str, spared: str | None) -> None:
        """No key but ``spared`` is related to this one any more."""
        for one in [one for one in self._keys.values() if one.related_key_id == key_id and one.key_id != spared]:
            self._keys[one.key_id] = msgspec.structs.replace(one, related_key_id=None)
            self._tell(one, "changed")

    def _tell(self, key: Key, change: str) -> None:
        if self.changed is not None:
            self.changed(key, change)

    def _check_related(self, key: Key, *, exists: bool = False) -> None:
        """Two topic-specific keys of one team and environment, neither related to a third (TOK-11)."""
        if key.related_key_id is None:
            return
        problem = None
        other = self._keys.get(key.related_key_id)
        if key.related_key_id == key.key_id:
            problem = "is the key's own id; give the other key's"
        elif key.topics is None:
            problem = "is for topic-specific keys alone; give the key's topics, or leave it out"
        elif other is None:
            problem = "is no key of the portal; make that key first" if exists else None
        elif other.team_id != key.team_id or other.environment != key.environment or other.topics is None:
            problem = "must be a topic-specific key of the same team and environment"
        elif other.related_key_id not in (None, key.key_id):
            why = f"key {other.key_id} has key {other.related_key_id} for its related one; a key has one at most"
            raise Conflict(why, field="relatedKeyId")
        if problem is not None:
            raise Invalid(f"relatedKeyId {key.related_key_id} {problem}", field="relatedKeyId")

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
