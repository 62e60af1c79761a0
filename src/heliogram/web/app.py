"""The dashboard as one application."""

from __future__ import annotations

import importlib
import pkgutil

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from ..ports import Authenticator, Clock, Readiness, Sealer, SessionStore
from . import pages
from .context import Desk
from .gate import Gate
from .messages import Messages
from .session import Sessions
from .static import StaticFiles
from .templating import environment
from .throttle import SignInThrottle

Dashboard = Gate


def build_dashboard(
    api: ASGIApp,
    *,
    sealer: Sealer,
    authenticator: Authenticator,
    ended: SessionStore,
    clock: Clock,
    readiness: Readiness,
    behind_proxy: bool = False,
    tick_seconds: float = 1.0,
) -> Dashboard:
    """The pages over an API. `ended` remembers who signed out; `behind_proxy`: a proxy in front speaks TLS;
    `tick_seconds` lie between two pictures of what is live."""
    static = StaticFiles()
    desk = Desk(
        api=api,
        clock=clock,
        readiness=readiness,
        sessions=Sessions(sealer, clock, ended),
        messages=Messages(sealer, clock),
        throttle=SignInThrottle(clock),
        authenticator=authenticator,
        templates=environment(static),
        behind_proxy=behind_proxy,
        tick_seconds=tick_seconds,
    )
    app = Starlette(routes=[static.route(), *_routes()])
    app.router.redirect_slashes = False
    app.state.desk = desk
    return Gate(app, desk)


def _routes() -> list[BaseRoute]:
    """What every module of `pages` has in `ROUTES`."""
    names = sorted(each.name for each in pkgutil.iter_modules(pages.__path__))
    modules = [importlib.import_module(f"{pages.__name__}.{name}") for name in names if not name.startswith("_")]
    return [route for module in modules for route in module.ROUTES]
