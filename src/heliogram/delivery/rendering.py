"""From the devices to be tried to the pushes for them: payload, id, headers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from heliogram import _accel

from ..domain import ids
from ..domain.notifications import Recipient, SendSpec
from ..domain.pushtypes import PushType
from ..domain.render import Renderer
from ..pacing import SLICE, turn
from ..ports import LeasedChunk, Push
from .plan import Target

MAX_RENDERERS = 64
_write = _accel.twin("write_pushes", Push, Target, Recipient)
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
        if chunk.known is not None and chunk.known.renderer is not None:
            return chunk.known.renderer
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
    letters = _Letters(renderer, chunk, terms)
    rendered, at = Rendered([], []), 0
    while at < len(targets):
        at = letters.plain(targets, at, rendered.pushes)
        if at < len(targets):
            at = letters.of_one(targets, at, rendered)
    return rendered


def push_of(chunk: LeasedChunk, target: Target, terms: Terms) -> Push | None:
    """The push for the first recipient of a chunk whose renderer is known and light, as `render` would write it; None
    when there is none, for which `render` has the reason."""
    spec, renderer = chunk.spec, None if chunk.known is None else chunk.known.renderer
    if renderer is None or terms.now >= terms.deadline:
        return None
    payload, refusal = renderer.attempt(chunk.recipients[0].variables, terms.limit)
    if refusal is not None:
        return None
    push_type, collapse_id = spec.push_type, spec.collapse_id
    notification = ids.uuid_text(chunk.id)
    if collapse_id is None and terms.collapse_by_id and push_type == PushType.ALERT:
        collapse_id = notification
    return Push(
        tag=target,
        token=target.token,
        apns_id=ids.DeliveryTexts(chunk.operation_id).of(chunk.first, target.slot) if target.slot else notification,
        payload=payload,
        push_type=push_type,
        priority=spec.apns,
        expiration=_expiration(spec),
        collapse_id=collapse_id,
        topic=spec.topic,
    )


class _Letters:
    """Writes the pushes of one chunk."""

    def __init__(self, renderer: Renderer, chunk: LeasedChunk, terms: Terms) -> None:
        spec, push_type = chunk.spec, PushType(chunk.spec.push_type)
        self._renderer, self._chunk, self._limit = renderer, chunk, terms.limit
        self._by_id = terms.collapse_by_id and push_type is PushType.ALERT and spec.collapse_id is None
        self._late = "Expired: its time was over before it could be sent" if terms.now >= terms.deadline else None
        self._shared = renderer.attempt(None, terms.limit) if renderer.static else None
        self._texts = ids.DeliveryTexts(chunk.operation_id)
        self._model = Push(
            tag=None,
            token=b"",
            apns_id="",
            payload=b"",
            push_type=push_type.value,
            priority=spec.apns,
            expiration=_expiration(spec),
            collapse_id=spec.collapse_id,
            channel=spec.channel,
            topic=spec.topic,
        )
        payload, refusal = self._shared or (None, None)
        self._plain = self._late is None and refusal is None and (payload is not None or renderer.pieces is not None)

    def __repr__(self) -> str:
        return f"_Letters({self._chunk!r})"

    def plain(self, targets: Sequence[Target], at: int, pushes: list[Push]) -> int:
        """Adds the pushes of targets from `at` on, up to the first recipient that needs `of_one`: where that begins."""
        if _write is None or not self._plain or type(targets) is not list:
            return at
        recipients, first, shared = self._chunk.recipients, self._chunk.first, self._shared and self._shared[0]
        how = (self._texts.shared, shared, self._renderer.pieces, self._limit, self._model, self._by_id)
        came_to: int = _write(targets, at, recipients, first, *how, pushes)
        return came_to

    def of_one(self, targets: Sequence[Target], at: int, rendered: Rendered) -> int:
        """Adds the pushes of one recipient, whose targets begin at `at`, or why there are none: where the next
        begins."""
        sequence, model, text = targets[at].sequence, self._model, self._texts.of
        recipient = self._chunk.recipients[sequence - self._chunk.first]
        payload, refusal = self._shared or self._renderer.attempt(recipient.variables, self._limit)
        refusal = refusal or self._late
        notification = text(sequence)
        collapse_id = notification if self._by_id else model.collapse_id
        while at < len(targets) and (target := targets[at]).sequence == sequence:
            at += 1
            if refusal is not None:
                rendered.refused.append((target, refusal))
                continue
            rendered.pushes.append(
                Push(
                    tag=target,
                    token=target.token,
                    apns_id=text(sequence, target.slot) if target.slot else notification,
                    payload=payload,
                    push_type=model.push_type,
                    priority=model.priority,
                    expiration=model.expiration,
                    collapse_id=collapse_id,
                    channel=model.channel,
                    topic=model.topic,
                )
            )
        return at


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
