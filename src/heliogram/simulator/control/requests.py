"""The control API on the requests APNs got, what is wrong with the pushes, and what clients did against the rules."""

from __future__ import annotations

from heliogram.rest import Call, endpoint

from ..errors import Missing
from ..journal import RequestDetail
from .base import Controlled, endpoints_of, problems
from .requests_schemas import AnswerList, AnswerQuery, RequestList, RequestQuery, ViolationList, ViolationQuery


@endpoint(
    "GET",
    "/requests",
    summary="See the requests APNs got",
    tag="Requests",
    query=RequestQuery,
    returns=RequestList,
    scope=None,
    basis="ours",
)
async def list_requests(call: Call[Controlled]) -> RequestList:
    """Each with its ``findings``, faults of a push that APNs accepts all the same, and its ``violations``.

    Findings are on accepted pushes only: a rejected one has its ``reason``.
    """
    query: RequestQuery = call.query
    simulator = call.state.simulator
    return RequestList(simulator.requests(query.limit), dict(simulator.apns.journal.outcomes))


@endpoint(
    "GET",
    "/requests/{number}",
    summary="Look at a request",
    tag="Requests",
    returns=RequestDetail,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def get_request(call: Call[Controlled]) -> RequestDetail:
    """With its header fields and its body. The provider token is left out."""
    number = call.path["number"]
    with problems():
        if not number.isascii() or not number.isdigit() or len(number) > 15:
            raise Missing(f"there is no request {number[:30]}; GET /requests lists their numbers", field="number")
        return call.state.simulator.apns.journal.detail(int(number))


@endpoint(
    "GET",
    "/answers",
    summary="Read what every push was answered",
    tag="Requests",
    query=AnswerQuery,
    returns=AnswerList,
    scope=None,
    basis="ours",
)
async def list_answers(call: Call[Controlled]) -> AnswerList:
    """In the order in which they were given, for a test that compares all of them with what its service says: ask
    again with ``after`` the last number that came, until nothing comes."""
    query: AnswerQuery = call.query
    return AnswerList(call.state.simulator.apns.journal.answers(query.after, query.limit))


@endpoint(
    "GET",
    "/violations",
    summary="See what clients did against the rules",
    tag="Requests",
    query=ViolationQuery,
    returns=ViolationList,
    scope=None,
    basis="ours",
)
async def list_violations(call: Call[Controlled]) -> ViolationList:
    """Whatever was answered: several streams before the first provider token is verified (CONN-14), a token changed
    too early (TOK-9), a push to a token that had answered 410 before, and so on, each with its connection.
    """
    query: ViolationQuery = call.query
    violations = call.state.simulator.apns.violations
    found = violations.latest(query.limit, rule=query.rule, connection=query.connection)
    return ViolationList(violations=found, by_rule=dict(violations.by_rule))


ENDPOINTS = endpoints_of(globals())
