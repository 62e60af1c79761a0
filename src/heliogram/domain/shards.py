"""Which shard of the queue a send goes through: work of one team stays together, so that few workers connect for it.

APNs wants few connections a team, all with the same provider token (TOK-10). Shards are for that alone: a send on the
wrong one is delivered all the same.
"""

from __future__ import annotations

import hashlib

import msgspec

from .apps import Credential

DEFAULT_SHARDS = 64
MAX_SHARDS = 1_024


class Sharding(msgspec.Struct, frozen=True, kw_only=True):
    """How many shards there are. `hot` gives teams that are too much for one worker several shards: their sends go
    through each of them in turn, by the operation's id."""

    count: int = 1
    hot: dict[str, int] = {}

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_SHARDS:
            raise ValueError(f"count: expected 1 to {MAX_SHARDS} shards, got {self.count}")
        for team, several in self.hot.items():
            if not 1 <= several <= self.count:
                raise ValueError(f"hot: expected 1 to {self.count} shards (all there are) for {team!r}, got {several}")

    def of(self, team: str, operation: bytes = b"") -> int:
        """The shard of a team's send; of a hot team's, the operation's id decides among several."""
        if self.count == 1:
            return 0
        first, several = _hash(team.encode()), self.hot.get(team, 1)
        return (first + (_hash(operation) % several if several > 1 else 0)) % self.count


def team_of(credential: Credential) -> str:
    """Whose connections a credential uses: its team's; a certificate that names none has its own."""
    public = credential.public
    return str(public.get("teamId") or public.get("fingerprint") or credential.id.hex())


def _hash(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
