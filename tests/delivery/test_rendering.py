"""From content to the wire: headers and payload of every push type, templates, and the event loop left free."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from delivery.conftest import Delivery
from msgspec.structs import replace
from support.apns_server import ApnsServer, device
from support.stores import Bench, opened, token_of

from heliogram.delivery.plan import Target
from heliogram.delivery.rendering import MAX_RENDERERS, Rendering, Terms
from heliogram.domain import ids
from heliogram.domain.apps import ProviderName
from heliogram.domain.composing import compose
from heliogram.domain.content import Content
from heliogram.domain.devices import NewDevice, TokenKind
from heliogram.domain.notifications import NOT_STORED, NotificationStatus, Recipient, SendSpec
from heliogram.domain.operations import Operation, cut
from heliogram.ports import LeasedChunk
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

UPDATE = {"event": "update", "contentState": {"n": 1}}


def spec_of(content: dict[str, Any], **more: Any) -> SendSpec:
    spec, problems = compose(msgspec.convert(content, Content), app_name="shop", leaves=1_800_000_000_000, **more)
    assert spec is not None, problems
    return spec


async def send(bench: Bench, spec: SendSpec, recipients: list[Recipient]) -> Operation:
    operation = replace(bench.operation(recipients), spec=spec)
    await bench.store.accept(bench.account, operation, cut(operation.id, recipients))
    return operation


def headers_of(request: Received) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.headers if name.startswith(b"apns-")}


@pytest.mark.parametrize(
    ("content", "topic", "priority"),
    [
        ({"body": "x"}, "com.example.shop", "10"),
        ({"pushType": "background"}, "com.example.shop", "5"),
        ({"pushType": "location"}, "com.example.shop.location-query", "10"),
        ({"pushType": "voip", "data": {"call": 1}}, "com.example.shop.voip", "10"),
        ({"pushType": "complication"}, "com.example.shop.complication", "10"),
        ({"pushType": "fileprovider", "data": {"domain": "d"}}, "com.example.shop.pushkit.fileprovider", "10"),
        ({"liveActivity": UPDATE}, "com.example.shop.push-type.liveactivity", "10"),
        ({"pushType": "pushtotalk"}, "com.example.shop.voip-ptt", "10"),
        ({"pushType": "widgets"}, "com.example.shop.push-type.widgets", "10"),
        ({"pushType": "controls"}, "com.example.shop.push-type.controls", "10"),
    ],
)
async def test_each_push_type_has_its_headers(
    delivery: Delivery, apns: ApnsServer, content: dict[str, Any], topic: str, priority: str
) -> None:
    """Topic, push type, priority and expiration as apns-rules 4.2 has them; only alerts get a collapse id by
    themselves, and push-to-talk is never kept."""
    await delivery.app()
    spec = spec_of(content, expires_at=delivery.bench.clock.ms + 60_000)
    operation = await send(delivery.bench, spec, [Recipient(token=token_of(1))])
    await delivery.deliver()
    (request,) = apns.requests
    expected = {
        "apns-id": ids.uuid_text(ids.notification_id(operation.id, 0)),
        "apns-push-type": spec.push_type,
        "apns-topic": topic,
        "apns-priority": priority,
        "apns-expiration": str(delivery.bench.clock.ms // 1000 + 60) if spec.push_type != "pushtotalk" else "0",
    }
    if spec.push_type == "alert":
        expected["apns-collapse-id"] = expected["apns-id"]
    assert headers_of(request) == expected
    (notification,) = await delivery.notifications(operation)
    assert notification.status is NotificationStatus.SENT


async def test_headers_that_were_named_are_sent(delivery: Delivery, apns: ApnsServer) -> None:
    """A collapse id of the caller's own, priority 1, another topic, and an expiration of 0."""
    await delivery.app()
    named = {"apns-collapse-id": "mine", "apns-priority": "1", "apns-topic": "com.example.other", "apns-expiration": 0}
    spec = spec_of({"apn": {"payload": {"aps": {"alert": "raw"}}, "headers": named}})
    assert spec.expires_at == NOT_STORED
    await send(delivery.bench, spec, [Recipient(token=token_of(1))])
    await delivery.deliver()
    (request,) = apns.requests
    sent = headers_of(request)
    assert {name: sent[name] for name in named} == {name: str(value) for name, value in named.items()}
    assert bytes(request.body) == b'{"aps":{"alert":"raw"}}'


