"""A TLS server that says by an alert what it has against a certificate; asyncio's own hangs up without a word."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self


class AlertingServer:
    """Shakes hands until the client's certificate is refused, on a free port of 127.0.0.1."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.connections = 0
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def endpoint(self) -> str:
        """Where it listens, "host:port"."""
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._refuse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(received, sent, server_side=True)
        while data := await reader.read(65536):
            received.write(data)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                writer.write(sent.read())
            except ssl.SSLError:
                writer.write(sent.read())
                writer.write_eof()
                await reader.read()  # a reset would overtake the alert
                break
            else:
                raise AssertionError("the certificate was taken")
        writer.close()
