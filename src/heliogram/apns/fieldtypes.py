"""Whether the payload's fields have the types that they are declared with: Python itself does not look."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from .checks import check_text, shown, wrong_type
from .errors import InvalidNotification
from .payload import Alert, Sound

if TYPE_CHECKING:
    from .notification import Notification

LARGEST = (1 << 64) - 1
"""The largest badge that is sent."""
_FLAGS = ("mutable_content", "content_available", "input_push_token", "content_changed")
_TEXTS = (
    "thread_id",
    "category",
    "target_content_id",
    "filter_criteria",
    "event",
    "attributes_type",
    "input_push_channel",
)
_DICTS = ("content_state", "attributes")
_flags, _texts, _dicts = attrgetter(*_FLAGS), attrgetter(*_TEXTS), attrgetter(*_DICTS)
_NO_TEXTS, _NO_DICTS = (None,) * len(_TEXTS), (None,) * len(_DICTS)
_BANNER = 3
"""Fields of `Alert` that most alerts have and nothing else."""
_NO_MORE = astuple(Alert())[_BANNER:]
_EITHER = frozenset((str, type(None)))
_LISTS = frozenset(("title_loc_args", "subtitle_loc_args", "loc_args"))
_TITLES = frozenset(("title", "body"))


def check_types(it: Notification) -> None:
    """Refuse fields of the payload that are of another type. Raises `InvalidNotification`."""
    alert, badge, sound, custom = it.alert, it.badge, it.sound, it.custom
    if alert is not None and not isinstance(alert, str):
        _check_alert(alert)
    if badge is not None:
        _check_badge(badge)
    if sound is not None and not isinstance(sound, str):
        _check_sound(sound)
    if custom is not None and not isinstance(custom, Mapping):
        raise wrong_type("custom", custom, "give a dict of your own keys")
    for name, flag in zip(_FLAGS, _flags(it), strict=True):
        if flag is not True and flag is not False:
            _check_flag(name, flag)
    if (texts := _texts(it)) != _NO_TEXTS:
        for name, text in zip(_TEXTS, texts, strict=True):
            if text is not None:
                check_text(name, text)
    _check_rare(it)


def _check_rare(it: Notification) -> None:
    if (dicts := _dicts(it)) != _NO_DICTS:
        for name, given in zip(_DICTS, dicts, strict=True):
            if given is not None and not isinstance(given, dict):
                raise wrong_type(name, given, "give a dict")
    if it.relevance_score is not None:
        _check_number("relevance_score", it.relevance_score, "give a number from 0 to 1")
    if it.url_args is not None:
        _check_texts("url_args", it.url_args)


def is_plain_alert(alert: object) -> bool:
    """Whether it is text, or an `Alert` with the right types in it."""
    if alert is None or type(alert) is str:
        return True
    if not isinstance(alert, Alert) or type(alert) is not Alert:
        return False
    values = astuple(alert)
    title, subtitle, body = values[:_BANNER]
    if values[_BANNER:] == _NO_MORE and type(title) in _EITHER and type(body) in _EITHER and type(subtitle) in _EITHER:
        return True
    try:
        _check_alert(alert)
    except InvalidNotification:
        return False
    return True


def _check_alert(alert: object) -> None:
    if not isinstance(alert, Alert):
        raise wrong_type("alert", alert, "give text or an Alert")
    for name in Alert.__struct_fields__:
        part = getattr(alert, name)
        if part is None or isinstance(part, str):
            if part is not None and name in _LISTS:
                raise wrong_type(f"alert.{name}", part, "give a list of text")
        elif name in _LISTS:
            _check_texts(f"alert.{name}", part)
        elif name not in _TITLES:
            raise wrong_type(f"alert.{name}", part, "give text")
        elif not isinstance(part, dict):
            raise wrong_type(f"alert.{name}", part, "give text, or a dict in a Live Activity")


def _check_badge(badge: object) -> None:
    fix = "give a whole number, 0 removes the badge"
    if not isinstance(badge, int) or isinstance(badge, bool):
        raise wrong_type("badge", badge, fix)
    if not 0 <= badge <= LARGEST:
        raise InvalidNotification("badge", f"{shown(badge)} is not a count", fix)


def _check_sound(sound: object) -> None:
    if not isinstance(sound, Sound):
        raise wrong_type("sound", sound, "give text or a Sound")
    check_text("sound.name", sound.name)
    _check_flag("sound.critical", sound.critical)
    if sound.volume is not None:
        _check_number("sound.volume", sound.volume, "give a number from 0 to 1")


def _check_flag(field: str, flag: object) -> None:
    """The numbers 0 and 1 will do: so these keys are written in JSON."""
    if not isinstance(flag, int | float) or flag not in (0, 1):
        raise wrong_type(field, flag, "give True or False")


def _check_number(field: str, number: object, fix: str) -> None:
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise wrong_type(field, number, fix)


def _check_texts(field: str, texts: object) -> None:
    if not isinstance(texts, list | tuple):
        raise wrong_type(field, texts, "give a list of text")
    for text in texts:
        if not isinstance(text, str):
            raise InvalidNotification(field, f"has an item of type {type(text).__name__}", "give a list of text")
