"""`heliogram tail`: outcomes as they come, from a running service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from .numbers import Whole
from .options import print_json
from .remote import Link, connected
from .showing import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..client import Heliogram

PAUSE = 1.0
"""Seconds between two questions."""
AT_ONCE = 1000
"""Outcomes of one answer."""


@click.command()
@click.option("--failed", is_flag=True, help="Only what was not accepted.")
@click.option(
    "--reason", "reasons", multiple=True, metavar="REASON", help="Only with this reason, such as BadDeviceToken."
)
@click.option("--operation", "operations", multiple=True, metavar="ID", help="Only of this send.")
@click.option("--last", type=Whole(0, AT_ONCE), default=10, show_default=True, help="Begin with the last so many.")
@click.option("--once", is_flag=True, help="Print those that there are, and end.")
@connected
def tail(
    link: Link, failed: bool, reasons: tuple[str, ...], operations: tuple[str, ...], last: int, once: bool
) -> None:
    """Follow outcomes as they come, until Ctrl-C.

    At most about 100 of each second and node are shown, failures first; what is left out is counted. With --json each
    is a line.

    \b
      heliogram tail --failed
      heliogram tail --reason BadDeviceToken --json | jq .notificationId
    """

    def wanted(outcome: dict[str, Any]) -> bool:
        return (
            (not failed or outcome["outcome"] != "sent")
            and (not reasons or outcome["reason"] in reasons)
            and (not operations or outcome["operationId"] in operations)
        )

    try:
        with link.client(raw=True) as client:
            for outcome in follow(client, last, once=once):
                if isinstance(outcome, str):
                    click.echo(outcome, err=True)
                elif wanted(outcome):
                    print_json(outcome) if link.as_json else click.echo(line(outcome))
    except KeyboardInterrupt:
        click.echo("", err=True)


def follow(
    client: Heliogram, last: int, *, once: bool, pause: Callable[[float], object] = time.sleep
) -> Iterator[dict[str, Any] | str]:
    """Outcomes as the API tells them, and notes on what was missed. A service that goes away is waited for."""
    from ..client import Unreachable

    answer: Any = client.activity.outcomes(limit=max(1, last))
    yield from answer["outcomes"][-last:] if last else ()
    away = False
    while not once:
        after = answer["last"]
        pause(PAUSE)
        try:
            answer = client.activity.outcomes(after=after, limit=AT_ONCE)
            if answer["last"] < after:  # the service was started anew and counts from the beginning
                answer = client.activity.outcomes(after=0, limit=AT_ONCE)
        except Unreachable as error:
            if not away:
                yield f"{error}; waiting for it"
            away = True
            continue
        if away:
            yield "it is there again"
        away = False
        if answer["missed"]:
            yield f"{answer['missed']:,} more were not kept"
        yield from answer["outcomes"]


def line(outcome: dict[str, Any]) -> str:
    """An outcome in one line."""
    said = " ".join(str(each) for each in (outcome["status"] or "", clean(outcome["reason"])) if each)
    at = str(outcome["at"])[11:23]
    return f"{at}  {outcome['outcome']:<13}  {outcome['token'] or '-':<12}  {said:<24}  {outcome['notificationId']}"
