"""One line of what was found."""

from __future__ import annotations

import enum

import msgspec


class State(enum.StrEnum):
    """How serious it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, or may; somebody should look."""
    FAILED = "failed"
    """It does not work."""


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, what was seen, and what to do about it."""

    check: str
    state: State
    text: str
    cure: str = ""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, text)


def warning(check: str, text: str, cure: str) -> Finding:
    """Worth a look."""
    return Finding(check, State.WARNING, text, cure)


def failed(check: str, text: str, cure: str) -> Finding:
    """It does not work."""
    return Finding(check, State.FAILED, text, cure)
