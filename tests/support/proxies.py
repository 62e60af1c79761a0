"""Small proxies on the loopback: they do what real ones do, or what a test makes them do instead."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Login = tuple[str, str]


class Refused(Exception):
    """The proxy has said no; the connection ends."""


class SmallProxy:
    """Listens on a free port; `targets` has what it was asked for, `heads` what it was told."""

    scheme = ""

    def __init__(self, login: Login | None = None, answer: bytes | None = None) -> None:
        self.login = login
        self.answer = answer
        """Said instead of anything a proxy would say; b"" is silence."""
        self.targets: list[str] = []
        self.heads: list[bytes] = []
        self.resolve: dict[str, tuple[str, int]] = {}
        """Names that this proxy alone knows."""
        self.connections = 0
        self.asked = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    def url(self, login: str = "") -> str:
        """For `Client(proxy=…)`."""
        port = self._server.sockets[0].getsockname()[1]
        return f"{self.scheme}://{login and login + '@'}127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._one(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.answer is not None:
                await self._recite(reader, writer)
            else:
                target = await self.negotiate(reader, writer)
                await self._relay(reader, writer, *self.resolve.get(target[0], target))
        except (Refused, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _recite(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.read(1000))
        writer.write(self.answer or b"")
        self.asked.set()
        if self.answer:
            await writer.drain()
            writer.write_eof()
        await reader.read()

    async def negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        """The host and port that the client wants, after the proxy has agreed."""
        raise AssertionError("a proxy of no kind")

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


class HttpProxy(SmallProxy):
    """`CONNECT`, with Basic authentication when it has a login."""

    scheme = "http"
    forbids = False

    async def negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lines = head.decode("ascii").split("\r\n")
        method, target, version = lines[0].split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        self.targets.append(target)
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        assert headers["Host"] == target
        if self.login is not None:
            wanted = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
            if headers.get("Proxy-Authorization") != wanted:
                writer.write(b'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
                raise await _refusal(reader, writer)
        if self.forbids:
            writer.write(b"HTTP/1.1 403 Not \x07here\r\nContent-Length: 2\r\n\r\nno")
            raise await _refusal(reader, writer)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        host, _, port = target.rpartition(":")
        return host, int(port)


async def _refusal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Refused:
    """Wait until the client has read the answer and gone."""
    await writer.drain()
    writer.write_eof()
    await reader.read()
    return Refused()


class SocksProxy(SmallProxy):
    """SOCKS5, with user and password when it has a login."""

    scheme = "socks5"
    reply = 0
    bound = b"\x01\x7f\x00\x00\x01\x00\x50"

    async def negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        assert version == 5
        wanted = 0 if self.login is None else 2
        writer.write(bytes((5, wanted if wanted in methods else 0xFF)))
        if wanted not in methods:
            raise await _refusal(reader, writer)
        if self.login is not None:
            await self._check_login(reader, writer)
        version, command, _, kind = await reader.readexactly(4)
        assert (version, command) == (5, 1)
        if kind == 3:
            [length] = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode("ascii")
        else:
            host = ".".join(str(byte) for byte in await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.targets.append(f"{'name' if kind == 3 else 'address'} {host}:{port}")
        writer.write(bytes((5, self.reply, 0)) + self.bound)
        if self.reply:
            raise await _refusal(reader, writer)
        return host, port

    async def _check_login(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = []
        assert await reader.readexactly(1) == b"\x01"
        for _ in range(2):
            [length] = await reader.readexactly(1)
            given.append((await reader.readexactly(length)).decode())
        good = tuple(given) == self.login
        writer.write(b"\x01\x00" if good else b"\x01\x01")
        if not good:
            raise await _refusal(reader, writer)
