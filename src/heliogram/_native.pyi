"""Twins of the engine's innermost loops. `heliogram._accel` says when they are used, `_native.c` what they take."""

from typing import Any

def twin(name: str, /, *parts: object) -> Any:
    """The twin of that name bound to what it works with; TypeError or AttributeError when that is not what it knows."""
