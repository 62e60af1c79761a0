"""The way to APNs: names, ports, TLS, HTTP/2, and what the time is there."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from ..apns.connect import tls_context
from ..wire import Answered, ClientSession, ProtocolError, Request
from .finding import Finding, failed, ok, warning

SECONDS = 5.0
"""How long each step may take, unless it is said."""
FAR_OFF, TOO_FAR = 30.0, 300.0
"""Seconds by which our clock may differ."""
PORTS = (443, 2197)
APPLE = "Apple"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Dial = Callable[[str, int], Awaitable[socket.socket]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(info[4][0]) for info in found}, key=lambda address: (":" in address, address))


async def dial(address: str, port: int) -> socket.socket:
    """A connected socket of the system's."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


@dataclass(frozen=True)
class Net:
    """How names become addresses and addresses connections, and whom to trust."""

    resolve: Resolve = resolve
    dial: Dial = dial
    context: Callable[[str | None], ssl.SSLContext] = tls_context
    time: Callable[[], float] = field(kw_only=True)
    seconds: float = field(default=SECONDS, kw_only=True)
    through: str = field(default="", kw_only=True)
    """The proxy that `dial` goes through: it looks names up itself."""
    spare_proxy: bool = field(default=False, kw_only=True)
    """There is one in HTTPS_PROXY, which nobody reads."""


@dataclass(frozen=True)
class Target:
    """A host that pushes go to, and its ports, the one in use first. `issuer` is who signs its certificates, if that is
    known; `speaks` says that a request may be tried."""

    host: str
    ports: tuple[int, ...]
    issuer: str = ""
    cafile: str | None = None
    speaks: bool = True


@dataclass
class Seen:
    """What a handshake showed."""

    issuer: str
    protocol: str | None
    version: str | None
    date: str | None = None
    status: int | None = None


async def look(target: Target, net: Net) -> AsyncIterator[Finding]:
    """One host, from its name to an answer."""
    addresses: Sequence[str] = [target.host]
    if not net.through:
        found = await names(f"dns {target.host}", target.host, target.ports[0], net)
        if isinstance(found, Finding):
            yield found
            return
        addresses = found
        yield ok(f"dns {target.host}", listed(addresses))
    reached: list[tuple[str, int]] = []
    for port in target.ports:
        address, findings = await _tcp(target, addresses, port, net, spare=bool(reached))
        for finding in findings:
            yield finding
        if address is not None:
            reached.append((address, port))
    if not reached:
        return
    async for finding in _tls(target, *reached[0], net):
        yield finding
    if reached[0][1] != target.ports[0] and target.issuer == APPLE:
        cure = f'apns_production = "{target.host}:{reached[0][1]}" (or apns_sandbox) in the configuration'
        yield warning(
            f"tcp {target.host}", f"port {reached[0][1]} alone can be reached, and it is not the default", cure
        )


async def names(check: str, host: str, port: int, net: Net) -> Sequence[str] | Finding:
    """The addresses of a host, or what is wrong."""
    try:
        async with asyncio.timeout(net.seconds):
            return await net.resolve(host, port)
    except OSError as error:  # TimeoutError is one
        cure = "look at /etc/resolv.conf, and whether the resolver answers for other names"
        return failed(check, f"the name has no address: {why(error, net)}", f"{cure}{_or_the_proxy(net)}")


def listed(addresses: Sequence[str]) -> str:
    """The first four of them."""
    return ", ".join(addresses[:4]) + (f" and {len(addresses) - 4} more" if len(addresses) > 4 else "")


async def _tcp(
    target: Target, addresses: Sequence[str], port: int, net: Net, *, spare: bool
) -> tuple[str | None, list[Finding]]:
    """The first address that can be connected to. A `spare` port may be out of reach."""
    check = f"tcp {target.host}:{port}"
    problems: list[str] = []
    for address in addresses:
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(net.seconds):
                connected = await net.dial(address, port)
        except OSError as error:
            problems.append(f"{address}: {why(error, net)}")
            continue
        took = (asyncio.get_running_loop().time() - begun) * 1000
        connected.close()
        text = f"connected to {address} in {took:.0f} ms{f', through the proxy {net.through}' if net.through else ''}"
        if problems:
            cure = "addresses that cannot be reached cost time at each connection; see whether IPv6 works here"
            return address, [warning(check, f"{text}, but not to {'; '.join(problems)}", cure)]
        return address, [ok(check, text)]
    text = "; ".join(problems)
    if spare:
        return None, [warning(check, text, "only a second way: nothing needs to be done while the other port works")]
    cure = f"have the firewall let TCP {port} out to {target.host}{_or_the_proxy(net)}"
    return None, [failed(check, text, _cure_of_proxy(text, target.host, port) if net.through else cure)]


def _cure_of_proxy(text: str, host: str, port: int) -> str:
    if "the proxy's URL" in text:
        return "apns_proxy is the proxy's URL: http://user:password@host:port"
    return f"have the proxy allow CONNECT to {host}:{port}"


def _or_the_proxy(net: Net) -> str:
    return "; or name the proxy with --apns-proxy (HTTPS_PROXY is set here, but not read)" if net.spare_proxy else ""


