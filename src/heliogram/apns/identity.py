"""As whom connections are opened: one credential, and the TLS context and provider tokens that go with it."""

from __future__ import annotations

import os

from .clock import Clock
from .connect import tls_context
from .entitlements import Credential, check_push, end_of_life
from .errors import InvalidNotification
from .job import Template
from .keys import SigningKey
from .providertoken import TokenSource


class Identity:
    """What all connections of one credential share (TOK-12: one credential, one connection)."""

    def __init__(self, credential: Credential, cafile: str | os.PathLike[str] | None, clock: Clock) -> None:
        self.credential = credential
        self.context = tls_context(None if cafile is None else os.fspath(cafile))
        self.tokens: TokenSource | None = None
        self._clock = clock
        if isinstance(credential, SigningKey):
            self.tokens = TokenSource(credential, clock)
        else:
            credential.load_into(self.context)

    def __repr__(self) -> str:
        return f"<Identity {self.credential!r}>"

    def fault(self) -> str | None:
        """Why no connection can be opened as this one any more."""
        return end_of_life(self.credential, self._clock.time())

    def objection(self, template: Template) -> str | None:
        """Why this credential cannot send pushes of the template, None when it can."""
        push_type = dict(template.pairs).get(b"apns-push-type", b"").decode("ascii")
        try:
            check_push(self.credential, template.topic, push_type)
        except InvalidNotification as error:
            return str(error)
        return None
