"""The HTTP layer: endpoints declared once give route, decoder, scope, OpenAPI entry and error shape.

Imports nothing else of the project; the service's API and the simulator's control API are both built on it.
"""

from .app import Answered, Authenticate, build_app
from .around import Around, Proceed, Writing
from .decode import collect_errors, decode_body, decode_query
from .endpoint import LONG_BODY, Call, Endpoint, Result, endpoint
from .openapi import Documented, openapi
from .paging import PageQuery, Pagination, page, resume
from .problem import (
    LAYER_CODES,
    FieldError,
    Problem,
    ProblemBody,
    child,
    invalid,
    not_found,
    pointer,
    problem_response,
)
from .request import Request
from .requestid import current_request_id

__all__ = [
    "LAYER_CODES",
    "LONG_BODY",
    "Answered",
    "Around",
    "Authenticate",
    "Call",
    "Documented",
    "Endpoint",
    "FieldError",
    "PageQuery",
    "Pagination",
    "Problem",
    "ProblemBody",
    "Proceed",
    "Request",
    "Result",
    "Writing",
    "build_app",
    "child",
    "collect_errors",
    "current_request_id",
    "decode_body",
    "decode_query",
    "endpoint",
    "invalid",
    "not_found",
    "openapi",
    "page",
    "pointer",
    "problem_response",
    "resume",
]
