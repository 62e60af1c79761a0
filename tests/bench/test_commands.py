"""The benchmarks still run: tiny numbers, no look at the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(program: str, *words: str) -> str:
    """Runs a program of `bench/`; a missed target (exit status 1) is no matter with figures this small."""
    command = [sys.executable, str(ROOT / "bench" / program), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_the_engine_benchmark_gives_a_verdict_on_each_target() -> None:
    """`engine.py --only CASE` ends with a line for each target of that case."""
    said = bench("engine.py", "--only", "memory", "--pushes", "100", "--rounds", "1")
    verdicts = [line for line in said.splitlines() if line.startswith(("PASS", "miss"))]
    assert ["memory after" in line for line in verdicts] == [True, True], said


def test_the_comparison_with_peers_tells_what_the_sink_saw() -> None:
    """`against_peers.py` counts the pushes where they arrive, not only where they leave."""
    said = bench("against_peers.py", "--only", "heliogram send_many", "--pushes", "100", "--rounds", "1")
    assert "pushes over 1 connections" in said, said


@pytest.mark.parametrize("style", ["literal", "indexed-huffman"])
def test_pushes_through_the_relay_take_its_round_trip_and_are_answered(
    style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sink and relay as `engine.py` uses them: every push answered as asked, no faster than the relay allows."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.sinks import Unsupported, relay, sink

    try:
        server = sink(tmp_path, [], "--style", style, "--reject-every", "2")
    except Unsupported as error:
        pytest.skip(f"no C compiler with OpenSSL's headers (Debian: apt-get install gcc libssl-dev): {error}")
    with server, relay(server.port, [], 5) as way:
        words = ["load.py", str(way.port), str(tmp_path / "ca.pem"), "50", "--warm", "50"]
        told = json.loads(bench(*words))
        seen = server.ask()
    assert told["ended"] == {"Accepted": 25, "Rejected": 25}
    assert told["round_trip"] >= 0.010
    assert (seen["connections"], seen["rejected"], seen["overdrawn"]) == (1, 52, 0)


def test_the_retention_benchmark_tells_the_longest_slice() -> None:
    """`retention.py` fills, removes, gives space back, and says how long others waited."""
    said = bench("retention.py", "--recipients", "1000", "--small", "20")
    assert [line.split()[0] for line in said.splitlines() if "longest" in line] == ["remove", "compact"], said


def test_the_latency_benchmark_tells_its_percentiles() -> None:
    """`latency.py --only CASE` measures single sends and ends with a line for each target of that case."""
    said = bench("latency.py", "--only", "idle", "--seconds", "0.2", "--rounds", "1")
    assert "a flush of this disk takes" in said, said
    verdicts = [line.split()[1:3] for line in said.splitlines() if line.startswith(("PASS", "miss"))]
    assert verdicts == [["idle:", "p50"], ["idle:", "p99"]], said


def test_the_memory_benchmark_tells_the_most_there_was() -> None:
    """`memory.py` has a verdict on the idle service and on the campaign."""
    said = bench("memory.py", "--recipients", "20000", "--seconds", "0")
    assert [line.split()[0] for line in said.splitlines() if "MiB  " in line] == ["PASS", "PASS"], said
