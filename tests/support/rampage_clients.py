"""Clients of a service that is killed beneath them.

They send to one and to many, to tokens and to users, now and on schedule, and cancel; half of their sends carry an
`Idempotency-Key` and are sent again until there is an answer.
"""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from support.oracle import PUSH

ROUND_SENDS = 12
"""The most that one client sends in a round."""
INVALID_SCHEDULE = 70081
KEY_IN_USE = 70071


@dataclass
class Sent:
    """One send as a client remembers it. `operation`: what was answered, None as long as nothing was. `late`: it came
    again after the time it was scheduled for, and was refused."""

    number: int
    body: bytes = field(repr=False)
    key: str | None
    operation: str | None = None
    late: bool = False

    @property
    def open(self) -> bool:
        """Whether it is to be sent again."""
        return self.key is not None and self.operation is None and not self.late


class Clients:
    """All of them: whom they send to, and what they remember. Each runs in a thread of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.sends: list[Sent] = []
        self.tokens: list[str] = []
        self.users: list[str] = []
        self.auth = ("", "")
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Clients(sends={len(self.sends)}, tokens={len(self.tokens)}, users={len(self.users)})"

    def run(self, url: str, seed: float, many: bool) -> None:
        """One client: sends and cancels until the service is gone, or it has done enough."""
        rng = random.Random(seed)
        with httpx2.Client(base_url=url, auth=self.auth, trust_env=False, timeout=30) as http:
            try:
                for sent in [each for each in self.sends if many and each.open]:
                    self.post(http, sent)
                for number in range(ROUND_SENDS):
                    self.post(http, self._new(rng, rng.randint(200, 3_000) if many and number % 3 == 0 else 1))
                    if rng.random() < 0.15:
                        self._cancel(http, rng)
            except httpx2.TransportError:
                return

    def post(self, http: httpx2.Client, sent: Sent) -> None:
        """Sends it, perhaps once more."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": sent.key} if sent.key else {})
        answer = http.post(PUSH, content=sent.body, headers=headers)
        if answer.status_code == 202:
            sent.operation = str(answer.json()["operationId"])
        elif answer.status_code == 400 and answer.json()["code"] == INVALID_SCHEDULE:
            sent.late = True
        elif answer.status_code == 409 and answer.json()["code"] == KEY_IN_USE:
            pass  # another client has just sent it for the first time
        else:  # it is being drained: like no answer
            assert answer.status_code in (429, 503), answer.text

    def _new(self, rng: random.Random, size: int) -> Sent:
        """A send of that many recipients, with a number among its tags."""
        with self._lock:
            number = len(self.sends)
            to: list[dict[str, Any]] = [{"token": each, "provider": "APN"} for each in rng.sample(self.tokens, size)]
            if size == 1 and rng.random() < 0.4:
                to = [{"userId": rng.choice(self.users)}]
            body: dict[str, Any] = {"to": to, "content": {"body": f"number {number}"}, "tags": {"n": str(number)}}
            if rng.random() < 0.2:
                moment = datetime.now(UTC) + timedelta(seconds=rng.uniform(0.5, 4))
                body["schedule"] = {"sendAt": [moment.isoformat()]}
            key = f"{self.seed}-{number}" if rng.random() < 0.5 else None
            sent = Sent(number, json.dumps(body).encode(), key)
            self.sends.append(sent)
            return sent

    def _cancel(self, http: httpx2.Client, rng: random.Random) -> None:
        known = [each.operation for each in self.sends[-40:] if each.operation is not None]
        if known:
            answer = http.post(f"{PUSH}/Operations/{rng.choice(known)}/cancel")
            assert answer.status_code in (202, 404, 409, 503), answer.text
