"""What the control API reads and writes of signing keys."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..keys import IssuedKey, Key
from ..tables import TOPICS_PER_KEY, Environment

KeyId = Annotated[
    str, Meta(pattern="^[A-Z0-9]{10}$", description="10 characters of A-Z and 0-9", examples=["ABC123DEFG"])
]
Topics = Annotated[
    list[str],
    Meta(
        min_length=1,
        max_length=TOPICS_PER_KEY,
        description="The topics of a topic-specific key; absent: all of the team's",
    ),
]


class KeyIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The public half of a signing key to be honoured."""

    key_id: KeyId
    team_id: KeyId
    public_key: Annotated[str, Meta(max_length=4096, description="PEM, P-256: openssl ec -in key.p8 -pubout")]
    topics: Topics | None = None
    environment: Environment | None = None
    related_key_id: KeyId | None = None


class KeyOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A key. ``issued``: the portal made it. No ``environment``: both; no ``topics``: all of the team's."""

    key_id: str
    team_id: str
    topics: list[str] | None
    environment: Environment | None
    related_key_id: str | None
    issued: bool

    @classmethod
    def of(cls, key: Key) -> KeyOut:
        return cls(
            key_id=key.key_id,
            team_id=key.team_id,
            topics=None if key.topics is None else sorted(topic.decode("ascii") for topic in key.topics),
            environment=key.environment,
            related_key_id=key.related_key_id,
            issued=key.issued,
        )


class KeyList(Struct, frozen=True):
    keys: list[KeyOut]


class PortalKeyIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An order for a new signing key, as in the developer portal."""

    team_id: KeyId
    topics: Topics | None = None
    environment: Environment | None = None
    related_key_id: KeyId | None = None


class PortalKeyOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """The key just made. ``p8`` is its private half and is shown this once."""

    key_id: str
    team_id: str
    p8: str

    @classmethod
    def of(cls, key: IssuedKey) -> PortalKeyOut:
        return cls(key_id=key.key_id, team_id=key.team_id, p8=key.p8)

    def __repr__(self) -> str:
        return f"PortalKeyOut(key_id={self.key_id!r}, team_id={self.team_id!r})"
