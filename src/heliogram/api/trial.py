"""`validateOnly`: a send checked and rendered to the last recipient, without being kept or sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import msgspec

from ..domain.apps import CredentialType, Environment, ProviderName
from ..domain.devices import Reached
from ..domain.errors import Code
from ..domain.notifications import Recipient, SendSpec
from ..domain.render import Renderer
from ..ports import Clock, Store
from .failures import Failure
from .recipients import MAX_PROBLEMS
from .sender import Sender

_SLICE = 200
"""Recipients that are rendered in one go."""
_HEAVY_SLICE = 20
"""The same of templates that take long. A slice takes a second at most."""
HEAVY_SECONDS = 10.0
"""So long such templates are rendered; then the rest is left out."""
_aside = ThreadPoolExecutor(1, thread_name_prefix="heliogram-trial")
"""One thread for all trials: they take turns, and nothing else waits for it."""


class TrialProblemOut(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient whose notification would be FAILED. `context` is its place in the request."""

    context: str
    code: int
    reason: str
    cure: str


class PayloadSizesOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Bytes of the payloads after rendering, and the most they may have."""

    smallest: int
    largest: int
    limit: int


class SampleOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the first recipient that renders would get: payload and headers, as APNs gets them. `apns-topic` is there
    where it is known for sure: the one that the send names, else the bundle id of the credentials that may carry it, if
    they agree, with the push type's suffix."""

    context: str
    headers: dict[str, str]
    payload: dict[str, Any]


class TrialOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The send would be accepted. `unaddressable` recipients have no device that could be tried; `failing` ones would
    be FAILED before anything is sent, and `problems` has the first 20 of them. `rendered` recipients were looked
    at: all, unless templates take so long that 10 seconds end before; then sizes and `failing` are of the first."""

    valid: Literal[True]
    recipients: int
    rendered: int
    unaddressable: int
    failing: int
    payload_bytes: PayloadSizesOut | None
    sample: SampleOut | None
    problems: list[TrialProblemOut]


class Trial:
    """One send on trial. `topic` is the one it would go out with, if that is known."""

    def __init__(
        self,
        spec: SendSpec,
        renderer: Renderer,
        recipients: Sequence[Recipient],
        limit: int,
        clock: Clock,
        *,
        topic: str | None = None,
    ) -> None:
        self._spec, self._renderer, self._recipients, self._limit = spec, renderer, recipients, limit
        self._clock, self._topic = clock, topic
        self._rendered = 0
        self._problems: list[TrialProblemOut] = []
        self._failing = 0
        self._smallest, self._largest = 0, 0
        self._sample: SampleOut | None = None

    def __repr__(self) -> str:
        return f"Trial(recipients={len(self._recipients)}, failing={self._failing})"

    async def run(self, store: Store, account: bytes, sender: Sender) -> TrialOut:
        """Looks for the users' devices and renders for everybody."""
        unaddressable = await self._unaddressable(store, account, sender)
        if self._renderer.heavy:
            await self._render_aside()
        else:
            for first in range(0, len(self._recipients), _SLICE):
                self._render(first, first + _SLICE)
                await asyncio.sleep(0)
        return TrialOut(
            valid=True,
            recipients=len(self._recipients),
            rendered=self._rendered,
            unaddressable=unaddressable,
            failing=self._failing,
            payload_bytes=self._sizes(),
            sample=self._sample,
            problems=self._problems,
        )

    async def _unaddressable(self, store: Store, account: bytes, sender: Sender) -> int:
        """How many of the recipients are users without a device that could be tried."""
        users = [each.user for each in self._recipients if each.user]
        if not users:
            return 0
        spec = self._spec
        devices = await store.devices_of_users(
            account, spec.app_name, set(users), kind=spec.kind, activity_id=spec.activity_id
        )
        reachable = {
            user for user, owned in devices.items() if any(_can_be_tried(device, sender.types) for device in owned)
        }
        return sum(user not in reachable for user in users)

    async def _render_aside(self) -> None:
        """Renders beside the event loop, and for so long as there is time."""
        loop, end = asyncio.get_running_loop(), self._clock.monotonic() + HEAVY_SECONDS
        for first in range(0, len(self._recipients), _HEAVY_SLICE):
            if self._clock.monotonic() >= end:
                return
            await loop.run_in_executor(_aside, self._render, first, first + _HEAVY_SLICE)

    def _render(self, first: int, last: int) -> None:
        for index, recipient in enumerate(self._recipients[first:last], first):
            failure = self._attempt(index, recipient)
            self._rendered += 1
            if failure is None:
                continue
            self._failing += 1
            if len(self._problems) < MAX_PROBLEMS:
                code, reason, cure = failure
                self._problems.append(TrialProblemOut(context=f"$.to[{index}]", code=code, reason=reason, cure=cure))

    def _attempt(self, index: int, recipient: Recipient) -> Failure | None:
        """Renders for one recipient; why it would fail."""
        if recipient.provider is not ProviderName.APN:
            return Failure.of(Code.PROVIDER_NOT_SUPPORTED, "FCM is not supported yet")
        payload, reason = self._renderer.attempt(recipient.variables, self._limit)
        if payload:
            self._smallest = min(self._smallest or len(payload), len(payload))
            self._largest = max(self._largest, len(payload))
        if reason is not None:
            return Failure.of(Code.NOT_SENT, reason)
        if self._sample is None:
            fields = msgspec.json.decode(payload)
            headers = headers_of(self._spec, self._topic)
            self._sample = SampleOut(context=f"$.to[{index}]", headers=headers, payload=fields)
        return None

    def _sizes(self) -> PayloadSizesOut | None:
        if not self._largest:
            return None
        return PayloadSizesOut(smallest=self._smallest, largest=self._largest, limit=self._limit)


def _can_be_tried(device: Reached, types: frozenset[CredentialType]) -> bool:
    """Whether the sender has a credential for the device."""
    if device.provider is not ProviderName.APN:
        return False
    wanted = {
        None: {CredentialType.APN, CredentialType.APN_SANDBOX},
        Environment.PRODUCTION: {CredentialType.APN},
        Environment.SANDBOX: {CredentialType.APN_SANDBOX},
    }[device.environment]
    return bool(types & wanted)


def headers_of(spec: SendSpec, topic: str | None) -> dict[str, str]:
    """The headers that are the same for every recipient and not the service's own. None: the topic is not known."""
    expires = None if spec.expires_at is None else str(spec.expires_at // 1000)
    headers = {
        "apns-push-type": spec.push_type,
        "apns-priority": str(spec.apns),
        "apns-collapse-id": spec.collapse_id,
        "apns-expiration": expires,
        "apns-topic": topic,
    }
    return {name: value for name, value in headers.items() if value is not None}