async def test_a_push_goes_to_the_tokens_of_its_kind(delivery: Delivery, apns: ApnsServer) -> None:
    """A user's VoIP push reaches the VoIP token alone, an activity's update that activity's."""
    await delivery.app()
    store, account, now = delivery.bench.store, delivery.bench.account, delivery.bench.clock.ms
    user = (await delivery.bench.device(token_of(1))).user_id
    for number, kind, activity in (
        (2, TokenKind.VOIP, None),
        (3, TokenKind.LIVE_ACTIVITY_UPDATE, "a"),
        (4, TokenKind.LIVE_ACTIVITY_UPDATE, "b"),
    ):
        new = NewDevice(
            app_name="shop",
            token=token_of(number),
            provider=ProviderName.APN,
            user_id=user,
            kind=kind,
            activity_id=activity,
        )
        await store.register_device(account, new, now)
    for content, expected in (
        ({"body": "x"}, [1]),
        ({"pushType": "background"}, [1]),
        ({"pushType": "voip"}, [2]),
        ({"liveActivity": UPDATE}, [3, 4]),
        ({"liveActivity": {**UPDATE, "activityId": "b"}}, [4]),
        ({"pushType": "widgets"}, []),
    ):
        apns.requests.clear()
        operation = await send(delivery.bench, spec_of(content), [Recipient(user=user)])
        await delivery.deliver()
        tokens = sorted(int(device(request), 16) for request in apns.requests)
        assert tokens == expected, content
        (notification,) = await delivery.notifications(operation)
        assert notification.unaddressable is (not expected)


async def test_a_template_that_fails_fails_its_recipient_alone(delivery: Delivery, apns: ApnsServer) -> None:
    """OWN-14: The reason says what went wrong; nothing was sent to it, and the others have theirs."""
    await delivery.app()
    spec = spec_of({"body": "{{ 6 | divided_by: n }}"})
    recipients = [Recipient(token=token_of(n), variables={"n": n}) for n in range(3)]
    operation = await send(delivery.bench, spec, recipients)
    await delivery.deliver()
    assert sorted(json.loads(request.body)["aps"]["alert"]["body"] for request in apns.requests) == ["3", "6"]
    failed, *sent = await delivery.notifications(operation)
    assert failed.status is NotificationStatus.FAILED
    assert failed.deliveries[0].reason.startswith("RenderFailed: divided_by: can't divide by 0")
    assert [each.status for each in sent] == [NotificationStatus.SENT] * 2


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.app()
        yield bench


async def leased(bench: Bench, spec: SendSpec, count: int) -> tuple[LeasedChunk, list[Target]]:
    """A chunk of that many recipients, each with two devices."""
    operation = await send(bench, spec, [Recipient(token=token_of(n), variables={"n": n}) for n in range(count)])
    now = bench.clock.ms
    chunks = await bench.store.claim(operation.lane, 0, limit=100, now=now, until=now + 60_000, worker="w")
    (chunk,) = [each for each in chunks if each.operation_id == operation.id]
    targets = [
        Target(sequence=n, slot=0, token=token_of(n), provider=ProviderName.APN, environment=None, credential=b"c" * 16)
        for n in range(count)
        for _ in range(2)
    ]
    return chunk, targets


TERMS = Terms(limit=4096, now=0, deadline=1, collapse_by_id=True)


async def test_full_liquid_is_rendered_beside_the_event_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """TW-33: In a thread of its own, in slices that leave no recipient's devices apart and keep the order."""
    rendering = Rendering()
    chunk, targets = await leased(bench, spec_of({"body": "{{ n | plus: 1 }}"}), 130)
    seen: list[str] = []
    renderer = rendering.renderer(chunk)
    attempt = renderer.attempt

    def watched(variables: Any, limit: int) -> tuple[bytes, str | None]:
        seen.append(threading.current_thread().name)
        return attempt(variables, limit)

    monkeypatch.setattr(renderer, "attempt", watched)
    rendered = await rendering.render(chunk, targets, TERMS)
    assert [push.tag for push in rendered.pushes] == targets
    assert [json.loads(push.payload)["aps"]["alert"]["body"] for push in rendered.pushes[::2]] == [
        str(n + 1) for n in range(130)
    ]
    assert len(seen) == 130
    assert {name.rpartition("_")[0] for name in seen} == {"heliogram-render"}


