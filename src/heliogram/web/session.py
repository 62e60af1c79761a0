"""Who is signed in: an API key, sealed in a cookie. Nothing is kept of it but which sessions were ended early, in the
store, so that this holds on every node and after a restart.

Over HTTPS the cookie is `__Host-heliogram` (Secure, this host alone). Browsers differ in what a Secure cookie is on
`http://127.0.0.1`, so a loopback address has a cookie of its own without that attribute; any other address over plain
HTTP gets none, and the sign-in page says why.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import secrets
from collections import OrderedDict
from functools import partial
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..once import Once
from ..ports import Clock, Sealer, SessionStore

SECURE_COOKIE = "__Host-heliogram"
LOOPBACK_COOKIE = "heliogram-local"
LIFETIME_SECONDS = 12 * 3600
MAX_COOKIE = 2048
BELIEVED_SECONDS = 0.9
"""A session that was not ended is taken to be good for so long: signing out acts within a second on all nodes."""
KNOWN = 10_000
"""Sessions of which is remembered whether they were ended; the store is asked of the others."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in key of an account. `expires` in seconds since 1970; `csrf` goes with every form of the session."""

    id: str
    account: str
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

    def __init__(self, sealer: Sealer, clock: Clock, ended: SessionStore) -> None:
        self._sealer, self._clock, self._store = sealer, clock, ended
        self._known: OrderedDict[str, float] = OrderedDict()
        self._asking = Once[str, bool]()

    def __repr__(self) -> str:
        return f"Sessions(known={len(self._known)})"

    def begin(self, key_id: str, secret: str, account: bytes) -> Session:
        """A new session of a key that is known to be good."""
        return Session(
            id=secrets.token_urlsafe(12),
            account=account.hex(),
            key_id=key_id,
            secret=secret,
            csrf=secrets.token_urlsafe(24),
            expires=self._clock.time() + LIFETIME_SECONDS,
        )

    async def read(self, connection: HTTPConnection, transport: Transport) -> Session | None:
        """The session of a request's cookie; None without one, or one that is over or was not made here. Raises
        `Unavailable` when nobody can be asked whether it was ended."""
        session = self.opened(connection, transport)
        return None if session is None or await self.is_over(session) else session

    def opened(self, connection: HTTPConnection, transport: Transport) -> Session | None:
        """As `read`, of a session that may be over: it is good for nothing but to be ended."""
        text = connection.cookies.get(transport.cookie, "")
        if not text or len(text) > MAX_COOKIE or not transport.may_sign_in:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._sealer.open(sealed, table="web_session", column=transport.cookie, row=b"", account=b"")
            return msgspec.json.decode(plain, type=Session)
        except (ValueError, binascii.Error, msgspec.DecodeError):
            return None

    async def is_over(self, session: Session) -> bool:
        """Whether its time is up, or it was ended early on any node, a second ago or earlier. Raises `Unavailable`."""
        if session.expires <= self._clock.time():
            return True
        believed = self._known.get(session.id, 0.0)
        if believed > self._clock.monotonic():
            return believed == math.inf
        return await self._asking.ask(session.id, partial(self._ask, session))

    async def _ask(self, session: Session) -> bool:
        # Believed from before the look-up on: what is ended while it runs is not believed longer for it.
        until = self._clock.monotonic() + BELIEVED_SECONDS
        ended = await self._store.is_session_ended(bytes.fromhex(session.account), session.id)
        if self._known.get(session.id) == math.inf:  # ended here meanwhile
            return True
        self._know(session, math.inf if ended else until)
        return ended

    def _know(self, session: Session, until: float) -> None:
        self._known[session.id] = until
        self._known.move_to_end(session.id)
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)

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

    async def end(self, session: Session) -> None:
        """From now on the session's cookie opens nothing, wherever it is kept: on this node at once, on others within a
        second. Raises `Unavailable` when this node alone knows it."""
        self._know(session, math.inf)
        await self._store.end_session(bytes.fromhex(session.account), session.id, math.ceil(session.expires * 1000))


def forget(response: Response, transport: Transport) -> None:
    """Has the browser drop the session's cookie."""
    response.delete_cookie(transport.cookie, path="/", secure=transport.secure, httponly=True, samesite="strict")
