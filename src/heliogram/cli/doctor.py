"""`heliogram doctor`: what is wrong, and what to do."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..configuration import ConfigFile
from ..settings import ServeSettings
from .config import notes_of
from .data import as_json_option
from .numbers import Number
from .options import FILE, config_file, lenient, print_json
from .serve import serve_settings, serving_options

if TYPE_CHECKING:
    from .. import apns
    from ..doctor import Finding, Patient

F = TypeVar("F", bound=Callable[..., Any])
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}
_KEY_OPTIONS = (
    click.option("--key-file", type=FILE, help="A .p8 signing key to look at, in place of the stored credentials."),
    click.option("--key-id", help="Its key id; known if the file is called AuthKey_<key id>.p8."),
    click.option("--team-id", help="Your team id. With it and --topic, APNs is asked."),
    click.option("--certificate", type=FILE, help="A push certificate as PEM, in place of a key."),
    click.option("--certificate-key", type=FILE, help="Its private key as PEM; default: in the same file."),
    click.option("--pkcs12", type=FILE, help="Certificate and key as .p12."),
    click.option("--password-file", type=FILE, help="The file whose first line is the password of --pkcs12."),
    click.option("--topic", help="The app's bundle id, to ask APNs with."),
    click.option(
        "--environment",
        type=click.Choice(["production", "sandbox"]),
        default="production",
        show_default=True,
        help="Which APNs is asked.",
    ),
)
NOBODY = "AAAAAAAAAA"
"""Stands for an id that is not needed to read a key."""


def _with_key_options(command: F) -> F:
    for option in reversed(_KEY_OPTIONS):
        command = option(command)
    return command


@click.command()
@_with_key_options
@click.option("--offline", is_flag=True, help="Leave APNs and the way to it out.")
@click.option(
    "--timeout",
    type=Number(0.1, 600),
    default=5.0,
    show_default=True,
    help="Seconds that each step on the network may take.",
)
@as_json_option
@lenient
@serving_options
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    offline: bool,
    timeout: float,
    as_json: bool,
    topic: str | None,
    environment: str,
    **given: Any,
) -> None:
    """Look for what is wrong, and say what to do.

    The configuration, this machine, the data directory, the way to APNs (names, ports 443, 2197, 2195 and 2196,
    TLS, HTTP/2; through --apns-proxy if there is one), what APNs says of the stored credentials, and the service's
    own address. Nothing is changed, and no secret shown. It takes the options of `heliogram serve`, and its
    configuration file.

    \b
    Exit code: 0 nothing failed (there may be warnings), 1 something failed, 2 wrong usage.

    \b
    heliogram doctor
    heliogram doctor --offline --json
    heliogram doctor --key-file AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ --topic com.example.app
    """
    from ..observe import log as logs

    logs.configure(level="error")  # on standard error; what is found is told below
    settings = serve_settings(given)
    key, problem = _key(given)
    patient = _patient(config_file(ctx), settings, key, topic, environment, None if offline else timeout)
    counts = asyncio.run(_tell(patient, problem, as_json))
    if not as_json:
        click.echo(", ".join(f"{counts[state]} {state}" for state in _COLOURS))
    raise SystemExit(1 if counts["failed"] else 0)


def _patient(
    file: ConfigFile | None,
    settings: ServeSettings,
    key: apns.SigningKey | apns.Certificate | None,
    topic: str | None,
    environment: str,
    timeout: float | None,
) -> Patient:
    from ..doctor import Patient
    from ..doctor.network import SECONDS, Net

    problems = [*([] if file is None else file.problems), *settings.problems()]
    path = None if file is None else file.path
    return Patient(
        settings=settings,
        net=Net(
            time=time.time,
            seconds=timeout or SECONDS,
            spare_proxy=any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")),
        ),
        configuration=(None if path is None else str(path), problems, notes_of(path, file, os.environ)),
        key=key,
        topic=topic if getattr(key, "team_id", "") != NOBODY else None,
        environment=environment,
        offline=timeout is None,
    )


async def _tell(patient: Patient, problem: str | None, as_json: bool) -> Counter[str]:
    from ..doctor import Finding, State, examine

    counts: Counter[str] = Counter()
    found: list[Finding] = []

    def note(finding: Finding) -> None:
        counts[finding.state] += 1
        found.append(finding)
        if not as_json:
            _print(finding)

    async for finding in examine(patient):
        note(finding)
    if problem is not None:
        cure = "give the file as Apple's portal or the key chain made it; see docs/howto/credentials.md"
        note(Finding("key", State.FAILED, problem, cure))
    if as_json:
        rows = [{"check": each.check, "state": each.state, "text": each.text, "cure": each.cure} for each in found]
        print_json({"ok": not counts["failed"], "findings": rows})
    return counts


def _print(finding: Finding) -> None:
    state = click.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    click.echo(f"{state} {finding.check}: {finding.text}")
    if finding.cure:
        click.echo(f"         -> {finding.cure}")


def _key(given: dict[str, Any]) -> tuple[apns.SigningKey | apns.Certificate | None, str | None]:
    """The key or certificate that was named, or what is wrong with it. A key can be read without knowing its ids."""
    if not any(given[name] for name in ("key_file", "certificate", "pkcs12")):
        return None, None
    from .. import apns
    from .credential import credential

    options = {**given, "key_environment": None, "key_topics": None}
    if given["key_file"] is not None and given["team_id"] is None:
        options["team_id"], options["key_id"] = NOBODY, given["key_id"] or NOBODY
    try:
        return credential(options), None
    except apns.ApnsError as error:
        return None, str(error)
