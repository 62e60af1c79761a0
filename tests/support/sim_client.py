"""What the simulator's tests speak with: an HTTP/2 client on the `h2` library, and a signing key of their own."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import h2.settings
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from heliogram.simulator import Simulator

TEAM = "TEAM123456"
KEY_ID = "KEY1234567"
TOPIC = "com.example.app"
ALERT = b'{"aps":{"alert":"hello"}}'
Pairs = Sequence[tuple[str, str]]


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class Signer:
    """A signing key in a provider's hands; every part of a token can be made wrong."""

    def __init__(
        self, key_id: str = KEY_ID, team_id: str = TEAM, private: ec.EllipticCurvePrivateKey | None = None
    ) -> None:
        self.key_id = key_id
        self.team_id = team_id
        self.private = private or ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def from_p8(cls, key_id: str, team_id: str, p8: str) -> Signer:
        private = load_pem_private_key(p8.encode(), password=None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return cls(key_id, team_id, private)

    @property
    def public_pem(self) -> str:
        raw = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return raw.decode("ascii")

    def token(self, iat: Any, *, der: bool = False, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A provider token issued at ``iat``; ``header`` and ``claims`` replace or add members."""
        head = {"alg": "ES256", "kid": self.key_id, **(header or {})}
        body = {"iss": self.team_id, "iat": iat, **claims}
        message = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(body).encode())}"
        signature = self.private.sign(message.encode(), ec.ECDSA(SHA256()))
        if not der:
            r, s = decode_dss_signature(signature)
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{message}.{_b64(signature)}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


@dataclass
class Reply:
    """An answer, complete."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    data_frames: int = 0
    reset: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str | None:
        return None if not self.body else str(self.json["reason"])

    @property
    def verdict(self) -> tuple[int, str | None]:
        return self.status, self.reason


class SimClient(asyncio.Protocol):
    """One connection. It checks nothing it sends, so that anything can be tried on the server."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.replies: dict[int, Reply] = {}
        self.ended: dict[int, asyncio.Future[Reply]] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        self.raw = b""
        loop = asyncio.get_running_loop()
        self.settled: asyncio.Future[dict[int, int]] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.settings_seen: list[dict[int, int]] = []
        self.transport: asyncio.Transport

    @classmethod
    async def connect(
        cls,
        address: tuple[str, int],
        ca_pem: bytes,
        *,
        alpn: Sequence[str] = ("h2",),
        preface: bool = True,
        source: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> SimClient:
        """TLS verified against ``ca_pem``; with ``preface`` False nothing is sent and answers collect in ``raw``.

        ``source`` is the address it comes from; ``context`` may hold a client certificate.
        """
        context = context or ssl.create_default_context(cadata=ca_pem.decode("ascii"))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        client = cls()
        client._quiet = not preface
        loop = asyncio.get_running_loop()
        local = None if source is None else (source, 0)
        await loop.create_connection(
            lambda: client, *address, ssl=context, server_hostname="api.push.apple.com", local_addr=local
        )
        if preface:
            client.h2.initiate_connection()
            client._flush()
            await client.settled
        return client

    _quiet = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        for future in self.ended.values():
            if not future.done():
                future.set_exception(ConnectionError("the server closed the connection"))
                future.exception()  # a test may leave a stream unanswered: nobody has to ask

    def data_received(self, data: bytes) -> None:
        self.raw += data
        if self._quiet:
            return
        for event in self.h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            seen = {int(code): change.new_value for code, change in event.changed_settings.items()}
            self.settings_seen.append(seen)
            if not self.settled.done():
                self.settled.set_result(seen)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((int(event.error_code or 0), event.last_stream_id or 0, event.additional_data or b""))
        elif isinstance(event, h2.events.ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            reply = self.replies[event.stream_id or 0]
            reply.status = int(headers.pop(":status"))
            reply.headers = headers
        elif isinstance(event, h2.events.DataReceived):
            reply = self.replies[event.stream_id or 0]
            reply.body += event.data or b""
            reply.data_frames += 1
        elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            stream_id = event.stream_id or 0
            reply = self.replies[stream_id]
            if isinstance(event, h2.events.StreamReset):
                reply.reset = int(event.error_code or 0)
            if not self.ended[stream_id].done():
                self.ended[stream_id].set_result(reply)

    def _flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def send(self, headers: Pairs, body: bytes) -> asyncio.Future[Reply]:
        """Open one request; the future ends with its answer."""
        stream_id = self.h2.get_next_available_stream_id()
        self.replies[stream_id] = Reply()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.ended[stream_id] = future
        self.h2.send_headers(stream_id, list(headers), end_stream=not body)
        for start in range(0, len(body), 16384):
            self.h2.send_data(stream_id, body[start : start + 16384], end_stream=start + 16384 >= len(body))
        self._flush()
        return future

    def push(
        self,
        token: str,
        bearer: str | None,
        *extra: tuple[str, str],
        body: bytes = ALERT,
        topic: str | None = TOPIC,
        method: str = "POST",
        path: str | None = None,
    ) -> asyncio.Future[Reply]:
        """One push; ``extra`` header fields go at the end."""
        headers = [
            (":method", method),
            (":scheme", "https"),
            (":authority", "api.push.apple.com"),
            (":path", f"/3/device/{token}" if path is None else path),
        ]
        if bearer is not None:
            headers.append(("authorization", f"bearer {bearer}"))
        if topic is not None:
            headers.append(("apns-topic", topic))
        return self.send([*headers, *extra], body)

    async def close(self) -> None:
        self.transport.close()
        await self.closed


class World:
    """A running simulator with one team key, one iPhone and one production app, and the client's side of them."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator = simulator
        self.clock = clock
        self.signer = Signer()
        simulator.add_key(KEY_ID, TEAM, self.signer.public_pem)
        self.device = simulator.add_device("iPhone", "ios")
        simulator.install(self.device.id, TOPIC, "production")
        self.token = self.launch()
        self.bearer = self.signer.token(int(clock.now))
        self._clients: list[SimClient] = []

    def launch(self) -> str:
        token = self.simulator.launch(self.device.id, TOPIC).device_token
        assert token is not None
        return token

    async def connect(
        self,
        listener: str = "production",
        *,
        alpn: Sequence[str] = ("h2",),
        preface: bool = True,
        source: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> SimClient:
        client = await SimClient.connect(
            self.simulator.ports[listener],
            self.simulator.ca_pem,
            alpn=alpn,
            preface=preface,
            source=source,
            context=context,
        )
        self._clients.append(client)
        return client

    async def push(self, *extra: tuple[str, str], **options: Any) -> Reply:
        """A push of the world's own token and key on a new connection."""
        client = await self.connect()
        return await client.push(
            options.pop("token", self.token), options.pop("bearer", self.bearer), *extra, **options
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self.simulator.stop()


def write_ca(simulator: Simulator, directory: Path) -> Path:
    """The simulator's CA as a file for a foreign client."""
    path = directory / "ca.pem"
    path.write_bytes(simulator.ca_pem)
    return path
