"""The credential that the options of `heliogram send` describe. No secret is taken from the command line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .. import apns

_WAYS = ("key_file", "certificate", "pkcs12")
_BELONGS = {
    "key_id": "key_file",
    "team_id": "key_file",
    "key_environment": "key_file",
    "key_topics": "key_file",
    "certificate_key": "certificate",
    "password_file": "pkcs12",
}
_NAMED_BY_APPLE = re.compile(r"AuthKey_([A-Z0-9]{10})\.p8").fullmatch


def credential(options: dict[str, Any]) -> apns.SigningKey | apns.Certificate:
    """The signing key or certificate. Raises `click.UsageError`, or the engine's `ApnsError`."""
    given = [name for name in _WAYS if options[name] is not None]
    if len(given) != 1:
        how = "a signing key with --key-file, a certificate with --certificate or --pkcs12"
        raise click.UsageError(f"give one credential: {how}; {_count(len(given))} were given")
    [way] = given
    for name, other in _BELONGS.items():
        if options[name] is not None and other != way:
            raise click.UsageError(f"{_option(name)} belongs to {_option(other)}; it was given with {_option(way)}")
    if way == "key_file":
        return _signing_key(options)
    return _from_pem(options) if way == "certificate" else _from_pkcs12(options)


def _signing_key(options: dict[str, Any]) -> apns.SigningKey:
    from .. import apns

    file: Path = options["key_file"]
    named = _NAMED_BY_APPLE(file.name)
    key_id = options["key_id"] or (named[1] if named else None)
    if key_id is None:
        raise click.UsageError("--key-id is missing: 10 characters, also in the file's name as Apple gave it")
    if options["team_id"] is None:
        raise click.UsageError("--team-id is missing: 10 characters, under Membership in the developer portal")
    topics = options["key_topics"]
    return apns.SigningKey.from_p8(
        file,
        key_id=key_id,
        team_id=options["team_id"],
        environment=options["key_environment"],
        topics=None if topics is None else [one.strip() for one in topics.split(",")],
    )


def _from_pem(options: dict[str, Any]) -> apns.Certificate:
    from .. import apns

    certificate: Path = options["certificate"]
    key: Path = options["certificate_key"] or certificate
    return apns.Certificate.from_pem(_read("--certificate", certificate), _read("--certificate-key", key))


def _from_pkcs12(options: dict[str, Any]) -> apns.Certificate:
    from .. import apns

    file: Path = options["pkcs12"]
    if options["password_file"] is not None:
        # One line, as editors and `echo` leave it: the line break is none of the password.
        lines = _read("--password-file", options["password_file"]).splitlines()
        return apns.Certificate.from_pkcs12(file, lines[0] if lines else None)
    try:
        return apns.Certificate.from_pkcs12(file)
    except apns.InvalidCertificate as error:
        if not str(error).startswith("password: missing"):
            raise
    if not sys.stdin.isatty():
        raise click.UsageError("--pkcs12: the file has a password; give --password-file FILE, or run it in a terminal")
    return apns.Certificate.from_pkcs12(file, click.prompt(f"Password of {file.name}", hide_input=True, err=True))


def _read(option: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{option}: {error.strerror}: {file}") from None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _count(count: int) -> str:
    return "none" if count == 0 else str(count)
