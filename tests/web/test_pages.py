"""Every page, in a browser."""

from __future__ import annotations

import pytest
from support.dashboard import Window

pytestmark = pytest.mark.anyio


async def test_the_overview_is_for_everybody(window: Window) -> None:
    """axe finds nothing wrong with the first page, at any width, by day and by night."""
    await window.check()
