"""`heliogram credentials`: what APNs knows an app by, at a running service."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .remote import Link, connected, limit_option, page_size, yes_option
from .showing import clean, details, table, when

if TYPE_CHECKING:
    from ..client import Credential, CredentialCheck, CredentialContent

EMPTY = "There is no such credential. Upload one: heliogram credentials upload --help"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NAMED_BY_APPLE = re.compile(r"AuthKey_([A-Z0-9]{10})\.p8").fullmatch
_CONTENT = (
    click.option("--key-file", type=FILE, help="The .p8 signing key that Apple's portal issued."),
    click.option("--key-id", help="Its key id, 10 characters; known if the file is called AuthKey_<key id>.p8."),
    click.option("--team-id", help="Your team id: 10 characters, under Membership in the portal."),
    click.option("--bundle-id", help="The app's bundle id, such as com.example.app."),
    click.option("--key-scope", type=click.Choice(["team", "topic"]), help="As chosen when the key was made."),
    click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Of a key for some topics: each of them."),
    click.option("--certificate", type=FILE, help="A push certificate as PEM, in place of a key."),
    click.option("--certificate-key", type=FILE, help="Its private key as PEM; default: in the same file."),
    click.option("--pkcs12", type=FILE, help="Certificate and key as .p12; its password is asked for."),
    click.option("--password-file", type=FILE, help="The file whose first line is the password of --pkcs12."),
)


def _with_content(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_CONTENT):
        command = option(command)
    return command


@click.group()
def credentials() -> None:
    """Upload, check, rotate and revoke credentials at a running service.

    No secret is taken from the command line, and none is ever shown.
    """


@credentials.command("list")
@click.option("--app", metavar="NAME", help="Only of this app.")
@limit_option
@connected
def list_(link: Link, app: str | None, limit: int) -> None:
    """List credentials with their health, the newest first."""

    def told(found: list[Credential]) -> None:
        rows = [
            (each.id, each.app_name, each.credential_type, "default" if each.is_default else "", _health(each))
            for each in found
        ]
        table(("credential", "app", "type", "", "health"), rows, empty=EMPTY)

    link.show_list(lambda client: client.credentials.list(app=app, page_size=page_size(limit)), told, limit=limit)


@credentials.command()
@click.argument("credential_id")
@connected
def get(link: Link, credential_id: str) -> None:
    """Show one credential: key id, team, expiry, what APNs last said."""
    link.show(lambda client: client.credentials.get(credential_id), _told)


@credentials.command()
@click.option("--app", metavar="NAME", help="The app; one that is not there yet is made. Default: the default app.")
@click.option(
    "--sandbox", is_flag=True, help="For apps that run from Xcode; without it for TestFlight and the App Store."
)
@click.option("--default", "is_default", is_flag=True, help="Send with it from now on; the first one is so anyway.")
@_with_content
@connected
def upload(link: Link, app: str | None, sandbox: bool, is_default: bool, **options: Any) -> None:
    """Upload a signing key or a certificate.

    \b
      heliogram credentials upload --app shop --key-file AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ \\
          --bundle-id com.example.shop
      heliogram credentials upload --app shop --sandbox --pkcs12 push.p12
    """
    from ..client import CredentialType

    content = content_of(options)
    type_ = CredentialType.APN_SANDBOX if sandbox else CredentialType.APN
    link.show(
        lambda client: client.credentials.create(type_, content, app=app, is_default=is_default),
        lambda made: click.echo(
            f"uploaded as {made.resource_id}\nDoes APNs take it? heliogram credentials check {made.resource_id}"
        ),
    )


@credentials.command()
@click.argument("credential_id")
@_with_content
@connected
def rotate(link: Link, credential_id: str, **options: Any) -> None:
    """Put a new key or certificate under the same id; what waits for it goes on.

    \b
      heliogram credentials rotate comms_credential_01h9krwprkeee8fzqspvwy6nq8 --key-file AuthKey_NEW1234567.p8 \\
          --team-id DEF123GHIJ --bundle-id com.example.app
    """
    content = content_of(options)
    link.change(lambda client: client.credentials.rotate(credential_id, content), f"rotated {credential_id}")


@credentials.command()
@click.argument("credential_id")
@connected
def check(link: Link, credential_id: str) -> None:
    """Ask APNs whether it takes a credential. Exit code 0 if it does, else 1."""
    answers: list[CredentialCheck | dict[str, Any]] = []

    def told(found: CredentialCheck) -> None:
        click.echo(f"{'good' if found.ok else 'bad'} ({found.environment}): {clean(found.message)}")

    def ask(client: Any) -> Any:
        answers.append(client.credentials.check(credential_id))
        return answers[0]

    link.show(ask, told)
    answer = answers[0]
    if not (answer["ok"] if isinstance(answer, dict) else answer.ok):
        raise SystemExit(1)


@credentials.command()
@click.argument("credential_id")
@yes_option
@connected
def revoke(link: Link, credential_id: str, yes: bool) -> None:
    """Let a credential send nothing from now on. It stays listed."""
    if not yes:
        click.confirm(f"Revoke {credential_id}? It cannot be undone.", abort=True, err=True)
    link.change(lambda client: client.credentials.revoke(credential_id), f"revoked {credential_id}")


@credentials.command()
@click.argument("credential_id")
@connected
def reconnect(link: Link, credential_id: str) -> None:
    """Close a credential's connections to APNs, and try at once what waits for it."""
    link.change(lambda client: client.credentials.reconnect(credential_id), f"{credential_id} connects anew")


