"""The client certificates of a simulated APNs: made in its portal, presented in TLS, revoked (CERT-1 to CERT-12).

What the TLS layer checks is the chain: a certificate of another CA never gets here. Everything else is judged here, by
the simulator's own clock.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from . import certkinds
from .certkinds import KINDS, CertificateKind, Contents
from .errors import Conflict, Invalid, Missing
from .feed import Feed
from .names import check_bundle_id, check_identifier
from .tables import ENVIRONMENTS, CertificateRefusal, Environment

if TYPE_CHECKING:
    from .certificates import Certificates, PrivateKey

DAYS = 395
"""How long a certificate lives unless the order says otherwise: about a year (CERT-12)."""
MAX_DAYS = 3650
MAX_KNOWN = 10_000
"""Certificates of which the simulator remembers that they were issued or presented."""
_EARLY = 3600


class CertificateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate to be made: for ``bundle_id`` (an MDM topic, a pass type or a website id for those kinds).

    ``environment`` None: all that the kind works in, both for an app's (CERT-1). ``rsa``: a 2048-bit RSA key, as the
    portal asks for; else one on P-256, which is made faster.
    """

    bundle_id: str
    kind: CertificateKind = "app"
    environment: Environment | None = None
    team_id: str | None = None
    days: int = DAYS
    rsa: bool = True

    def check(self) -> None:
        """Raises Invalid naming the field."""
        check_bundle_id(self.bundle_id)
        if self.kind not in KINDS:
            raise Invalid(f"kind must be one of {', '.join(KINDS)}", field="kind")
        row = KINDS[self.kind]
        if not self.bundle_id.startswith(row.prefix):
            why = f"bundleId must begin with {row.prefix} for a certificate of the kind {self.kind}"
            raise Invalid(why, field="bundleId")
        if self.environment is not None and self.environment not in ENVIRONMENTS:
            raise Invalid("environment must be production or sandbox, or be left out for both", field="environment")
        if self.environment is not None and self.environment not in row.environments:
            raise Invalid(f"environment must be production for the kind {self.kind}", field="environment")
        if self.team_id is not None:
            check_identifier(self.team_id, "teamId")
        if not 1 <= self.days <= MAX_DAYS:
            raise Invalid(f"days must be 1 to {MAX_DAYS}", field="days")


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate just made; the only time its private key is seen."""

    contents: Contents
    der: bytes
    private_key: PrivateKey

    def __repr__(self) -> str:
        return f"IssuedCertificate(serial={self.contents.serial!r}, common_name={self.contents.common_name!r})"

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return x509.load_der_x509_certificate(self.der).public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key: PKCS#8, not encrypted."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def p12(self, password: str) -> bytes:
        """Certificate and key as PKCS#12 under a password. Raises Invalid when that is empty."""
        if not password:
            raise Invalid("password must not be empty", field="password")
        certificate = x509.load_der_x509_certificate(self.der)
        sealed = BestAvailableEncryption(password.encode("utf-8"))
        name = self.contents.common_name.encode("utf-8")
        return pkcs12.serialize_key_and_certificates(name, self.private_key, certificate, None, sealed)


class ClientCertificate(msgspec.Struct, eq=False, kw_only=True):
    """One certificate as APNs knows it. ``contents`` None: it was presented and is no push certificate.

    ``issued``: the portal of this run made it; else it was signed elsewhere with the same CA. ``revoked_at``: seconds
    since the epoch.
    """

    der: bytes
    contents: Contents | None
    issued: bool = False
    revoked_at: float | None = None

    def __repr__(self) -> str:
        name = "no push certificate" if self.contents is None else self.contents.common_name
        return f"<ClientCertificate {name} revoked={self.revoked_at is not None}>"

    def good(self, now: float) -> bool:
        """Whether it may be used at this time: readable, alive, and not revoked (CERT-8, CERT-12)."""
        contents = self.contents
        return contents is not None and self.revoked_at is None and contents.not_before <= now <= contents.not_after


def make(authority: Certificates, order: CertificateOrder, now: float) -> IssuedCertificate:
    """Sign a certificate with the simulator's CA. ``now``: seconds since the epoch. Raises Invalid."""
    order.check()
    try:
        start = datetime.datetime.fromtimestamp(now - _EARLY, datetime.UTC)
        end = start + datetime.timedelta(days=order.days, seconds=_EARLY)
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid(f"days must end before the year 10000; the simulator's clock is at {now:.0f}") from error
    common_name, uid, extensions = certkinds.describe(order.kind, order.bundle_id, order.environment)
    certificate, key = authority.sign_client(
        common_name=common_name,
        uid=uid,
        team_id=order.team_id,
        extensions=extensions,
        life=(start, end),
        rsa=order.rsa,
    )
    der = certificate.public_bytes(Encoding.DER)
    return IssuedCertificate(contents=certkinds.read(der), der=der, private_key=key)


