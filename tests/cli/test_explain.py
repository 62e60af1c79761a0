"""`heliogram explain`: headers and payload beside the story, as the service makes them anew, or why it cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.remote import Remote, remote

from heliogram.client import Content, Recipient


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("shop")
        yield made


def sent(there: Remote, to: Recipient, content: str | Content) -> str:
    """The id of the one notification of a send that has ended."""
    accepted = there.client.notifications.send(to, content, app="shop")
    there.client.operations.wait(accepted.operation_id)
    return next(iter(there.client.notifications.list(operation_id=accepted.operation_id))).id


def test_headers_and_payload_are_those_that_the_phone_got(there: Remote) -> None:
    """The payload as JSON, each header on a line, the size; with --json all of the service's answer, as `payload`."""
    phone, token = there.phone("shop", "ann")
    content = Content(title="Hi {{ name }}", body="There", collapse_id="order-7", data={"order": 7})
    ident = sent(there, Recipient.for_token(token, {"name": "Ann"}), content)
    (shown,) = phone.shown()
    story = there.ok("explain", ident)
    told = story[story.index("What APNs gets, made anew") :]
    assert json.loads(told[told.index("{") : told.rindex("}") + 1]) == shown["payload"]
    lines = [line.split() for line in told.splitlines()]
    for header in (["apns-push-type", "alert"], ["apns-priority", "10"], ["apns-collapse-id", "order-7"]):
        assert header in lines
    assert "of 4,096 bytes" in told.splitlines()[-1]
    found = there.json("explain", ident)
    assert found["status"] == "SENT"
    assert found["payload"] == there.back_end.call("GET", f"/v1/PushNotifications/{ident}/Payload")


@pytest.mark.parametrize(
    ("to", "text", "note"),
    [
        (
            Recipient.for_token("ab" * 32, {"n": 0}),
            "{{ 1 | divided_by: n }}",
            "The payload cannot be made anew: RenderFailed",
        ),
        (Recipient.for_token("ab" * 32, {"n": "x" * 5_000}), "{{ n }}", "It cannot be sent: PayloadTooLarge"),
    ],
)
def test_what_cannot_be_made_or_sent_is_said_at_the_end(there: Remote, to: Recipient, text: str, note: str) -> None:
    """With the reason; what is too large is shown all the same."""
    last = there.ok("explain", sent(there, to, text)).splitlines()[-1]
    assert last.startswith(note)


def test_a_payload_gives_no_orders_to_the_terminal(there: Remote) -> None:
    """It is shown as JSON that means the same."""
    text = "a\x9b31m\x7f\u202eb"
    told = there.ok("explain", sent(there, Recipient.for_token("ab" * 32), text))
    assert [each for each in told if not each.isprintable() and each != "\n"] == []
    payload = told[told.index("{\n") : told.rindex("}") + 1]
    assert json.loads(payload)["aps"]["alert"]["body"] == text


@contextmanager
def in_front(there: Remote, status: int) -> Iterator[str]:
    """A service that tells notifications, and answers with `status` when it is asked for a payload: its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body: Any = {"type": "about:blank", "title": "No", "status": status, "code": 1, "detail": "Not for you."}
            answer = {**body, "message": "Not for you.", "more_info": "", "errors": []}
            told = status
            if not self.path.endswith("/Payload"):
                told, answer = 200, there.back_end.call("GET", self.path)
            raw = json.dumps(answer).encode()
            self.send_response(told)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "note"), [(404, "a newer heliogram does"), (403, "Not for you.")])
def test_the_story_is_told_without_the_payload_where_that_may_not_be_read(
    there: Remote, status: int, note: str, tmp_path: Path
) -> None:
    """By a service that is older, or a key that may not: a note on standard error, and success."""
    ident = sent(there, Recipient.for_token("ab" * 32), "Hi")
    with in_front(there, status) as url:
        done = there.run("explain", ident, env={"HELIOGRAM_URL": url})
        found = there.run("explain", ident, "--json", env={"HELIOGRAM_URL": url})
    for each in (done, found):
        assert each.exit_code == 0, each.output
        assert each.stderr.startswith("its payload cannot be shown: ")
        assert note in each.stderr
    assert "BadDeviceToken" in done.stdout
    assert "What APNs gets" not in done.stdout
    assert json.loads(found.stdout)["payload"] is None
    assert json.loads(found.stdout)["status"] == "FAILED"
