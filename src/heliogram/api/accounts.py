"""The caller's own account."""

from __future__ import annotations

import msgspec

from ..domain import ids
from ..domain.accounts import MAX_KEYS, Scope
from ..rest import Call, endpoint, not_found
from .answers import account_of, moment
from .state import ApiState


class LimitsOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the account may have, and how many requests a second it may make (null: as many as it likes), `burst` of
    them at once. `weight` is its share of the sending beside other accounts; `queuedRecipients` may wait to be sent
    to."""

    apps: int
    credentials_per_app: int
    api_keys: int
    requests_per_second: float | None
    burst: int | None
    weight: int
    queued_recipients: int


class CountsOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the account has. Of the API keys those that are active; of recipients those that were accepted and have
    not ended."""

    apps: int
    credentials: int
    api_keys: int
    webhooks: int
    queued_recipients: int


class AccountOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account: all that a key can see or change belongs to one."""

    id: str
    name: str
    limits: LimitsOut
    counts: CountsOut
    created_at: str


@endpoint(
    "GET",
    "/Account",
    summary="Get the account",
    tag="Account",
    returns=AccountOut,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def get_account(call: Call[ApiState]) -> AccountOut:
    """The account that the API key belongs to, its limits and how much of them it uses.

    Accounts are made, limited and disabled with the command line on the server (`heliogram accounts`), not here.
    """
    ident = account_of(call)
    account = await call.state.store.get_account(ident)
    if account is None:
        raise not_found("Account", ids.encode(ids.ACCOUNT, ident))
    counts = await call.state.store.count_account(ident, call.state.now())
    limits = account.limits
    return AccountOut(
        id=ids.encode(ids.ACCOUNT, ident),
        name=account.name,
        limits=LimitsOut(
            apps=limits.apps,
            credentials_per_app=limits.credentials_per_app,
            api_keys=MAX_KEYS,
            requests_per_second=limits.requests_per_second,
            burst=None if limits.requests_per_second is None else int(limits.at_once),
            weight=limits.weight,
            queued_recipients=call.state.settings.queue.account,
        ),
        counts=CountsOut(
            apps=counts.apps,
            credentials=counts.credentials,
            api_keys=counts.api_keys,
            webhooks=counts.webhooks,
            queued_recipients=counts.waiting,
        ),
        created_at=moment(account.created),
    )
