"""What an app says of itself when it registers: the fields, and what may stand in them."""

from __future__ import annotations

import functools
import re
import zoneinfo
from typing import Annotated, Any, ClassVar

import msgspec

from ..domain import ids
from ..domain.apps import Environment, ProviderName
from ..domain.devices import (
    MAX_ACTIVITY_ID,
    MAX_APP_VERSION,
    MAX_EXTERNAL_ID,
    MAX_INSTALLATION_ID,
    MAX_LOCALE,
    MAX_TIME_ZONE,
    PRINTABLE,
    InvalidDeviceToken,
    NewDevice,
    TokenKind,
    name_problem,
    normalize_token,
)
from ..domain.errors import Code, FieldProblem, Invalid
from . import examples
from .credential_schemas import AppName, app_name_problem

MAX_TOKEN_TEXT = 4096

LOCALE = r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$"
_LOCALE = re.compile(LOCALE)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,3}")
_OFFSET = re.compile(r"GMT[+-][0-9]{4}")


def _printable(description: str, most: int) -> msgspec.Meta:
    """What the document says of a text of 1 to `most` printable characters."""
    return msgspec.Meta(
        description=description, extra_json_schema={"minLength": 1, "maxLength": most, "pattern": PRINTABLE}
    )


USER_ID = rf"^{ids.USER}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"

UserId = Annotated[
    str, msgspec.Meta(description="The user's id, as an answer gave it.", extra_json_schema={"pattern": USER_ID})
]
ExternalId = Annotated[
    str, _printable("Your own name for the user: 1 to 255 printable characters, compared exactly.", MAX_EXTERNAL_ID)
]
InstallationId = Annotated[
    str,
    _printable(
        "Made by the app when it first runs, and kept: its new token replaces its old one. Not guessable.",
        MAX_INSTALLATION_ID,
    ),
]
ActivityId = Annotated[
    str,
    _printable(
        "Which Live Activity an update token is of. Required with the kind liveActivityUpdate, and only there.",
        MAX_ACTIVITY_ID,
    ),
]
AppVersion = Annotated[str, _printable("Shown again with the device.", MAX_APP_VERSION)]
Locale = Annotated[
    str,
    msgspec.Meta(
        description="A language tag such as en-GB or zh-Hant-TW.",
        extra_json_schema={"minLength": 2, "maxLength": MAX_LOCALE, "pattern": LOCALE},
    ),
]
TimeZone = Annotated[
    str,
    msgspec.Meta(
        description="A name of the IANA time zone database, such as Europe/Berlin, or Apple's of an offset: GMT+0200.",
        extra_json_schema={"minLength": 1, "maxLength": MAX_TIME_ZONE},
    ),
]


class RegisterDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One device to register. `externalId` names the user, or makes one with it; with neither it nor `userId` the
    user stays who has the token or the installation, and otherwise one is made. `environment` is for APNs: the app
    knows its entitlement. What is left out and known of the token already is kept."""

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.REGISTER_DEVICE}

    app_name: AppName
    token: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=MAX_TOKEN_TEXT,
            description="APNs: 16 to 400 hexadecimal digits, two for each byte. FCM: the registration token.",
        ),
    ]
    provider: ProviderName
    user_id: UserId | None = None
    external_id: ExternalId | None = None
    environment: (
        Annotated[
            Environment,
            msgspec.Meta(description="As the entitlement `aps-environment` says. Left out, APNs' answers tell it."),
        ]
        | None
    ) = None
    kind: TokenKind | None = TokenKind.ALERT
    activity_id: ActivityId | None = None
    installation_id: InstallationId | None = None
    app_version: AppVersion | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None


def read_device(body: RegisterDevice) -> NewDevice:
    """The device as it is to be stored. Raises `Invalid` with everything that is wrong."""
    problems = app_name_problem(body.app_name)
    token, user_id = b"", None
    try:
        token = normalize_token(body.provider, body.token)
    except InvalidDeviceToken as error:
        problems.append(FieldProblem("$.token", str(error), Code.INVALID_DEVICE_TOKEN))
    if body.user_id is not None:
        try:
            user_id = ids.decode(ids.USER, body.user_id)
        except ids.InvalidId as error:
            problems.append(FieldProblem("$.userId", f"not a user id: {error}"))
    problems += _name_problems(body)
    problems += _kind_problems(body)
    problems += _place_problems(body)
    if problems:
        raise Invalid(problems)
    return NewDevice(
        app_name=body.app_name,
        token=token,
        provider=body.provider,
        user_id=user_id,
        external_id=body.external_id,
        environment=body.environment,
        kind=body.kind or TokenKind.ALERT,
        activity_id=body.activity_id,
        installation_id=body.installation_id,
        app_version=body.app_version,
        locale=None if body.locale is None else body.locale.replace("_", "-"),
        time_zone=body.time_zone,
    )


def external_id_problem(text: str, path: str = "$.externalId") -> list[FieldProblem]:
    """What is wrong with an external id."""
    message = name_problem(text, MAX_EXTERNAL_ID)
    return [] if message is None else [FieldProblem(path, message)]


def _name_problems(body: RegisterDevice) -> list[FieldProblem]:
    names = (
        ("$.externalId", body.external_id, MAX_EXTERNAL_ID),
        ("$.activityId", body.activity_id, MAX_ACTIVITY_ID),
        ("$.installationId", body.installation_id, MAX_INSTALLATION_ID),
        ("$.appVersion", body.app_version, MAX_APP_VERSION),
    )
    found = ((path, name_problem(text, most)) for path, text, most in names if text is not None)
    return [FieldProblem(path, message) for path, message in found if message is not None]


def _kind_problems(body: RegisterDevice) -> list[FieldProblem]:
    """Environments and kinds are Apple's; an activity belongs to an update token, and to no other."""
    problems = []
    if body.provider is not ProviderName.APN:
        if body.environment is not None:
            problems.append(FieldProblem("$.environment", "only APNs tokens have an environment: leave it out"))
        if body.kind not in (None, TokenKind.ALERT):
            problems.append(FieldProblem("$.kind", "only APNs tokens are of different kinds: leave it out"))
    update = body.kind is TokenKind.LIVE_ACTIVITY_UPDATE
    if update and body.activity_id is None:
        message = "a token of this kind is of one Live Activity: give the activity's id"
        problems.append(FieldProblem("$.activityId", message, Code.MISSING_FIELD))
    if not update and body.activity_id is not None:
        problems.append(FieldProblem("$.activityId", "only with the kind liveActivityUpdate: leave it out"))
    return problems


def _place_problems(body: RegisterDevice) -> list[FieldProblem]:
    problems = []
    if body.locale is not None and not (len(body.locale) <= MAX_LOCALE and _LOCALE.fullmatch(body.locale)):
        message = f"expected a language tag such as en-GB, at most {MAX_LOCALE} characters"
        problems.append(FieldProblem("$.locale", message))
    if body.time_zone is not None and not _is_zone(body.time_zone):
        problems.append(FieldProblem("$.timeZone", "expected a name of the IANA time zone database: Europe/Berlin"))
    return problems


def _is_zone(text: str) -> bool:
    """Whether it is a time zone's name. A phone's database may be newer than this machine's, and a phone must not lose
    its registration over that: of an area that is known any place is taken. So are Apple's names of fixed offsets."""
    if len(text) > MAX_TIME_ZONE or _ZONE.fullmatch(text) is None:
        return False
    known = _zones()
    area, slash, _ = text.partition("/")
    return text in known or not known or bool(slash and area in _areas()) or _OFFSET.fullmatch(text) is not None


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


@functools.cache
def _areas() -> frozenset[str]:
    return frozenset(area for area, slash, _ in (name.partition("/") for name in _zones()) if slash)
