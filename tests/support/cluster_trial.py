"""One test's use of a cluster: what is sent while something fails, when all of it has come to rest, and the verdict."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.cluster import Cluster, Node
from support.cluster_callers import Callers
from support.cluster_ledger import Ledger
from support.oracle import PUSH, Received, Verdict, everything, judge
from support.programs import connections_of
from support.waiting import HANG_SECONDS, eventually

LOOK_SECONDS = 0.1
LARGE = 1_000
CAMPAIGNS_SECONDS = 2 * HANG_SECONDS
LEASE_SECONDS = 5
"""Leases of the clusters that tests use: so long nobody else has what a node had in hand that is gone."""


@dataclass
class Trial:
    """Goes with a cluster for as long as that lives: what was received and what may be doubled adds up."""

    cluster: Cluster
    ledger: Ledger
    received: Received = field(default_factory=Received)
    callers: list[Callers] = field(default_factory=list)
    sound: bool = False
    """Whether the last test ended well."""

    def begin(self) -> None:
        """Everything runs, nothing is cut, and the simulator answers at once."""
        self.sound = False
        for server in self.cluster.nats:
            if not server.runs:
                server.start()
        for node in self.cluster.nodes.values():
            if not node.program.runs:
                node.launch()
                node.until_ready()
        self.cluster.phones.call("DELETE", "/faults")
        self.ask("api-1")

    def ask(self, node: str) -> None:
        """From now on questions go to this node."""
        self.cluster.back_end.close()
        self.cluster.back_end.at(self.cluster[node].url)

    # ---- sending

    def load(self, *, threads: int = 2) -> Callers:
        """Back ends that send as long as it is entered."""
        made = Callers(
            self.cluster.urls,
            self.cluster.back_end.key,
            self.cluster.tokens,
            threads=threads,
            name=f"c{len(self.callers)}",
        )
        self.callers.append(made)
        return made

    def slow(self, ms: int) -> None:
        """From now on APNs answers late, so that there always is something unanswered."""
        self.cluster.phones.call("POST", "/faults", {"kind": "delay", "delayMs": ms})

    def campaign(self, recipients: int) -> str:
        """The operation's id."""
        tokens = self.cluster.tokens
        to = [{"token": tokens[n % len(tokens)], "provider": "APN"} for n in range(recipients)]
        return self.cluster.back_end.send(*to)

    def until_sending(self, more: int = 200) -> None:
        """Waits until so many more pushes were answered."""
        wanted = self.received.read(self.cluster.phones.http).last + more

        def there() -> bool:
            return self.received.read(self.cluster.phones.http).last >= wanted

        eventually(there, what=f"{more} pushes")

    def holder(self) -> Node:
        """A worker that has something in hand."""

        def find() -> Node | None:
            return next((each for each in self.cluster.of("worker") if self.ledger.in_hand(each.pid) > 0), None)

        return eventually(find, what="a worker with something in hand")

    def holds_office(self, node: Node, places: set[tuple[str, int]]) -> bool:
        """Whether one of these places is a connection of the node."""
        if node.place is not None:
            return node.place.address in {host for host, _ in places}
        return not {port for port, _ in connections_of(node.pid)}.isdisjoint(port for _, port in places)

    # ---- what a failure costs

    def look(self) -> Received:
        """What was received up to now."""
        return self.received.read(self.cluster.phones.http)

    def until_taken_over(self, pid: int, *, seconds: float = HANG_SECONDS) -> tuple[float, int]:
        """Waits until others have all that a node had that writes no more; how long that took, and how many of its
        pushes were taken and are not on record: those may come twice."""
        began, lost = time.monotonic(), 0

        def over() -> bool:
            nonlocal lost
            lost += self.ledger.lost(pid, self.look)
            return self.ledger.in_hand(pid) == 0

        wait_until(over, what="others to take over", seconds=seconds)
        return time.monotonic() - began, lost

    def lose(self, pid: int, *, seconds: float) -> int:
        """For a node that hears no answers: how many of its pushes were taken in that time and are not on record."""
        until, lost = self.now() + seconds, 0
        while self.now() < until:
            lost += self.ledger.lost(pid, self.look)
        return lost

    @staticmethod
    def now() -> float:
        """Seconds."""
        return time.monotonic()

    def settle_beside(self, *, seconds: float = CAMPAIGNS_SECONDS) -> float:
        """Waits until every campaign has ended, while small sends go on; how long that took."""
        began = self.now()

        def ended() -> bool:
            page = self._get(f"{PUSH}/Operations?status=PROCESSING&pageSize=1000")
            return all(each["stats"]["total"] < LARGE for each in page["operations"])

        wait_until(ended, what="the campaigns to end", seconds=seconds)
        return self.now() - began

    def settle(self, *, seconds: float = HANG_SECONDS) -> float:
        """Waits until nothing is scheduled or under way; how long that took."""
        began = time.monotonic()

        def ended() -> bool:
            waiting = (self._get(f"{PUSH}/Operations?status={status}") for status in ("SCHEDULED", "PROCESSING"))
            return not any(page["operations"] for page in waiting)

        wait_until(ended, what="everything to end", seconds=seconds)
        return time.monotonic() - began

    def judge(self, said: str) -> Verdict:
        """Nothing lost, nothing doubled without a failure that explains it, no send done twice, and counters right."""
        told = everything(self._get)
        verdict = judge(told, self.received.read(self.cluster.phones.http), unrecorded=self.ledger.unrecorded)
        for callers in self.callers:
            callers.judge(told, verdict)
        verdict.says(bool(self.received.refused), f"APNs refused {self.received.refused.total()} pushes")
        wrong = {whose: count for whose, count in self.ledger.depth().items() if count}
        verdict.says(bool(wrong), f"the queue is empty, and its depth is {wrong}")
        tries = sum(sent.tries - 1 for callers in self.callers for sent in callers.sends)
        print(  # noqa: T201 - what the test is for
            f"\n{said}; {verdict.operations} operations, {verdict.sent} sent, {tries} sends repeated; "
            f"{verdict.allowed_duplicates} came twice and {verdict.allowed_unsaid} came unsaid, of at most "
            f"{self.ledger.unrecorded.total()} taken whose answer was not written"
        )
        verdict.check()
        self.sound = True
        return verdict

    def _get(self, path: str) -> Any:
        return self.cluster.back_end.call("GET", path)

    def kill(self, node: Node) -> int:
        """kill -9; the process that was."""
        pid = node.pid
        node.kill()
        return pid

    def restart_postgres(self, how: signal.Signals) -> float:
        """SIGINT: fast, SIGQUIT: immediate; seconds until it answers again."""
        began = time.monotonic()
        self.cluster.postgres.stop(how)
        self.cluster.postgres.start()
        return time.monotonic() - began


def wait_until(ask: Callable[[], bool], *, what: str, seconds: float = HANG_SECONDS) -> None:
    """As `eventually`, for questions that cost something."""
    give_up, pause = time.monotonic() + seconds, threading.Event()
    while not ask():
        assert time.monotonic() < give_up, f"waited {seconds} s for {what}"
        pause.wait(LOOK_SECONDS)
