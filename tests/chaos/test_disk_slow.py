"""A disk that takes half a second for each flush: slower, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.oracle import Received, judge, operation_of
from support.programs import HELIOGRAM
from support.slow_disk import SlowDisk, compiler
from support.stack import BackEnd, Phones, service, simulator

CALLERS, EACH, MANY = 32, 3, 2_000


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler (Debian: apt-get install gcc)")
@pytest.mark.timeout(300)
def test_flushes_of_half_a_second_are_shared_and_lose_and_double_nothing(tmp_path: Path) -> None:
    """32 callers send to one device each, three times, beside a send to 2,000: every 202 is on disk, every device gets
    its push once, and the callers of one moment wait for one flush together."""
    disk = SlowDisk(tmp_path)
    with (
        simulator(tmp_path) as apns,
        service(tmp_path, apns.ready, command=disk.command(HELIOGRAM)) as program,
        ThreadPoolExecutor(CALLERS) as threads,
    ):
        phones, backend = Phones(apns), BackEnd(program.ready["url"], tmp_path / "data")
        backend.credential(phones.key())
        to = [{"token": phones.phone().launch(), "provider": "APN"} for _ in range(CALLERS)]
        disk.slow()
        large = threads.submit(lambda: backend.send(*(to[n % CALLERS] for n in range(MANY))))
        small = list(threads.map(lambda n: backend.send(to[n % CALLERS]), range(CALLERS * EACH)))
        operations = [*small, large.result()]
        for each in operations:
            backend.completed(each, seconds=200)
        assert 0 < disk.flushes < CALLERS * EACH
        disk.quick()
        told = [operation_of(lambda path: backend.call("GET", path), each) for each in operations]
        judge(told, Received().read(phones.http)).check()
        backend.close()
        phones.close()
