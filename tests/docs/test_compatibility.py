"""docs/reference/twilio-compatibility.md says what the tests say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_compatibility_page_is_up_to_date() -> None:
    """The page is what scripts/compatibility writes, and no fact or choice is without a test."""
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/compatibility", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"run scripts/compatibility and commit the page\n{run.stderr}"
