"""docs/reference/apns-conformance.md says what the tests say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_conformance_page_is_up_to_date() -> None:
    """The page is what scripts/conformance writes, and whoever is said to keep a rule has a test that cites it."""
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/conformance", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"run scripts/conformance and commit the page\n{run.stderr}"
