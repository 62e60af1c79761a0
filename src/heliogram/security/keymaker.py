"""What callers identify themselves with, made for those who may have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..domain.accounts import ApiKey, RegistrationGrant, Scope
from ..domain.ids import IdFactory
from .apikeys import KeyHasher, new_api_key, new_secret
from .regtokens import RegistrationTokens


class SecretMaker:
    """`ports.KeyMaker` over the master keys."""

    def __init__(self, ids: IdFactory, hasher: KeyHasher, tokens: RegistrationTokens) -> None:
        self._ids = ids
        self._hasher = hasher
        self._tokens = tokens

    def __repr__(self) -> str:
        return f"SecretMaker({self._hasher!r})"

    def api_key(
        self,
        account: bytes,
        *,
        name: str,
        scopes: Sequence[Scope],
        created: int,
        expires: int | None,
        ident: bytes | None = None,
    ) -> tuple[ApiKey, str]:
        """A new API key, not kept yet, and its secret. `ident` is its id; without one it gets a fresh one."""
        more: dict[str, Any] = {"name": name, "created": created, "scopes": scopes, "expires": expires}
        made = new_api_key(self._ids, self._hasher, account=account, ident=ident, **more)
        return made.key, made.secret

    def renewed(self, key: ApiKey) -> tuple[ApiKey, str]:
        """The key with another secret, not kept yet, and that secret."""
        secret = new_secret()
        return msgspec.structs.replace(key, hash=self._hasher.hash(key.id, secret)), secret

    def registration_token(self, grant: RegistrationGrant) -> str:
        """The token of a grant: `hgr_` and what it grants, signed."""
        return self._tokens.make(grant)
