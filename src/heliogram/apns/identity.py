"""As whom connections are opened: one credential, and the TLS context and provider tokens that go with it."""

from __future__ import annotations

import os
import ssl
from functools import partial

from .clock import Clock
from .connect import tls_context
from .entitlements import Credential, check_push, end_of_life
from .errors import InvalidCafile, InvalidNotification
from .job import Template
from .keys import SigningKey
from .providertoken import TokenSource
from .reporter import Reporter


class Identity:
    """What all connections of one credential share (TOK-12: one credential, one connection)."""

    def __init__(self, credential: Credential, cafile: str | os.PathLike[str] | None, clock: Clock) -> None:
        self.credential = credential
        self.context = _context(cafile)
        self.tokens: TokenSource | None = None
        self._clock = clock
        if isinstance(credential, SigningKey):
            self.tokens = TokenSource(credential, clock)
        else:
            credential.load_into(self.context)
        self.name = _name(credential)
        """Whose it is, for people; no secret."""

    def __repr__(self) -> str:
        return f"<Identity {self.credential!r}>"

    def report_to(self, reporter: Reporter) -> None:
        """Tell of changes of the provider token from now on."""
        if self.tokens is not None:
            self.tokens.on_change = partial(reporter.token_changed, self.tokens.key)

    def fault(self) -> str | None:
        """Why no connection can be opened as this one any more."""
        return end_of_life(self.credential, self._clock.time())

    def objection(self, template: Template) -> str | None:
        """Why this credential cannot send pushes of the template, None when it can."""
        try:
            check_push(self.credential, template.topic, template.push_type)
        except InvalidNotification as error:
            return str(error)
        return None


def _context(cafile: str | os.PathLike[str] | None) -> ssl.SSLContext:
    if cafile is None:
        return tls_context(None)
    path = os.fspath(cafile)
    try:
        return tls_context(path)
    except ssl.SSLError:
        problem = "holds no certificate in PEM"
    except OSError as error:
        problem = f"cannot be read ({error.strerror or type(error).__name__})"
    except ValueError:
        problem = "is no path"
    raise InvalidCafile(f"cafile: {path!r} {problem}; give the path of a file with the CA's certificate in PEM")


def _name(credential: Credential) -> str:
    if isinstance(credential, SigningKey):
        return f"key {credential.key_id} of team {credential.team_id}"
    topics = credential.topics
    return f"certificate for {topics[0]}" + (f" and {len(topics) - 1} more" if len(topics) > 1 else "")
