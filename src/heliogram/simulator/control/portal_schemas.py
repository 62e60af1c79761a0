"""What the control API reads and writes of the developer portal."""

from __future__ import annotations

import base64
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from ..certkinds import CertificateKind
from ..clientcerts import DAYS, MAX_DAYS, CertificateOrder, ClientCertificate, IssuedCertificate
from ..lockscreen import stamp
from ..portal import NAME_LIMIT, AppId, Portal, Team
from ..tables import Environment
from .devices_schemas import BundleId
from .keys_schemas import KeyId, KeyOut, Topics

TeamId = Annotated[
    str, Meta(pattern="^[A-Z0-9]{10}$", description="10 characters of A-Z and 0-9", examples=["DEF123GHIJ"])
]


class PortalIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How strict the portal is."""

    strict: Annotated[bool, Meta(description="true: what is not declared is not allowed")]


class TeamIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A developer account to be declared."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT, examples=["Example Ltd."])]
    id: Annotated[TeamId, Meta(description="Absent: one is made up")] | None = None


class AppIdIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An App ID to be declared."""

    bundle_id: BundleId
    team_id: TeamId
    push: Annotated[bool, Meta(description="The Push Notifications capability")] = True
    broadcast: Annotated[bool, Meta(description="The Broadcast capability, for channels")] = True


class AppIdPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is to change of an App ID; what is left out stays."""

    team_id: Annotated[TeamId, Meta(description="Transfers the app to this team")] | None = None
    push: bool | None = None
    broadcast: bool | None = None


class KeyPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is to change of a topic-specific key; what is left out stays. ``relatedKeyId`` null: none any more."""

    topics: Topics | UnsetType = UNSET
    related_key_id: KeyId | UnsetType | None = UNSET


class CertificateIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An order for a client certificate."""

    bundle_id: Annotated[
        str,
        Meta(
            description="The app's bundle id; for the kinds mdm, pass and website the topic, pass type or website id",
            examples=["com.example.app"],
        ),
    ]
    kind: CertificateKind = "app"
    environment: Annotated[Environment, Meta(description="Absent: all that the kind works in")] | None = None
    team_id: Annotated[TeamId, Meta(description="Absent: the team that the App ID belongs to, if any")] | None = None
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS, description="Until it expires, by the simulator's clock")] = DAYS
    key_type: Annotated[str, Meta(pattern="^(rsa|ec)$", description="rsa: 2048 bits; ec: P-256")] = "rsa"
    password: (
        Annotated[str, Meta(min_length=1, max_length=200, description="Answer with PKCS#12 under it, too")] | None
    ) = None

    def __repr__(self) -> str:
        return f"CertificateIn(bundle_id={self.bundle_id!r}, kind={self.kind!r}, environment={self.environment!r})"

    def build(self) -> CertificateOrder:
        return CertificateOrder(
            bundle_id=self.bundle_id,
            kind=self.kind,
            environment=self.environment,
            team_id=self.team_id,
            days=self.days,
            rsa=self.key_type == "rsa",
        )


class CertificateOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A client certificate. ``issued``: this run made it; else it is known from its use."""

    serial: str
    common_name: str
    team_id: str | None
    topics: list[str]
    environments: list[Environment]
    not_before: str
    not_after: str
    issued: bool
    revoked_at: str | None

    @classmethod
    def of(cls, certificate: ClientCertificate) -> CertificateOut:
        contents = certificate.contents
        assert contents is not None  # noqa: S101 - only readable ones are listed
        return cls(
            serial=contents.serial,
            common_name=contents.common_name,
            team_id=contents.team_id,
            topics=sorted(topic.decode("utf-8") for topic in contents.topics),
            environments=sorted(contents.environments),
            not_before=stamp(contents.not_before),
            not_after=stamp(contents.not_after),
            issued=certificate.issued,
            revoked_at=None if certificate.revoked_at is None else stamp(certificate.revoked_at),
        )


class CertificateList(Struct, frozen=True):
    certificates: list[CertificateOut]


class IssuedOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A certificate just made. ``privateKey`` and ``p12`` (base64) are shown this once."""

    certificate: CertificateOut
    pem: str
    private_key: str
    p12: str | UnsetType = UNSET

    @classmethod
    def of(cls, made: IssuedCertificate, known: ClientCertificate, password: str | None) -> IssuedOut:
        return cls(
            certificate=CertificateOut.of(known),
            pem=made.pem.decode("ascii"),
            private_key=made.key_pem.decode("ascii"),
            p12=UNSET if password is None else base64.b64encode(made.p12(password)).decode("ascii"),
        )

    def __repr__(self) -> str:
        return f"IssuedOut(certificate={self.certificate!r})"


class PortalOut(Struct, frozen=True, kw_only=True):
    """All that developers have: at a glance."""

    strict: bool
    teams: list[Team]
    apps: list[AppId]
    keys: list[KeyOut]
    certificates: list[CertificateOut]

    @classmethod
    def of(cls, portal: Portal) -> PortalOut:
        return cls(
            strict=portal.strict,
            teams=list(portal.teams.values()),
            apps=list(portal.apps.values()),
            keys=[KeyOut.of(key) for key in portal.keys.all()],
            certificates=[CertificateOut.of(one) for one in portal.certificates],
        )
