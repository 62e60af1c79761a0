"""A whole simulated world as one JSON document: taken down, put back, kept in a file beside a project's tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import Conflict, Invalid, Missing
from .lockscreen import stamp
from .parts import taken_as
from .scenario_parts import plain
from .tables import Settings

if TYPE_CHECKING:
    from .answering import Apns

VERSION = 1
FILE_LIMIT = 64 * 1024 * 1024
"""Bytes of a scenario, in a file or sent."""

_OWN = ("heliogramScenario", "at", "settings")


class Scenario:
    """Exports and imports what every registered part holds (`Parts`), under the part's name.

    Private halves of keys, credentials of servers and what has happened so far are in no scenario. How far the clock
    was moved is.
    """

    def __init__(self, apns: Apns) -> None:
        self._apns = apns

    def __repr__(self) -> str:
        return f"<Scenario {self._apns.parts!r}>"

    def export(self) -> dict[str, Any]:
        """The document: ``settings`` that differ from the defaults, and one member for each part."""
        apns = self._apns
        defaults = plain(Settings())
        changed = {name: value for name, value in plain(apns.settings).items() if value != defaults[name]}
        document: dict[str, Any] = {"heliogramScenario": VERSION, "at": stamp(apns.clock()), "settings": changed}
        for part in apns.parts:
            if part.export is not None:
                document[part.name] = part.export()
        return document

    def load(self, document: Any, *, settings: bool = True) -> None:
        """Forget everything, then take this; parts left out stay empty. Connections stay open.

        First it is tried on an empty world: a document with a mistake changes nothing. ``settings``: refuse one whose
        settings are not those in force. Raises Invalid naming the part, or Conflict.
        """
        wanted = settings_of(document)
        if settings:
            self._check_settings(wanted, document.get("settings", {}))
        self._check_names(document)
        trial = self._apns.blank()
        try:
            self._fill(trial, document)
        finally:
            trial.agenda.clear()
        self._apns.parts.clear()
        self._fill(self._apns, document)
        self._apns.feed.publish("reset", {})

    def _check_names(self, document: dict[str, Any]) -> None:
        known = [part.name for part in self._apns.parts if part.import_ is not None]
        for name in document:
            if name not in known and name not in _OWN:
                raise Invalid(f"{name} is no part of a scenario; there are {', '.join(known)}", field=name)

    def _fill(self, apns: Apns, document: dict[str, Any]) -> None:
        for part in apns.parts:
            name, import_ = part.name, part.import_
            if import_ is None or name not in document:
                continue
            try:
                import_(document[name])
            except (Invalid, Missing) as error:
                raise Invalid(f"{name}: {error.message}", field=name) from error
            except Conflict as error:
                raise Conflict(f"{name}: {error.message}", field=name) from error

    def _check_settings(self, wanted: Settings, named: Iterable[str]) -> None:
        other = [name for name in named if getattr(wanted, name) != getattr(self._apns.settings, name)]
        if other:
            raise Conflict(
                f"the scenario wants other settings ({', '.join(other)}); settings are chosen at the start: --scenario",
                field="settings",
            )


def settings_of(document: Any) -> Settings:
    """The settings a scenario wants, once it is clear that it is one. Raises Invalid."""
    if not isinstance(document, dict) or document.get("heliogramScenario") != VERSION:
        raise Invalid(f"this is no scenario: heliogramScenario must be {VERSION}", field="heliogramScenario")
    given = document.get("settings", {})
    unknown = sorted(set(given) - set(Settings.__struct_fields__)) if isinstance(given, dict) else []
    if unknown:
        raise Invalid(f"settings: {', '.join(unknown)} unknown", field="settings")
    return taken_as(given, Settings, "settings")


def start_with(path: Path | None, given: Mapping[str, Any]) -> tuple[dict[str, Any] | None, Settings]:
    """The document in a file, None without one, and its settings with those ``given`` over them.

    Raises Invalid, and ValueError for settings that do not go together.
    """
    document = None if path is None else read(path)
    named = {} if document is None else document.get("settings", {})
    try:
        return document, msgspec.convert({**named, **given}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"--set: {error}") from error


def read(path: Path) -> dict[str, Any]:
    """The document in a file. Raises Invalid naming the file."""
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise Invalid(f"{path} has more than {FILE_LIMIT} bytes", field="--scenario")
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}", field="--scenario") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{path} is no JSON: {error}", field="--scenario") from error
    if not isinstance(document, dict):
        raise Invalid(f"{path} holds no JSON object", field="--scenario")
    settings_of(document)
    return document
