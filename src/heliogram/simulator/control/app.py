"""The control API as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware

import heliogram
from heliogram.rest import build_app

from ..forward import Forwarder
from ..scenario import FILE_LIMIT
from ..simulator import Simulator
from . import (
    about,
    apps,
    channels,
    clock,
    connections,
    devices,
    events,
    faults,
    keys,
    phones,
    portal,
    requests,
    scenario,
)
from .base import CODES, Controlled
from .guard import LoopbackGuard

BODY_LIMIT = FILE_LIMIT
"""A scenario is the largest thing that is sent."""

ENDPOINTS = (
    *about.ENDPOINTS,
    *clock.ENDPOINTS,
    *keys.ENDPOINTS,
    *portal.ENDPOINTS,
    *devices.ENDPOINTS,
    *apps.ENDPOINTS,
    *channels.ENDPOINTS,
    *connections.ENDPOINTS,
    *faults.ENDPOINTS,
    *phones.ENDPOINTS,
    *events.ENDPOINTS,
    *scenario.ENDPOINTS,
    *requests.ENDPOINTS,
)


def build_control(simulator: Simulator, forwarder: Forwarder, *, host: str = "127.0.0.1") -> Starlette:
    """The application for a control API bound to ``host``; bodies of at most 64 MiB.

    ``app.state.closing`` is to be called before its server stops: it ends the streams of events.
    """
    state = Controlled(simulator, forwarder)
    app = build_app(
        ENDPOINTS,
        prefixes=("",),
        state=state,
        title="Heliogram simulator",
        version=heliogram.__version__,
        description="Controls a simulated APNs: its signing keys, its virtual devices, the requests it got.",
        codes=CODES,
        body_limit=BODY_LIMIT,
        extra_routes=state.page.routes(),
        middleware=[Middleware(LoopbackGuard, host=host)],
    )
    app.state.closing = simulator.apns.feed.end
    return app
