"""The service's address, in which no password has a place: it is kept in a file, shown, and repeated in errors."""

from __future__ import annotations

import re

import click

_USER = re.compile(r"\A([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)


def require_no_password(url: str) -> None:
    """Refuses an address with a user name or password, `http://user:password@host`, and repeats none of it. Any `@`
    is one: a password with a slash in it looks like a path. Raises `click.UsageError`."""
    if "@" in url:
        raise click.UsageError(
            "--url (or HELIOGRAM_URL): expected http://host:port or https://host without user name and password: the"
            " service asks for an API key; give it to `heliogram login`, or in HELIOGRAM_API_KEY. An @ in a path is"
            " written %40"
        )


def shown(url: str) -> str:
    """The address as it may be read by anybody: without what stands before an `@`."""
    return _USER.sub(r"\1…@", url)
