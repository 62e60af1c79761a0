"""A launched app hands its token to its server over real HTTP, and tries again when that fails."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from support.sim_client import TOPIC

from heliogram.simulator import Forward, Simulator
from heliogram.simulator.control import ControlServer
from heliogram.simulator.forward import Forwarder

pytestmark = pytest.mark.anyio


class AppServer:
    """The app's own server: remembers what was posted, answers what it is told to."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.answer: Response = JSONResponse({"id": "r1"}, status_code=201)
        self.http = ControlServer("127.0.0.1", 0)
        self.http.start(Starlette(routes=[Route("/register", self._register, methods=["POST"])]))

    @property
    def url(self) -> str:
        return f"{self.http.url}/register"

    async def _register(self, request: Request) -> Response:
        scheme, _, credential = request.headers["authorization"].partition(" ")
        assert scheme == "Basic"
        self.posts.append((base64.b64decode(credential).decode(), await request.json()))
        return self.answer


@pytest.fixture
async def server() -> AsyncIterator[AppServer]:
    server = AppServer()
    yield server
    await server.http.stop()


@pytest.fixture
async def forwarder() -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(Simulator().apns.registry)
    yield forwarder
    await forwarder.close()


def install(forwarder: Forwarder, forward: Forward, **options: Any) -> str:
    registry = forwarder._registry
    device = registry.add_device("a phone", "ios")
    registry.install(device.id, TOPIC, "sandbox", forward=forward, **options)
    return device.id


async def test_token_is_posted_at_launch(server: AppServer, forwarder: Forwarder) -> None:
    """LIFE-1: the app posts appName, token, provider, environment and userId with Basic auth."""
    forward = Forward(url=server.url, api_key="id:secret", user_id="u1", app_name="shop")
    device_id = install(forwarder, forward)
    launch, forwarded = await forwarder.launch(device_id, TOPIC)
    assert forwarded is not None
    assert (forwarded.status, forwarded.body, forwarded.error) == (201, {"id": "r1"}, None)
    body = {
        "appName": "shop",
        "token": launch.device_token,
        "provider": "APN",
        "environment": "sandbox",
        "userId": "u1",
    }
    assert server.posts == [("id:secret", body)]


async def test_registration_token(server: AppServer, forwarder: Forwarder) -> None:
    """A registration token goes as the password of user `registration`; the app's name defaults to its bundle id."""
    device_id = install(forwarder, Forward(url=server.url, registration_token="rt_1"))
    await forwarder.launch(device_id, TOPIC)
    ((credential, body),) = server.posts
    assert credential == "registration:rt_1"
    assert body["appName"] == TOPIC
    assert "userId" not in body


async def test_every_launch_forwards(server: AppServer, forwarder: Forwarder) -> None:
    """LIFE-1: the app does not cache; the same token is posted again."""
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    await forwarder.launch(device_id, TOPIC)
    await forwarder.launch(device_id, TOPIC)
    assert [body["token"] for _, body in server.posts] == [server.posts[0][1]["token"]] * 2


async def test_no_entitlement_forwards_nothing(server: AppServer, forwarder: Forwarder) -> None:
    """Without a token there is nothing to hand over."""
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"), entitlement=False)
    launch, forwarded = await forwarder.launch(device_id, TOPIC)
    assert launch.error
    assert forwarded is None
    assert server.posts == []


async def test_refused_forward_is_repeated_until_it_succeeds(server: AppServer, forwarder: Forwarder) -> None:
    """LIFE-1: on failure the flag is set and the app tries again later; the registration stands."""
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    server.answer = Response("busy", status_code=503)
    launch, forwarded = await forwarder.launch(device_id, TOPIC)
    assert launch.device_token is not None
    assert forwarded is not None
    assert (forwarded.status, forwarded.body) == (503, "busy")
    assert [app.bundle_id for app in forwarder.pending] == [TOPIC]
    assert [again.status for again in await forwarder.retry()] == [503]
    server.answer = Response(status_code=204)
    assert [again.status for again in await forwarder.retry()] == [204]
    assert forwarder.pending == []
    assert await forwarder.retry() == []
    assert len(server.posts) == 3


async def test_registration_without_a_network_is_forwarded_later(server: AppServer, forwarder: Forwarder) -> None:
    """LIFE-1: an app that could not register sets its flag, and forwards the token it gets later."""
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    device = forwarder._registry.device(device_id)
    device.connect(False)
    launch, forwarded = await forwarder.launch(device_id, TOPIC)
    assert (launch.device_token, forwarded) == (None, None)
    assert len(forwarder.pending) == 1
    assert await forwarder.retry() == []
    device.connect(True)
    assert [again.status for again in await forwarder.retry()] == [201]
    assert forwarder.pending == []
    assert len(server.posts) == 1


async def test_an_app_that_has_gone_forwards_nothing(server: AppServer, forwarder: Forwarder) -> None:
    """Uninstalled, or on a device that is no more, it does not try again."""
    server.answer = Response(status_code=503)
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    await forwarder.launch(device_id, TOPIC)
    assert len(forwarder.pending) == 1
    forwarder._registry.clear()
    assert await forwarder.retry() == []


async def test_unreachable_server(forwarder: Forwarder) -> None:
    """A server that is down is an error in the answer, and never blocks the registration."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        device_id = install(forwarder, Forward(url=url, api_key="id:hush"))
        launch, forwarded = await forwarder.launch(device_id, TOPIC)
    assert launch.device_token is not None
    assert forwarded is not None
    assert forwarded.status is None
    assert forwarded.error is not None
    assert "hush" not in forwarded.error
    assert len(forwarder.pending) == 1


@pytest.mark.parametrize("url", ["http://[", "http://", "http://127.0.0.1:99999/", "http://a..b/", "http://\x7f/"])
async def test_malformed_address(forwarder: Forwarder, url: str) -> None:
    """An address that is none is an error in the answer, not of the simulator."""
    device_id = install(forwarder, Forward(url=url, api_key="id:hush"))
    _, forwarded = await forwarder.launch(device_id, TOPIC)
    assert forwarded is not None
    assert forwarded.error


async def test_an_endless_answer_is_cut(server: AppServer, forwarder: Forwarder) -> None:
    """Of an answer without an end the first 64 KiB are kept, and the rest is not waited for."""

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 16_384
            await asyncio.sleep(0)

    server.answer = StreamingResponse(forever(), status_code=201)
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    _, forwarded = await forwarder.launch(device_id, TOPIC)
    assert forwarded is not None
    assert (forwarded.status, forwarded.body) == (201, "x" * 65_536)


async def test_an_answer_that_never_ends_is_given_up(server: AppServer) -> None:
    """The time limit is for the whole exchange, however often a byte comes."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0)

    forwarder = Forwarder(Simulator().apns.registry, timeout=0.05)
    server.answer = StreamingResponse(drip(), status_code=201)
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    _, forwarded = await forwarder.launch(device_id, TOPIC)
    await forwarder.close()
    assert forwarded is not None
    assert forwarded.error == "no complete answer within 0.05 s"


async def test_redirects_are_not_followed(server: AppServer, forwarder: Forwarder) -> None:
    """The credential goes to the address given and nowhere else."""
    server.answer = Response(status_code=307, headers={"location": server.url})
    device_id = install(forwarder, Forward(url=server.url, api_key="id:secret"))
    _, forwarded = await forwarder.launch(device_id, TOPIC)
    assert forwarded is not None
    assert forwarded.status == 307
    assert len(server.posts) == 1
