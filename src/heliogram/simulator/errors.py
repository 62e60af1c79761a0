"""What the simulator answers its operator with when a request makes no sense."""

from __future__ import annotations


class SimulatorError(Exception):
    """A request to the simulator cannot be carried out; ``field`` names the input at fault, if there is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Invalid(SimulatorError):
    """An input is malformed or out of bounds."""


class Missing(SimulatorError):
    """The device, app or key named does not exist."""


class Conflict(SimulatorError):
    """The request contradicts what is there already."""


class PortTaken(SimulatorError):
    """A listener cannot open its port."""
