"""Recipients of a send: from what the caller wrote to what a chunk packs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from ..domain import ids
from ..domain.apps import ProviderName
from ..domain.devices import InvalidDeviceToken, normalize_token
from ..domain.errors import Code, FieldProblem
from ..domain.notifications import MAX_RECIPIENTS, MIN_RECIPIENTS, Recipient

MAX_PROBLEMS = 20
INT64 = 2**63

Variable = str | Annotated[int, msgspec.Meta(ge=-INT64, le=INT64 - 1)] | float | bool | None


class RecipientIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """One recipient: `token` and `provider`, or `userId`. `variables` fill the templates for this one alone."""

    __openapi__: ClassVar[dict[str, Any]] = {"oneOf": [{"required": ["token", "provider"]}, {"required": ["userId"]}]}

    token: str | None = None
    provider: ProviderName | None = None
    user_id: str | None = None
    variables: dict[str, Variable] | None = None


def read_recipients(to: list[RecipientIn]) -> tuple[list[Recipient], list[FieldProblem]]:
    """The recipients as they are packed, and the first 20 things that are wrong with them."""
    recipients: list[Recipient] = []
    problems: list[FieldProblem] = []
    if len(to) < MIN_RECIPIENTS:
        return [], [FieldProblem("$.to", "give at least one recipient", Code.TOO_FEW_RECIPIENTS)]
    if len(to) > MAX_RECIPIENTS:
        message = f"at most {MAX_RECIPIENTS} recipients a send, this has {len(to)}: split it"
        return [], [FieldProblem("$.to", message, Code.TOO_MANY_RECIPIENTS)]
    for index, each in enumerate(to):
        try:
            if each.token is not None and each.provider is not None and each.user_id is None:
                token = normalize_token(each.provider, each.token)
                recipients.append(Recipient(token=token, provider=each.provider, variables=each.variables))
                continue
            if each.user_id is not None and each.token is None and each.provider is None:
                user = ids.decode(ids.USER, each.user_id)
                recipients.append(Recipient(user=user, variables=each.variables))
                continue
            problems.append(_wrong_arm(each, f"$.to[{index}]"))
        except InvalidDeviceToken as error:
            problems.append(FieldProblem(f"$.to[{index}].token", str(error), Code.INVALID_DEVICE_TOKEN))
        except ids.InvalidId as error:
            problems.append(FieldProblem(f"$.to[{index}].userId", f"not a user id: {error}"))
        if len(problems) == MAX_PROBLEMS:
            break
    return recipients, problems


def _wrong_arm(each: RecipientIn, path: str) -> FieldProblem:
    """What keeps a recipient from being exactly one of the two arms."""
    if each.user_id is not None:
        return FieldProblem(path, "give either userId, or token and provider, not both")
    if each.token is not None:
        return FieldProblem(f"{path}.provider", "a token needs its provider: APN or FCM", Code.MISSING_FIELD)
    if each.provider is not None:
        return FieldProblem(f"{path}.token", "a provider needs a token", Code.MISSING_FIELD)
    return FieldProblem(path, "give userId, or token and provider", Code.MISSING_FIELD)
