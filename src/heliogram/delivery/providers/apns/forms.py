"""What pushes have in common: those of one form are checked and encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from heliogram import _accel

from .... import apns
from ....apns.broadcast import prepare_broadcast
from ....ports import Push
from .results import announcement_of

KEPT_FORMS = 256
"""Combinations of push type, priority and expiration whose headers are kept."""

_same = _accel.twin("same", Push)


def _form(push: Push) -> tuple[object, ...]:
    """What pushes share that differ in token, id, payload and collapse id alone."""
    return push.push_type, push.priority, push.expiration, push.channel, push.topic


def by_form(pushes: Sequence[Push]) -> Iterator[list[Push]]:
    """Neighbours of one form."""
    given, first = list(pushes), 0
    while first < len(given):
        if _same is not None:
            end: int = _same(given, first)
        else:
            form, end = _form(given[first]), first + 1
            while end < len(given) and _form(given[end]) == form:
                end += 1
        yield given[first:end]
        first = end


def form_of(push: Push) -> apns.Notification:
    """A notification with what such pushes share."""
    return _shared(push.push_type, push.priority, push.expiration)


@lru_cache(maxsize=KEPT_FORMS)
def _shared(push_type: str, priority: int, expiration: int | None) -> apns.Notification:
    """The same for the same, which is checked and encoded once."""
    return apns.Notification(payload=b"{}", push_type=push_type, priority=priority, expiration=expiration)


def announcement(push: Push) -> apns.Push:
    """The engine's broadcast. Raises `ApnsError`."""
    notification = announcement_of(push)
    prepare_broadcast(notification)
    return apns.Push(push.token.hex(), notification, apns_id=push.apns_id, tag=push, topic=push.topic)
