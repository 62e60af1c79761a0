"""TLS on an accepted connection, driven by hand.

asyncio's own TLS drops the alert of a handshake that fails (CONN-8, CERT-10) and begins its work before anybody can
refuse a connection or delay it, so the records are made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod
from typing import cast

from .pacing import Pacer
from .turns import Turns

HANDSHAKE_SECONDS = 10.0
LINGER_SECONDS = 1.0
"""How long a connection that was shut still swallows what the client sends: a socket closed with unread bytes is
reset, and what was said last is lost with it."""

_MOST = 262144


class SecureProtocol(asyncio.Protocol, ABC):
    """Bytes in and out of one connection. `secured` and `plain_received` are called with what TLS lets through.

    ``turns``: who else has much to say. What was received and has to wait for its turn is held back in order, and no
    more is read meanwhile. ``round_trip``: seconds that everything leaving waits, the handshake included.
    """

    def __init__(self, context: ssl.SSLContext, turns: Turns, round_trip: float = 0.0) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._asked = self._secured = self._ended = self._deaf = self._paused = self._told = False
        self._turns = turns
        self._unheard = b""  # received and decrypted; from `_heard` on it waits for its turn
        self._heard = 0
        self._over = False  # the client has ended TLS: the end comes when all it said has been answered
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._round_trip = round_trip
        self._piece = 0
        self._pacer: Pacer | None = Pacer(self._emit, self._half_close) if round_trip else None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    # ---- for the subclass

    @abstractmethod
    def secured(self) -> None:
        """The handshake is done."""

    @abstractmethod
    def plain_received(self, data: bytes) -> None:
        """What the client said."""

    def refusal(self) -> bytes | None:
        """Asked once, when the client's first bytes are here: what to answer instead of TLS before the end."""
        return None

    @property
    def peer_certificate(self) -> bytes | None:
        """The client's certificate in DER, if it showed one (CONN-9)."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def tls_version(self) -> str | None:
        """Such as ``TLSv1.3``."""
        return self._tls.version()

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on, None without ALPN (CONN-11)."""
        return self._tls.selected_alpn_protocol()

    @property
    def is_closing(self) -> bool:
        return self._ended or self._transport is None or self._transport.is_closing()

    def send(self, data: bytes) -> None:
        """Encrypt and write; nothing when the connection is ending."""
        if not data or self.is_closing:
            return
        if self._piece:
            for at in range(0, len(data), self._piece):
                self._tls.write(data[at : at + self._piece])
                self._flush(alone=True)
        else:
            self._encrypt(data)
            self._flush()

    def split(self, size: int) -> None:
        """From now on write in pieces of ``size`` bytes, each in a record and a turn of its own."""
        self._piece = size
        if self._pacer is None:
            self._pacer = Pacer(self._emit, self._half_close)

    def fall_silent(self) -> None:
        """Read nothing and write nothing any more, and leave the connection open (CONN-24, CONN-27)."""
        self._deaf = True
        self._unheard = b""
        if self._transport is not None:
            self._transport.pause_reading()

    def shut(self) -> None:
        """Say the end of TLS and of TCP once all is written, and wait a moment for the client to do the same."""
        if self.is_closing or self._transport is None:
            return
        if self._secured:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._ended = True
        self._unheard = b""
        if self._pacer is None:
            self._half_close()
        else:
            self._pacer.put(None, 0)

    def abort(self) -> None:
        """End at once; what waits is lost."""
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = self._loop.call_later(HANDSHAKE_SECONDS, self.abort)

    def data_received(self, data: bytes) -> None:
        if self._ended or self._deaf:
            return
        self._incoming.write(data)
        if not self._secured and not self._shake():
            return
        plain = self._decrypt()
        if plain:
            if self._unheard or not self._turns.grants(len(plain)):
                self._hold_back(plain)
            else:
                self.plain_received(plain)
        if self._over and not self._unheard:
            self.shut()

    def proceed(self, most: int) -> int:
        """Answer at most so many bytes of what waits for its turn; how many it were. For `Turns`."""
        if self.is_closing or self._blocked or not self._unheard:
            return 0  # when it is not blocked any more it comes back
        said, at = self._unheard, self._heard
        piece = said[at : at + most]
        self._heard += len(piece)
        if self._heard == len(said):
            self._unheard = b""
        try:
            self.plain_received(piece)
        except BaseException:
            self.abort()
            raise
        if self._over and not self._unheard:
            self.shut()
        else:
            self._read_on()
        return len(piece)

    def eof_received(self) -> bool:
        """The client will say no more: the connection ends when all that is on its way has been written."""
        self._told = True
        if self._pacer is None or not self._pacer.waiting:
            return False
        if not self._ended:
            self._ended = True
            self._pacer.put(None, 0)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._unheard = b""
        for waits in (self._deadline, self._pacer):
            if waits is not None:
                waits.cancel()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """The client reads too slowly: take no more requests until it has read (bounds what waits for it)."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._read_on()

    # ---- inside

    def _shake(self) -> bool:
        if not self._asked:
            self._asked = True
            said = self.refusal()
            if said is not None:
                self._emit(said)
                self.shut()
                return False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError:
            self._flush()  # the alert
            self.shut()
            return False
        self._flush()
        if self._deadline is not None:
            self._deadline.cancel()
        self._secured = True
        self.secured()
        return not self.is_closing

    def _decrypt(self) -> bytes:
        """All that the complete records hold."""
        parts: list[bytes] = []
        tls, incoming = self._tls, self._incoming
        while True:
            try:
                part = tls.read(_MOST)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError:  # the client's end of TLS is the end of the connection, and so is a broken record
                self._flush()
                self._over = True
                break
            if not part:
                self._over = True
                break
            parts.append(part)
            if not incoming.pending and not tls.pending():
                break
        if self._outgoing.pending:
            self._flush()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold_back(self, plain: bytes) -> None:
        """Let this wait for its turn; nothing more is read before it has been answered."""
        self._unheard, self._heard = self._unheard[self._heard :] + plain, 0
        if self._transport is not None:
            self._transport.pause_reading()
        self._turns.add(self)

    def _encrypt(self, data: bytes) -> None:
        at = self._tls.write(data)
        while at < len(data):
            at += self._tls.write(data[at:])

    def _flush(self, *, alone: bool = False) -> None:
        data = self._outgoing.read()
        if not data:
            return
        pacer = self._pacer
        if pacer is None:
            self._emit(data)
            return
        pacer.put(data, self._round_trip, alone=alone)
        if pacer.full and self._transport is not None:
            self._transport.pause_reading()

    def _emit(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing() and not self._deaf:
            transport.write(data)
        if self._pacer is not None:
            self._read_on()

    @property
    def _blocked(self) -> bool:
        """Whether what was written has to leave before more is answered."""
        return self._paused or self._deaf or (self._pacer is not None and self._pacer.full)

    def _read_on(self) -> None:
        """Answer what waits for that, or read more, unless something is in the way."""
        if self._blocked or self._transport is None or self._transport.is_closing():
            return
        if self._unheard:
            self._turns.add(self)
        else:
            self._transport.resume_reading()

    def _half_close(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._told:
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:  # the client is gone, and what was written last has shown it
            transport.abort()
            return
        self._read_on()
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(LINGER_SECONDS, self.abort)
