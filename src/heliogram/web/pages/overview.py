"""What happens now, and what is wrong."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import render


async def overview(request: Request) -> Response:
    """The first page."""
    return render(request, "overview/page.html")


ROUTES = [Route("/", overview, methods=["GET"])]
