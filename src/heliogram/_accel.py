"""The one place that decides whether the twins in C (`_native.c`) do the inner loops, or the Python code they mirror.

They are used when they were built, unless `HELIOGRAM_PURE` is 1 in the environment. What they cannot do in the plain
way goes to the Python code in any case; it is the reference.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any


def _load() -> ModuleType | None:
    if os.environ.get("HELIOGRAM_PURE") == "1":
        return None
    try:
        from heliogram import _native
    except ImportError:
        return None
    return _native


_twins = _load()


def is_native() -> bool:
    """Whether the twins in C are at work."""
    return _twins is not None


def twin(name: str, *parts: object) -> Any:
    """The twin in C of that name, bound to the classes and objects it works with; `_native.c` says which.

    None when there are no twins, or when a class is laid out in another way than they know: then Python does the work.
    """
    if _twins is None:
        return None
    try:
        return _twins.twin(name, *parts)
    except (TypeError, AttributeError):
        return None
