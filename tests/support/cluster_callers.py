"""Back ends that go on sending while nodes die: each send has an Idempotency-Key, and is sent again, to another node of
the API, until it is answered."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from support.oracle import PUSH, Told, Verdict
from support.waiting import HANG_SECONDS

KEY_IN_USE = 70071
TIMEOUT = httpx2.Timeout(3, connect=0.5)
BETWEEN_SECONDS = 0.02


@dataclass
class Sent:
    """One send. `tries`: how often it was sent until it was answered; `seconds`: how long that took."""

    number: int
    body: bytes = field(repr=False)
    operation: str = ""
    tries: int = 0
    seconds: float = 0


class Callers:
    """Threads that send. Entering starts them; leaving stops them, once what they are at is answered."""

    def __init__(
        self, urls: Sequence[str], auth: tuple[str, str], tokens: Sequence[str], *, threads: int = 2, name: str = "c"
    ) -> None:
        self.urls, self.auth, self.tokens, self.name = list(urls), auth, tokens, name
        self.sends: list[Sent] = []
        self.give_up_seconds = HANG_SECONDS
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def __repr__(self) -> str:
        return f"Callers(sends={len(self.sends)}, tries={sum(sent.tries for sent in self.sends)})"

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if kind is None and self._failures:
            raise self._failures[0]

    @property
    def slowest(self) -> float:
        """Seconds that the slowest send took until it was answered."""
        return max((sent.seconds for sent in self.sends), default=0.0)

    def _run(self, number: int) -> None:
        rng = random.Random(f"{self.name}{number}")
        at = number
        try:
            with httpx2.Client(auth=self.auth, trust_env=False, timeout=TIMEOUT) as http:
                while not self._stop.is_set():
                    at = self.post(http, self._new(rng), at)
                    self._stop.wait(BETWEEN_SECONDS)
        except BaseException as error:
            self._failures.append(error)

    def _new(self, rng: random.Random) -> Sent:
        with self._lock:
            number = len(self.sends)
            size = 150 if number % 10 == 5 else 1
            to: list[dict[str, Any]] = [{"token": each, "provider": "APN"} for each in rng.sample(self.tokens, size)]
            tags = {"caller": self.name, "n": str(number)}
            sent = Sent(number, json.dumps({"to": to, "content": {"body": f"n {number}"}, "tags": tags}).encode())
            self.sends.append(sent)
            return sent

    def post(self, http: httpx2.Client, sent: Sent, at: int) -> int:
        """Sends it until it is answered, beginning with the node `at`; the node that answered."""
        headers = {"content-type": "application/json", "idempotency-key": f"{self.name}-{sent.number}"}
        began = time.monotonic()
        while True:
            sent.tries += 1
            try:
                answer = http.post(self.urls[at % len(self.urls)] + PUSH, content=sent.body, headers=headers)
            except httpx2.TransportError as error:
                told = repr(error)
                at += 1
            else:
                if answer.status_code == 202:
                    sent.operation, sent.seconds = str(answer.json()["operationId"]), time.monotonic() - began
                    return at
                busy = answer.status_code == 409 and answer.json()["code"] == KEY_IN_USE
                assert busy or answer.status_code == 503, answer.text
                told, at = answer.text, at + (not busy)
            assert time.monotonic() - began < self.give_up_seconds, f"{sent} is not answered: {told}"
            threading.Event().wait(0.05)

    def judge(self, told: Sequence[Told], verdict: Verdict) -> None:
        """Every send was done once, however often it was sent."""
        made: Counter[str] = Counter()
        known = {operation["id"] for operation, _ in told}
        for operation, _ in told:
            if operation["tags"].get("caller") == self.name:
                made[operation["tags"]["n"]] += 1
        for sent in self.sends:
            times = made[str(sent.number)]
            verdict.says(times != 1, f"{sent} was done {times} times")
            verdict.says(sent.operation not in known, f"{sent} was accepted and is gone")
