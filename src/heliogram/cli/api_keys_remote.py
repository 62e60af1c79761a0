"""API keys of a running service, over its API; the same rows as on the data directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .remote import Link


def create(link: Link, name: str, scopes: Sequence[str], expires_days: int | None) -> tuple[str, str]:
    """Makes a key; its id and its secret."""
    from ..client import Scope

    ends = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with link.client() as client:
        made = client.api_keys.create([Scope(scope) for scope in scopes], name=name, expires_at=ends)
    return made.id, made.secret


def rotate(link: Link, key_id: str, grace_seconds: int) -> tuple[str, str]:
    """Makes a successor; its id and its secret."""
    with link.client() as client:
        made = client.api_keys.rotate(key_id, grace_seconds=grace_seconds)
    return made.id, made.secret


def revoke(link: Link, key_id: str, *, yes: bool) -> None:
    """Ends a key. The one that asks is ended after a question."""
    if key_id == link.key_id and not yes:
        click.confirm(
            f"{key_id} is the key that asks: it will be refused from then on. Revoke it?", abort=True, err=True
        )
    with link.client() as client:
        client.api_keys.revoke(key_id)


def rows(link: Link) -> list[dict[str, Any]]:
    """All keys of the account, the newest first."""
    with link.client(raw=True) as client:
        found: list[dict[str, Any]] = [dict(each) for each in client.api_keys.list(page_size=1000)]  # type: ignore[call-overload]
    return [{"keyId": each.pop("id"), **each} for each in found]
