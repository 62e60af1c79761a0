"""The node that tells webhooks: killed, and cut off without a word."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support.cluster import Node
from support.cluster_trial import Trial, wait_until
from support.netns import require_namespaces
from support.waiting import eventually

from heliogram.webhooks import verify

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
HOOKS = "/v1/Webhooks"


class Receiver:
    """A back end's own web server, where the cluster can reach it."""

    def __init__(self, host: str) -> None:
        self.secret = ""
        self.completed: Counter[str] = Counter()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                verify(receiver.secret, dict(self.headers), body)
                receiver.take(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
                """Says nothing."""

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{host}:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["type"].endswith("operation.completed"):
                self.completed[event["data"]["operation_id"]] += 1

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver(trial: Trial) -> Iterator[Receiver]:
    """Subscribed to the ends of operations."""
    network = trial.cluster.network
    made = Receiver("127.0.0.1" if network is None else network.own_address)
    back_end = trial.cluster.back_end
    hook = back_end.call("POST", HOOKS, {"url": made.url, "types": ["*"]}, expect=201)
    made.secret = hook["secret"]
    try:
        yield made
    finally:
        back_end.call("DELETE", f"{HOOKS}/{hook['id']}")
        made.close()


def in_office(trial: Trial) -> Node:
    """The node that has it."""

    def find() -> Node | None:
        places = trial.ledger.office()
        return next((each for each in trial.cluster.of("dispatcher") if trial.holds_office(each, places)), None)

    return eventually(find, what="a node in office")


def told(trial: Trial, receiver: Receiver) -> str:
    """Sends, and waits until the webhook was told of its end."""
    operation = trial.campaign(1)

    def heard() -> bool:
        return receiver.completed[operation] > 0

    wait_until(heard, what="the webhook to be told")
    return operation


def test_the_node_in_office_is_killed(trial: Trial, receiver: Receiver) -> None:
    """Another has its office within seconds, and webhooks are told of all that happened meanwhile."""
    told(trial, receiver)
    node = in_office(trial)
    trial.kill(node)
    began = trial.now()
    told(trial, receiver)
    took = trial.now() - began
    assert in_office(trial).name != node.name
    trial.settle()
    trial.judge(f"dispatcher killed: a webhook told of what came after it within {took:.1f} s")


def test_the_node_in_office_is_cut_off_in_mid_answer(trial: Trial, receiver: Receiver) -> None:
    """First it hears no answers from the database, then the database nothing from it: PostgreSQL gives its connection
    up although an answer on it was never acknowledged, and another takes over."""
    require_namespaces()
    told(trial, receiver)
    node, postgres = in_office(trial), trial.cluster.postgres
    assert node.place is not None
    assert postgres.place is not None
    postgres.place.refuse(node.place.address, refused=True)
    try:
        threading.Event().wait(2.5)  # it looks every 2 s whether it still is in office
        trial.cluster.cut(node, postgres)
        began = trial.now()
        told(trial, receiver)
        took = trial.now() - began
        assert in_office(trial).name != node.name
    finally:
        trial.cluster.cut(node, postgres)
        trial.cluster.join(node, postgres)
    trial.settle()
    trial.judge(f"dispatcher cut off: a webhook told of what came after it within {took:.1f} s")
