"""The kinds of signing key (TOK-11): which environment and which topics one is restricted to."""

from __future__ import annotations

import enum
from collections.abc import Collection

from .checks import check_topic
from .environment import Environment
from .errors import InvalidNotification, InvalidSigningKey

MAX_TOPICS = 400
"""Topics of one topic-specific key."""


class KeyKind(enum.StrEnum):
    """What Apple's portal restricts a key to."""

    TEAM = "team"
    """A legacy team key: every topic, both environments."""
    TEAM_SCOPED = "team-scoped"
    """Every topic of the team, one environment."""
    TOPIC_SPECIFIC = "topic-specific"
    """The listed topics, one environment; at most one related key."""


def check_environment(environment: object) -> Environment | None:
    """The environment a key is for. Raises `InvalidSigningKey`."""
    if environment is None:
        return None
    try:
        return Environment(str(environment))
    except ValueError:
        known = " or ".join(Environment)
        raise InvalidSigningKey(
            f"environment: {environment!r:.40} is none; give {known}, or nothing for both"
        ) from None


def check_topics(topics: Collection[str] | None, environment: Environment | None) -> frozenset[str] | None:
    """The topics a key is for. Raises `InvalidSigningKey`."""
    if topics is None:
        return None
    if isinstance(topics, str | bytes):
        raise InvalidSigningKey("topics: a single text; give a set, like {'com.example.app'}")
    found = frozenset(topics)
    if not 1 <= len(found) <= MAX_TOPICS:
        raise InvalidSigningKey(
            f"topics: {len(found)} of them; a topic-specific key has 1 to {MAX_TOPICS}, leave them out for all topics"
        )
    for topic in found:
        if not isinstance(topic, str):
            raise InvalidSigningKey(f"topics: holds a {type(topic).__name__}; give bundle ids as text")
        try:
            check_topic(topic)
        except InvalidNotification as error:
            raise InvalidSigningKey(f"topics: {error.problem:.80}; {error.fix}") from None
    if environment is None:
        raise InvalidSigningKey(
            "environment: missing; a topic-specific key belongs to one, give the one chosen in the portal"
        )
    return found


def check_related(related: str | None, key_id: str, topics: frozenset[str] | None) -> None:
    """Whether a key may have this related key. Raises `InvalidSigningKey`."""
    if related is not None and topics is None:
        raise InvalidSigningKey("related_key_id: only a topic-specific key has one; give its topics, or leave it out")
    if related == key_id:
        raise InvalidSigningKey("related_key_id: is the key's own id; give the other key's")
