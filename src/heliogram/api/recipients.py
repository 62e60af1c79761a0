"""Recipients of a send: from what the caller wrote to what a chunk packs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import structs

from ..domain import ids
from ..domain.apps import ProviderName
from ..domain.devices import MAX_EXTERNAL_ID, MAX_FCM_TOKEN, InvalidDeviceToken, normalize_token
from ..domain.errors import Code, FieldProblem
from ..domain.lookups import Wanted
from ..domain.notifications import MAX_RECIPIENTS, MIN_RECIPIENTS, Recipient
from ..pacing import turn
from ..ports import Store
from ..rest import FieldError
from .registering import UserId

MAX_PROBLEMS = 20
MAX_VARIABLES = 100
"""Variables of a recipient, and entries of an object among them."""
MAX_VARIABLE_NAME = 128
MAX_VARIABLE_TEXT = 16_384
MAX_VARIABLE_ITEMS = 1_000
INT64 = 2**63

SLICE = 250
"""Recipients that are looked at in one go: less than half a millisecond."""

_Name = Annotated[str, msgspec.Meta(max_length=MAX_VARIABLE_NAME)]
_Scalar = (
    Annotated[str, msgspec.Meta(max_length=MAX_VARIABLE_TEXT)]
    | Annotated[int, msgspec.Meta(ge=-INT64, le=INT64 - 1)]
    | float
    | bool
    | None
)
_Inner = (
    _Scalar
    | Annotated[list[_Scalar], msgspec.Meta(max_length=MAX_VARIABLE_ITEMS)]
    | Annotated[dict[_Name, _Scalar], msgspec.Meta(max_length=MAX_VARIABLES)]
)
Variable = (
    _Scalar
    | Annotated[list[_Inner], msgspec.Meta(max_length=MAX_VARIABLE_ITEMS)]
    | Annotated[dict[_Name, _Inner], msgspec.Meta(max_length=MAX_VARIABLES)]
)
Variables = Annotated[dict[_Name, Variable], msgspec.Meta(max_length=MAX_VARIABLES)]


class RecipientIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """One recipient: `token` and `provider`, or `userId`, or the user's `externalId`. `variables` fill the templates
    for this one alone: up to 100 texts (16,384 characters), numbers, Booleans, and lists (1,000 items) and objects of
    them, two levels deep."""

    __openapi__: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": ["token", "provider"]}, {"required": ["userId"]}, {"required": ["externalId"]}]
    }

    token: (
        Annotated[
            str,
            msgspec.Meta(
                description="APNs: 16 to 400 hexadecimal digits, two for each byte. FCM: the registration token.",
                extra_json_schema={"minLength": 1, "maxLength": MAX_FCM_TOKEN},
            ),
        ]
        | None
    ) = None
    provider: ProviderName | None = None
    user_id: UserId | None = None
    external_id: (
        Annotated[
            str,
            msgspec.Meta(min_length=1, max_length=MAX_EXTERNAL_ID, description="Your own name for the user."),
        ]
        | None
    ) = None
    variables: Annotated[Variables, msgspec.Meta(description="What the names in templates stand for.")] | None = None


class Read(NamedTuple):
    """The recipients as they are packed, and the first 20 things that are wrong with them. `users` are the ids among
    them; `named` those told by `externalId`, by their place: they have no user yet."""

    recipients: list[Recipient]
    problems: list[FieldProblem]
    users: set[bytes]
    named: dict[int, str]


async def read_recipients(to: list[RecipientIn]) -> Read:
    """What was asked for, as far as it can be told without the store. Many are looked at in slices."""
    read = Read([], [], set(), {})
    if len(to) < MIN_RECIPIENTS:
        read.problems.append(FieldProblem("$.to", "give at least one recipient", Code.TOO_FEW_RECIPIENTS))
        return read
    if len(to) > MAX_RECIPIENTS:
        message = f"at most {MAX_RECIPIENTS} recipients a send, this has {len(to)}: split it"
        read.problems.append(FieldProblem("$.to", message, Code.TOO_MANY_RECIPIENTS))
        return read
    for first in range(0, len(to), SLICE):
        if first:
            await turn(is_request=True)
        _read_some(to, first, read)
        if len(read.problems) == MAX_PROBLEMS:
            break
    return read


def _read_some(to: list[RecipientIn], first: int, read: Read) -> None:
    """The recipients of one slice, until there are 20 problems in all."""
    recipients, problems, users, named = read
    for index in range(first, min(first + SLICE, len(to))):
        each = to[index]
        token, user, provider = each.token, each.user_id, each.provider
        try:
            if token is not None and provider is not None and user is None and each.external_id is None:
                raw = normalize_token(provider, token)
                recipients.append(Recipient(token=raw, provider=provider, variables=each.variables))
                continue
            if token is None and provider is None and (user is None) is not (each.external_id is None):
                ident = b""
                if user is None:
                    named[index] = each.external_id or ""
                else:
                    ident = ids.decode(ids.USER, user)
                    users.add(ident)
                recipients.append(Recipient(user=ident, variables=each.variables))
                continue
            problems.append(_wrong_arm(each, f"$.to[{index}]"))
        except InvalidDeviceToken as error:
            problems.append(FieldProblem(f"$.to[{index}].token", str(error), Code.INVALID_DEVICE_TOKEN))
        except ids.InvalidId as error:
            problems.append(FieldProblem(f"$.to[{index}].userId", f"not a user id: {error}"))
        if len(problems) == MAX_PROBLEMS:
            break


async def find_users(store: Store, account: bytes, read: Read, ahead: Wanted | None = None) -> list[FieldError]:
    """Gives those told by `externalId` their users; the first 20 users that do not exist. `ahead` says what planning
    will ask of the users, if that is soon."""
    if not read.users and not read.named:
        return []
    known = await store.users_by_external_id(account, set(read.named.values())) if read.named else {}
    unknown = set[bytes]()
    if ahead is not None:
        users = read.users.union(known.values())
        unknown = await store.look_ahead(account, structs.replace(ahead, users=frozenset(users)))
    elif read.users:
        unknown = await store.missing_users(account, read.users)
    return name_users(read, known, unknown & read.users)


def name_users(read: Read, known: Mapping[str, bytes], unknown: Collection[bytes]) -> list[FieldError]:
    """As `find_users`, with what the store knows: the users by external id, and the ids that it does not have."""
    recipients, named = read.recipients, read.named
    for index, name in named.items():
        recipients[index].user = known.get(name, b"")
    if not unknown and len(known) == len(set(named.values())):
        return []
    errors: list[FieldError] = []
    for index, each in enumerate(recipients):
        if index in named and not each.user:
            errors.append(_unknown(f"$.to[{index}].externalId", "with the externalId", named[index]))
        elif each.user in unknown:
            errors.append(_unknown(f"$.to[{index}].userId", "", ids.encode(ids.USER, each.user)))
        if len(errors) == MAX_PROBLEMS:
            break
    return errors


def _unknown(path: str, how: str, name: str) -> FieldError:
    what = f"There is no user {how + ' ' if how else ''}{name!r} in this account."
    return FieldError(path, what, Code.UNKNOWN_USER)


def _wrong_arm(each: RecipientIn, path: str) -> FieldProblem:
    """What keeps a recipient from being exactly one of the three arms."""
    if each.user_id is not None and each.external_id is not None:
        return FieldProblem(path, "give either userId or externalId, not both")
    if each.user_id is not None or each.external_id is not None:
        user = "userId" if each.user_id is not None else "externalId"
        return FieldProblem(path, f"give either {user}, or token and provider, not both")
    if each.token is not None:
        return FieldProblem(f"{path}.provider", "a token needs its provider: APN or FCM", Code.MISSING_FIELD)
    if each.provider is not None:
        return FieldProblem(f"{path}.token", "a provider needs a token", Code.MISSING_FIELD)
    return FieldProblem(path, "give userId, externalId, or token and provider", Code.MISSING_FIELD)