async def _tls(target: Target, address: str, port: int, net: Net) -> AsyncIterator[Finding]:
    check = f"tls {target.host}:{port}"
    context = net.context(target.cafile)
    try:
        async with asyncio.timeout(net.seconds):
            seen = await _handshake(target, address, port, net, context)
    except ssl.SSLCertVerificationError as error:
        async for finding in _untrusted(target, address, port, net, error):
            yield finding
        return
    except (OSError, ProtocolError) as error:
        cure = "something between here and APNs ends TLS: a firewall or a proxy; let this machine through to it"
        yield failed(check, f"no TLS: {why(error, net)}", cure)
        return
    if target.issuer and target.issuer not in seen.issuer:
        cure = "have your network's TLS inspection leave push.apple.com alone: it reads every push, and breaks HTTP/2"
        yield warning(check, f"the certificate is trusted here, but {seen.issuer} issued it, not {target.issuer}", cure)
    else:
        yield ok(check, f"{seen.version}, issued by {seen.issuer}")
    if seen.protocol != "h2":
        cure = "a proxy between here and APNs speaks another protocol; let this machine through to it"
        yield failed(f"http/2 {target.host}:{port}", f"ALPN chose {seen.protocol or 'nothing'} in place of h2", cure)
        return
    if seen.status is not None:
        yield ok(f"http/2 {target.host}:{port}", f"answers (status {seen.status} to a request without a credential)")
    elif target.speaks:
        cure = "try again; if it stays so, a proxy may swallow HTTP/2"
        yield warning(f"http/2 {target.host}:{port}", f"no answer to a request within {net.seconds:g} s", cure)
    if seen.date is not None:
        yield _skew(target, seen.date, net.time())


async def _handshake(target: Target, address: str, port: int, net: Net, context: ssl.SSLContext) -> Seen:
    connected = await net.dial(address, port)
    try:
        reader, writer = await asyncio.open_connection(
            sock=connected, ssl=context, server_hostname=target.host, ssl_shutdown_timeout=0.5
        )
    except BaseException:
        connected.close()
        raise
    try:
        tls: Any = writer.get_extra_info("ssl_object")
        seen = Seen(_issuer(tls.getpeercert(binary_form=True)), tls.selected_alpn_protocol(), tls.version())
        if target.speaks and seen.protocol == "h2":
            await _ask(target, port, reader, writer, seen)
        return seen
    finally:
        writer.transport.abort()


async def _ask(
    target: Target, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen
) -> None:
    """One push without a credential, which APNs answers with 403 (TOK-21): shows that HTTP/2 goes all the way."""
    authority = target.host if port == 443 else f"{target.host}:{port}"
    session = ClientSession(authority.encode())
    head = session.head([(b"apns-topic", b"heliogram.doctor"), (b"apns-push-type", b"alert")])
    session.submit([Request(head, b"/3/device/" + b"00" * 32, (), b'{"aps":{}}', None)])
    writer.write(session.take())
    while data := await reader.read(16384):
        for event in session.feed(data):
            if isinstance(event, Answered):
                seen.status = event.status
                dates = [value for name, value in event.headers or () if name == b"date"]
                seen.date = dates[0].decode("ascii", "replace") if dates else None
                return
        writer.write(session.take())


async def _untrusted(
    target: Target, address: str, port: int, net: Net, error: ssl.SSLCertVerificationError
) -> AsyncIterator[Finding]:
    """Who signed a certificate that is not trusted: that names the proxy, or what is missing here."""
    check = f"tls {target.host}:{port}"
    open_ = net.context(target.cafile)
    open_.check_hostname = False
    open_.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(net.seconds):
            unspoken = Target(target.host, target.ports, speaks=False)
            issuer = (await _handshake(unspoken, address, port, net, open_)).issuer
    except OSError:
        issuer = "nobody who could be seen"
    text = f"the certificate is not trusted ({error.verify_message.rstrip('.')}); issued by {issuer}"
    if error.verify_code in (9, 10):  # not yet valid, or expired
        cure = "look at this machine's clock"
    elif target.cafile is not None:
        cure = "give the CA of the APNs that stands in for Apple's: --apns-cacert"
    elif APPLE in issuer:
        cure = "the root is missing here: install ca-certificates (USERTrust RSA Certification Authority, CONN-10)"
    else:
        cure = "a proxy opens TLS on the way: have it leave push.apple.com alone; do not install its CA for this"
    yield failed(check, text, cure)


def _issuer(der: bytes | None) -> str:
    if der is None:
        return "nobody"
    name = x509.load_der_x509_certificate(der).issuer
    parts = {attribute.oid: str(attribute.value) for attribute in name}
    common, organisation = parts.get(x509.NameOID.COMMON_NAME), parts.get(x509.NameOID.ORGANIZATION_NAME)
    return ", ".join(part for part in (common, organisation) if part) or name.rfc4514_string()


def _skew(target: Target, date: str, now: float) -> Finding:
    check = f"clock against {target.host}"
    try:
        off = now - email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return warning(check, f"it sent the date {date!r}", "nothing: this says nothing of our clock")
    text = f"ours is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}"
    if abs(off) > TOO_FAR:
        return failed(check, text, "set the clock by NTP: provider tokens carry the time, and APNs refuses them")
    if abs(off) > FAR_OFF:
        return warning(check, text, "set the clock by NTP")
    return ok(check, f"{text}, within {FAR_OFF:g} s")


def why(error: BaseException, net: Net) -> str:
    """What went wrong, in words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {net.seconds:g} s{f' by way of the proxy {net.through}' if net.through else ''}"
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__