class ClientCertificates:
    """Those the simulator has issued or seen, by serial number. ``authority`` is there while the simulator runs."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        feed: Feed,
        refusal: CertificateRefusal = "wire",
        live_activities: bool = False,
    ) -> None:
        self.authority: Certificates | None = None
        self.live_activities = live_activities
        self._refusal = refusal
        self._clock = clock
        self._feed = feed
        self._known: dict[str, ClientCertificate] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[ClientCertificate]:
        return iter(self._known.values())

    def __repr__(self) -> str:
        return f"<ClientCertificates known={len(self)} revoked={len(self._revoked())}>"

    def issue(self, order: CertificateOrder) -> IssuedCertificate:
        """Make a certificate. Raises Invalid, or Conflict as `ready` does."""
        return self.take(make(self.ready(), order, self._clock()))

    def ready(self) -> Certificates:
        """The CA that signs the next one. Raises Conflict when there are MAX_KNOWN or the simulator does not run."""
        if self.authority is None:
            raise Conflict("certificates can be made while the simulator runs; start it first")
        if len(self._known) >= MAX_KNOWN:
            raise Conflict(f"the portal has its {MAX_KNOWN} certificates already; POST /reset forgets them")
        return self.authority

    def take(self, made: IssuedCertificate) -> IssuedCertificate:
        """Remember a certificate that was made for this portal."""
        self._remember(ClientCertificate(der=made.der, contents=made.contents, issued=True), "made")
        return made

    def get(self, serial: str) -> ClientCertificate:
        """Raises Missing."""
        found = self._known.get(serial.lower().replace(":", "").lstrip("0"))
        if found is None:
            raise Missing(
                f"there is no certificate {serial}; one that was signed elsewhere is known from its first use on",
                field="serial",
            )
        return found

    def revoke(self, serial: str) -> None:
        """From now on the handshake is refused, and pushes on open connections are ``BadCertificate`` (CERT-10)."""
        found = self.get(serial)
        if found.revoked_at is None:
            found.revoked_at = self._clock()
            self.publish_revocations()
            self._tell(found, "revoked")

    def of(self, der: bytes) -> ClientCertificate:
        """The certificate that a client presented, known from now on. Raises nothing, on any bytes."""
        try:
            contents = certkinds.read(der)
        except Exception:  # APNs does not say what is wrong with it either: BadCertificate
            return ClientCertificate(der=der, contents=None)
        known = self._known.get(contents.serial)
        if known is not None and known.der == der:
            return known
        seen = ClientCertificate(der=der, contents=contents)
        if known is None and len(self._known) < MAX_KNOWN:
            self._remember(seen, "seen")
        return seen

    def objection(self, certificate: ClientCertificate, environment: Environment) -> str | None:
        """The reason to send a connection away right after its handshake (CERT-9); None: it stays."""
        if self._refusal == "answer":
            return None
        if not certificate.good(self._clock()):
            return "BadCertificate"
        return None if self.fits(certificate, environment) else "BadCertificateEnvironment"

    @staticmethod
    def fits(certificate: ClientCertificate, environment: Environment) -> bool:
        """Whether it is for this environment (CERT-3)."""
        return certificate.contents is not None and environment in certificate.contents.environments

    def publish_revocations(self) -> None:
        """Tell the TLS layer which serial numbers it is to refuse: none where APNs answers in HTTP."""
        if self.authority is not None:
            revoked = [] if self._refusal == "answer" else self._revoked()
            self.authority.revoke_clients(int(serial, 16) for serial in revoked)

    def clear(self) -> None:
        """Forget what was issued and revoked; a certificate in a client's hands is good again, and known by its use."""
        self._known.clear()
        self.publish_revocations()

    def _revoked(self) -> list[str]:
        return [serial for serial, one in self._known.items() if one.revoked_at is not None]

    def _remember(self, certificate: ClientCertificate, change: str) -> None:
        assert certificate.contents is not None  # noqa: S101 - only readable ones are remembered
        self._known[certificate.contents.serial] = certificate
        self._tell(certificate, change)

    def _tell(self, certificate: ClientCertificate, change: str) -> None:
        contents = certificate.contents
        if self._feed.live and contents is not None:
            data = {"what": "certificate", "change": change, "serial": contents.serial, "name": contents.common_name}
            self._feed.publish("portal", data)
