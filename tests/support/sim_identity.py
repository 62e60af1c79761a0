"""A client's TLS with a certificate that the simulator's portal has made."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Any

from heliogram.simulator import Simulator
from heliogram.simulator.clientcerts import CertificateOrder, IssuedCertificate

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def issue(simulator: Simulator, bundle_id: str = "com.example.app", **order: Any) -> IssuedCertificate:
    """A certificate with a key on P-256, which is made fast."""
    return simulator.portal.issue_certificate(
        CertificateOrder(bundle_id=bundle_id, rsa=order.pop("rsa", False), **order)
    )


def identity(simulator: Simulator, made: IssuedCertificate, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Trusts the simulator and shows the certificate; ``version``: speaks this TLS alone."""
    context = ssl.create_default_context(cadata=simulator.ca_pem.decode("ascii"))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder, "both.pem")
        both.write_bytes(made.pem + made.key_pem)
        context.load_cert_chain(both)
    return context
