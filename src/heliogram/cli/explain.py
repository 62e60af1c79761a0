"""`heliogram explain`: the story of one notification and what it was made of, from a running service."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .push import to_whom
from .remote import Link, connected, words
from .showing import clean, masked, plural, tell_push, when

if TYPE_CHECKING:
    from ..client import Delivery, Heliogram, Notification, Payload


class Event(NamedTuple):
    """Something that happened, or will."""

    at: datetime
    text: str


@click.command()
@click.argument("notification_id")
@connected
def explain(link: Link, notification_id: str) -> None:
    """Tell what became of a notification, device by device, why, and what to do.

    NOTIFICATION_ID is what `push list`, `tail` and the API show; an apns-id in the API's form does as well. Headers and
    payload come last: they are not kept, the service makes them anew from what is, and says where it cannot. --json has
    them as `payload`.
    """
    from .options import print_json

    with link.client(raw=link.as_json) as client:
        found: Any = client.notifications.get(notification_id)
        payload, note = _payload(client, notification_id, link)
    if link.as_json:
        print_json({**found, "payload": payload})
    else:
        _tell(found)
        if payload is not None:
            _tell_payload(payload)
    if note:
        click.echo(note, err=True)


def _payload(client: Heliogram, notification_id: str, link: Link) -> tuple[Any, str]:
    """The payload as the service makes it anew; where it does not tell, None and why. The story stands without it."""
    from ..client import HeliogramError

    try:
        return client.notifications.payload(notification_id), ""
    except HeliogramError as error:
        if error.status == 404:  # the notification is there: the service is older than the question
            return None, "its payload cannot be shown: the service does not tell it; a newer heliogram does"
        return None, f"its payload cannot be shown: {words(error, link)}"


def _tell_payload(made: Payload) -> None:
    click.echo("\nWhat APNs gets, made anew from the content and variables that are kept:")
    tell_push(made.headers, made.payload)
    if made.payload is None:
        click.echo(f"The payload cannot be made anew: {clean(made.problem or 'the service does not say why')}")
        return
    click.echo(f"{made.size:,} of {made.limit:,} bytes")
    if made.problem is not None:
        click.echo(f"It cannot be sent: {clean(made.problem)}")


def _tell(found: Notification) -> None:
    click.echo(f"{found.id}\nto {to_whom(found)}, of {found.operation_id}\n")
    for event in sorted(_events(found)):
        click.echo(f"{when(event.at)}  {event.text}")
    click.echo(f"\n{_ending(found)}")


def _events(found: Notification) -> list[Event]:
    events = [Event(found.created_at, "accepted by the service, and on disk")]
    if found.schedule is not None:
        events[0] = Event(
            found.created_at, f"accepted by the service, to be sent at {', '.join(found.schedule.send_at)}"
        )
    deliveries = found.deliveries if isinstance(found.deliveries, list) else []
    for each in deliveries:
        events.append(Event(each.at, _told(each)))
        if not each.final and each.retry_at is not None:
            events.append(Event(each.retry_at, f"it will be tried again at {_device(each)}"))
    if found.status == "CANCELED":
        events.append(Event(found.updated_at, "canceled"))
    return events


def _told(each: Delivery) -> str:
    tries = "" if each.attempt <= 1 else f", at attempt {each.attempt}"
    took = f" ({each.queued_ms:,} ms before it left, {each.wire_ms:,} ms for APNs)"
    match each.outcome:
        case "ACCEPTED":
            return f"APNs accepted it for {_device(each)}{tries}{took}; apns-id {each.apns_id}"
        case "REJECTED":
            dead = "" if each.timestamp is None else f", dead since {when(each.timestamp)}"
            return f"APNs refused it for {_device(each)}{tries}: {each.status} {clean(each.reason or '')}{dead}{took}"
        case "UNKNOWN":
            return f"no answer from APNs for {_device(each)}{tries}: {clean(each.reason or '')}"
        case "UNADDRESSABLE":
            return "there was no device to try"
        case _:
            return f"not sent to {_device(each)}{tries}: {clean(each.reason or each.outcome)}"


def _device(each: Delivery) -> str:
    where = "" if each.environment is None else f" ({each.environment})"
    return "the channel" if each.token is None else f"device {masked(each.token)}{where}"


def _ending(found: Notification) -> str:
    match found.status:
        case "SENT":
            devices = found.deliveries if isinstance(found.deliveries, list) else []
            taken = sum(each.outcome == "ACCEPTED" for each in devices)
            return (
                f"SENT: accepted for {plural(taken, 'device')}, which is not delivered: APNs hands it over when it can."
            )
        case "FAILED":
            from ..client import Cause

            why = found.failure
            if not isinstance(why, Cause):
                return "FAILED."
            book = "" if why.rule is None else f"\nRule {why.rule} in docs/reference/apns-rules.md tells more."
            return f"FAILED: {clean(why.reason)}\n{why.cure}{book}"
        case "QUEUED":
            return (
                "QUEUED: it is being sent, or waits to be tried again; `heliogram credentials list` shows what fails."
            )
        case "SCHEDULED":
            return f"SCHEDULED: it can still be stopped: heliogram push cancel {found.id}"
        case _:
            return f"{found.status}."
