"""A service over a data directory of the test's own choosing, with the simulator and a caller beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from support.oracle import Received, judge, operation_of
from support.programs import Program
from support.stack import PUSH, BackEnd, Phones, simulator

DEVICES = 40


class Site:
    """A service with its data in `data`, the simulator, and who calls."""

    def __init__(self, program: Program, phones: Phones, back_end: BackEnd, log: Path) -> None:
        self.program, self.phones, self.back_end, self.log = program, phones, back_end, log
        self.operations: list[str] = []
        back_end.credential(phones.key())
        self.tokens = [phones.phone().launch() for _ in range(DEVICES)]

    def send(self) -> httpx2.Response:
        """Sends to every device; remembers what was accepted."""
        to = [{"token": token, "provider": "APN"} for token in self.tokens]
        body = {"to": to, "content": {"title": "Hi", "body": "x" * 2_000}}
        answer = self.back_end.http.post(PUSH, json=body, timeout=90)
        if answer.status_code == 202:
            self.operations.append(answer.json()["operationId"])
        return answer

    def refused(self, *, most: int = 400) -> httpx2.Response:
        """Sends until one is not accepted."""
        for _ in range(most):
            answer = self.send()
            if answer.status_code != 202:
                return answer
        raise AssertionError(f"{most} sends were accepted on a full disk")

    def check(self) -> None:
        """All that was accepted completes, and every device got each of it once."""
        for operation in self.operations:
            self.back_end.completed(operation)
        told = [operation_of(self._ask, operation) for operation in self.operations]
        verdict = judge(told, Received().read(self.phones.http)).check()
        assert verdict.sent == DEVICES * len(self.operations)

    def _ask(self, path: str) -> Any:
        answer = self.back_end.http.get(path, timeout=90)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lines(self) -> list[dict[str, Any]]:
        """What the service's log says."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def site(directory: Path, data: Path, *more: str) -> Iterator[Site]:
    """Both programs, running; `more` is said to the service."""
    log = directory / "service.log"
    with simulator(directory) as apns:
        at = apns.ready
        words = [
            *("--data", str(data), "--listen", "127.0.0.1:0"),
            *("--apns-production", at["production"], "--apns-sandbox", at["sandbox"], "--apns-cacert", at["ca"]),
            *more,
        ]
        with Program("serve", *words, log=log) as program:
            phones, back_end = Phones(apns), BackEnd(program.ready["url"], data)
            try:
                yield Site(program, phones, back_end, log)
            finally:
                phones.close()
                back_end.close()
