"""`Idempotency-Key`: a write that is sent again is not done again.

Before a write with a key is handled, the key is reserved on disk together with the id that its resource is to get, so
that a write whose answer was lost (with the connection, or in a crash) finds what it made. The first answer is kept for
24 hours, sealed: some answers hold a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextvars import ContextVar

from starlette.responses import Response

from ..domain.accounts import Principal
from ..domain.errors import Code, Conflict, Unavailable
from ..domain.ids import IdFactory
from ..pacing import pause
from ..ports import KeptAnswer, KeyTaken, Reserved
from ..rest import Around, Call, FieldError, Problem, Proceed, Request, Result, Writing, invalid
from .answers import account_of, operation_accepted
from .state import ApiState

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY = 255
FREE_AGAIN_S = (0.2, 0.3, 0.5, *(1.0,) * 60)
"""Seconds between two tries to free the key of a request that the store was away for."""
NOT_KEPT = frozenset({401, 403, 429})
"""Answers that say nothing of the request itself, as those from 500 on: it is handled anew when it comes again."""
_PATTERN = r"[!-~](?:[ -~]{0,253}[!-~])?"
_KEY = re.compile(_PATTERN)
_DESCRIPTION = (
    "Makes it safe to send this request again: with the same key, method, path and body the first answer is given again"
    " for 24 hours, and nothing is done twice. 1 to 255 printable ASCII characters; a UUID for each request will do."
)

_reserved: ContextVar[list[bytes] | None] = ContextVar("heliogram_reserved_id", default=None)


class ReservingIds(IdFactory):
    """Ids as before, but for the first that is made while handling a request with a key: that one was reserved."""

    def __init__(self, ids: IdFactory) -> None:
        self._ids = ids

    def new(self) -> bytes:
        """The reserved id, then fresh ones."""
        reserved = _reserved.get()
        return reserved.pop() if reserved else self._ids.new()


class Idempotency:
    """What goes around every write that carries a key. `state.ids` is asked for ids to reserve."""

    def __init__(self, state: ApiState) -> None:
        self._state = state
        self._freeing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Idempotency(freeing={len(self._freeing)})"

    def around(self) -> Around:
        """The hook for `build_app`."""
        return Around(
            header=HEADER,
            handle=self.handle,
            description=_DESCRIPTION,
            schema={"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": f"^{_PATTERN}$"},
            response_headers={REPLAYED: "`true` when this is the answer to an earlier request with the same key."},
            errors=(409,),
        )

    async def handle(self, writing: Writing, proceed: Proceed) -> Response:
        """The first answer to this request, or what comes of handling it now."""
        state, account = self._state, writing.call.auth.account_id
        key = _key_of(writing.call.request, writing.call.auth)
        now = state.now()
        ident, until = state.ids.new(), now + state.settings.hold_ms
        try:
            found = await state.store.reserve_key(account, key, fingerprint(writing), ident=ident, now=now, until=until)
        except Unavailable:  # it may have been written all the same
            self._free_later(account, key, Reserved(ident=ident), until)
            raise
        if isinstance(found, KeptAnswer):
            return self._replay(account, found)
        if found is KeyTaken.REUSED:
            message = "this Idempotency-Key was used for another request in the last 24 hours: take a new one"
            raise Conflict(message, Code.IDEMPOTENCY_KEY_REUSED)
        if not isinstance(found, Reserved):
            raise key_in_use()
        response = await self._recover(writing, found) if found.again else None
        if response is None:
            # Without a way to find what was made, a second try makes another: its id must be its own.
            response = await _with_reserved(found.ident, proceed) if writing.endpoint.recover else await proceed()
        try:
            settled = await self._settle(account, key, found, response)
        except Unavailable:
            self._free_later(account, key, found, until)
            if response.status_code < 500:
                raise
            return response
        if not settled:  # what this one made counts no more, such as a secret in the place of which another was put
            raise key_in_use()
        return response

    def _free_later(self, account: bytes, key: str, held: Reserved, until: int) -> None:
        """What could not be handled since the store was away need not keep its key until nobody can be at it."""
        task = asyncio.get_running_loop().create_task(self._free(account, key, held, until))
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)

    async def _free(self, account: bytes, key: str, held: Reserved, until: int) -> None:
        state = self._state
        for wait in FREE_AGAIN_S:
            await pause(state.clock, wait)
            if state.now() >= until:
                return
            try:
                await state.store.free_key(account, key, held.ident, owner=held.owner)
            except Unavailable:
                continue
            return

    async def _recover(self, writing: Writing, found: Reserved) -> Response | None:
        """The answer for what an earlier try has made, None when it has made nothing."""
        recover = writing.endpoint.recover
        result = None if recover is None else await recover(writing.call, found.ident)
        if result is None:
            return None
        response = writing.answer(result)
        response.headers[REPLAYED] = "true"
        return response

    async def _settle(self, account: bytes, key: str, held: Reserved, response: Response) -> bool:
        """Keeps the answer, or frees the key; False when another request has taken the key over."""
        store, ident = self._state.store, held.ident
        if response.status_code in NOT_KEPT or response.status_code >= 500:
            await store.free_key(account, key, ident, owner=held.owner)
            return True
        left_out = ("content-length", REPLAYED.lower())
        headers = [(name, value) for name, value in response.headers.items() if name not in left_out]
        sealed = self._state.sealer.seal(
            bytes(response.body), table="idempotency", column="sealed", row=ident, account=account
        )
        answer = KeptAnswer(ident=ident, status=response.status_code, headers=headers, sealed=sealed)
        return await store.keep_answer(account, key, answer, owner=held.owner)

    def _replay(self, account: bytes, kept: KeptAnswer) -> Response:
        body = self._state.sealer.open(
            kept.sealed, table="idempotency", column="sealed", row=kept.ident, account=account
        )
        return Response(body, status_code=kept.status, headers={**dict(kept.headers), REPLAYED: "true"})


async def made_operation(call: Call[ApiState], ident: bytes) -> Result | None:
    """The answer to a send whose operation is there: what `recover` of an endpoint that sends is."""
    operation = await call.state.store.get_operation(account_of(call), ident)
    return None if operation is None else operation_accepted(call, ident)


def key_in_use() -> Problem:
    """The 409 while another request with the same key is at it."""
    detail = "The request with this Idempotency-Key is being handled. Ask again in a second."
    return Problem(409, Code.IDEMPOTENCY_KEY_IN_USE, "Conflict", detail, headers={"Retry-After": "1"})


async def _with_reserved(ident: bytes, proceed: Proceed) -> Response:
    token = _reserved.set([ident])
    try:
        return await proceed()
    finally:
        _reserved.reset(token)


def fingerprint(writing: Writing) -> bytes:
    """What tells one request from another: method, path with its version, query and body."""
    url = writing.call.request.url
    digest = hashlib.sha256()
    for part in (writing.endpoint.method.encode(), url.path.encode(), url.query.encode(), writing.raw):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _key_of(request: Request, principal: Principal) -> str:
    """The key, apart for each user that calls with a registration token. Raises a 400 for one that cannot be."""
    given = request.headers.getlist(HEADER)
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        message = "Expected one header with 1 to 255 printable ASCII characters, such as a UUID."
        raise invalid([FieldError(f"header.{HEADER}", message, Code.INVALID_VALUE)])
    grant = principal.registration
    return given[0] if grant is None else f"{grant.app_name}\n{grant.user_id.hex()}\n{given[0]}"
