"""Signing keys, and which of them a request was made with."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from heliogram.apns import SigningKey
from heliogram.wire import Received


def make_key(key_id: str = "NEW123DEFG", team_id: str = "DEF123GHIJ", **options: Any) -> SigningKey:
    """A new key."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id=key_id, team_id=team_id, **options)


def key_id(request: Received) -> str:
    """The key that signed a request's provider token; "none" without a token."""
    authorization = dict(request.headers).get(b"authorization")
    if authorization is None:
        return "none"
    head = authorization.removeprefix(b"bearer ").split(b".")[0]
    kid: str = json.loads(base64.urlsafe_b64decode(head + b"=="))["kid"]
    return kid
