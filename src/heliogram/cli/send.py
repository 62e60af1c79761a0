"""`heliogram send`: pushes straight through the engine, without the service."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from .credential import credential
from .lines import lines
from .numbers import Number, Whole
from .options import FILE, print_json

if TYPE_CHECKING:
    from .. import apns

ACCEPTED, REJECTED, NO_ANSWER = 0, 1, 2
Tokens = Iterator[str] | AsyncGenerator[str, None]

_ENVIRONMENTS = click.Choice(["production", "sandbox"])
_SOURCE = "FILE|-"

_OPTIONS = (
    click.option("--token", "tokens", multiple=True, help="A device token, in hexadecimal; may be given again."),
    click.option("--token-file", metavar=_SOURCE, help="Device tokens from a file, one on a line; # starts a comment."),
    click.option(
        "--topic", help="The app's bundle id; the push type's suffix is added by itself. A certificate may name it."
    ),
    click.option(
        "--environment",
        type=_ENVIRONMENTS,
        default="production",
        show_default=True,
        help="sandbox for apps signed for development, production for TestFlight and the App Store.",
    ),
    # the credential
    click.option("--key-file", type=FILE, help="The .p8 signing key that Apple's portal issued."),
    click.option("--key-id", help="Its key id, 10 characters; known if the file is called AuthKey_<key id>.p8."),
    click.option("--team-id", help="Your team id: 10 characters, under Membership in the portal."),
    click.option("--key-environment", type=_ENVIRONMENTS, help="Of a key that is for one environment."),
    click.option("--key-topics", metavar="TOPIC,…", help="Of a key that is for some topics only."),
    click.option("--certificate", type=FILE, help="A push certificate as PEM, in place of a key."),
    click.option("--certificate-key", type=FILE, help="Its private key as PEM; default: in the same file."),
    click.option("--pkcs12", type=FILE, help="Certificate and key as .p12; its password is asked for."),
    click.option("--password-file", type=FILE, help="The file whose first line is the password of --pkcs12."),
    # what is sent
    click.option("--title", help="The alert's title."),
    click.option("--body", help="The alert's text."),
    click.option("--payload", metavar="@FILE|-", help="The whole JSON payload from a file or stdin, untouched."),
    click.option("--push-type", help="alert, background, voip, …; default: what the payload calls for."),
    click.option("--priority", type=Whole(1, 10), help="10 at once, 5 saves battery, 1 never wakes."),
    click.option("--collapse-id", help="A later push with the same id replaces this one (64 bytes at most)."),
    click.option("--expiration", type=int, help="Seconds since 1970 until which APNs may store it; 0: one attempt."),
    # the way
    click.option("--port", type=click.Choice(["443", "2197"]), help="Apple's port; a firewall may let 2197 out alone."),
    click.option(
        "--proxy",
        metavar="URL",
        envvar="HELIOGRAM_PROXY",
        show_envvar=True,
        help="http://user:password@host:port or socks5://…; put one with a password into the variable.",
    ),
    click.option("--endpoint", metavar="HOST:PORT", help="An APNs in place of Apple's, such as the simulator."),
    click.option("--cacert", type=FILE, help="Trust this CA for --endpoint (the simulator's ca.pem)."),
    click.option("--timeout", type=Number(min=0.1), default=30.0, show_default=True, help="Seconds to wait."),
    click.option("--json", "as_json", is_flag=True, help="Print each outcome as a line of JSON."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@_with_options
def send(as_json: bool, **options: Any) -> None:
    """Send pushes straight to APNs and print what became of each.

    \b
    Exit code: 0 all accepted by APNs (which is not yet delivered), 1 some rejected with a reason,
    2 some not sent or without an answer, interrupted, or the options do not work.

    \b
    One push, with a signing key:
      heliogram send --key-file AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ --topic com.example.app \\
          --token 0123… --title Hi --body There
    With a certificate from the key chain, in the background, a payload of your own:
      heliogram send --pkcs12 push.p12 --token 0123… --push-type background --payload @silent.json
    The same to many devices, one line of JSON for each:
      heliogram send --pkcs12 push.p12 --token-file tokens.txt --title Hi --json > outcomes.jsonl
    To whatever comes through a pipe, each as soon as it is there:
      choose-recipients | heliogram send --pkcs12 push.p12 --token-file - --title Hi
    To a virtual iPhone of the simulator:
      heliogram send --endpoint 127.0.0.1:2197 --cacert ./data/simulator/ca.pem --key-file AuthKey_ABC123DEFG.p8 \\
          --team-id DEF123GHIJ --topic com.example.app --token 0123… --title Hi
    """
    from .. import apns  # late: --help should not wait for it

    _check(options)
    counts = dict[str, int]()
    with ExitStack() as stack:
        try:
            key = credential(options)
            notification = _notification(options)
            _check_push(key, notification, options["topic"])
            client = _client(key, options)
            tokens = _tokens(options, stack)
            several = options["token_file"] is not None or len(options["tokens"]) > 1
            worst = asyncio.run(_send(client, notification, tokens, counts, several=several, as_json=as_json))
        except apns.ApnsError as error:
            raise click.UsageError(str(error)) from None
        except KeyboardInterrupt:
            click.echo(f"interrupted after {_summary(counts)}; what was on its way may have been accepted", err=True)
            sys.exit(NO_ANSWER)
    if not counts:
        raise click.UsageError(f"--token-file: no device token in {options['token_file']}")
    if several and not as_json:
        click.echo(_summary(counts), err=True)
    sys.exit(worst)


def _summary(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "no outcome"


def _check(options: dict[str, Any]) -> None:
    """What can be told of the options alone. Raises `click.UsageError`."""
    if not options["tokens"] and options["token_file"] is None:
        raise click.UsageError("say to whom: --token, or --token-file FILE with one on a line")
    if {options["token_file"], options["payload"]} == {"-"}:
        raise click.UsageError("--payload and --token-file cannot both come from standard input")
    if options["cacert"] is not None and options["endpoint"] is None:
        raise click.UsageError("--cacert is for --endpoint: Apple's certificates are known to this machine")


def _notification(options: dict[str, Any]) -> apns.Notification:
    from .. import apns

    headers = {name: options[name] for name in ("push_type", "priority", "collapse_id", "expiration")}
    headers = {name: value for name, value in headers.items() if value is not None}
    if options["payload"] is not None:
        if options["title"] is not None or options["body"] is not None:
            raise click.UsageError("--payload is the whole payload: leave --title and --body away")
        return apns.Notification(payload=_read(options["payload"]), **headers)
    if options["title"] is None and options["body"] is None:
        raise click.UsageError("say what to send: --title and --body, or --payload @FILE")
    return apns.Notification(alert=apns.Alert(title=options["title"], body=options["body"]), **headers)


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    path = source.removeprefix("@")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--payload: {error.strerror}: {path}") from None


def _check_push(key: apns.SigningKey | apns.Certificate, notification: apns.Notification, topic: str | None) -> None:
    """Refuse once what would be refused for every device. Raises `ApnsError` and `click.UsageError`."""
    from .. import apns
    from ..apns.entitlements import check_push

    prepared = notification.prepare()
    topic = topic or (key.default_topic if isinstance(key, apns.Certificate) else None)
    if topic is None:
        raise click.UsageError("--topic is missing: the app's bundle id, like com.example.app")
    check_push(key, apns.topic_for(topic, prepared.push_type), prepared.push_type)


def _client(key: apns.SigningKey | apns.Certificate, options: dict[str, Any]) -> apns.Client:
    from .. import apns

    port, cacert = options["port"], options["cacert"]
    try:
        return apns.Client(
            key,
            topic=options["topic"],
            environment=options["environment"],
            port=None if port is None else int(port),
            endpoint=options["endpoint"],
            cafile=None if cacert is None else str(cacert),
            proxy=options["proxy"],
            timeout=options["timeout"],
        )
    except apns.InvalidCafile as error:
        raise click.UsageError(str(error).replace("cafile:", "--cacert:", 1)) from None
    except apns.ApnsError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _tokens(options: dict[str, Any], stack: ExitStack) -> Tokens:
    """The device tokens, of the command line and of the file, read as they are sent; of a pipe as they come."""
    source: str | None = options["token_file"]
    tokens: tuple[str, ...] = options["tokens"]
    if source is None:
        return iter(tokens)
    file = _open(source, stack)
    pipe = _pipe(file)
    if pipe is not None:
        return _chain_as_they_come(tokens, lines(pipe, "--token-file"))
    # Editors of Windows put a byte order mark in front. What is no UTF-8 is no token either, and is told with its line.
    return _chain(tokens, io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace"))


def _open(source: str, stack: ExitStack) -> BinaryIO:
    if source == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(source).open("rb"))
    except OSError as error:
        raise click.UsageError(f"--token-file: {error.strerror}: {source}") from None


def _pipe(file: BinaryIO) -> int | None:
    """The descriptor of a file that may make wait."""
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:
        return None  # it is in memory
    return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor


def _chain(tokens: tuple[str, ...], file: Iterator[str]) -> Iterator[str]:
    yield from tokens
    for line in file:
        if token := _token(line):
            yield token


async def _chain_as_they_come(tokens: tuple[str, ...], file: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    for token in tokens:
        yield token
    async with aclosing(file):
        async for line in file:
            if token := _token(line):
                yield token


def _token(line: str) -> str:
    return line.partition("#")[0].strip()


async def _send(
    client: apns.Client,
    notification: apns.Notification,
    tokens: Tokens,
    counts: dict[str, int],
    *,
    several: bool,
    as_json: bool,
) -> int:
    """Send and print, and count how many ended how; the exit code."""
    worst = ACCEPTED
    async with client:
        async for outcome in _outcomes(client, notification, tokens, several=several):
            what, text, fields, code = _told(outcome)
            counts[what] = counts.get(what, 0) + 1
            worst = max(worst, code)
            if as_json:
                print_json(fields)
            else:
                click.echo(f"{outcome.device_token}: {text}" if several else text, err=not outcome.ok)
    return worst


async def _outcomes(
    client: apns.Client, notification: apns.Notification, tokens: Tokens, *, several: bool
) -> AsyncIterator[apns.Outcome]:
    if isinstance(tokens, AsyncGenerator):
        async for outcome in client.send_many(_pushes(tokens, notification)):
            yield outcome
    elif several:
        async for outcome in client.send_many((token, notification) for token in tokens):
            yield outcome
    else:
        for token in tokens:
            yield await client.send(token, notification)


async def _pushes(
    tokens: AsyncGenerator[str, None], notification: apns.Notification
) -> AsyncGenerator[tuple[str, apns.Notification], None]:
    async with aclosing(tokens):
        async for token in tokens:
            yield token, notification


def _told(outcome: apns.Outcome) -> tuple[str, str, dict[str, Any], int]:
    """An outcome in a word, for people, for programs, and as an exit code."""
    from .. import apns

    fields: dict[str, Any] = {"outcome": type(outcome).__name__, "deviceToken": outcome.device_token}
    fields["apnsId"] = outcome.apns_id
    match outcome:
        case apns.Accepted():
            fields["apnsUniqueId"] = outcome.unique_id
            return "accepted", f"accepted by APNs (apns-id {outcome.apns_id})", fields, ACCEPTED
        case apns.Rejected():
            fields |= {"status": outcome.status, "reason": outcome.reason, "timestamp": outcome.timestamp}
            said = f"{outcome.status} {outcome.reason}".rstrip()
            return "rejected", f"rejected: {said}: {outcome.policy.meaning}", fields, REJECTED
        case _:
            fields["cause"] = outcome.cause
            what = "not sent" if isinstance(outcome, apns.NotSent) else "unknown"
            return what, f"{what}: {outcome.cause}", fields, NO_ANSWER
