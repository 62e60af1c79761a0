"""`heliogram` with its upkeep right after the start, so that a test can kill it there: `early_upkeep.py serve …`."""

from __future__ import annotations

from heliogram.cli import main
from heliogram.upkeep import Upkeep

FIRST_SECONDS = 0.1

if __name__ == "__main__":
    defaults = Upkeep.__init__.__kwdefaults__
    assert defaults is not None
    assert "first" in defaults, defaults
    defaults["first"] = FIRST_SECONDS
    main()
