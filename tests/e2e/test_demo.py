"""`heliogram demo`, as `make demo` runs it."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest
from support.programs import heliogram


def test_the_demo_ends_with_the_notification_and_a_second_run_reuses_what_it_made(tmp_path: Path) -> None:
    """Exit code 0 once the phone has it; run again with a port taken, it says so and keeps its keys and credential."""
    data = tmp_path / "data"
    first = heliogram("demo", "--once", "--data", str(data), timeout=90)
    assert first.returncode == 0, first.stdout + first.stderr
    assert '"status": "COMPLETED", "stats": {"total": 1' in first.stdout
    assert "Hello, Ada" in first.stdout
    made = json.loads((data / "demo.json").read_text())
    assert made["apiSecret"] not in first.stdout
    assert "PRIVATE KEY" not in first.stdout

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # somebody else has it: taken all the same
        second = heliogram("demo", "--once", "--data", str(data), timeout=90)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "port 8080 is taken: the REST API uses" in second.stdout
    assert "still opens" in second.stdout
    assert json.loads((data / "demo.json").read_text()) == made
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in data.iterdir() if file.is_file()}
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("left", ["", '{"p8": "damaged", "keyId": "ABCDE12345", "teamId": "ABCDE12345"}'])
def test_a_run_that_forgot_its_key_makes_another(tmp_path: Path, left: str) -> None:
    """With `demo.json` damaged and the database still there, the new key is the one that sends."""
    data = tmp_path / "data"
    first = heliogram("demo", "--once", "--data", str(data), timeout=90)
    assert first.returncode == 0, first.stdout + first.stderr
    (data / "demo.json").write_text(left)
    again = heliogram("demo", "--once", "--data", str(data), timeout=90)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Hello, Ada" in again.stdout


def test_a_step_that_fails_says_why_and_exits_1(tmp_path: Path) -> None:
    """A damaged database stops the demo at the step that needs it, with the service's own words."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "heliogram.db").write_bytes(b"this is not a database" * 500)
    done = heliogram("demo", "--once", "--data", str(data), timeout=90)
    assert done.returncode == 1
    assert "demo: step 2 failed: `heliogram serve` did not become ready" in done.stderr
    assert "is not an SQLite database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_made_is_named() -> None:
    """The first step needs the data directory."""
    done = heliogram("demo", "--once", "--data", "/dev/null/data")
    assert done.returncode == 1
    assert "cannot use the data directory /dev/null/data" in done.stderr
