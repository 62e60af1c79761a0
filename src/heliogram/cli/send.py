"""`heliogram send`: one push straight through the engine, without the service."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from .options import FILE, print_json

ACCEPTED, REJECTED, NO_ANSWER = 0, 1, 2


@click.command()
@click.option("--key-file", type=FILE, required=True, help="The .p8 signing key that Apple's portal issued.")
@click.option("--key-id", required=True, help="Its key id: 10 characters, also in the file's name.")
@click.option("--team-id", required=True, help="Your team id: 10 characters, under Membership in the portal.")
@click.option("--topic", required=True, help="The app's bundle id; the push type's suffix is added by itself.")
@click.option("--token", required=True, help="The device token, in hexadecimal.")
@click.option(
    "--environment",
    type=click.Choice(["production", "sandbox"]),
    default="production",
    show_default=True,
    help="sandbox for apps signed for development, production for TestFlight and the App Store.",
)
@click.option("--endpoint", metavar="HOST:PORT", help="An APNs in place of Apple's, such as the simulator.")
@click.option("--cacert", type=FILE, help="Trust this CA for --endpoint (the simulator's ca.pem).")
@click.option("--title", help="The alert's title.")
@click.option("--body", help="The alert's text.")
@click.option("--payload", metavar="FILE|-", help="The whole JSON payload from a file or standard input, untouched.")
@click.option("--push-type", help="alert, background, voip, …; default: what the payload calls for.")
@click.option("--priority", type=click.IntRange(1, 10), help="10 at once, 5 saves battery, 1 never wakes the device.")
@click.option("--collapse-id", help="A later push with the same id replaces this one (64 bytes at most).")
@click.option("--expiration", type=int, help="Seconds since 1970 until which APNs may store it; 0: one attempt.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def send(token: str, timeout: float, as_json: bool, **options: Any) -> None:
    """Send one push straight to APNs and print what became of it.

    \b
    Exit code: 0 accepted by APNs (which is not yet delivered), 1 rejected with a reason, 2 not sent or no answer.

    \b
    To a virtual iPhone of the simulator:
      heliogram send --endpoint 127.0.0.1:2197 --cacert ./data/simulator/ca.pem --key-file AuthKey_ABC123DEFG.p8 \\
          --key-id ABC123DEFG --team-id DEF123GHIJ --topic com.example.app --token 0123… --title Hi --body There
    """
    from .. import apns  # late: --help should not wait for it

    if options["cacert"] is not None and options["endpoint"] is None:
        raise click.UsageError("--cacert is for --endpoint: Apple's certificates are known to this machine")
    try:
        key = apns.SigningKey.from_p8(options["key_file"], key_id=options["key_id"], team_id=options["team_id"])
        notification = _notification(options)
        client = _client(key, options)
        outcome = asyncio.run(_send(client, notification, token, timeout))
    except apns.ApnsError as error:
        raise click.UsageError(str(error)) from None
    _print(outcome, as_json)
    if outcome.ok:
        sys.exit(ACCEPTED)
    sys.exit(REJECTED if isinstance(outcome, apns.Rejected) else NO_ANSWER)


def _notification(options: dict[str, Any]) -> Any:
    from .. import apns

    headers = {name: options[name] for name in ("push_type", "priority", "collapse_id", "expiration")}
    headers = {name: value for name, value in headers.items() if value is not None}
    if options["payload"] is not None:
        if options["title"] is not None or options["body"] is not None:
            raise click.UsageError("--payload is the whole payload: leave --title and --body away")
        return apns.Notification(payload=_read(options["payload"]), **headers)
    if options["title"] is None and options["body"] is None:
        raise click.UsageError("say what to send: --title and --body, or --payload FILE")
    return apns.Notification(alert=apns.Alert(title=options["title"], body=options["body"]), **headers)


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--payload: {error.strerror}: {source}") from None


def _client(key: Any, options: dict[str, Any]) -> Any:
    from .. import apns

    place: dict[str, Any] = {"environment": apns.Environment(options["environment"])}
    if options["endpoint"] is not None:
        place["endpoint"] = options["endpoint"]
    if options["cacert"] is not None:
        place["cafile"] = str(options["cacert"])
    try:
        return apns.Client(key, topic=options["topic"], **place)
    except OSError as error:
        raise click.UsageError(f"--cacert: not a PEM certificate ({error})") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def _send(client: Any, notification: Any, token: str, timeout: float) -> Any:
    async with client:
        return await client.send(token, notification, timeout=timeout)


def _print(outcome: Any, as_json: bool) -> None:
    from .. import apns

    fields: dict[str, Any] = {"outcome": type(outcome).__name__, "apnsId": outcome.apns_id}
    match outcome:
        case apns.Accepted():
            fields["apnsUniqueId"] = outcome.unique_id
            text = f"accepted by APNs (apns-id {outcome.apns_id})"
        case apns.Rejected():
            fields |= {"status": outcome.status, "reason": outcome.reason, "timestamp": outcome.timestamp}
            text = f"rejected: {outcome.status} {outcome.reason}: {outcome.policy.meaning}"
        case _:
            fields["cause"] = outcome.cause
            text = f"{'not sent' if isinstance(outcome, apns.NotSent) else 'unknown'}: {outcome.cause}"
    if as_json:
        print_json(fields)
    else:
        click.echo(text, err=not outcome.ok)
