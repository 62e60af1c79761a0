"""What APNs remembers about one connection: its certificate, or its team, first key and provider tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import certkinds
from .clientcerts import ClientCertificate
from .conduct import Watch
from .floors import Floor
from .jwt import Verified, verify
from .keys import Key, KeyRing
from .names import base_topic
from .portal import Portal, View
from .tables import Environment

if TYPE_CHECKING:
    from .alike import Alike

_REMEMBERED = 64


class Session:
    """Authentication state of one connection; ``number`` names it in the request log.

    ``certificate``: what the client presented in TLS, as DER; with one, provider tokens are not looked at (CERT-11).
    ``default_topic``: the topic of a push that names none, empty when it must (CERT-5, CERT-6). ``latest``: what steady
    checks looked at in the last push, ``alike``: what makes others like it.
    """

    __slots__ = (
        "_generation",
        "_passed",
        "_portal",
        "_seen",
        "_view",
        "alike",
        "certificate",
        "client",
        "default_topic",
        "floor",
        "keys",
        "latest",
        "number",
        "team_id",
        "topics",
        "trusted",
        "watch",
    )

    def __init__(self, number: int, keys: KeyRing, floor: Floor, portal: Portal, watch: Watch) -> None:
        self.number = number
        self.watch = watch
        self.alike: Alike | None = None
        self.latest: tuple[bytes | None, ...] = ()
        self.floor = floor
        self.team_id: str | None = None
        self.trusted: Key | None = None
        self.topics: dict[str, frozenset[bytes] | None] = {}
        self.certificate: bytes | None = None
        self.client: ClientCertificate | None = None
        self.default_topic = b""
        self.keys = keys
        self._portal = portal
        self._view: View | None = None
        self._generation = keys.generation
        self._seen: dict[bytes, Verified | None] = {}
        self._passed: set[tuple[bytes | None, ...]] = set()

    def __repr__(self) -> str:
        how = "certificate" if self.certificate is not None else f"keys={len(self.topics)} tokens={len(self._seen)}"
        return f"<Session {self.number} team={self.team_id} {how}>"

    @property
    def proven(self) -> bool:
        """Whether more than one stream may be open: there was a good provider token, or none is needed (CONN-14)."""
        return self.trusted is not None or self.client is not None

    def present(self, der: bytes, environment: Environment) -> str | None:
        """The client has shown this certificate in the handshake; to be called before its first request.

        The answer is the reason to send it away at once: GOAWAY with ``NO_ERROR``, last-stream-id 0 and the reason as
        JSON, then the end of the connection (CERT-9). None: it stays, and what may be wrong is told by answers.
        """
        certificates = self._portal.certificates
        self.certificate = der
        self.client = client = certificates.of(der)
        if client.contents is not None:
            self.default_topic = client.contents.default_topic
        return certificates.objection(client, environment)

    def fits(self, environment: Environment) -> bool:
        """Whether the certificate is for this environment; the first request that gets so far binds (TOK-13)."""
        client = self.client
        if client is None or not self._portal.certificates.fits(client, environment):
            return False
        if self._view is None:
            self._view = self._portal.view
            self.team_id = None if client.contents is None else client.contents.team_id
        return True

    def verified(self, token: bytes) -> Verified | None:
        """The token's verdict, worked out once per connection and again whenever a key has changed."""
        self._notice_changed_keys()
        try:
            return self._seen[token]
        except KeyError:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            verdict = self._seen[token] = verify(token, self.keys)
            if verdict is not None and verdict.der:
                self.watch.report(
                    "TOK-4", "the signature of the provider token is DER; send R and S side by side", most=1
                )
            return verdict

    def has_passed(self, fields: tuple[bytes | None, ...]) -> bool:
        """Whether a push with these header fields has passed here since a key last changed."""
        self._notice_changed_keys()
        return fields in self._passed

    def passes(self, fields: tuple[bytes | None, ...]) -> None:
        """A push with these header fields has passed every check that looks at nothing else."""
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed.add(fields)

    def _notice_changed_keys(self) -> None:
        if self._generation != self.keys.generation:
            self._generation = self.keys.generation
            self._seen.clear()
            self._passed.clear()

    def related(self, key: Key) -> bool:
        """Whether this key may follow the connection's first one (TOK-15, TOK-16)."""
        first = self.trusted
        if first is None or first.key_id == key.key_id:
            return True
        if first.topics is not None:
            return key.topics is not None and first.related_to(key)
        return key.topics is None

    def bind(self, key: Key) -> None:
        """An authenticated request: the first one binds the connection to its team, the team's apps as they are now,
        its key and the related one (TOK-12, TOK-13, TOK-15).
        """
        if self.trusted is None:
            self.trusted = key
            self.team_id = key.team_id
            self._view = self._portal.view
            self.topics[key.key_id] = key.topics
            related = None if key.related_key_id is None else self.keys.get(key.related_key_id)
            if related is not None:
                self.topics[related.key_id] = related.topics
        elif key.key_id not in self.topics:
            self.topics[key.key_id] = key.topics

    def covers(self, key: Key, topic: bytes) -> bool:
        """Whether the key covers the topic, by what was on the key and the team's when this connection was bound
        (TOK-14, TOK-15).
        """
        topics = self.topics[key.key_id]
        if topics is not None and topic not in topics and base_topic(topic) not in topics:
            return False
        return self._view is None or self._view.allows(key.team_id, topic)

    def certifies(self, topic: bytes) -> bool:
        """Whether the certificate covers the topic (CERT-4, CERT-7), and the App ID may get pushes."""
        client = self.client
        if client is None or client.contents is None or self._view is None:
            return False
        live_activities = self._portal.certificates.live_activities
        listed = certkinds.covers(client.contents.topics, topic, live_activities=live_activities)
        return listed and self._view.allows(self.team_id, topic)
