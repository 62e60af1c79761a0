"""From the devices to be tried to the pushes for them: payload, id, headers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from ..domain import ids
from ..domain.notifications import SendSpec
from ..domain.pushtypes import PushType
from ..domain.render import Renderer
from ..pacing import SLICE, turn
from ..ports import LeasedChunk, Push
from .plan import Target

MAX_RENDERERS = 64
_HEAVY_SLICE = 50
"""Recipients that are rendered in one go beside the event loop, so that other operations come in between."""


class Rendered(NamedTuple):
    """Pushes to send, and targets that are not even tried, each with the reason."""

    pushes: list[Push]
    refused: list[tuple[Target, str]]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all pushes of a chunk: the most bytes of a payload, now and the moment after which nothing is sent
    (both ms), and whether alerts without a collapse id get their notification's."""

    limit: int
    now: int
    deadline: int
    collapse_by_id: bool


class Rendering:
    """Renders chunks. The templates of an operation are read once for all its chunks; those of full Liquid are rendered
    in a thread, which leaves the event loop to others."""

    def __init__(self) -> None:
        self._renderers: OrderedDict[bytes, Renderer] = OrderedDict()
        self._aside: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"Rendering(operations={len(self._renderers)}, aside={self._aside is not None})"

    async def render(
        self, chunk: LeasedChunk, targets: Sequence[Target], terms: Terms, stop: asyncio.Future[None] | None = None
    ) -> Rendered:
        """The pushes for targets of one chunk, those of a recipient one after another. Once `stop` is done nothing more
        is rendered."""
        renderer = self.renderer(chunk)
        if not renderer.heavy and len(targets) <= SLICE:
            return render(renderer, chunk, targets, terms)
        whole = Rendered([], [])
        for part in _parts(targets, _HEAVY_SLICE if renderer.heavy else SLICE):
            if stop is not None and stop.done():
                break
            if renderer.heavy:
                rendered = await self._beside(renderer, chunk, part, terms)
            else:
                await turn()
                rendered = render(renderer, chunk, part, terms)
            whole.pushes.extend(rendered.pushes)
            whole.refused.extend(rendered.refused)
        return whole

    async def _beside(
        self, renderer: Renderer, chunk: LeasedChunk, targets: Sequence[Target], terms: Terms
    ) -> Rendered:
        if self._aside is None:
            # One thread: it takes turns with the event loop, and a second would only take from it.
            self._aside = ThreadPoolExecutor(1, thread_name_prefix="heliogram-render")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, render, renderer, chunk, targets, terms)

    def renderer(self, chunk: LeasedChunk) -> Renderer:
        """The renderer of a chunk's operation, kept for its other chunks."""
        renderer = self._renderers.get(chunk.operation_id)
        if renderer is None:
            renderer = self._renderers[chunk.operation_id] = Renderer(chunk.spec)
            if len(self._renderers) > MAX_RENDERERS:
                self._renderers.popitem(last=False)
        else:
            self._renderers.move_to_end(chunk.operation_id)
        return renderer


def render(renderer: Renderer, chunk: LeasedChunk, targets: Sequence[Target], terms: Terms) -> Rendered:
    """The pushes for targets of one chunk, here and now."""
    spec = chunk.spec
    push_type, expiration = PushType(spec.push_type), _expiration(spec)
    by_id = terms.collapse_by_id and push_type is PushType.ALERT and spec.collapse_id is None
    late = "Expired: its time was over before it could be sent" if terms.now >= terms.deadline else None
    pushes, refused = list[Push](), list[tuple[Target, str]]()
    recipients, first, limit = chunk.recipients, chunk.first, terms.limit
    text = ids.DeliveryTexts(chunk.operation_id).of
    sequence, notification, payload, refusal = -1, "", b"", late
    shared = renderer.attempt(None, limit) if renderer.static else None
    name, priority = push_type.value, spec.apns
    for target in targets:
        if target.sequence != sequence:  # once for all devices of a recipient, which come one after another
            sequence = target.sequence
            payload, refusal = shared or renderer.attempt(recipients[sequence - first].variables, limit)
            refusal = refusal or late
            notification = text(sequence)
        if refusal is not None:
            refused.append((target, refusal))
            continue
        pushes.append(
            Push(
                tag=target,
                token=target.token,
                apns_id=text(sequence, target.slot) if target.slot else notification,
                payload=payload,
                push_type=name,
                priority=priority,
                expiration=expiration,
                collapse_id=notification if by_id else spec.collapse_id,
                channel=spec.channel,
                topic=spec.topic,
            )
        )
    return Rendered(pushes, refused)


def _expiration(spec: SendSpec) -> int | None:
    """`apns-expiration`. A push-to-talk push is never kept, and says so by itself."""
    if spec.expires_at is None or spec.push_type == PushType.PUSHTOTALK:
        return None
    return spec.expires_at // 1000


def _parts(targets: Sequence[Target], size: int) -> Iterator[list[Target]]:
    """Slices of targets that leave no recipient's apart."""
    part: list[Target] = []
    recipients, sequence = 0, -1
    for target in targets:
        if target.sequence != sequence:
            recipients, sequence = recipients + 1, target.sequence
            if recipients > size:
                yield part
                part, recipients = [], 1
        part.append(target)
    yield part
