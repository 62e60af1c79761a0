"""The `apns-topic` that a send goes out with, where that is known for sure."""

from __future__ import annotations

from collections.abc import Iterable

from ..domain.apps import ProviderName
from ..domain.notifications import Notification, NotificationStatus, SendSpec
from .state import ApiState

_WAITING = frozenset({NotificationStatus.SCHEDULED, NotificationStatus.QUEUED})


async def topic_of_send(state: ApiState, account: bytes, spec: SendSpec) -> str | None:
    """The topic that every credential gives which may carry it now: the one that is named, or the app's defaults. None
    where these differ, and of a broadcast, which has no such header (6.3)."""
    if spec.topic is not None or spec.channel is not None:
        return _named(state, spec)
    return await _shared(state, account, spec, await _carriers(state, account, spec))


async def topic_of_notification(state: ApiState, account: bytes, notification: Notification) -> str | None:
    """The same of one notification: what was tried went out with the credential it was tried with, and what waits goes
    out with what there is then. None of what has ended before it was tried: other credentials may have been the app's
    then."""
    spec, recipient = notification.spec, notification.recipient
    if recipient.provider is not ProviderName.APN:
        return None
    if spec.topic is not None or spec.channel is not None:
        return _named(state, spec)
    carriers = {each.credential for each in notification.deliveries if each.provider is ProviderName.APN} - {b""}
    if notification.status in _WAITING or (not carriers and spec.apn is not None):
        carriers |= await _carriers(state, account, spec)
    return await _shared(state, account, spec, carriers)


def _named(state: ApiState, spec: SendSpec) -> str | None:
    """The topic that the request names, with what the push type adds to it."""
    if spec.topic is None or spec.channel is not None:
        return None
    return state.providers[ProviderName.APN].topic(spec.topic, spec.push_type)


async def _carriers(state: ApiState, account: bytes, spec: SendSpec) -> set[bytes]:
    """The credentials that may carry it, whatever a device's environment turns out to be."""
    if spec.apn is not None:
        return {spec.apn}
    app = await state.store.get_app(account, spec.app_name)
    defaults = () if app is None else app.default_credentials
    return {each.id for each in defaults if each.type.provider is ProviderName.APN}


async def _shared(state: ApiState, account: bytes, spec: SendSpec, credentials: Iterable[bytes]) -> str | None:
    """The topic of all of these; None where one is another's, or is not there any more."""
    found = [await state.store.get_credential(account, each) for each in credentials]
    bases = {None if each is None else str(each.public["bundleId"]) for each in found}
    base = bases.pop() if len(bases) == 1 else None
    return None if base is None else state.providers[ProviderName.APN].topic(base, spec.push_type)
