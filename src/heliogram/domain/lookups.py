"""What a send asks of the store before anything of it can leave, in one question."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .apps import App, Credential, Environment
from .devices import Reached, TokenKind
from .render import Renderer


class RefusedToken(NamedTuple):
    """That the provider refused a token: of which environment (None: any), its word for it, and the credential that was
    used, where that is known."""

    environment: Environment | None
    reason: str
    credential: bytes | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to look up. `app_name` None is the account's default app; `credential` is the one that the caller named.
    `users` are asked for their devices of one kind and Live Activity, and so are those called by their external ids,
    `names`. `refused`: whether it is asked which of the `tokens` were refused before. `missing`: which of the users the
    account does not have."""

    app_name: str | None
    kind: TokenKind
    activity_id: str | None = None
    credential: bytes | None = None
    users: frozenset[bytes] = frozenset()
    names: frozenset[str] = frozenset()
    tokens: frozenset[bytes] = frozenset()
    refused: bool = True
    missing: bool = False


class Known(msgspec.Struct, kw_only=True):
    """What the store knew `at` a moment (s, steady clock). `app` and `credential` are None when there is none; the rest
    has what was found, by user, external id or token. `environments` has those that decide: none where the caller named
    the credential, and where the app has one for a single environment perhaps not its tokens."""

    at: float = 0.0
    app: App | None = None
    credential: Credential | None = None
    named: dict[str, bytes] = {}
    missing: frozenset[bytes] = frozenset()
    devices: dict[bytes, list[Reached]] = {}
    environments: dict[bytes, Environment] = {}
    refused: dict[bytes, list[RefusedToken]] = {}
    renderer: Renderer | None = None
    """Not from the store: what is sent, with its templates read, for who sends at once."""

    def __repr__(self) -> str:
        return f"Known(devices={len(self.devices)}, environments={len(self.environments)}, refused={len(self.refused)})"
