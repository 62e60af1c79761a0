"""What happens just now, for whoever looks on: the last minutes from memory, and what waits."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.operations import Lane
from ..ports import LaneDepth, SecondOf, SeenOutcome
from ..ports.activity import OUTCOMES_KEPT
from ..rest import Call, endpoint
from .answers import account_of, moment, precise_moment
from .state import ApiState

DEFAULT_LIMIT = 100


class SecondOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Recipients that ended within one second, and how long APNs took to answer: half of its answers came within
    `p50Ms`, 99 of 100 within `p99Ms`; null when none came."""

    at: str
    sent: int
    failed: int
    unaddressable: int
    p50_ms: int | None
    p99_ms: int | None


class ReasonOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts did not succeed for this reason in the seconds shown; some of them are tried again."""

    reason: str
    count: int


class LaneName(enum.StrEnum):
    """`tx`: sends to at most 100 recipients. `bulk`: all larger ones."""

    TX = "tx"
    BULK = "bulk"


class LaneOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a lane holds, in recipients. `waiting` are due, or just being sent to; `later` are scheduled, or put off
    until they are tried again. `oldestSeconds` is for how long the first that nobody took has been due, null when
    none is."""

    lane: LaneName
    waiting: int
    later: int
    oldest_seconds: float | None


class ActivityOut(msgspec.Struct, frozen=True, kw_only=True):
    """The last five minutes of the account: the seconds in which something ended, the oldest first, and why attempts
    did not succeed. `node` is who answers; `sends` is false when that node neither sends nor hears of those that do:
    its seconds and reasons are empty then. `nodes` are those whose pushes are counted: on a shared store all that send,
    also one that is gone since."""

    node: str
    nodes: list[str]
    sends: bool
    seconds: list[SecondOut]
    reasons: list[ReasonOut]
    lanes: list[LaneOut]


class OutcomeName(enum.StrEnum):
    """How an attempt ended for good. `sent` says that the provider accepted it, which is not delivery."""

    SENT = "sent"
    FAILED = "failed"
    UNADDRESSABLE = "unaddressable"


class OutcomeOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one attempt at one device ended. `status` is APNs' (0 when it never answered); `token` is masked; `node` sent
    it."""

    sequence: int
    at: str
    node: str
    notification_id: str
    operation_id: str
    outcome: OutcomeName
    status: int
    reason: str
    token: str


class OutcomesOut(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes in the order in which they came. Give `last` as `after` of the next request; `missed` are those in
    between that are not kept."""

    outcomes: list[OutcomeOut]
    last: int
    missed: int


class OutcomesQuery(msgspec.Struct, kw_only=True):
    """Where to go on, and how many at most."""

    after: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None,
        msgspec.Meta(description="Outcomes after this sequence; the newest when it is left out."),
    ] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=OUTCOMES_KEPT, description="The most outcomes to answer with.")] = (
        DEFAULT_LIMIT
    )


@endpoint(
    "GET",
    "/Activity",
    summary="See what happens just now",
    tag="Activity",
    returns=ActivityOut,
    scope=Scope.READ,
    basis="ours",
)
async def get_activity(call: Call[ApiState]) -> ActivityOut:
    """Recipients that ended in each of the last 300 seconds, why attempts failed, and what waits.

    Counted in memory: nothing is known of the time before the node was started. Nodes on a shared store tell each other
    while somebody asks, within two seconds; percentiles are of all their answers together. What a node that died had
    not told yet, five minutes at most if nobody was asking, is in the lists of notifications alone.
    """
    account, book = account_of(call), call.state.activity
    await book.refresh(account)
    depths = {depth.lane: depth for depth in await book.lanes(account)}
    now = call.state.now()
    return ActivityOut(
        node=book.node,
        nodes=book.nodes(account),
        sends=book.sends,
        seconds=[_second(each) for each in book.seconds(account)],
        reasons=[ReasonOut(reason=reason, count=count) for reason, count in book.reasons(account)],
        lanes=[_lane(lane, depths.get(lane), now) for lane in Lane],
    )


@endpoint(
    "GET",
    "/Activity/Outcomes",
    summary="Follow outcomes",
    tag="Activity",
    query=OutcomesQuery,
    returns=OutcomesOut,
    scope=Scope.READ,
    basis="ours",
)
async def list_activity_outcomes(call: Call[ApiState]) -> OutcomesOut:
    """The latest outcomes of the account that this node knows, of which it keeps the newest 1,000. On a shared store
    they are those of all nodes, and each of them counts the sequence alike: the next request may go to another one.

    At most about 100 of each second and node are kept, failures first. What became of every notification is in the
    lists of notifications and operations.
    """
    query: OutcomesQuery = call.query
    await call.state.activity.refresh(account_of(call))
    seen = call.state.activity.outcomes(account_of(call), after=query.after, limit=query.limit)
    return OutcomesOut(outcomes=[_outcome(each) for each in seen.outcomes], last=seen.last, missed=seen.missed)


def _second(second: SecondOf) -> SecondOut:
    return SecondOut(
        at=moment(second.at * 1000),
        sent=second.sent,
        failed=second.failed,
        unaddressable=second.unaddressable,
        p50_ms=second.p50_ms,
        p99_ms=second.p99_ms,
    )


def _lane(lane: Lane, depth: LaneDepth | None, now: int) -> LaneOut:
    name = LaneName(lane.name.lower())
    if depth is None:
        return LaneOut(lane=name, waiting=0, later=0, oldest_seconds=None)
    oldest = None if depth.oldest_due is None else round(max(0, now - depth.oldest_due) / 1000, 3)
    return LaneOut(lane=name, waiting=depth.waiting, later=depth.later, oldest_seconds=oldest)


def _outcome(seen: SeenOutcome) -> OutcomeOut:
    return OutcomeOut(
        sequence=seen.sequence,
        at=precise_moment(seen.at),
        node=seen.node,
        notification_id=ids.encode(ids.NOTIFICATION, seen.notification_id),
        operation_id=ids.encode(ids.OPERATION, ids.split_notification_id(seen.notification_id)[0]),
        outcome=OutcomeName(seen.outcome),
        status=seen.status,
        reason=seen.reason,
        token=seen.token,
    )
