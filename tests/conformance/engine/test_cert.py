"""CERT rules as the engine keeps them: push certificates."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from support.apns_server import ApnsServer, header
from support.engine import HELLO, TOKEN, MakeClient, tokens
from support.tls import Authority

from heliogram.apns import REASONS, Certificate, NotSent, OnCredential, SystemClock, Tuning, Unknown

pytestmark = pytest.mark.anyio
BOTH = [
    (x509.UnrecognizedExtension(ObjectIdentifier(f"1.2.840.113635.100.6.3.{n}"), b"\x05\x00"), False) for n in (1, 2)
]


def push_certificate(authority: Authority) -> Certificate:
    subject = [(NameOID.USER_ID, "com.example.app"), (NameOID.COMMON_NAME, "Apple Push Services")]
    return Certificate.from_pem(*authority.issue(subject, list(BOTH)))


async def test_no_token_beside_a_certificate(server: ApnsServer, make_client: MakeClient, authority: Authority) -> None:
    """CERT-11, SUR-14: with a certificate there is no `authorization`, so the two can never contradict each other."""
    client = make_client(credential=push_certificate(authority), topic=None)
    assert (await client.send(TOKEN, HELLO)).ok
    assert b"authorization" not in dict(server.requests[0].headers)
    assert header(server.requests[0], b"apns-topic") == b"com.example.app"
    assert server.peers[0].transport.get_extra_info("peercert")


@pytest.mark.parametrize("name", ["BadCertificate", "BadCertificateEnvironment", "Forbidden"])
def test_refused_certificates(name: str) -> None:
    """CERT-8: the three words for a certificate that is not accepted, with 403."""
    assert REASONS[name].statuses == (403,)
    assert REASONS[name].credential in (OnCredential.STOP, OnCredential.SILENT, OnCredential.PROVEN)
    assert REASONS["BadCertificate"].credential is OnCredential.STOP
    assert REASONS["BadCertificateEnvironment"].credential is OnCredential.STOP


class Refuser:
    """Ends every handshake with the alert that OpenSSL has for the client's certificate."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:{1}".format(*self._listener.getsockname())
        self.handshakes = 0

    def serve(self) -> None:
        """Until `close`; in a thread, since asyncio's own TLS closes without sending its alert."""
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.handshakes += 1
            with self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secure:
                with contextlib.suppress(ssl.SSLError):
                    secure.do_handshake()
                secure.shutdown(socket.SHUT_WR)
                while secure.recv(4096):
                    pass  # the client's first flight; unread it would reset the connection under the alert

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_refused_by_a_tls_alert(
    authority: Authority, make_client: MakeClient, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """CERT-10: a certificate that TLS refuses ends in an outcome with the alert in its cause, and in no hang."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.load_server(context)
    context.load_verify_locations(authority.cafile)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    refuser = Refuser(context)
    serving = asyncio.get_running_loop().run_in_executor(None, refuser.serve)
    client = make_client(
        endpoint=refuser.endpoint,
        credential=push_certificate(Authority(tmp_path)),
        topic=None,
        clock=SystemClock(),
        tuning=Tuning(back_off=0.001),
    )
    outcomes = [one async for one in client.send_many((token, HELLO) for token in tokens(20))]
    await client.close()
    refuser.close()
    await serving
    assert sorted(one.device_token for one in outcomes) == tokens(20)
    assert all(isinstance(one, NotSent | Unknown) and "unknown ca" in one.cause for one in outcomes)
    # With TLS 1.3 the client is done first, and its first push is under way when the alert comes: one an attempt.
    unknown = sum(isinstance(one, Unknown) for one in outcomes)
    assert unknown <= (0 if version is ssl.TLSVersion.TLSv1_2 else 3)
    assert 1 <= refuser.handshakes <= 3
