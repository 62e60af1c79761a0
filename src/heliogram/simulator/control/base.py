"""What all endpoints of the control API share: what they work on, and how the simulator's errors become answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from heliogram.rest import Endpoint, FieldError, Problem, invalid

from ..errors import Conflict, Invalid, Missing
from ..forward import Forwarder
from ..simulator import Simulator
from .page import Page

NOT_FOUND = 20404
CONFLICT = 20409
CODES = {CONFLICT: "The request contradicts what the simulator holds already."}


class Controlled:
    """What the endpoints work on."""

    def __init__(self, simulator: Simulator, forwarder: Forwarder) -> None:
        self.simulator = simulator
        self.forwarder = forwarder
        self.page = Page()

    def __repr__(self) -> str:
        return f"<Controlled {self.simulator!r} {self.forwarder!r}>"


@contextmanager
def problems() -> Iterator[None]:
    """Errors of the simulator as answers."""
    try:
        yield
    except Invalid as error:
        raise invalid([FieldError("$" if error.field is None else f"$.{error.field}", error.message)]) from error
    except Missing as error:
        raise Problem(404, NOT_FOUND, "Not found", error.message) from error
    except Conflict as error:
        raise Problem(409, CONFLICT, "Conflict", error.message) from error


def endpoints_of(module: Mapping[str, object]) -> tuple[Endpoint, ...]:
    """The endpoints among a module's ``globals()``, in the order in which they stand there."""
    return tuple(value for value in module.values() if isinstance(value, Endpoint))
