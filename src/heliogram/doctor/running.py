"""The address of the service: free, in use by somebody else, or by a service, and how that is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

from ..http import CannotListen, bind
from ..settings import Address, Role, ServeSettings
from .finding import Finding, failed, ok, warning

LONGEST = 65_536


async def service(settings: ServeSettings, seconds: float) -> AsyncIterator[Finding]:
    """Whether one can listen there; if not, whether it is ours that does."""
    address = settings.listen
    check = f"listen {address}"
    try:
        bind(address, option="--listen").close()
    except CannotListen as error:
        if "in use" not in str(error):
            yield failed(check, str(error), "give an address of this machine, and a port above 1023, with --listen")
            return
    except OSError as error:
        yield failed(check, f"{address.host} is no address: {error.strerror}", "give another with --listen")
        return
    else:
        yield ok(check, "free: no service runs there")
        return
    answer = await _get(address, "/health/ready", tls=settings.tls_cert is not None, seconds=seconds)
    if answer is None or (b'"status"' not in answer and b"heliogram" not in answer.lower()):
        cure = "stop it, or give another address with --listen"
        yield failed(check, "something else than heliogram listens there", cure)
        return
    yield ok(check, "in use by heliogram")
    status = answer.split(b" ", 2)[1].decode("ascii", "replace")
    if status == "200":
        yield ok("service", "it is ready")
    else:
        told = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")[:300]
        yield failed("service", f"it is not ready (status {status}): {told}", "look at its log, and at the lines above")
    if Role.API in settings.roles and not settings.listen.is_loopback and settings.tls_cert is None:
        cure = "see that nobody reaches it but the proxy in front, which speaks TLS"
        yield warning("service", f"{address} is plain HTTP beyond this machine", cure)


async def _get(address: Address, path: str, *, tls: bool, seconds: float) -> bytes | None:
    """The answer as it came; None when there was none."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - compared
    context = None
    if tls:  # whose certificate it is does not matter to whether it answers
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, address.port, ssl=context)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
                return await reader.read(LONGEST) + await reader.read(LONGEST)
            finally:
                writer.transport.abort()
    except OSError:
        return None