@credentials.command("make-default")
@click.argument("credential_id")
@connected
def make_default(link: Link, credential_id: str) -> None:
    """Let its app send with it."""
    link.change(lambda client: client.credentials.make_default(credential_id), f"{credential_id} is the default now")


@credentials.command()
@click.argument("credential_id")
@yes_option
@connected
def delete(link: Link, credential_id: str, yes: bool) -> None:
    """Delete a credential. With the last one of an app the app goes, and all its registrations."""
    if not yes:
        text = f"Delete {credential_id}? If it is its app's last one, the app and all its devices go with it."
        click.confirm(text, abort=True, err=True)
    link.change(lambda client: client.credentials.delete(credential_id), f"deleted {credential_id}")


def content_of(options: dict[str, Any]) -> CredentialContent:
    """The content that the options describe. Raises `click.UsageError`."""
    from ..client import CredentialContent, KeyScope

    given = [name for name in ("key_file", "certificate", "pkcs12") if options[name] is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --key-file (a .p8 signing key), --certificate (PEM) and --pkcs12 (.p12)")
    if given == ["certificate"]:
        key: Path = options["certificate_key"] or options["certificate"]
        return CredentialContent(certificate=_read(options["certificate"]), private_key=_read(key))
    if given == ["pkcs12"]:
        file: Path = options["pkcs12"]
        encoded = base64.b64encode(file.read_bytes()).decode()
        return CredentialContent(pkcs12=encoded, password=_password(file, options["password_file"]))
    named = _NAMED_BY_APPLE(options["key_file"].name)
    key_id = options["key_id"] or (named[1] if named else None)
    for option, value in (
        ("--key-id", key_id),
        ("--team-id", options["team_id"]),
        ("--bundle-id", options["bundle_id"]),
    ):
        if value is None:
            raise click.UsageError(
                f"{option} is missing: a signing key needs it; see: heliogram credentials upload --help"
            )
    return CredentialContent(
        signing_key=_read(options["key_file"]),
        key_id=key_id,
        team_id=options["team_id"],
        bundle_id=options["bundle_id"],
        key_scope=None if options["key_scope"] is None else KeyScope(options["key_scope"]),
        topics=[*options["topics"]] or None,
    )


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file}: this is no PEM text; a .p12 goes with --pkcs12") from None


def _password(file: Path, source: Path | None) -> str | None:
    if source is not None:
        lines = source.read_text().splitlines()
        return lines[0] if lines else ""
    if not sys.stdin.isatty():
        return None
    given = click.prompt(f"Password of {file.name}", hide_input=True, default="", show_default=False, err=True)
    return str(given) or None


def _health(found: Credential) -> str:
    if found.revoked_at is not None:
        return f"revoked {when(found.revoked_at)}"
    if found.failing is not None:
        return f"failing: {found.failing.reason}, {found.failing.waiting:,} wait"
    if found.expires_in_days is not None and found.expires_in_days < 30:
        return f"expires in {found.expires_in_days} days" if found.expires_in_days >= 0 else "expired"
    return "good" if found.last_success_at else "not used yet"


def _told(found: Credential) -> None:
    shown = {
        "keyId": "key id",
        "teamId": "team id",
        "bundleId": "bundle id",
        "keyScope": "key scope",
        "topics": "topics",
    }
    last = found.last_answer
    details(
        [
            ("credential", found.id),
            ("app", found.app_name),
            ("type", f"{found.credential_type}{', default' if found.is_default else ''}"),
            *((text, _plain(found.content.get(name))) for name, text in shown.items()),
            ("health", _health(found)),
            ("expires", found.expires_at),
            ("last accepted", found.last_success_at),
            ("last answer", None if last is None else f"{last.status} {last.reason or ''} at {when(last.at)}"),
            ("last check", None if found.last_check is None else found.last_check.message),
            ("uploaded", f"{when(found.updated_at)}, revision {found.revision}"),
        ]
    )


def _plain(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
