"""`scripts/cluster`, as people run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest
from support.postgres import require_postgres
from support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
SCRIPT = Path(__file__).parents[2] / "scripts" / "cluster"


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def test_it_comes_up_answers_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    """It prints where all of it is and a key that works; afterwards no process is left."""
    require_postgres()
    words = ["--api", "1", "--workers", "1", "--loopback", "--json", "--keep", str(tmp_path / "kept")]
    with (tmp_path / "errors").open("w+") as errors:
        script = subprocess.Popen([SCRIPT, *words], stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert script.stdout is not None
            line = script.stdout.readline()
            assert line, (tmp_path / "errors").read_text()
            found = json.loads(line)
            pids = [node["pid"] for node in found["nodes"].values()]
            key = (found["apiKey"]["keyId"], found["apiKey"]["secret"])
            url = f"{found['nodes']['api-1']['url']}/v1/PushNotifications/Operations"
            assert httpx2.get(url, auth=key, trust_env=False, timeout=HANG_SECONDS).status_code == 200
        finally:
            script.send_signal(signal.SIGINT)
            code = script.wait(HANG_SECONDS)
            if script.stdout is not None:
                script.stdout.close()
    assert code == 0
    assert not any(map(lives, pids))
    assert sorted(found["nodes"]) == ["api-1", "dispatcher-1", "worker-1"]


def test_its_help_says_what_to_try() -> None:
    """All that it can do, and how a cable is pulled."""
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert "--nats" in done.stdout
    assert "nsenter" in done.stdout
