"""Who is signed in: an API key, sealed in a cookie. The server keeps nothing of it but which sessions were ended early.

Over HTTPS the cookie is `__Host-heliogram` (Secure, this host alone). Browsers differ in what a Secure cookie is on
`http://127.0.0.1`, so a loopback address has a cookie of its own without that attribute; any other address over plain
HTTP gets none, and the sign-in page says why.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
from collections import OrderedDict
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..ports import Clock, Sealer

SECURE_COOKIE = "__Host-heliogram"
LOOPBACK_COOKIE = "heliogram-local"
LIFETIME_SECONDS = 12 * 3600
MAX_COOKIE = 2048
ENDED_KEPT = 10_000
"""Sessions that signed out and are remembered until they would have ended; the oldest are forgotten first."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in key. `expires` in seconds since 1970; `csrf` goes with every form of the session."""

    id: str
    key_id: str
    secret: str
    csrf: str
    expires: float

    def __repr__(self) -> str:
        return f"Session(key_id={self.key_id!r}, expires={self.expires:.0f})"


class Transport(msgspec.Struct, frozen=True):
    """How a browser came here. `secure`: over TLS, also when a proxy in front ended it; `loopback`: it asked for an
    address of this machine."""

    secure: bool
    loopback: bool

    @property
    def may_sign_in(self) -> bool:
        """Whether a key may travel this way."""
        return self.secure or self.loopback

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return SECURE_COOKIE if self.secure else LOOPBACK_COOKIE


def transport_of(connection: HTTPConnection, *, behind_proxy: bool) -> Transport:
    """How this request came. Behind a proxy that speaks TLS its `X-Forwarded-Proto` says so, and without that header
    the setting does: a wrong one only makes a cookie that the browser will not keep."""
    forwarded = last_of(connection, "x-forwarded-proto").lower() or "https"
    secure = connection.url.scheme == "https" or (behind_proxy and forwarded == "https")
    return Transport(secure=secure, loopback=_is_loopback(connection.headers.get("host", "")))


def last_of(connection: HTTPConnection, header: str) -> str:
    """What the proxy in front said: the last entry, for before it stands what it was told. Some proxies add a line of
    their own, and do not touch those that came."""
    return ",".join(connection.headers.getlist(header)).rpartition(",")[2].strip()


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Sessions:
    """Makes, reads and ends sessions."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer, self._clock = sealer, clock
        self._ended: OrderedDict[str, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"Sessions(ended={len(self._ended)})"

    def begin(self, key_id: str, secret: str) -> Session:
        """A new session of a key that the API has accepted."""
        return Session(
            id=secrets.token_urlsafe(12),
            key_id=key_id,
            secret=secret,
            csrf=secrets.token_urlsafe(24),
            expires=self._clock.time() + LIFETIME_SECONDS,
        )

    def read(self, connection: HTTPConnection, transport: Transport) -> Session | None:
        """The session of a request's cookie; None without one, or one that is over or was not made here."""
        text = connection.cookies.get(transport.cookie, "")
        if not text or len(text) > MAX_COOKIE or not transport.may_sign_in:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._sealer.open(sealed, table="web_session", column=transport.cookie, row=b"", account=b"")
            session = msgspec.json.decode(plain, type=Session)
        except (ValueError, binascii.Error, msgspec.DecodeError):
            return None
        return None if self.is_over(session) else session

    def is_over(self, session: Session) -> bool:
        """Whether its time is up, or it was ended early on this node."""
        return session.expires <= self._clock.time() or session.id in self._ended

    def keep(self, session: Session, response: Response, transport: Transport) -> None:
        """Puts the session's cookie on an answer."""
        plain = msgspec.json.encode(session)
        sealed = self._sealer.seal(plain, table="web_session", column=transport.cookie, row=b"", account=b"")
        response.set_cookie(
            transport.cookie,
            base64.urlsafe_b64encode(sealed).rstrip(b"=").decode(),
            max_age=LIFETIME_SECONDS,
            path="/",
            secure=transport.secure,
            httponly=True,
            samesite="strict",
        )

    def end(self, session: Session) -> None:
        """From now on the session's cookie opens nothing on this node, wherever it is kept."""
        self._ended[session.id] = session.expires
        now = self._clock.time()
        while self._ended and (len(self._ended) > ENDED_KEPT or next(iter(self._ended.values())) <= now):
            self._ended.popitem(last=False)


def forget(response: Response, transport: Transport) -> None:
    """Has the browser drop the session's cookie."""
    response.delete_cookie(transport.cookie, path="/", secure=transport.secure, httponly=True, samesite="strict")
