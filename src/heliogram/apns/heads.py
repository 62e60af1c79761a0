"""The parts of requests that many pushes of a connection share, and the provider token in them."""

from __future__ import annotations

from heliogram.wire import ClientSession, Head

from .job import Template
from .providertoken import ConnectionToken

_MOST = 1000


class Heads:
    """The heads of one connection; those with an old provider token are forgotten."""

    __slots__ = ("_session", "_token", "known")

    def __init__(self, session: ClientSession, token: ConnectionToken | None) -> None:
        self.known: dict[Template, Head] = {}
        self._session = session
        self._token = token

    def __repr__(self) -> str:
        return f"<Heads {len(self.known)} known, {self._token!r}>"

    def renew(self) -> bool:
        """Move to the current provider token if it is time; False when there is none that could be presented."""
        token = self._token
        if token is None:
            return True
        if token.refresh():
            self.known.clear()
        return token.usable

    def make(self, template: Template) -> Head:
        """The head of a template that is not known yet."""
        if len(self.known) >= _MOST:
            self.known.clear()
        secret = () if self._token is None else ((b"authorization", b"bearer " + self._token.value),)
        head = self.known[template] = self._session.head(template.pairs, method=template.method, sensitive=secret)
        return head
