"""The sender's side of signatures: secrets, how they are kept and turned over, and the headers of a request."""

from __future__ import annotations

import base64
import secrets

import msgspec

from ..ports import Sealer
from .receiving import SECRET_PREFIX, key_of, signature

SECRET_BYTES = 32
OVERLAP_MS = 24 * 3600 * 1000
"""How long a secret signs beside those that came after it."""


class Secrets(msgspec.Struct, frozen=True, omit_defaults=True):
    """A webhook's signing secrets: the one that counts, and each until a time (ms) of its own the two before it.

    Two old ones, because a rotation whose answer was lost is asked for again: what the receivers hold is then the older
    of them.
    """

    current: str
    previous: str | None = None
    until: int = 0
    older: str | None = None
    older_until: int = 0

    def __repr__(self) -> str:
        return f"Secrets(previous={self.previous is not None}, older={self.older is not None})"

    def rotated(self, now: int, secret: str) -> Secrets:
        """With a new secret; the present one signs beside it for 24 hours, and the one before to the end of its own."""
        kept = (self.previous, self.until) if now < self.until else (None, 0)
        return Secrets(secret, self.current, now + OVERLAP_MS, *kept)

    def headers(self, ident: str, now: int, body: bytes) -> dict[str, str]:
        """The three headers of Standard Webhooks for a body sent at `now` (ms)."""
        timestamp = str(now // 1000)
        old = ((self.previous, self.until), (self.older, self.older_until))
        signing = [self.current, *(secret for secret, until in old if secret is not None and now < until)]
        signatures = " ".join(signature(key_of(each), ident, timestamp, body) for each in signing)
        return {"webhook-id": ident, "webhook-timestamp": timestamp, "webhook-signature": signatures}


_decode = msgspec.json.Decoder(Secrets).decode


def new_secret() -> str:
    """A fresh signing secret."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(sealer: Sealer, held: Secrets, *, account: bytes, webhook: bytes) -> bytes:
    """Secrets as they are kept."""
    return sealer.seal(msgspec.json.encode(held), table="webhook", column="sealed", row=webhook, account=account)


def unseal(sealer: Sealer, sealed: bytes, *, account: bytes, webhook: bytes) -> Secrets:
    """Secrets as they are used. Raises `ValueError` when the master key is another."""
    return _decode(sealer.open(sealed, table="webhook", column="sealed", row=webhook, account=account))
