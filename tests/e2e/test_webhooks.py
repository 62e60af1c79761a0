"""Webhooks between real processes: what happens to pushes reaches a back end by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.programs import Program
from support.stack import BackEnd, Phones, service
from support.waiting import eventually

from heliogram.webhooks import verify

HOOKS = "/v1/Webhooks"
OPTIONS = ("--webhooks-allow-private", "--webhooks-allow-http")


class Receiver:
    """A back end's own web server, which verifies what it gets."""

    def __init__(self) -> None:
        self.secret = ""
        self.status = 200
        self.events: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                verify(receiver.secret, dict(self.headers), body)
                if receiver.status == 200:
                    receiver.events += json.loads(body)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def types(self) -> list[str]:
        """The last two words of the events' types."""
        return [".".join(event["type"].rsplit(".", 2)[1:]) for event in self.events]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def subscribe(backend: BackEnd, receiver: Receiver) -> str:
    made = backend.call("POST", HOOKS, {"url": receiver.url, "types": ["*"]}, expect=201)
    receiver.secret = made["secret"]
    return str(made["id"])


def test_what_becomes_of_a_send_is_told_by_itself(
    apns: Program, phones: Phones, receiver: Receiver, tmp_path: Path
) -> None:
    """The operation, each notification, and the device that is gone; verified by the receiver."""
    with service(tmp_path, apns.ready, *OPTIONS) as served:
        backend = BackEnd(served.ready["url"], tmp_path / "data")
        backend.credential(phones.key())
        here, gone = phones.phone(), phones.phone()
        users = [backend.register(phone.launch())["userId"] for phone in (here, gone)]
        gone.uninstall()
        hook = subscribe(backend, receiver)
        assert backend.call("POST", f"{HOOKS}/{hook}/test")["delivered"] is True
        operation = backend.send(*({"userId": user} for user in users))
        backend.completed(operation)
        wanted = {
            "webhook.test",
            "operation.processing",
            "operation.completed",
            "notification.sent",
            "notification.failed",
            "device.removed",
        }
        eventually(lambda: set(receiver.types()) >= wanted, what=f"{wanted}, got {receiver.types()}")
        assert sorted(receiver.types()) == sorted(wanted)
        failed = next(each for each in receiver.events if each["type"].endswith("notification.failed"))
        assert (failed["data"]["to"], failed["data"]["reason"]) == ({"userId": users[1]}, "Unregistered")
        completed = next(each for each in receiver.events if each["type"].endswith("operation.completed"))
        assert completed["data"]["operation_id"] == operation
        assert completed["data"]["stats"]["sent"] == 1
        backend.close()


def test_what_a_receiver_did_not_take_outlives_a_restart(
    apns: Program, phones: Phones, receiver: Receiver, tmp_path: Path
) -> None:
    """Killed while a batch waits to be tried again: the next start delivers it."""
    with service(tmp_path, apns.ready, *OPTIONS) as served:
        backend = BackEnd(served.ready["url"], tmp_path / "data")
        backend.credential(phones.key())
        hook = subscribe(backend, receiver)
        receiver.status = 503
        operation = backend.send({"token": phones.phone().launch(), "provider": "APN"})
        backend.completed(operation)

        def refused() -> bool:
            found = backend.call("GET", f"{HOOKS}/{hook}")
            return bool(found["backlog"]["retryingBatches"])

        eventually(refused, what="a batch that waits")
        served.kill()
        backend.close()
    receiver.status = 200
    with service(tmp_path, apns.ready, *OPTIONS) as served:
        eventually(lambda: "notification.sent" in receiver.types(), what="the notification's end")
    subjects = [each["subject"] for each in receiver.events if each["type"].endswith("notification.sent")]
    assert len(set(subjects)) == 1