async def test_nothing_more_is_rendered_of_what_was_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """OWN-17: the slice that is under way ends, and no other begins."""
    rendering = Rendering()
    chunk, targets = await leased(bench, spec_of({"body": "{{ n | plus: 1 }}"}), 130)
    loop, stop = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    renderer = rendering.renderer(chunk)
    attempt = renderer.attempt

    def cancel() -> None:
        if not stop.done():
            stop.set_result(None)

    def cancelling(variables: Any, limit: int) -> tuple[bytes, str | None]:
        loop.call_soon_threadsafe(cancel)
        return attempt(variables, limit)

    monkeypatch.setattr(renderer, "attempt", cancelling)
    rendered = await rendering.render(chunk, targets, TERMS, stop)
    assert len({push.tag.sequence for push in rendered.pushes}) == 50
    assert not rendered.refused


async def test_names_and_defaults_are_rendered_at_once(bench: Bench) -> None:
    """TW-33: A thread would cost more than they do."""
    rendering = Rendering()
    chunk, targets = await leased(bench, spec_of({"body": "{{ n }}"}), 3)
    await rendering.render(chunk, targets, TERMS)
    assert "aside=False" in repr(rendering)


async def test_the_event_loop_goes_on_while_a_chunk_of_the_heaviest_renders(bench: Bench) -> None:
    """100 recipients with a template near its limit of steps: the loop turns many times meanwhile."""
    rendering = Rendering()
    chunk, targets = await leased(
        bench, spec_of({"body": "{% for i in (1..900) %}{% assign a = i | plus: n %}{% endfor %}x"}), 100
    )
    task = asyncio.ensure_future(rendering.render(chunk, targets, TERMS))
    turns, longest, last = 0, 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        turns, longest, last = turns + 1, max(longest, now - last), now
    assert len((await task).pushes) == 200
    assert turns > 20, (turns, longest)


async def test_an_operation_s_templates_are_read_once(bench: Bench) -> None:
    """All chunks of it share a renderer; the oldest of too many leaves."""
    rendering = Rendering()
    spec = spec_of({"body": "{{ n }}"})
    chunk, _ = await leased(bench, spec, 1)
    first = rendering.renderer(chunk)
    assert rendering.renderer(replace(chunk)) is first
    for number in range(1, MAX_RENDERERS + 1):
        rendering.renderer(replace(chunk, operation_id=number.to_bytes(16, "big")))
    assert f"operations={MAX_RENDERERS}" in repr(rendering)
    assert rendering.renderer(chunk) is not first


@pytest.mark.parametrize(("now", "refused"), [(0, 0), (1, 6)])
async def test_what_is_late_is_not_sent(bench: Bench, now: int, refused: int) -> None:
    """At the deadline already."""
    chunk, targets = await leased(bench, spec_of({"body": "{{ n }}"}), 3)
    rendered = await Rendering().render(chunk, targets, replace(TERMS, now=now))
    assert len(rendered.refused) == refused
    assert all(reason.startswith("Expired: ") for _, reason in rendered.refused)


async def test_alerts_collapse_by_id_only_where_that_is_wanted(bench: Bench) -> None:
    """Not when it is switched off, and not over the caller's own."""
    for content, on, expected in (
        ({"body": "x"}, True, "its own"),
        ({"body": "x"}, False, None),
        ({"body": "x", "collapseId": "mine"}, True, "mine"),
        ({"pushType": "background", "collapseId": "mine"}, True, "mine"),
        ({"pushType": "background"}, True, None),
    ):
        chunk, targets = await leased(bench, spec_of(content), 1)
        rendered = await Rendering().render(chunk, targets, replace(TERMS, collapse_by_id=on))
        push = rendered.pushes[0]
        assert push.collapse_id == (push.apns_id if expected == "its own" else expected), content
