"""The developer portal: teams, their App IDs, and what a connection is bound to of them (TOK-13, TOK-14).

Without a declared App ID everything is allowed, so that simple tests stay simple. A declared one belongs to its team
alone; a ``strict`` portal allows nothing that is not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .clientcerts import CertificateOrder, ClientCertificates, IssuedCertificate
from .errors import Conflict, Invalid, Missing
from .feed import Feed
from .keys import IssuedKey, Key, KeyRing
from .names import base_topic, check_bundle_id, check_identifier
from .parts import taken_as
from .tables import Environment

MAX_TEAMS = 1_000
MAX_APPS = 10_000
NAME_LIMIT = 100
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A developer account."""

    id: str
    name: str


class AppId(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An App ID. ``push``: it has the Push Notifications capability; ``broadcast``: and may have channels (6.1)."""

    bundle_id: str
    team_id: str
    push: bool = True
    broadcast: bool = True


class View:
    """The App IDs as they were at one moment: what a connection is bound to. Never changes."""

    __slots__ = ("_apps", "_strict")

    def __init__(self, apps: Mapping[str, AppId], strict: bool) -> None:
        self._apps = {bundle_id.encode("ascii"): app for bundle_id, app in apps.items()}
        self._strict = strict

    def __repr__(self) -> str:
        return f"<View apps={len(self._apps)} strict={self._strict}>"

    def allows(self, team_id: str | None, topic: bytes) -> bool:
        """Whether a credential of this team (None: of no team in particular) may send to the topic."""
        app = self._apps.get(topic) or self._apps.get(base_topic(topic))
        if app is None:
            return not self._strict
        return app.push and team_id in (None, app.team_id)


class Portal:
    """Teams, App IDs, signing keys and certificates of all developers. Every change is told to the feed."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        certificates: ClientCertificates,
        feed: Feed,
        choose: Callable[[str], str],
        strict: bool = False,
    ) -> None:
        self.keys = keys
        self.certificates = certificates
        self.teams: dict[str, Team] = {}
        self.apps: dict[str, AppId] = {}
        self._feed = feed
        self._choose = choose
        self._strict = self._strict_at_first = strict
        self._view: View | None = None
        self.broadcast_off: Callable[[str], object] | None = None
        """Told of each bundle id whose Broadcast capability is switched off (BC-1)."""
        keys.changed = self._key_changed

    def __repr__(self) -> str:
        return f"<Portal teams={len(self.teams)} apps={len(self.apps)} {self.keys!r} {self.certificates!r}>"

    @property
    def view(self) -> View:
        """The App IDs as they are now."""
        if self._view is None:
            self._view = View(self.apps, self._strict)
        return self._view

    @property
    def strict(self) -> bool:
        """Whether what is not declared is not allowed."""
        return self._strict

    @strict.setter
    def strict(self, strict: bool) -> None:
        self._strict = strict
        self._view = None
        self._tell("portal", "changed", strict=strict)

    # --- teams ---

    def add_team(self, name: str, team_id: str | None = None) -> Team:
        """Declare a team; without an id it gets one. Raises Invalid, or Conflict when the id is taken."""
        if not 1 <= len(name) <= NAME_LIMIT:
            raise Invalid(f"name must have 1 to {NAME_LIMIT} characters", field="name")
        if len(self.teams) >= MAX_TEAMS:
            raise Conflict(f"the portal has its {MAX_TEAMS} teams already; remove one")
        if team_id is None:
            team_id = self._made_id()
        elif check_identifier(team_id, "id") in self.teams:
            raise Conflict(f"there is a team {team_id} already; choose another id", field="id")
        team = self.teams[team_id] = Team(id=team_id, name=name)
        self._tell("team", "made", teamId=team_id)
        return team

    def team(self, team_id: str) -> Team:
        """Raises Missing."""
        if team_id not in self.teams:
            raise Missing(f"there is no team {team_id}; POST /portal/teams makes one", field="teamId")
        return self.teams[team_id]

    def remove_team(self, team_id: str) -> None:
        """Raises Missing, or Conflict while it has App IDs. Its keys and certificates stay what they are."""
        self.team(team_id)
        left = sorted(app.bundle_id for app in self.apps.values() if app.team_id == team_id)
        if left:
            raise Conflict(f"team {team_id} has {len(left)} App IDs ({left[0]}, …); remove or transfer them first")
        del self.teams[team_id]
        self._tell("team", "gone", teamId=team_id)

    # --- App IDs ---

    def add_app(self, bundle_id: str, team_id: str, *, push: bool = True, broadcast: bool = True) -> AppId:
        """Give a team an App ID; open connections do not know of it (TOK-14). Raises Invalid or Conflict."""
        check_bundle_id(bundle_id)
        if bundle_id in self.apps:
            raise Conflict(f"there is an App ID {bundle_id} already; PATCH it to transfer it", field="bundleId")
        if len(self.apps) >= MAX_APPS:
            raise Conflict(f"the portal has its {MAX_APPS} App IDs already; remove one")
        self._check_team(team_id)
        app = AppId(bundle_id=bundle_id, team_id=team_id, push=push, broadcast=broadcast)
        return self._put(app, "made")

    def app(self, bundle_id: str) -> AppId:
        """Raises Missing."""
        if bundle_id not in self.apps:
            raise Missing(f"there is no App ID {bundle_id}; POST /portal/apps makes one", field="bundleId")
        return self.apps[bundle_id]

    def change_app(
        self, bundle_id: str, *, team_id: str | None = None, push: bool | None = None, broadcast: bool | None = None
    ) -> AppId:
        """Transfer an App ID to another team, or switch its capabilities; None leaves a thing as it is.

        Connections that are bound keep what they had, in both directions (TOK-13, TOK-14). Raises Missing or Invalid.
        """
        app = self.app(bundle_id)
        if team_id is not None:
            self._check_team(team_id)
        changed = msgspec.structs.replace(
            app,
            team_id=app.team_id if team_id is None else team_id,
            push=app.push if push is None else push,
            broadcast=app.broadcast if broadcast is None else broadcast,
        )
        if app.broadcast and not changed.broadcast and self.broadcast_off is not None:
            self.broadcast_off(bundle_id)
        return self._put(changed, "changed")

    def remove_app(self, bundle_id: str) -> None:
        """Raises Missing."""
        self.app(bundle_id)
        del self.apps[bundle_id]
        self._view = None
        self._tell("app", "gone", bundleId=bundle_id)

    def registration_error(self, bundle_id: str) -> str | None:
        """Why an app cannot register for remote notifications as far as its App ID goes; None: it can."""
        app = self.apps.get(bundle_id)
        if app is None:
            return f"App ID {bundle_id} is not in the developer portal" if self._strict else None
        return None if app.push else f"App ID {bundle_id} does not have the Push Notifications capability"

    def broadcasts(self, bundle_id: str) -> bool:
        """Whether the app may have channels: push and broadcast are on (6.1)."""
        app = self.apps.get(bundle_id)
        return not self._strict if app is None else app.push and app.broadcast

    # --- keys ---

    def issue_key(
        self,
        team_id: str,
        *,
        topics: Iterable[str] | None = None,
        environment: Environment | None = None,
        related_key_id: str | None = None,
    ) -> IssuedKey:
        """`KeyRing.issue` for what the portal knows: raises Invalid for another team's App ID, too."""
        listed = None if topics is None else list(topics)
        self._check_declared(team_id)
        self._check_topics(team_id, listed)
        if self._strict and listed is not None and environment is None:
            raise Invalid("environment is needed for a topic-specific key (TOK-11)", field="environment")
        return self.keys.issue(team_id, topics=listed, environment=environment, related_key_id=related_key_id)

    def change_key(
        self,
        key_id: str,
        *,
        topics: Iterable[str] | UnsetType | None = UNSET,
        related_key_id: str | UnsetType | None = UNSET,
    ) -> Key:
        """`KeyRing.change` for what the portal knows: raises Invalid for another team's App ID, too."""
        key = self.keys.find(key_id)
        listed = topics if topics is UNSET or topics is None else list(topics)
        if isinstance(listed, list):
            self._check_topics(key.team_id, listed)
        return self.keys.change(key_id, topics=listed, related_key_id=related_key_id)

    def revoke_key(self, key_id: str) -> None:
        """See `KeyRing.revoke`."""
        self.keys.revoke(key_id)

    # --- certificates ---

    def complete(self, order: CertificateOrder) -> CertificateOrder:
        """The order with the team that the App ID belongs to. Raises Invalid or Conflict when that cannot be."""
        order.check()
        app = self.apps.get(order.bundle_id)
        if app is None:
            if self._strict and order.kind in ("app", "voip", "complication"):
                why = f"bundleId {order.bundle_id} is no App ID of the portal; POST /portal/apps makes one"
                raise Invalid(why, field="bundleId")
            return order
        if order.team_id not in (None, app.team_id):
            raise Invalid(f"teamId must be {app.team_id}, whose App ID {app.bundle_id} is", field="teamId")
        if not app.push:
            raise Conflict(f"App ID {app.bundle_id} does not have the Push Notifications capability", field="bundleId")
        return msgspec.structs.replace(order, team_id=app.team_id)

    def issue_certificate(self, order: CertificateOrder) -> IssuedCertificate:
        """Make a client certificate. Raises Invalid or Conflict."""
        return self.certificates.issue(self.complete(order))

    # --- scenarios ---

    def clear(self) -> None:
        """No teams, no App IDs, and as strict as at the start."""
        self.teams.clear()
        self.apps.clear()
        self._strict = self._strict_at_first
        self._view = None

    def export(self) -> dict[str, Any]:
        """Teams and App IDs as JSON values."""
        built: dict[str, Any] = msgspec.to_builtins(
            {"strict": self._strict, "teams": list(self.teams.values()), "apps": list(self.apps.values())}
        )
        return built

    def import_(self, value: Any) -> None:
        """What `export` gave. Raises Invalid."""
        taken = taken_as(value, _Exported, "portal")
        for team in taken.teams:
            self.add_team(team.name, team.id)
        for app in taken.apps:
            self.add_app(app.bundle_id, app.team_id, push=app.push, broadcast=app.broadcast)
        self.strict = taken.strict

    # --- within ---

    def _put(self, app: AppId, change: str) -> AppId:
        self.apps[app.bundle_id] = app
        self._view = None
        self._tell("app", change, bundleId=app.bundle_id, teamId=app.team_id, push=app.push)
        return app

    def _check_team(self, team_id: str) -> None:
        if check_identifier(team_id, "teamId") not in self.teams:
            raise Invalid(f"teamId {team_id} is no team of the portal; POST /portal/teams makes one", field="teamId")

    def _check_declared(self, team_id: str) -> None:
        check_identifier(team_id, "teamId")
        if self._strict:
            self._check_team(team_id)

    def _check_topics(self, team_id: str, topics: list[str] | None) -> None:
        for at, topic in enumerate(topics or ()):
            app = self.apps.get(topic) or self.apps.get(base_topic(topic.encode()).decode())
            if self._strict if app is None else app.team_id != team_id:
                raise Invalid(f"topics[{at}] {topic} is no App ID of team {team_id}", field=f"topics[{at}]")

    def _made_id(self) -> str:
        while True:
            made = "".join(self._choose(_ALPHABET) for _ in range(10))
            if made not in self.teams:
                return made

    def _key_changed(self, key: Key, change: str) -> None:
        self._tell("key", change, keyId=key.key_id, teamId=key.team_id)

    def _tell(self, what: str, change: str, **data: Any) -> None:
        if self._feed.live:
            self._feed.publish("portal", {"what": what, "change": change, **data})


class _Exported(msgspec.Struct, frozen=True):
    strict: bool
    teams: list[Team]
    apps: list[AppId]
