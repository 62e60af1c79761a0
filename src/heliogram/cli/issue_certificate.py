"""`heliogram simulator issue-certificate`: a client certificate for the simulator, made from its data directory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

import click

from .options import DIRECTORY, FILE, print_json

KINDS = ("app", "voip", "complication", "mdm", "pass", "website")
ENVIRONMENTS = ("production", "sandbox")
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("issue-certificate")
@click.option("--bundle-id", required=True, help="The app's bundle id; for mdm, pass and website their own topic.")
@click.option("--kind", type=click.Choice(KINDS), default="app", show_default=True, help="The portal's kind.")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="Default: all that the kind works in.")
@click.option("--team-id", help="10 characters of A-Z and 0-9, for the subject; default: none.")
@click.option("--days", type=int, default=395, show_default=True, help="Until it expires.")
@click.option("--out", type=_NEW_FILE, help="Write the certificate here, as PEM.")
@click.option("--key", type=_NEW_FILE, help="Write its private key here, as PEM, not encrypted.")
@click.option("--p12", type=_NEW_FILE, help="Write both here instead, as PKCS#12.")
@click.option("--password-file", type=FILE, help="Holds the password of --p12, in its first line.")
@click.option(
    "--data",
    type=DIRECTORY,
    help="The simulator's directory, with its CA; made when there is none yet. Default: that of `simulator`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def issue_certificate(
    ctx: click.Context,
    /,
    out: Path | None,
    key: Path | None,
    p12: Path | None,
    password_file: Path | None,
    data: Path | None,
    as_json: bool,
    **order: Any,
) -> None:
    """Make a push certificate that the simulator takes, whether it runs or not.

    \b
    As PEM, or as a key chain exports it:
      heliogram simulator issue-certificate --bundle-id com.example.app --out cert.pem --key key.pem
      heliogram simulator issue-certificate --bundle-id com.example.app --p12 push.p12 --password-file pw.txt

    It lives by this machine's clock. A running simulator makes them too, by its own: POST /portal/certificates.
    """
    _check_files(out, key, p12, password_file)
    from ..simulator.certificates import Certificates
    from ..simulator.clientcerts import CertificateOrder, make
    from ..simulator.errors import SimulatorError

    try:
        wanted = CertificateOrder(**order)
        wanted.check()
        password = None if password_file is None else _password(password_file)
        made = make(Certificates(data or _simulators_data(ctx)), wanted, time.time())
        if password is not None:
            _write({cast(Path, p12): made.p12(password)})
        else:
            _write({cast(Path, key): made.key_pem, cast(Path, out): made.pem})
    except SimulatorError as error:
        raise click.ClickException(str(error)) from None
    contents = made.contents
    topics = sorted(topic.decode("ascii") for topic in contents.topics)
    if as_json:
        names = {"commonName": contents.common_name, "topics": topics, "environments": sorted(contents.environments)}
        print_json({"serial": contents.serial, **names})
        return
    click.echo(f"{contents.common_name}, serial {contents.serial}")
    click.echo(f"topics {', '.join(topics)}; for {' and '.join(sorted(contents.environments))}")


def _simulators_data(ctx: click.Context) -> Path:
    return cast(Path, cast(click.Context, ctx.parent).params["data"])


def _check_files(out: Path | None, key: Path | None, p12: Path | None, password_file: Path | None) -> None:
    """Raises click.UsageError unless exactly one of the two ways is given whole."""
    as_pem, as_p12 = (out, key), (p12, password_file)
    whole = [None not in pair for pair in (as_pem, as_p12)]
    some = [pair != (None, None) for pair in (as_pem, as_p12)]
    if whole != some or some.count(True) != 1:
        raise click.UsageError("give --out and --key, or --p12 and --password-file")
    for path in (out, key, p12):
        if path is not None and path.exists():
            raise click.UsageError(f"{path} exists already; give another name, or remove it")
    if out is not None and out == key:
        raise click.UsageError("--out and --key must be two files")


def _password(path: Path) -> str:
    try:
        first = path.read_text("utf-8").splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--password-file {path}: cannot be read as text") from error
    if not first or not first[0]:
        raise click.UsageError(f"--password-file {path}: its first line is empty")
    return first[0]


def _write(files: dict[Path, bytes]) -> None:
    """New files that nobody else may read; all of them, or none."""
    written: list[Path] = []
    for path, content in files.items():
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                written.append(path)
                file.write(content)
        except OSError as error:
            for made in written:
                made.unlink(missing_ok=True)
            raise click.ClickException(f"{path}: {error.strerror}") from None
