"""An HTTP server that misbehaves as it is told, for clients of the API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Answers as `script` says, request by request: a status, `drop` or `hang`; then 200 with `good`.
    Bytes in the script are the body of a 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[int | str | bytes] = []
        self.good = b"{}"
        self.seen: list[tuple[tuple[str, int], str | None]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()

    def answer(self) -> None:
        server = self.server
        server.seen.append((self.client_address, self.headers["Idempotency-Key"]))
        step = server.script.pop(0) if server.script else 200
        if step == "hang":
            server.over.wait(60)
        if isinstance(step, str):
            self.close_connection = True
            return
        body = step if isinstance(step, bytes) else server.good if step == 200 else b""
        self.send_response(step if isinstance(step, int) else 200)
        self.send_header("Content-Length", str(len(body)))
        if step == 429:
            self.send_header("Retry-After", "3")
        if step == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing on standard error."""


@contextmanager
def misbehaving() -> Iterator[Server]:
    """A server on a port of its own."""
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.over.set()
        made.shutdown()
        thread.join()
