"""`heliogram login`, `logout`: keep which service the other commands speak to."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import click

from .address import require_no_password
from .profiles import DEFAULT_URL, NAME, Profile, Profiles
from .remote import Link, told_in_words

HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@click.command()
@click.option("--url", default=DEFAULT_URL, show_default=True, metavar="URL", help="The service's address.")
@click.option("--profile", "name", default="default", show_default=True, metavar="NAME", help="What to keep it as.")
def login(url: str, name: str) -> None:
    """Keep an API key, so that the other commands need none.

    The key is asked for without showing it (its id and then its secret, or both with a full stop between), or read from
    standard input, tried, and kept in ~/.config/heliogram/config.toml, which only you can read. The profile of the last
    login is the one that is used.

    \b
      heliogram login --url https://push.example.com
      heliogram login --url https://staging.example.com --profile staging < key.txt
      heliogram users list --profile staging
    """
    if not NAME.fullmatch(name):
        raise click.UsageError("--profile: expected 1 to 64 of A-Z, a-z, 0-9, '-' and '_'")
    _require_service(url)
    if _is_open(url):
        click.echo(f"warning: everybody on the way to {url} can read the key; use https://, or an SSH tunnel", err=True)
    given = _asked_for() if sys.stdin.isatty() else sys.stdin.readline()  # a pipe gives both in one line
    link = Link(url, given.strip(), as_json=False)
    with told_in_words() as trouble:
        trouble.link = link
        _try(link)
        known = Profiles.read()
        known.profiles[name] = Profile(url, link.api_key)
        known.default = name
        known.write()
    click.echo(f"kept the key {link.key_id} for {url} as profile {name!r} in {known.file}")


@click.command()
@click.option("--profile", "name", metavar="NAME", help="Which one; default: that of the last login.")
def logout(name: str | None) -> None:
    """Forget a key that `heliogram login` kept. The key itself goes on; see: heliogram api-keys revoke"""
    known = Profiles.read()
    name = name or known.default
    if name is None:
        raise click.UsageError(f"there is nothing to forget: no profile is kept in {known.file}")
    if name not in known.profiles:
        have = ", ".join(sorted(known.profiles)) or "none"
        raise click.UsageError(f"--profile: there is no profile {name!r} in {known.file} (there is: {have})")
    del known.profiles[name]
    if known.default == name:
        known.default = next(iter(sorted(known.profiles)), None)
    known.write()
    click.echo(f"forgot profile {name!r}")


def _asked_for() -> str:
    """What is typed or pasted, in one piece or in the two that `api-keys create` shows."""
    given = str(click.prompt("API key (the keyId, or keyId.secret)", hide_input=True, err=True)).strip()
    if "." in given:
        return given
    return f"{given}.{str(click.prompt('its secret', hide_input=True, err=True)).strip()}"


def _require_service(url: str) -> None:
    """Refuses what is no service's address before a key is asked for."""
    require_no_password(url)
    try:
        address = urlsplit(url)
        good = address.scheme.lower() in ("http", "https") and bool(address.hostname)
    except ValueError:
        good = False
    if not good:
        raise click.UsageError(f"--url: expected http://host:port or https://host, got {url!r}")


def _is_open(url: str) -> bool:
    """Whether a key would leave this machine in the clear."""
    try:
        address = urlsplit(url)
        return address.scheme.lower() == "http" and address.hostname not in HERE
    except ValueError:
        return False  # it is refused later, with words


def _try(link: Link) -> None:
    """Raises what the service says of the key; one that may not read is a key all the same."""
    from ..client import HeliogramError

    with link.client() as client:
        try:
            next(iter(client.apps.list(page_size=1).pages()))
        except HeliogramError as error:
            if error.status != 403:
                raise
