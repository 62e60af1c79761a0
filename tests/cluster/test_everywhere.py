"""What one node of the API knows of all: what workers send, and who signed out at another."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest
from support.cluster import Node
from support.cluster_trial import Trial
from support.programs import heliogram
from support.waiting import HANG_SECONDS, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

COOKIE = "__Host-heliogram"


def told(trial: Trial, node: str, path: str = "/Outcomes", **query: int) -> dict[str, Any]:
    """What a node of the API shows."""
    http = httpx2.Client(auth=trial.cluster.back_end.key, trust_env=False, timeout=HANG_SECONDS)
    with http:
        answer = http.get(f"{trial.cluster[node].url}/v1/Activity{path}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def newest(trial: Trial, node: str) -> list[tuple[int, str, str]]:
    """The outcomes that a node shows: sequence, notification, and who sent it."""
    outcomes = told(trial, node, limit=1000)["outcomes"]
    return [(each["sequence"], each["notificationId"], each["node"]) for each in outcomes]


def alike(trial: Trial, what: str, path: str, **query: int) -> dict[str, Any]:
    """What both nodes of the API show of something, once they show the same."""

    def ask() -> dict[str, Any] | None:
        one, other = told(trial, "api-1", path, **query), told(trial, "api-2", path, **query)
        for each in (one, other):
            each.pop("node", None)
            each.pop("lanes", None)
        return one if one == other else None

    return eventually(ask, what=what)


def test_nodes_that_send_nothing_show_what_all_send(trial: Trial) -> None:
    """Both alike, with the same sequences, while workers send and after one of them was killed; `heliogram tail` tells
    it, too."""
    workers = {each.pid for each in trial.cluster.of("worker")}

    def senders() -> bool:
        return workers <= {int(node.rpartition(":")[2]) for _, _, node in newest(trial, "api-1")}

    trial.ask("api-2")
    with trial.load(threads=2):
        eventually(senders, what="outcomes of both workers")
    trial.settle()
    seen = alike(trial, "both nodes to know the same outcomes", "/Outcomes", limit=1000)["outcomes"][-10:]
    counted = alike(trial, "both nodes to count the same", "")
    assert workers <= {int(name.rpartition(":")[2]) for name in counted["nodes"]}
    assert sum(each["sent"] for each in counted["seconds"]) > 0
    trial.kill(trial.cluster["worker-1"])
    for node in ("api-1", "api-2"):
        assert told(trial, node, after=seen[0]["sequence"] - 1, limit=len(seen))["outcomes"] == seen
    tail = heliogram(
        *("tail", "--once", "--json", "--last", "1000", "--url", trial.cluster["api-2"].url),
        *("--api-key", ":".join(trial.cluster.back_end.key)),
    )
    assert tail.returncode == 0, tail.stderr
    lines = [json.loads(line) for line in tail.stdout.splitlines()]
    assert [each for each in lines if each["sequence"] in {one["sequence"] for one in seen}] == seen
    trial.settle()
    trial.judge("both nodes of the API showed what two workers sent")


class Browser:
    """Comes by a proxy that speaks TLS, to whichever node; keeps the session's cookie."""

    def __init__(self) -> None:
        self.cookie = ""

    def ask(self, node: Node, path: str, form: dict[str, str] | None = None) -> httpx2.Response:
        """The answer to a page or a form."""
        headers = {"x-forwarded-proto": "https", "cookie": f"{COOKIE}={self.cookie}"}
        with httpx2.Client(trust_env=False, timeout=HANG_SECONDS) as http:
            return http.request(
                "GET" if form is None else "POST", f"{node.url}/dashboard{path}", data=form, headers=headers
            )

    def sign_in(self, node: Node, key: tuple[str, str]) -> str:
        """Begins a session; the token of its forms."""
        answer = self.ask(node, "/sign-in", {"key_id": key[0], "secret": key[1]})
        assert answer.status_code == 303, answer.text
        found = re.search(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
        assert found is not None
        self.cookie = found[1]
        page = self.ask(node, "/")
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token is not None, page.text
        return token[1]


def test_signing_out_holds_on_every_node_and_after_a_restart(trial: Trial) -> None:
    """A copy of the cookie opens nothing, on whichever node, whenever that was started."""
    one, other = trial.cluster["api-1"], trial.cluster["api-2"]
    browser = Browser()
    token = browser.sign_in(one, trial.cluster.back_end.key)
    assert browser.ask(other, "/").status_code == 200
    assert browser.ask(one, "/sign-out", {"csrf": token}).status_code == 303
    assert browser.ask(one, "/").status_code == 303
    eventually(lambda: browser.ask(other, "/").status_code == 303, what="the other node to hear of it")
    one.stop()
    one.start()
    assert browser.ask(one, "/").status_code == 303
    trial.ask("api-1")
    trial.settle()
    trial.judge("signed out on both nodes and after a restart")
