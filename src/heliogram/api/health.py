"""Whether the process is there, and whether it can work: for load balancers and for whoever starts it anew.

Two questions, as Kubernetes puts them: a process that is not alive is to be started again, one that is not ready is to
be given no work for a while. These endpoints need no key and tell nothing of accounts.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from starlette.applications import Starlette

from .. import __version__
from ..domain.errors import MEANINGS, Code
from ..ports import Readiness
from ..rest import Call, Problem, build_app, endpoint

RETRY_AFTER = "5"
"""Seconds after which to ask again."""


class HasReadiness(Protocol):
    """What the endpoints need of an application's state."""

    @property
    def readiness(self) -> Readiness:
        """What may be missing."""


class Health(msgspec.Struct, frozen=True):
    """The server answers."""

    status: str


@endpoint(
    "GET",
    "/health",
    summary="Tell that the server answers",
    tag="Health",
    returns=Health,
    scope=None,
    basis="ours",
    prefixed=False,
)
async def get_health(call: Call[HasReadiness]) -> Health:
    """Needs no key and tells nothing else."""
    return Health("ok")


@endpoint(
    "GET",
    "/health/live",
    summary="Tell that the process is alive",
    tag="Health",
    returns=Health,
    scope=None,
    basis="ours",
    prefixed=False,
)
async def get_liveness(call: Call[HasReadiness]) -> Health:
    """As `/health`, under the name that orchestrators look for: whoever gets no answer may start the process anew."""
    return Health("ok")


@endpoint(
    "GET",
    "/health/ready",
    summary="Tell whether the process can work",
    tag="Health",
    returns=Health,
    scope=None,
    errors=(503,),
    basis="ours",
    prefixed=False,
)
async def get_readiness(call: Call[HasReadiness]) -> Health:
    """503 while the store or the queue cannot be reached, or once the process was asked to stop: a load balancer sends
    its requests elsewhere then. `detail` says what is missing."""
    missing = await call.state.readiness.missing()
    if missing:
        detail = f"{MEANINGS[Code.NOT_READY]} Missing: {'; '.join(missing)}."
        raise Problem(503, Code.NOT_READY, "Not ready", detail, headers={"Retry-After": RETRY_AFTER})
    return Health("ready")


ENDPOINTS = (get_health, get_liveness, get_readiness)


def build_health(state: HasReadiness) -> Starlette:
    """An application with these endpoints alone, for processes that serve no API."""
    return build_app(
        ENDPOINTS,
        state=state,
        title="Heliogram",
        version=__version__,
        description="A process of Heliogram that serves no API: whether it is there, and whether it can work.",
        codes={int(code): text for code, text in MEANINGS.items()},
    )
